// Workers that die, hang or are stopped from outside: main replaces them with the same sockets and state, and clients of
// the others do not notice.

import assert from "node:assert/strict";
import { test } from "node:test";
import { httpBackend } from "./lib/backend.ts";
import { connectRaw, once } from "./lib/client.ts";
import { Load } from "./lib/load.ts";
import { isAlive } from "./lib/processes.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { type Scope, until } from "./lib/scope.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

async function startServing(scope: Scope, workers: number) {
  const backend = await httpBackend(scope, (_request, response) => response.end("ok"));
  const proxy = await startProxy(scope, { workers, clusters: { app: { backends: [backend.port] } } });
  return { proxy, backend };
}

/** The pids of running workers, by `status`. */
async function running(proxy: RunningProxy): Promise<number[]> {
  const { stdout } = await proxy.run("status", "--json");
  const { vec } = JSON.parse(stdout).WORKERS as { vec: { pid: number; run_state: number }[] };
  return vec.filter((worker) => worker.run_state === 0).map((worker) => worker.pid);
}

test("UP-10 a worker killed under load is replaced within a second, only what was on it fails", async (t) => {
  const { proxy } = await startServing(t, 2);
  const [victim] = proxy.workerPids;
  const load = new Load(proxy.port, { connections: 16 });
  await until("the load runs", () => load.served > 200);
  const killedAt = performance.now();
  process.kill(victim, "SIGKILL");
  await until("a successor runs", () => proxy.workerPids.length === 2 && !isAlive(victim));
  await until("it serves", () => /worker 2 serves/.test(proxy.output));
  const tookMs = performance.now() - killedAt;
  const served = load.served;
  await until("the load goes on", () => load.served > served + 200);
  const result = await load.stop();
  // 16 keep-alive connections, at most all of them on the victim, each fails once at most.
  assert.ok(result.failed <= 16, `failed: ${result.failed}, ${result.failures.join("; ")}`);
  assert.ok(!result.failures.includes("ECONNREFUSED"), "the listening socket was gone");
  assert.ok(tookMs < 1000, `the successor took ${tookMs.toFixed(0)} ms`);
  assert.equal((await running(proxy)).length, 2);
});

test("UP-11 connections that wait in the accept queue of a killed worker are served by its successor", async (t) => {
  const { proxy } = await startServing(t, 1);
  const [victim] = proxy.workerPids;
  process.kill(victim, "SIGSTOP");
  // Nobody accepts: the kernel completes these connections into the queue of the only listening socket.
  const waiting = await Promise.all(Array.from({ length: 20 }, () => connectRaw(proxy.port)));
  for (const client of waiting) await client.send(REQUEST);
  process.kill(victim, "SIGKILL");
  for (const client of waiting) assert.equal((await client.answer()).status, 200);
});

test("a successor has the changes that were made over the socket", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("added"));
  const proxy = await startProxy(t, { workers: 1, clusters: { app: {} } });
  assert.equal((await once(proxy.port, REQUEST))?.status, 503);
  const add = ["backend", "add", "--id", "app", "--backend-id", "b", "--address", `127.0.0.1:${backend.port}`];
  assert.equal((await proxy.run(...add)).code, 0);
  assert.equal((await once(proxy.port, REQUEST))?.body.toString(), "added");
  process.kill(proxy.workerPids[0], "SIGKILL");
  assert.equal((await once(proxy.port, REQUEST))?.body.toString(), "added");
});

test("UP-12 a crash loop is slowed down and the other worker serves", async (t) => {
  const { proxy } = await startServing(t, 2);
  const [spared] = proxy.workerPids;
  const victims = new Set<number>();
  for (let round = 0; round < 5; round++) {
    const victim = await until("a victim", () => proxy.workerPids.find((pid) => pid !== spared && !victims.has(pid)));
    victims.add(victim);
    process.kill(victim, "SIGKILL");
    assert.equal((await once(proxy.port, REQUEST))?.status, 200);
  }
  await until("main says so", () => /early deaths in a row, next start in 800 ms/.test(proxy.output));
  assert.ok(isAlive(spared));
});

test("CP-12 a worker that hangs is reported and replaced; a change meanwhile is taken by the others and its successor", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const clusters = { app: { backends: [backend.port] } };
  const proxy = await startProxy(t, { workers: 2, clusters, settings: { worker_timeout: 2 } });
  const [hung] = proxy.workerPids;
  process.kill(hung, "SIGSTOP");
  await until("the stalled heartbeat is noticed", () => proxy.output.includes(`(pid ${hung}) does not turn its loop`));
  const { code, stdout } = await proxy.run("status", "--json");
  assert.equal(code, 0);
  const { vec } = JSON.parse(stdout).WORKERS as { vec: { pid: number; run_state: number }[] };
  assert.equal(vec.find((worker) => worker.pid === hung)?.run_state, 3, "NOT_ANSWERING");
  const added = await proxy.run("backend", "add", "--id", "app", "--backend-id", "x", "--address", "127.0.0.1:9");
  assert.equal(added.code, 0, added.stderr);
  await until("a successor serves", () => /worker 2 serves/.test(proxy.output));
  await until("the hung worker is gone", () => !isAlive(hung));
  assert.equal((await running(proxy)).length, 2);
});

test("SIGTERM to a worker drains that one, and main starts another", async (t) => {
  const { proxy } = await startServing(t, 2);
  const [leaving] = proxy.workerPids;
  const load = new Load(proxy.port, { connections: 8, fresh: true });
  process.kill(leaving, "SIGTERM");
  await until("it is replaced", () => !isAlive(leaving) && /worker 2 serves/.test(proxy.output));
  const result = await load.stop();
  assert.deepEqual(result.failures, []);
});

test("UP-13 workers serve on when main is killed, until SIGTERM", async (t) => {
  const { proxy } = await startServing(t, 2);
  const workers = proxy.workerPids;
  proxy.kill("SIGKILL");
  await proxy.waitForExit();
  for (let i = 0; i < 10; i++) assert.equal((await once(proxy.port, REQUEST))?.status, 200);
  for (const pid of workers) process.kill(pid, "SIGTERM");
  await until("they end", () => workers.every((pid) => !isAlive(pid)));
});

test("decisions 26: while a worker hangs, a sibling serves who waits in its accept queue", async (t) => {
  const { proxy } = await startServing(t, 2);
  const [hung] = proxy.workerPids;
  process.kill(hung, "SIGSTOP");
  // The kernel spreads them over both sockets: about half wait for the worker that hangs.
  const waiting = await Promise.all(Array.from({ length: 40 }, () => connectRaw(proxy.port)));
  for (const client of waiting) await client.send(REQUEST);
  for (const client of waiting) assert.equal((await client.answer()).status, 200);
  await until("main has said so", () => /accepts for slot \d too/.test(proxy.output));
  process.kill(hung, "SIGCONT");
  await until("it turns again", () => proxy.output.includes(`(pid ${hung}) turns its loop again`));
  const load = new Load(proxy.port, { connections: 8, fresh: true });
  await until("both serve", () => load.served > 200);
  assert.deepEqual((await load.stop()).failures, []);
  assert.equal((await running(proxy)).length, 2);
});
