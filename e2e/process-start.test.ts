// How the proxy starts, and how it refuses to: one message with the cause, exit code 1, nothing left behind.

import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { freePort } from "./lib/ports.ts";
import { root, startProxy } from "./lib/proxy.ts";
import type { Scope } from "./lib/scope.ts";

/** Runs `./sozu start` on a configuration in a folder of its own; resolves when it has ended. */
function startOnce(scope: Scope, toml: string) {
  const folder = mkdtempSync(join(tmpdir(), "sozu-start-"));
  scope.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "config.toml"), toml);
  const env = { ...process.env, SOZU_SETUP: "skip" };
  return new Promise<{ code: number; stderr: string; files: string[] }>((resolve) => {
    execFile(join(root, "sozu"), ["start"], { cwd: folder, env, timeout: 15_000 }, (error, _stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stderr, files: readdirSync(folder) });
    });
  });
}

test("UP-21 a port in use: the address, exit code 1, socket and pid file are removed again", async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const toml = `pid_file_path = "pid"\n[[listeners]]\nprotocol = "http"\naddress = "127.0.0.1:${port}"\n`;
  const { code, stderr, files } = await startOnce(t, toml);
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`^\\ncannot listen on 127\\.0\\.0\\.1:${port}: another process uses this port`));
  assert.deepEqual(files, ["config.toml"]);
});

test("a wrong configuration: every mistake, exit code 1, nothing was touched", async (t) => {
  const { code, stderr, files } = await startOnce(t, "worker_cuont = 2\n[clusters.a]\nprotocol = 'htp'\n");
  assert.equal(code, 1);
  assert.match(stderr, /config\.toml:1:1/);
  assert.match(stderr, /config\.toml:3:/);
  assert.deepEqual(files, ["config.toml"]);
});

test("more connections than the system allows descriptors for are refused", async (t) => {
  const { code, stderr } = await startOnce(t, "max_connections = 10000000\n");
  assert.equal(code, 1);
  assert.match(stderr, /Too many allowed connections for a worker: max_connections is 10000000/);
});

test("a worker that cannot start ends the start with its reason", async (t) => {
  const port = await freePort();
  const listener = `[[listeners]]\nprotocol = "http"\naddress = "127.0.0.1:${port}"\n`;
  const toml = `access_logs_target = "file:///no/such/folder/x.log"\n${listener}`;
  const { code, stderr, files } = await startOnce(t, toml);
  assert.equal(code, 1);
  assert.match(stderr, /\/no\/such\/folder/);
  assert.ok(!files.includes("sozu.sock"));
});

test("without a listener it starts, and can be given one later", async (t) => {
  const proxy = await startProxy(t, { toml: 'command_socket = "$FOLDER/sozu.sock"\nworker_count = 1\n' });
  assert.equal((await proxy.run("status")).code, 0);
});

test("the launcher works through symbolic links, from any folder, and finds the nearest verb", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sozu-link-"));
  t.after(() => rmSync(folder, { recursive: true }));
  symlinkSync(join(root, "sozu"), join(folder, "one"));
  symlinkSync("one", join(folder, "two"));
  const env = { ...process.env, SOZU_SETUP: "skip" };
  const run = (...args: string[]) => spawnSync("./two", args, { cwd: folder, env, encoding: "utf8" });
  assert.match(run("--version").stdout, /^\d+\.\d+\.\d+\n$/);
  const wrong = run("statsu");
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /Did you mean status\?/);
  assert.equal(existsSync(join(folder, ".releases")), false);
});

test("main and workers run from the resolved release folder, without a debugger signal", async (t) => {
  const proxy = await startProxy(t, {});
  for (const pid of [proxy.pid, ...proxy.workerPids]) {
    process.kill(pid, "SIGUSR1");
    const { stdout } = spawnSync("readlink", [`/proc/${pid}/exe`], { encoding: "utf8" });
    assert.match(stdout, /\/\.releases\/[0-9a-f]{16}\/bin\/node\n$/);
  }
  assert.equal((await proxy.run("status")).code, 0);
  assert.doesNotMatch(proxy.output, /Debugger/);
});
