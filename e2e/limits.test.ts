// Limits: connections, descriptors, buffers. Existing clients are never hurt, new ones wait or are refused, and everything
// recovers by itself (RX-06 to RX-08, RX-10 to RX-13).

import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { ok, rawBackend } from "./lib/backend.ts";
import { connectRaw, once, type RawClient } from "./lib/client.ts";
import { Load } from "./lib/load.ts";
import { cpuTimeMs, descriptorCount, isAlive, limitDescriptors, residentBytes } from "./lib/processes.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { sleep, until } from "./lib/scope.ts";

const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const worker = (proxy: RunningProxy): number => proxy.workerPids[0] as number;

test("RX-06 max_connections: the ones that exist are served, the next waits until one leaves", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, {
    settings: { max_connections: 10 },
    clusters: { app: { backends: [backend.port] } },
  });
  const clients: RawClient[] = [];
  for (let i = 0; i < 10; i++) {
    const client = await connectRaw(proxy.port);
    assert.equal((await client.request(GET)).status, 200);
    clients.push(client);
  }
  const waiting = await connectRaw(proxy.port); // the kernel accepts, the worker does not
  await waiting.send(GET);
  for (const client of clients) assert.equal((await client.request(GET)).status, 200);
  for (const client of clients.splice(0, 5)) client.destroy();
  assert.equal((await waiting.answer()).status, 200);
  assert.equal((await once(proxy.port, GET))?.status, 200);
  for (const client of clients) client.destroy();
  waiting.destroy();
});

test("RX-06 accept_queue_timeout: who waited for longer than that is closed, who came later is served", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, {
    settings: { max_connections: 1, accept_queue_timeout: 1 },
    clusters: { app: { backends: [backend.port] } },
  });
  const first = await connectRaw(proxy.port);
  assert.equal((await first.request(GET)).status, 200);
  const stale = await connectRaw(proxy.port);
  await stale.send(GET);
  await sleep(1500);
  const fresh = await connectRaw(proxy.port);
  await fresh.send(GET);
  first.destroy();
  assert.equal(await stale.answerOrClose(), null);
  assert.equal((await fresh.answer()).status, 200);
  fresh.destroy();
  stale.destroy();
});

test("RX-07 out of descriptors: no spin, the ones that exist are served, and it recovers", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const pid = worker(proxy);
  limitDescriptors(pid, 256);
  const steady = await connectRaw(proxy.port);
  assert.equal((await steady.request(GET)).status, 200);
  const crowd = await Promise.all(Array.from({ length: 400 }, () => connectRaw(proxy.port)));
  await sleep(500);
  const before = cpuTimeMs(pid);
  for (let i = 0; i < 10; i++) {
    assert.ok([200, 503].includes((await steady.request(GET)).status));
    await sleep(100);
  }
  const after = cpuTimeMs(pid);
  const share = (after.user + after.system - before.user - before.system) / 1000;
  assert.ok(share < 0.5, `${Math.round(share * 100)} % of a core while nothing can be accepted`);
  assert.ok(descriptorCount(pid) <= 256);
  for (const client of crowd) client.destroy();
  await until("it accepts again", async () => (await once(proxy.port, GET).catch(() => null))?.status === 200);
  assert.equal((await steady.request(GET)).status, 200);
  assert.equal(worker(proxy), pid, "the worker is the same");
  steady.destroy();
});

test("RX-08 no descriptor left for a backend connection is a 503, then it recovers", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  limitDescriptors(worker(proxy), 128);
  const clients = await Promise.all(Array.from({ length: 200 }, () => connectRaw(proxy.port)));
  const waits = clients.map((client) =>
    client.request(GET).then(
      (answer) => answer.status,
      () => 0,
    ),
  );
  await sleep(1000);
  for (const client of clients) client.destroy();
  const statuses = new Set(await Promise.all(waits));
  for (const status of statuses) assert.ok([0, 200, 503].includes(status), `${status}`);
  assert.ok(statuses.has(503), "nobody met the limit");
  await until("it serves again", async () => (await once(proxy.port, GET).catch(() => null))?.status === 200);
});

test("the buffer pool at its ceiling: 503 for new requests, the others go on (decisions 20)", async (t) => {
  const size = 8_000_000;
  const backend = await rawBackend(t, (request, peer) =>
    peer.send(request.target === "/" ? ok() : ok(Buffer.alloc(size))),
  );
  const proxy = await startProxy(t, { settings: { max_buffers: 4 }, clusters: { app: { backends: [backend.port] } } });
  // Clients that do not read hold a buffer each.
  const stalled: RawClient[] = [];
  for (let i = 0; i < 8; i++) {
    const client = await connectRaw(proxy.port);
    client.socket.pause();
    client.send("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n").catch(() => undefined);
    stalled.push(client);
  }
  await sleep(500);
  for (const client of stalled) client.socket.resume();
  const statuses: number[] = [];
  for (const client of stalled) {
    const answer = await client.answer();
    statuses.push(answer.status);
    assert.ok(answer.complete && answer.body.length === (answer.status === 200 ? size : answer.body.length));
    client.destroy();
  }
  assert.ok(
    statuses.every((status) => status === 200 || status === 503),
    `${statuses}`,
  );
  assert.ok(statuses.filter((status) => status === 200).length >= 4, `${statuses}`);
  await until("it serves again", async () => (await once(proxy.port, GET).catch(() => null))?.status === 200);
});

test("RX-10 idle keep-alive connections cost no CPU and little memory", async (t) => {
  const backend = await rawBackend(t);
  backend.recording = false;
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const pid = worker(proxy);
  for (let i = 0; i < 300; i++) await once(proxy.port, GET);
  const clients: RawClient[] = [];
  const rss = residentBytes(pid);
  for (let i = 0; i < 1000; i++) {
    const client = await connectRaw(proxy.port);
    await client.request(GET);
    clients.push(client);
  }
  await sleep(5000); // idle backend connections are gone
  const before = cpuTimeMs(pid);
  await sleep(2000);
  const after = cpuTimeMs(pid);
  const used = after.user + after.system - before.user - before.system;
  assert.ok(used <= 100, `${used} ms of CPU in 2 s of idleness`);
  assert.ok((residentBytes(pid) - rss) / 1000 < 20_000, `${Math.round((residentBytes(pid) - rss) / 1000)} bytes each`);
  for (const client of clients) client.destroy();
});

test("RX-12 churn leaves no descriptor behind", async (t) => {
  const backend = await rawBackend(t);
  backend.recording = false;
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const pid = worker(proxy);
  await once(proxy.port, GET);
  await until("idle connections are gone", () => backend.open === 0, 8000);
  const baseline = descriptorCount(pid);
  const load = new Load(proxy.port, { connections: 16, fresh: true });
  await sleep(3000);
  const result = await load.stop();
  assert.deepEqual(result.failures, []);
  assert.ok(result.served > 500, `${result.served}`);
  await until("descriptors are back", () => descriptorCount(pid) <= baseline, 8000);
});

test("RX-13 resets at accept are no storm and no crash", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const pid = worker(proxy);
  const baseline = descriptorCount(pid);
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      Array.from(
        { length: 50 },
        () =>
          new Promise<void>((resolve) => {
            const socket = connect(proxy.port, "127.0.0.1");
            socket
              .once("connect", () => socket.resetAndDestroy())
              .once("close", () => resolve())
              .once("error", () => undefined);
          }),
      ),
    );
  }
  assert.equal((await once(proxy.port, GET))?.status, 200);
  assert.equal(worker(proxy), pid);
  assert.ok(proxy.output.split("\n").length < 50, proxy.output);
  await until("descriptors are back", () => descriptorCount(pid) <= baseline + 2, 8000);
});

test("RX-11 many requests, then quiet: memory is back", async (t) => {
  const backend = await rawBackend(t);
  backend.recording = false;
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const pid = worker(proxy);
  const burst = async (ms: number): Promise<number> => {
    const load = new Load(proxy.port, { connections: 32 });
    await sleep(ms);
    const result = await load.stop();
    assert.deepEqual(result.failures, []);
    return result.served;
  };
  await burst(3000); // warm up: compiled code and heap have their size
  const before = residentBytes(pid);
  const served = await burst(5000);
  await sleep(500);
  const grown = residentBytes(pid) - before;
  assert.ok(grown < 15e6, `${(grown / 1e6).toFixed(1)} MB after ${served} requests`);
});

test("RX-17 a worker whose loop stands still: main notices, the other serves, and it says so when it is back", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [backend.port] } } });
  const [blocked] = proxy.workerPids as [number];
  const steady = await connectRaw(proxy.port);
  assert.equal((await steady.request(GET)).status, 200);
  process.kill(blocked, "SIGSTOP");
  t.after(() => isAlive(blocked) && process.kill(blocked, "SIGCONT"));
  await until("main notices", () => proxy.output.includes(`(pid ${blocked}) does not turn its loop`));
  // Its accept queue is served by the other one meanwhile.
  for (let i = 0; i < 10; i++) assert.equal((await once(proxy.port, GET))?.status, 200);
  process.kill(blocked, "SIGCONT");
  await until("it is late", () => /too much to do: \d+ ms late/.test(proxy.output));
  await until("it is in time again", () => /in time again after/.test(proxy.output));
  for (let i = 0; i < 10; i++) assert.equal((await once(proxy.port, GET))?.status, 200);
  assert.ok(proxy.workerPids.includes(blocked) && isAlive(blocked), "nobody was replaced");
  steady.destroy();
});

test("evict_on_queue_full, max_connections_per_ip and retry_after reach the workers", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, {
    settings: { max_connections: 3, evict_on_queue_full: true, max_connections_per_ip: 2, retry_after: 9 },
    clusters: { app: { backends: [backend.port] } },
  });
  const [oldest, second, third] = [
    await connectRaw(proxy.port),
    await connectRaw(proxy.port),
    await connectRaw(proxy.port),
  ];
  assert.equal((await oldest.request(GET)).status, 200);
  assert.equal((await second.request(GET)).status, 200);
  const refused = await third.request(GET);
  assert.equal(refused.status, 429);
  assert.equal(refused.headers.get("retry-after"), "9");
  const newcomer = await connectRaw(proxy.port);
  assert.equal((await newcomer.request(GET)).status, 200, "the oldest has made room, at the limit of the address too");
  await oldest.closedByPeer(4000);
  for (const client of [second, third, newcomer]) client.destroy();
});
