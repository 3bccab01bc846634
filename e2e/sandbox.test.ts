// The sandbox around the workers of a running proxy, as the kernel and `status` tell it. What it refuses is tried from
// inside in test/os/sandbox.test.ts.

import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { killPid, spawn, waitPid } from "../src/os/process.ts";
import { compileStartFilter } from "../src/os/sandbox-filter.ts";
import { httpBackend } from "./lib/backend.ts";
import { once } from "./lib/client.ts";
import { renderConfig } from "./lib/config.ts";
import { faultEnvironment } from "./lib/fault.ts";
import { freePort } from "./lib/ports.ts";
import { currentRelease, type RunningProxy, startProxy } from "./lib/proxy.ts";
import { type Scope, until } from "./lib/scope.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

async function start(
  scope: Scope,
  settings: Record<string, string>,
  env: Readonly<Record<string, string>> = {},
): Promise<RunningProxy> {
  const backend = await httpBackend(scope, (_request, response) => response.end("ok"));
  return startProxy(scope, { workers: 2, clusters: { app: { backends: [backend.port] } }, settings, env });
}

/** A field of /proc/PID/status for every thread of a process. */
function ofThreads(pid: number, field: string): Set<string> {
  const values = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, "latin1");
    return new RegExp(`^${field}:\\s+(\\S+)$`, "m").exec(status)?.[1] ?? "";
  });
  return new Set(values);
}

function coreLimit(pid: number): string {
  return /^Max core file size\s+(\S+)\s+(\S+)/m.exec(readFileSync(`/proc/${pid}/limits`, "latin1"))?.[2] ?? "";
}

async function sandboxes(proxy: RunningProxy): Promise<string[]> {
  const { stdout } = await proxy.run("status", "--json");
  return (JSON.parse(stdout).WORKERS.vec as { sandbox?: string }[]).map((worker) => worker.sandbox ?? "");
}

test("by default every thread of a worker is in the sandbox, and it serves", async (t) => {
  const proxy = await start(t, {});
  assert.equal((await once(proxy.port, REQUEST))?.status, 200);
  await proxy.waitForAccessLines(1);
  assert.equal(proxy.workerPids.length, 2);
  for (const pid of proxy.workerPids) {
    assert.deepEqual(ofThreads(pid, "Seccomp"), new Set(["2"]));
    assert.deepEqual(ofThreads(pid, "NoNewPrivs"), new Set(["1"]));
    assert.deepEqual(ofThreads(pid, "CapAmb"), new Set(["0000000000000000"]));
    assert.equal(coreLimit(pid), "1");
  }
  assert.equal(coreLimit(proxy.pid), "1");
  assert.deepEqual(await sandboxes(proxy), ["on", "on"]);
  assert.match((await proxy.run("status")).stdout, /sandbox/);
});

test("a successor of a killed worker is in the sandbox, too", async (t) => {
  const proxy = await start(t, { sandbox: "required" });
  process.kill(proxy.workerPids[0], "SIGKILL");
  await until("it is replaced", () => /worker 2 serves/.test(proxy.output));
  for (const pid of proxy.workerPids) assert.deepEqual(ofThreads(pid, "Seccomp"), new Set(["2"]));
});

test("switched off it is off, and status says so", async (t) => {
  const proxy = await start(t, { sandbox: "off" });
  const before = ofThreads(process.pid, "Seccomp");
  for (const pid of proxy.workerPids) assert.deepEqual(ofThreads(pid, "Seccomp"), before);
  const off = "off: switched off by the configuration";
  assert.deepEqual(await sandboxes(proxy), [off, off]);
});

test("log files that were moved away are opened anew on SIGUSR1, by main for its workers", async (t) => {
  const proxy = await start(t, { sandbox: "required" });
  const [file, moved] = [join(proxy.folder, "access.log"), join(proxy.folder, "access.log.1")];
  await once(proxy.port, REQUEST);
  await proxy.waitForAccessLines(1);
  renameSync(file, moved);
  proxy.kill("SIGUSR1");
  await until("main made the file", () => existsSync(file));
  // Each worker is told by its own packet, so lines may still go to the old file; none is lost.
  const lines = (path: string): number => readFileSync(path, "utf8").split("\n").length - 1;
  let asked = 1;
  await until("a worker logs to the new file", async () => {
    await once(proxy.port, REQUEST);
    asked += 1;
    return lines(file) > 0;
  });
  await until("every line is in one of the files", () => lines(file) + lines(moved) === asked);
  for (const pid of proxy.workerPids) process.kill(pid, "SIGKILL");
  await until("successors serve", () => /worker 3 serves/.test(proxy.output));
  await once(proxy.port, REQUEST);
  await until("a successor logs there, too", () => lines(file) + lines(moved) === asked + 1);
  // A folder that is gone: the old files stay in use, and the log says so.
  renameSync(file, join(proxy.folder, "access.log.2"));
  mkdirSync(file);
  proxy.kill("SIGUSR1");
  await until("it is said", () => /workers go on with their log files: .*EISDIR/.test(proxy.output));
  assert.equal((await once(proxy.port, REQUEST))?.status, 200);
});

for (const [mode, outcome] of [
  ["on", "EPERM"],
  ["log", "opened"],
]) {
  test(`sandbox = "${mode}" on a worker that serves: a file that it opens is ${outcome}`, async (t) => {
    const proxy = await start(t, { sandbox: mode as string }, faultEnvironment("open", ""));
    const [worker] = proxy.workerPids as [number];
    assert.deepEqual(ofThreads(worker, "Seccomp"), new Set(["2"]));
    process.kill(worker, "SIGUSR2");
    await until("it was tried", () => proxy.output.includes(`/etc/passwd: ${outcome}`));
    assert.equal((await once(proxy.port, REQUEST))?.status, 200);
    assert.deepEqual(await sandboxes(proxy), ["on", "on"]);
  });
}

for (const sandbox of ["required", "on"]) {
  test(`sandbox = "${sandbox}" where the kernel has no filters: ${sandbox === "on" ? "a warning" : "refused"}`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "sozu-filters-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const keys = { command_socket: join(folder, "sozu.sock"), worker_count: 1, access_logs_target: "off", sandbox };
    writeFileSync(join(folder, "config.toml"), renderConfig({ clusters: {} }, await freePort(), keys));
    const release = currentRelease();
    const node = join(release, "bin", "node");
    const output = openSync(join(folder, "output"), "w+");
    const seccomp = { name: "seccomp", x64: 317, arm64: 277 };
    const arch = process.arch === "arm64" ? "arm64" : "x64";
    // A filter of this test's in which the call that sets filters is not there.
    const main = spawn({
      file: node,
      args: [node, join(release, "js", "cli", "main.js"), "start", "-c", join(folder, "config.toml")],
      env: process.env,
      fds: [
        [output, 1],
        [output, 2],
      ],
      sandbox: compileStartFilter([seccomp], { arch, pid: 0, logOnly: false }),
    });
    assert.ok(typeof main !== "number", String(main));
    t.after(() => killPid(main.pidfd, 9));
    const said = (): string => readFileSync(join(folder, "output"), "utf8");
    let code: number | null = null;
    const ended = (): boolean => {
      code ??= waitPid(main.pidfd)?.exitCode ?? null;
      return code !== null;
    };
    if (sandbox === "required") {
      await until("it ends", ended);
      assert.equal(code, 1);
      assert.match(said(), /no sandbox: this kernel has no seccomp filters/);
      return;
    }
    await until("it serves", () => said().includes("ready: 1 workers"));
    await until("it warns", () => said().includes("not closed: this kernel has no seccomp filters"));
    killPid(main.pidfd, 15);
    await until("it ends", ended);
  });
}
