// Spawning, watching, signalling and replacing processes.

import assert from "node:assert/strict";
import { readFileSync, readlinkSync } from "node:fs";
import { constants } from "node:os";
import { test } from "node:test";
import { EACCES, EBADF, EINVAL, ENOENT, ESRCH } from "../../src/os/errno.ts";
import { closeAll } from "../../src/os/fdpass.ts";
import { socketpair } from "../../src/os/listeners.ts";
import * as p from "../../src/os/process.ts";
import * as s from "../../src/os/sockets.ts";
import { ready, runScript, textAt } from "./descriptors.ts";

const SH = "/bin/sh";

function shell(script: string, more: Partial<p.SpawnOptions> = {}): p.Spawned {
  const spawned = p.spawn({ file: SH, args: ["sh", "-c", script], env: { PATH: "/bin:/usr/bin" }, fds: [], ...more });
  assert.ok(typeof spawned !== "number", `spawn: ${spawned}`);
  return spawned;
}

/** Runs a script whose descriptor 3 is a socket; returns what it wrote there and how it ended. */
function output(script: string, more: Partial<p.SpawnOptions> = {}): { text: string; status: p.ExitStatus } {
  const [here, there] = socketpair(s.UNIX_STREAM);
  p.setNonblocking(there, false);
  const { pidfd } = shell(script, {
    fds: [[there, 3], ...(more.fds ?? [])],
    ...(more.cwd === undefined ? {} : { cwd: more.cwd }),
    ...(more.env === undefined ? {} : { env: more.env }),
  });
  s.close(there);
  let text = "";
  for (;;) {
    ready(here);
    const length = s.recv(here, 0, 4096);
    if (length <= 0) break;
    text += textAt(0, length);
  }
  const status = end(pidfd);
  s.close(here);
  return { text, status };
}

function end(pidfd: number): p.ExitStatus {
  ready(pidfd);
  const status = p.waitPid(pidfd);
  assert.ok(status !== null);
  s.close(pidfd);
  return status;
}

test("exit codes and signals are told apart", () => {
  assert.deepEqual(end(shell("exit 7").pidfd), { exitCode: 7, signal: 0 });
  assert.deepEqual(end(shell("kill -9 $$").pidfd), { exitCode: -1, signal: 9 });
});

test("a running process is null, a signal through the pidfd ends it, and later ones are ESRCH", () => {
  const { pidfd } = shell("exec sleep 100");
  assert.equal(p.waitPid(pidfd), null);
  assert.equal(p.killPid(pidfd, 0), 0);
  assert.equal(p.killPid(pidfd, constants.signals.SIGTERM), 0);
  ready(pidfd);
  assert.deepEqual(p.waitPid(pidfd), { exitCode: -1, signal: constants.signals.SIGTERM });
  assert.equal(p.killPid(pidfd, 0), -ESRCH);
  s.close(pidfd);
});

test("only the listed descriptors and the standard ones survive, wherever they go", () => {
  const [a, b] = socketpair(s.UNIX_STREAM);
  p.setCloexec(a, false);
  // Crossed on purpose: each target is the number of another source.
  const { text } = output("cd /proc/self/fd; echo [0-9]*>&3; readlink 10 11 >&3", {
    fds: [
      [a, 11],
      [b, 10],
    ],
  });
  const [list, ...links] = text.trim().split("\n");
  const numbers = list.split(" ").map(Number);
  for (const fd of [0, 1, 2, 3, 10, 11]) assert.ok(numbers.includes(fd), `${fd} in ${list}`);
  // Besides these, the shell may hold one for reading the folder.
  assert.ok(numbers.length <= 7, list);
  assert.deepEqual(links, [readlinkSync(`/proc/self/fd/${b}`), readlinkSync(`/proc/self/fd/${a}`)]);
  closeAll([a, b]);
});

test("sources and targets may be each other's numbers", () => {
  const [a, b] = socketpair(s.UNIX_STREAM);
  const linkA = readlinkSync(`/proc/self/fd/${a}`);
  const linkB = readlinkSync(`/proc/self/fd/${b}`);
  const { text } = output(`cd /proc/self/fd; readlink ${a} ${b} >&3`, {
    fds: [
      [a, b],
      [b, a],
    ],
  });
  assert.deepEqual(text.trim().split("\n"), [linkB, linkA]);
  closeAll([a, b]);
});

test("arguments, environment and folder arrive byte for byte", () => {
  const { text } = output('echo "$A|$B|$(pwd)|$HOME" >&3', { env: { A: "ü =\n", B: "", C: undefined }, cwd: "/proc" });
  assert.equal(Buffer.from(text, "latin1").toString(), "ü =\n||/proc|\n");
});

test("signals are unblocked and have their default handling in the child", () => {
  const { text } = output("grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status >&3");
  const masks = new Map(
    text
      .trim()
      .split("\n")
      .map((line) => line.split(":\t") as [string, string]),
  );
  assert.equal(BigInt(`0x${masks.get("SigBlk")}`), 0n);
  assert.equal(BigInt(`0x${masks.get("SigIgn")}`), 0n);
});

test("the own signal mask is untouched by a spawn", () => {
  const mask = () => /SigBlk:\t(\w+)/.exec(readFileSync("/proc/thread-self/status", "utf8"))?.[1];
  const before = mask();
  end(shell("exit 0").pidfd);
  assert.equal(mask(), before);
});

test("a new session leaves the terminal's", () => {
  const own = /^\d+ \(.*?\) \S \d+ \d+ (\d+)/.exec(readFileSync("/proc/self/stat", "utf8"))?.[1];
  const spawned = shell("exec sleep 100", { newSession: true });
  const text = readFileSync(`/proc/${spawned.pid}/stat`, "utf8");
  assert.equal(/^\d+ \(.*?\) \S \d+ \d+ (\d+)/.exec(text)?.[1], String(spawned.pid));
  assert.notEqual(own, String(spawned.pid));
  p.killPid(spawned.pidfd, constants.signals.SIGKILL);
  end(spawned.pidfd);
});

test("what cannot be run is an error here, not a child that fails", () => {
  const options = { args: ["x"], env: {}, fds: [] };
  assert.equal(p.spawn({ ...options, file: "/nonexistent" }), -ENOENT);
  assert.equal(p.spawn({ ...options, file: "/etc/passwd" }), -EACCES);
  assert.equal(p.spawn({ ...options, file: SH, cwd: "/nonexistent" }), -ENOENT);
  assert.equal(p.spawn({ ...options, file: SH, fds: [[9999, 3]] }), -EBADF);
  assert.equal(p.spawn({ ...options, file: SH, fds: [[-1, 3]] }), -EINVAL);
  assert.equal(p.spawn({ ...options, file: SH, args: ["a\0b"] }), -EINVAL);
  assert.equal(p.waitPid(-1)?.exitCode, -1);
});

test("a process that is not our child is watched through a pidfd of its number", () => {
  const { pid, pidfd } = shell("exec sleep 100");
  const second = p.pidfdOpen(pid);
  assert.ok(second >= 0);
  p.killPid(second, constants.signals.SIGKILL);
  ready(second);
  assert.equal(end(pidfd).signal, constants.signals.SIGKILL);
  // Reaped already: what a foreign process looks like.
  assert.deepEqual(p.waitPid(second), { exitCode: -1, signal: 0 });
  assert.equal(p.pidfdOpen(pid), -ESRCH);
  s.close(second);
});

test("close-on-exec is set and cleared, and duplicates have it", () => {
  const [a, b] = socketpair(s.UNIX_STREAM);
  p.setCloexec(a, false);
  assert.equal(p.getCloexec(a), 0);
  p.setCloexec(a, true);
  assert.equal(p.getCloexec(a), 1);
  const copy = p.dup(b);
  assert.equal(p.getCloexec(copy), 1);
  assert.equal(p.setCloexec(-1, true), -EBADF);
  closeAll([a, b, copy]);
});

test("the limit of descriptors is read and changed within the hard limit", () => {
  const { soft, hard } = p.getNofile();
  assert.ok(soft > 0);
  assert.equal(p.setNofile(soft - 1), 0);
  assert.equal(p.getNofile().soft, soft - 1);
  assert.equal(p.setNofile(soft), 0);
  if (hard > 0) assert.equal(p.setNofile(hard + 1), -EINVAL);
  assert.equal(p.setNofile(-1), -EINVAL);
});

test("execve keeps the pid and the descriptors without close-on-exec, and returns on failure", async () => {
  const { stdout } = await runScript(`
    import { execve, setCloexec } from "os/process.ts";
    import { memfd } from "os/shared.ts";
    const kept = memfd("kept", 10);
    const lost = memfd("lost", 10);
    setCloexec(kept, false);
    process.stdout.write(execve("/nonexistent", ["x"], {}) + " " + execve("/etc/passwd", ["x"], {}) + "\\n");
    const script = "echo $$ $FROM; readlink /proc/self/fd/" + kept + " || echo gone; readlink /proc/self/fd/" + lost + " || echo gone";
    process.stdout.write(process.pid + "\\n");
    execve("/bin/sh", ["sh", "-c", script], { FROM: "before", PATH: "/bin:/usr/bin" });
  `);
  const [failed, pid, after, kept, lost] = stdout.trim().split("\n");
  assert.equal(failed, `-${ENOENT} -${EACCES}`);
  assert.equal(after, `${pid} before`);
  assert.match(kept, /memfd:kept/);
  assert.doesNotMatch(lost, /memfd:lost/);
});
