// Several attacks at once while a well-behaved client is watched: it keeps being served, main and the other worker stay
// up, logs stay bounded (RX-09, RX-15, RX-19, RX-22, UP-14, UP-19).

import assert from "node:assert/strict";
import { test } from "node:test";
import { ok, rawBackend } from "./lib/backend.ts";
import { connectRaw, once, type RawClient } from "./lib/client.ts";
import { Load } from "./lib/load.ts";
import { isAlive, residentBytes } from "./lib/processes.ts";
import { startProxy } from "./lib/proxy.ts";
import { type Scope, sleep, until } from "./lib/scope.ts";

const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/** Keeps `count` connections busy with `attack` until the test ends; a connection that is closed is replaced. */
function keepAttacking(t: Scope, port: number, count: number, attack: (client: RawClient) => Promise<unknown>): void {
  let stopped = false;
  const lane = async (): Promise<void> => {
    while (!stopped) {
      const client = await connectRaw(port).catch(() => null);
      if (client === null) {
        await sleep(20);
        continue;
      }
      await attack(client).catch(() => undefined);
      client.destroy();
    }
  };
  const lanes = Array.from({ length: count }, lane);
  t.after(async () => {
    stopped = true;
    await Promise.all(lanes);
  });
}

test("RX-09 with a small heap, under a mix of attacks, load is shed and nothing dies", async (t) => {
  const backend = await rawBackend(t, (request, peer) =>
    peer.send(request.target === "/big" ? ok(Buffer.alloc(2_000_000)) : ok()),
  );
  backend.recording = false;
  const proxy = await startProxy(t, {
    env: { SOZU_WORKER_NODE_OPTIONS: "--max-old-space-size=48" },
    settings: { max_connections: 500, max_buffers: 200 },
    listener: { request_timeout: 2, front_timeout: 3, back_timeout: 3 },
    clusters: { app: { backends: [backend.port] } },
  });
  const [worker] = proxy.workerPids as [number];
  keepAttacking(t, proxy.port, 50, async (client) => {
    await client.send("GET / HTTP/1.1\r\nX: ");
    await client.closedByPeer(4000);
  });
  keepAttacking(t, proxy.port, 50, async (client) => {
    client.socket.pause();
    await client.send("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await sleep(500);
  });
  keepAttacking(t, proxy.port, 20, (client) => client.request(`GET / HTTP/1.1\r\nX: ${"y".repeat(60_000)}`));
  keepAttacking(t, proxy.port, 20, (client) => client.request("garbage\r\n\r\n"));
  const before = residentBytes(worker);
  let served = 0;
  // Five seconds of it, and on a busy machine as long as it takes to see good requests served.
  const begin = Date.now();
  while (Date.now() < begin + 5000 || (served <= 20 && Date.now() < begin + 30_000)) {
    const answer = await once(proxy.port, GET).catch(() => null);
    if (answer?.status === 200) served++;
    await sleep(20);
  }
  assert.ok(served > 20, `${served} good requests served`);
  assert.deepEqual(proxy.workerPids, [worker], proxy.output);
  assert.ok(isAlive(proxy.pid));
  assert.ok(residentBytes(worker) - before < 100e6);
});

test("RX-15 bad requests cannot flood the log: lines are bounded and traffic goes on", async (t) => {
  const backend = await rawBackend(t);
  backend.recording = false;
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  keepAttacking(t, proxy.port, 16, (client) => client.request("garbage\r\n\r\n"));
  const load = new Load(proxy.port, { connections: 4 });
  await sleep(2000);
  const result = await load.stop();
  assert.deepEqual(result.failures, []);
  assert.ok(result.served > 50);
  assert.ok(proxy.output.length < 200_000, `${proxy.output.length} bytes of log`);
});

test("RX-19 many names that collide or differ cost no more than their number", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const fields = Array.from({ length: 100 }, (_, i) => `X-${"Aa".repeat(i % 7)}${"BB".repeat(7 - (i % 7))}: ${i}`);
  const crumbs = Array.from({ length: 500 }, (_, i) => `c${i}=1`).join("; ");
  for (let i = 0; i < 20; i++) {
    const request = `GET / HTTP/1.1\r\nHost: localhost\r\nCookie: ${crumbs}\r\n${fields.join("\r\n")}\r\n\r\n`;
    assert.equal((await once(proxy.port, request))?.status, 200);
  }
});

test("RX-22 a coded body passes as it is", async (t) => {
  const coded = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xff, 0x00, 0x0d, 0x0a]);
  const backend = await rawBackend(t, (_request, peer) => peer.send(ok(coded, ["Content-Encoding: gzip"])));
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const answer = await once(proxy.port, "GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
  assert.equal(answer?.headers.get("content-encoding"), "gzip");
  assert.deepEqual(answer?.body, coded);
});

test("UP-14 a worker that is stopped for a while: the other one serves, nothing is started twice", async (t) => {
  const backend = await rawBackend(t);
  backend.recording = false;
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [backend.port] } } });
  const [stopped] = proxy.workerPids as [number];
  process.kill(stopped, "SIGSTOP");
  t.after(() => {
    if (isAlive(stopped)) process.kill(stopped, "SIGCONT");
  });
  await sleep(2000);
  // New connections are served, by whichever worker; those that landed on the stopped one before are lent away.
  for (let i = 0; i < 20; i++) {
    const client = await connectRaw(proxy.port);
    await client.send(GET);
    assert.equal((await client.answer("GET", 5000)).status, 200);
    client.destroy();
  }
  process.kill(stopped, "SIGCONT");
  await until("two workers", () => proxy.workerPids.length === 2, 10_000);
  await sleep(500);
  assert.equal(proxy.workerPids.length, 2);
});

test("UP-19 half-close in each direction: what was sent is delivered", async (t) => {
  const backend = await rawBackend(t, (request, peer) => {
    if (request.target === "/backend") peer.end(ok(request.body));
    else setTimeout(() => peer.send(ok(request.body)), 50);
  });
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const post = (path: string): string => `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody`;
  for (const path of ["/client", "/backend"]) {
    const client = await connectRaw(proxy.port);
    await client.send(post(path));
    client.halfClose();
    assert.equal((await client.answer()).body.toString(), "body", path);
    await client.closedByPeer();
  }
});
