// Every way in which a worker can fail: it is replaced, on the same sockets, and the others serve.

import assert from "node:assert/strict";
import { test } from "node:test";
import { httpBackend } from "./lib/backend.ts";
import { once } from "./lib/client.ts";
import { faultEnvironment } from "./lib/fault.ts";
import { runLoad } from "./lib/load.ts";
import { isAlive } from "./lib/processes.ts";
import { type ProxyOptions, startProxy } from "./lib/proxy.ts";
import { type Scope, until } from "./lib/scope.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

async function startFaulty(scope: Scope, fault: string, options: Partial<ProxyOptions> = {}, node = "") {
  const backend = await httpBackend(scope, (_request, response) => response.end("ok"));
  const env = faultEnvironment(fault, node);
  const clusters = { app: { backends: [backend.port] } };
  return startProxy(scope, { workers: 2, clusters, ...options, env });
}

const CRASHES: readonly (readonly [string, string, NodeJS.Signals, RegExp])[] = [
  ["an uncaught exception", "throw", "SIGUSR2", /exited with code 70/],
  ["a segmentation fault", "throw", "SIGSEGV", /was killed by signal 11/],
  ["no memory left", "memory", "SIGUSR2", /was killed by signal 6|exited with code/],
  ["SIGKILL", "throw", "SIGKILL", /was killed by signal 9/],
];

for (const [name, fault, signal, how] of CRASHES) {
  test(`UP-10 a worker that ends by ${name} is replaced at once, new connections are served throughout`, async (t) => {
    const proxy = await startFaulty(t, fault, {}, "--max-old-space-size=64");
    const [victim] = proxy.workerPids;
    // Each connection carries one request: those that are accepted by nobody yet must not fail.
    process.kill(victim, signal);
    await until("it ends", () => !isAlive(victim), 20_000);
    for (let i = 0; i < 20; i++) assert.equal((await once(proxy.port, REQUEST))?.status, 200);
    await until("a successor serves", () => /worker 2 serves/.test(proxy.output));
    await until("main says how", () => how.test(proxy.output));
    const load = runLoad(t, proxy.port, { connections: 8, fresh: true });
    await until("both serve", () => load.served > 200);
    assert.deepEqual((await load.stop()).failures, []);
  });
}

test("the watchdog kills a worker in an endless loop; a sibling serves its accept queue meanwhile", async (t) => {
  const proxy = await startFaulty(t, "loop", { settings: { worker_timeout: 2 } });
  const [victim] = proxy.workerPids;
  process.kill(victim, "SIGUSR2");
  await until("the silence is noticed", () => proxy.output.includes(`(pid ${victim}) does not turn its loop`));
  await until("its queue is lent", () => /accepts for slot \d too/.test(proxy.output));
  const load = runLoad(t, proxy.port, { connections: 8, fresh: true });
  await until("it is killed", () => !isAlive(victim));
  await until("main says why", () => /no heartbeat for 2 s, it is killed/.test(proxy.output));
  await until("a successor serves", () => /worker 2 serves/.test(proxy.output));
  await until("both serve", () => load.served > 200);
  assert.deepEqual((await load.stop()).failures, []);
});

test("UP-14 a worker that stands still for less than worker_timeout is not replaced", async (t) => {
  const proxy = await startFaulty(t, "loop", { settings: { worker_timeout: 6 } });
  const [victim] = proxy.workerPids;
  process.kill(victim, "SIGSTOP");
  await until("the silence is noticed", () => proxy.output.includes(`(pid ${victim}) does not turn its loop`));
  for (let i = 0; i < 20; i++) assert.equal((await once(proxy.port, REQUEST))?.status, 200);
  process.kill(victim, "SIGCONT");
  await until("it turns again", () => proxy.output.includes(`(pid ${victim}) turns its loop again`));
  assert.equal(proxy.workerPids.length, 2);
  assert.ok(isAlive(victim));
  assert.doesNotMatch(proxy.output, /worker 2 started/);
});

test("main that stood still itself kills nobody", async (t) => {
  const proxy = await startFaulty(t, "loop", { settings: { worker_timeout: 1 } });
  const workers = proxy.workerPids;
  for (const pid of [...workers, proxy.pid]) process.kill(pid, "SIGSTOP");
  await new Promise((resolve) => setTimeout(resolve, 2500));
  for (const pid of [proxy.pid, ...workers]) process.kill(pid, "SIGCONT");
  for (let i = 0; i < 20; i++) assert.equal((await once(proxy.port, REQUEST))?.status, 200);
  await proxy.run("status");
  assert.deepEqual(proxy.workerPids.sort(), workers.sort());
});
