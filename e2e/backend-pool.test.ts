// Backend connections: pooled, shared, retried once where that is safe (decisions 19, BE-16).

import assert from "node:assert/strict";
import { test } from "node:test";
import { ok, type Peer, rawBackend } from "./lib/backend.ts";
import { connectRaw, once } from "./lib/client.ts";
import { startProxy } from "./lib/proxy.ts";
import { sleep, until } from "./lib/scope.ts";

const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";

/** A backend that answers the first request of a connection and, on the second, closes without an answer. */
const closesOnSecond = (_request: unknown, peer: Peer): void => {
  if (peer.requests === 1) peer.send(ok("first"));
  else peer.socket.destroy();
};

test("BE-16 an idempotent request that meets a closing connection is retried once", async (t) => {
  const backend = await rawBackend(t, closesOnSecond);
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  for (let i = 0; i < 5; i++) {
    assert.equal((await once(proxy.port, GET))?.status, 200);
  }
});

test("BE-16 it is retried once, not for ever", async (t) => {
  let seen = 0;
  const backend = await rawBackend(t, (request, peer) => {
    if (request.target === "/first") peer.send(ok());
    else {
      seen++;
      peer.socket.destroy();
    }
  });
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  await once(proxy.port, "GET /first HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const answer = await once(proxy.port, GET);
  assert.equal(answer?.status, 502);
  assert.ok(seen <= 2, `${seen} tries`);
});

test("BE-16 a POST that reached the backend is not replayed", async (t) => {
  let posts = 0;
  const backend = await rawBackend(t, (request, peer) => {
    if (request.method !== "POST") return peer.send(ok());
    posts++;
    return peer.socket.destroy();
  });
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  await once(proxy.port, GET);
  assert.equal((await once(proxy.port, POST))?.status, 502);
  assert.equal(posts, 1);
});

test("BE-16 a POST never takes a connection that the backend has closed meanwhile", async (t) => {
  const backend = await rawBackend(t, (_request, peer) => peer.send(ok()));
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  for (let i = 0; i < 5; i++) {
    await once(proxy.port, GET);
    for (const peer of backend.peers) peer.socket.end();
    assert.equal((await once(proxy.port, POST))?.status, 200);
  }
});

test("a retried request is the same request", async (t) => {
  const backend = await rawBackend(t, closesOnSecond);
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  await once(proxy.port, GET);
  const request = "PUT /thing?x=1 HTTP/1.1\r\nHost: localhost\r\nX-Mine: 1\r\nContent-Length: 0\r\n\r\n";
  assert.equal((await once(proxy.port, request))?.status, 200);
  const tries = backend.requests.filter((seen) => seen.method === "PUT");
  assert.equal(tries.length, 2);
  assert.equal(tries[0]?.bytes.toString("latin1"), tries[1]?.bytes.toString("latin1"));
});

test("idle backend connections are closed after 4 s", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  await once(proxy.port, GET);
  assert.equal(backend.open, 1);
  const startedAt = Date.now();
  await until("the idle connection is closed", () => backend.open === 0, 8000);
  assert.ok(Date.now() - startedAt > 2500);
});

test("Keep-Alive: timeout of the backend is honoured", async (t) => {
  const backend = await rawBackend(t, (_request, peer) => peer.send(ok("ok", ["Keep-Alive: timeout=1"])));
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  await once(proxy.port, GET);
  await until("the idle connection is closed", () => backend.open === 0, 2500);
});

test("a connection that authenticated its client stays with that client", async (t) => {
  const backend = await rawBackend(t, (request, peer) => peer.send(ok(`${request.connection}`)));
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const first = await connectRaw(proxy.port);
  const negotiate = "GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Negotiate YII=\r\n\r\n";
  const own = (await first.request(negotiate)).body.toString();
  const second = await connectRaw(proxy.port);
  assert.notEqual((await second.request(GET)).body.toString(), own);
  assert.equal((await first.request(GET)).body.toString(), own);
  first.destroy();
  second.destroy();
  await until("it dies with its client", () => backend.peers[Number(own)]?.socket.destroyed, 3000);
});

test("shared_backend_connections = false keeps connections to one client", async (t) => {
  const backend = await rawBackend(t, (request, peer) => peer.send(ok(`${request.connection}`)));
  const proxy = await startProxy(t, {
    clusters: { app: { backends: [backend.port], keys: { shared_backend_connections: false } } },
  });
  const seen: string[] = [];
  for (let i = 0; i < 3; i++) {
    const client = await connectRaw(proxy.port);
    const first = (await client.request(GET)).body.toString();
    assert.equal((await client.request(GET)).body.toString(), first, "the same client uses it again");
    seen.push(first);
    client.destroy();
    await sleep(20);
  }
  assert.equal(new Set(seen).size, 3);
});

test("requests are spread over backends in turn", async (t) => {
  const backends = await Promise.all([0, 1, 2].map(() => rawBackend(t)));
  const proxy = await startProxy(t, { clusters: { app: { backends: backends.map((backend) => backend.port) } } });
  for (let i = 0; i < 30; i++) await once(proxy.port, GET);
  for (const backend of backends) assert.ok(backend.count >= 8 && backend.count <= 12, `${backend.count}`);
});
