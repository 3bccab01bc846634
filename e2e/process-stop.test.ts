// How the proxy ends: by signals and by commands, finishing or cutting what is in flight, leaving nothing behind.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { httpBackend } from "./lib/backend.ts";
import { connectRaw, once } from "./lib/client.ts";
import { startProxy } from "./lib/proxy.ts";
import { type Scope, until } from "./lib/scope.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

async function startWithSlowBackend(scope: Scope) {
  const held: (() => void)[] = [];
  const backend = await httpBackend(scope, (_request, response) => {
    held.push(() => response.end("late"));
  });
  const clusters = { app: { backends: [backend.port] } };
  const proxy = await startProxy(scope, { workers: 2, clusters, settings: { pid_file_path: "main.pid" } });
  return { proxy, held };
}

test("SIGTERM finishes the request in flight, refuses new ones, removes socket and pid file", async (t) => {
  const { proxy, held } = await startWithSlowBackend(t);
  assert.equal(readFileSync(join(proxy.folder, "main.pid"), "utf8"), String(proxy.pid));
  const client = await connectRaw(proxy.port);
  const idle = await connectRaw(proxy.port);
  await client.send(REQUEST);
  await until("the backend has the request", () => held.length === 1);
  proxy.kill("SIGTERM");
  await idle.closedByPeer();
  // Each worker stops accepting when it hears of it: both have by now.
  await until("both stop", () => proxy.output.split("stopping: no new connections").length === 3);
  await assert.rejects(once(proxy.port, REQUEST), /ECONNREFUSED/);
  assert.equal(proxy.exited, false);
  held[0]();
  const answer = await client.answer();
  assert.equal(answer.status, 200);
  assert.equal(answer.body.toString(), "late");
  await proxy.waitForExit();
  assert.equal(proxy.exitCode, 0);
  assert.equal(existsSync(proxy.socketPath), false);
  assert.equal(existsSync(join(proxy.folder, "main.pid")), false);
});

test("a second SIGINT cuts what is in flight", async (t) => {
  const { proxy, held } = await startWithSlowBackend(t);
  const client = await connectRaw(proxy.port);
  await client.send(REQUEST);
  await until("the backend has the request", () => held.length === 1);
  proxy.kill("SIGINT");
  await until("the stop has begun", () => proxy.output.includes("stopping after"));
  assert.equal(proxy.exited, false);
  proxy.kill("SIGINT");
  await proxy.waitForExit(3000);
  assert.equal(proxy.exitCode, 0);
  await client.closedByPeer();
});

test("UP-15 SIGHUP ends nothing", async (t) => {
  const { proxy } = await startWithSlowBackend(t);
  proxy.kill("SIGHUP");
  for (const pid of proxy.workerPids) process.kill(pid, "SIGHUP");
  const { code } = await proxy.run("status");
  assert.equal(code, 0);
  assert.equal(proxy.workerPids.length, 2);
});

test("shutdown answers after the last request is finished", async (t) => {
  const { proxy, held } = await startWithSlowBackend(t);
  const client = await connectRaw(proxy.port);
  await client.send(REQUEST);
  await until("the backend has the request", () => held.length === 1);
  let answered = false;
  const shutdown = proxy.run("shutdown").finally(() => {
    answered = true;
  });
  await until("the stop has begun", () => proxy.output.includes("stopping after"));
  // Longer than the CLI waits for one message: main keeps telling that it is still at work (decisions 6).
  await new Promise((resolve) => setTimeout(resolve, 1300));
  assert.equal(answered, false);
  held[0]();
  assert.equal((await client.answer()).status, 200);
  const { code, stdout } = await shutdown;
  assert.equal(code, 0);
  assert.match(stdout, /^Success: /);
  await proxy.waitForExit();
});

test("UP-17 shutdown --hard ends everything at once and removes the socket", async (t) => {
  const { proxy, held } = await startWithSlowBackend(t);
  const client = await connectRaw(proxy.port);
  await client.send(REQUEST);
  await until("the backend has the request", () => held.length === 1);
  const { code } = await proxy.run("shutdown", "--hard");
  assert.equal(code, 0);
  await client.closedByPeer();
  await proxy.waitForExit(3000);
  assert.equal(existsSync(proxy.socketPath), false);
  assert.deepEqual(proxy.leftOver, []);
});
