// What main says to systemd and takes from it: notifications, the watchdog, sockets that are listening already.

import assert from "node:assert/strict";
import { execFile, spawn as spawnChild } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ListenSockets } from "../../src/main/listen-sockets.ts";
import { notifySystemd, reloadingMessage, watchdogPeriodMs } from "../../src/main/notify.ts";
import { recvFds } from "../../src/os/fdpass.ts";
import { getsockname, listenTcp } from "../../src/os/listeners.ts";
import { native } from "../../src/os/native.ts";
import { setNonblocking, spawn, waitPid } from "../../src/os/process.ts";
import { encodeUnixSockaddr } from "../../src/os/sockaddr.ts";
import { accept, close, socket, UNIX_DGRAM } from "../../src/os/sockets.ts";
import { ready } from "../os/descriptors.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "sozu-systemd-"));
test.after(() => rmSync(folder, { recursive: true }));

/** A datagram socket as systemd's. */
function receiver(name: string): number {
  const bytes = new Uint8Array(128);
  const length = encodeUnixSockaddr(name, bytes, 0);
  const fd = socket(UNIX_DGRAM);
  assert.equal(native.bind(fd, bytes.subarray(0, length)), 0);
  return fd;
}

function received(fd: number): string {
  const packet = recvFds(fd, 4096, 0);
  return typeof packet === "number" ? `errno ${packet}` : Buffer.from(packet.data).toString();
}

test("notifications reach a socket at a path and an abstract one; without one nothing happens", () => {
  const path = join(folder, "notify");
  const abstract = `sozu-test-${process.pid}`;
  for (const [name, variable] of [
    [path, path],
    [`\0${abstract}`, `@${abstract}`],
  ] as const) {
    const fd = receiver(name);
    assert.equal(notifySystemd("READY=1", variable), null);
    assert.equal(received(fd), "READY=1");
    close(fd);
  }
  assert.equal(notifySystemd("READY=1", ""), null);
  assert.match(notifySystemd("READY=1", join(folder, "none")) ?? "", /^cannot reach NOTIFY_SOCKET/);
  assert.match(notifySystemd("READY=1", `/${"x".repeat(200)}`) ?? "", /^cannot reach/);
  assert.match(reloadingMessage(), /^RELOADING=1\nMONOTONIC_USEC=\d+$/);
});

test("the watchdog is fed twice in its time, and only by the process that it is for", () => {
  assert.equal(watchdogPeriodMs({}), null);
  assert.equal(watchdogPeriodMs({ WATCHDOG_USEC: "3000000" }), 1500);
  assert.equal(watchdogPeriodMs({ WATCHDOG_USEC: "3000000", WATCHDOG_PID: String(process.pid) }), 1500);
  assert.equal(watchdogPeriodMs({ WATCHDOG_USEC: "3000000", WATCHDOG_PID: "1" }), null);
  for (const usec of ["0", "-1", "x", "1.5", ""]) assert.equal(watchdogPeriodMs({ WATCHDOG_USEC: usec }), null);
});

test("sockets of LISTEN_FDS are taken by address, what is none of them is closed and named", () => {
  const given = listenTcp({ ip: "127.0.0.1", port: 0 }, { reusePort: false });
  const other = socket(UNIX_DGRAM);
  const out = join(folder, "taken.json");
  const script = `
    const { takeInheritedSockets } = await import(${JSON.stringify(join(root, "src/main/inherited-sockets.ts"))});
    const { getCloexec } = await import(${JSON.stringify(join(root, "src/os/process.ts"))});
    const fs = await import("node:fs");
    const { byAddress, problems } = takeInheritedSockets();
    const again = takeInheritedSockets().byAddress.size;
    const flags = [...byAddress.values()].map(getCloexec);
    fs.writeFileSync(${JSON.stringify(out)}, JSON.stringify({ sockets: [...byAddress], problems, again, flags, env: process.env }));`;
  writeFileSync(join(folder, "take.mjs"), script);
  const run = (fds: string, pid: string) => {
    const command = `LISTEN_FDS=${fds} LISTEN_PID=${pid} exec ${process.execPath} ${join(folder, "take.mjs")}`;
    const spawned = spawn({
      file: "/bin/sh",
      args: ["sh", "-c", command],
      env: { PATH: "/bin:/usr/bin" },
      fds: [
        [given, 3],
        [other, 4],
      ],
    });
    assert.ok(typeof spawned !== "number");
    ready(spawned.pidfd);
    assert.equal(waitPid(spawned.pidfd)?.exitCode, 0);
    close(spawned.pidfd);
    return JSON.parse(readFileSync(out, "utf8"));
  };
  const { ip, port } = getsockname(given) as { ip: string; port: number };
  const taken = run("2", "$$");
  assert.deepEqual(taken.sockets, [[`${ip}:${port}`, 3]]);
  assert.match(taken.problems[0], /^descriptor 4 of LISTEN_FDS is no listening TCP socket/);
  assert.deepEqual([taken.again, taken.flags], [0, [1]]);
  assert.ok(!Object.keys(taken.env).some((name) => name.startsWith("LISTEN_")));
  assert.deepEqual(run("2", "1").sockets, [], "they are for another process");
  for (const count of ["-1", "x", "99999"]) assert.deepEqual(run(count, "$$").sockets, []);
  close(given);
  close(other);
});

test("a listener uses the socket that was passed; closing it leaves the queue to whoever passed it", async () => {
  const passed = listenTcp({ ip: "127.0.0.1", port: 0 }, { reusePort: false });
  const address = getsockname(passed) as { ip: string; port: number };
  const sockets = new ListenSockets(2, new Map([[`${address.ip}:${address.port}`, passed]]));
  assert.equal(sockets.open(address), null, "no EADDRINUSE");
  const client = connect(address.port, address.ip);
  await new Promise((resolve) => client.once("connect", resolve));
  sockets.close(address);
  assert.equal(sockets.open(address), null, "it can be opened again");
  const fd = sockets.fd(address, 1);
  setNonblocking(fd, true);
  ready(fd);
  const accepted = accept(fd);
  assert.ok(accepted >= 0, "who waited meanwhile was not reset");
  close(accepted);
  client.destroy();
  sockets.closeAll();
});

test("the unit files are valid", async (t) => {
  const verify = (unit: string): Promise<string> =>
    new Promise((resolve) => {
      execFile("systemd-analyze", ["verify", join(root, "packaging", unit)], (error, _stdout, stderr) => {
        resolve((error as NodeJS.ErrnoException | null)?.code === "ENOENT" ? "missing" : stderr);
      });
    });
  for (const unit of ["sozu.service", "sozu.socket"]) {
    const said = await verify(unit);
    if (said === "missing") return t.skip("systemd-analyze is missing: apt-get install systemd");
    const complaints = said.split("\n").filter((line) => line !== "" && !line.includes("is not executable"));
    assert.deepEqual(complaints, []);
  }
});

const init = join(root, "packaging/container-init");

test("PID 1 of a container starts a crashed main again, passes signals on and ends with main", async () => {
  const runs = join(folder, "runs");
  writeFileSync(runs, "");
  // The first main crashes, the second one counts a HUP and leaves with 3 on TERM.
  const main = `echo x >> ${runs}; [ "$(wc -l < ${runs})" -gt 1 ] || kill -SEGV $$
    trap 'echo hup' HUP; trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done`;
  const child = spawnChild("sh", [init, "sh", "-c", main], { stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  const said = (word: string): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (out.includes(word)) resolve();
        else child.stdout.once("data", look);
      };
      look();
    });
  child.stdout.on("data", (chunk) => {
    out += chunk;
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  await said("up");
  child.kill("SIGHUP");
  await said("hup");
  child.kill("SIGTERM");
  assert.equal(await ended, 3);
  assert.equal(readFileSync(runs, "utf8"), "x\nx\n");
});
