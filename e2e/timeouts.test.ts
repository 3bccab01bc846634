// Timeouts of spec 5.6 with small values, and the slow attackers of group RX.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ok, rawBackend } from "./lib/backend.ts";
import { connectRaw, type RawClient } from "./lib/client.ts";
import { startProxy } from "./lib/proxy.ts";
import { sleep, until } from "./lib/scope.ts";

const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/** Milliseconds until the promise is settled. */
async function timed<T>(work: Promise<T>): Promise<[T, number]> {
  const startedAt = performance.now();
  return [await work, performance.now() - startedAt];
}

test("request_timeout: an incomplete request is 408 and a close", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, {
    listener: { request_timeout: 1, front_timeout: 5 },
    clusters: { app: { backends: [backend.port] } },
  });
  const client = await connectRaw(proxy.port);
  await client.send("GET / HTTP/1.1\r\nHo");
  const [answer, ms] = await timed(client.answer());
  assert.equal(answer.status, 408);
  assert.equal(answer.headers.get("connection"), "close");
  assert.ok(ms > 800 && ms < 4000, `${ms} ms`);
  await client.closedByPeer();
  assert.equal(backend.count, 0);
});

test("RX-05 a connection that says nothing is closed at request_timeout", async (t) => {
  const proxy = await startProxy(t, { listener: { request_timeout: 1, front_timeout: 10 } });
  const clients = await Promise.all(Array.from({ length: 200 }, () => connectRaw(proxy.port)));
  const [, ms] = await timed(Promise.all(clients.map((client) => client.closedByPeer())));
  assert.ok(ms < 5000, `${ms} ms`);
});

test("front_timeout: an idle keep-alive connection is closed", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, {
    listener: { front_timeout: 1 },
    clusters: { app: { backends: [backend.port] } },
  });
  const client = await connectRaw(proxy.port);
  await client.request(GET);
  const [, ms] = await timed(client.closedByPeer());
  assert.ok(ms > 800 && ms < 4000, `${ms} ms`);
});

test("front_timeout: a backend slower than it is a 504", async (t) => {
  const backend = await rawBackend(t, () => undefined);
  const proxy = await startProxy(t, {
    listener: { front_timeout: 1, back_timeout: 10 },
    clusters: { app: { backends: [backend.port] } },
  });
  const client = await connectRaw(proxy.port);
  const [answer] = await timed(client.request(GET));
  assert.equal(answer.status, 504);
  const [line] = await proxy.waitForAccessLines(1);
  assert.match(line as string, /client_timeout_during_response$/);
});

test("back_timeout: no answer is a 504, and the log says which timeout it was", async (t) => {
  const backend = await rawBackend(t, () => undefined);
  const proxy = await startProxy(t, { listener: { back_timeout: 1 }, clusters: { app: { backends: [backend.port] } } });
  const client = await connectRaw(proxy.port);
  const [answer, ms] = await timed(client.request(GET));
  assert.equal(answer.status, 504);
  assert.ok(ms > 800 && ms < 4000, `${ms} ms`);
  const [line] = await proxy.waitForAccessLines(1);
  assert.match(line as string, / 504 \| backend_timeout$/);
});

test("back_timeout: an answer that stops in the middle is cut, not ended", async (t) => {
  const backend = await rawBackend(t, (_request, peer) =>
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome"),
  );
  const proxy = await startProxy(t, { listener: { back_timeout: 1 }, clusters: { app: { backends: [backend.port] } } });
  const client = await connectRaw(proxy.port);
  await client.send(GET);
  const answer = await client.answer();
  assert.equal(answer.complete, false);
  await until("the backend connection is closed", () => backend.open === 0, 2000);
});

test("a timeout of 0 is off", async (t) => {
  const backend = await rawBackend(t, (_request, peer) => void setTimeout(() => peer.send(ok()), 1500));
  const proxy = await startProxy(t, {
    listener: { back_timeout: 0, front_timeout: 0, request_timeout: 0 },
    clusters: { app: { backends: [backend.port] } },
  });
  const client = await connectRaw(proxy.port);
  await sleep(1500);
  assert.equal((await client.request(GET)).status, 200);
  client.destroy();
});

test("RX-01 slowloris: one byte of a head at a time does not hold a connection", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, {
    listener: { request_timeout: 2, front_timeout: 5 },
    clusters: { app: { backends: [backend.port] } },
  });
  const clients = await Promise.all(Array.from({ length: 300 }, () => connectRaw(proxy.port)));
  const drip = setInterval(() => {
    for (const client of clients) if (!client.closed) client.send("X").catch(() => undefined);
  }, 300);
  t.after(() => clearInterval(drip));
  const begin = clients.map((client) => client.send("GET / HTTP/1.1\r\nX-Slow: "));
  await Promise.all(begin);
  // A well-behaved client is served all the while.
  const good = await connectRaw(proxy.port);
  const gone = Promise.all(clients.map((client: RawClient) => client.closedByPeer(6000)));
  for (let i = 0; i < 20; i++) {
    const [answer, ms] = await timed(good.request(GET));
    assert.equal(answer.status, 200);
    assert.ok(ms < 1000, `${ms} ms`);
    await sleep(20);
  }
  await gone;
  good.destroy();
});

test("RX-02 slow body: one byte at a time does not hold a connection for ever", async (t) => {
  const backend = await rawBackend(t, undefined, { onHead: true });
  backend.handler = () => undefined;
  const proxy = await startProxy(t, {
    listener: { request_timeout: 1, front_timeout: 2, back_timeout: 2 },
    clusters: { app: { backends: [backend.port] } },
  });
  const client = await connectRaw(proxy.port);
  await client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n");
  const drip = setInterval(() => client.send("x").catch(() => undefined), 500);
  t.after(() => clearInterval(drip));
  const answer = await client.answerOrClose("GET", 15_000);
  assert.ok(answer === null || answer.status === 408 || answer.status === 504, `${answer?.status}`);
  client.destroy();
});

test("RX-03 slow read: a client that does not read is given up", async (t) => {
  const backend = await rawBackend(t, (_request, peer) => peer.send(ok(Buffer.alloc(20_000_000, 120))));
  const proxy = await startProxy(t, {
    listener: { front_timeout: 2, back_timeout: 2 },
    clusters: { app: { backends: [backend.port] } },
  });
  const client = await connectRaw(proxy.port);
  client.socket.pause();
  await client.send(GET);
  await until("the request is at the backend", () => backend.count === 1);
  await until("both sides are given up", () => backend.open === 0, 10_000);
  client.destroy();
});

test("RX-04 a download that is slow but moves is not cut", async (t) => {
  const size = 8 * 1024 * 1024;
  const backend = await rawBackend(t, (_request, peer) => peer.send(ok(Buffer.alloc(size, 120))));
  const proxy = await startProxy(t, {
    listener: { front_timeout: 1, back_timeout: 1 },
    clusters: { app: { backends: [backend.port] } },
  });
  const client = await connectRaw(proxy.port);
  client.socket.pause();
  await client.send(GET);
  while (client.received < size && !client.closed) {
    client.socket.resume();
    await sleep(20);
    client.socket.pause();
    await sleep(150);
  }
  assert.ok(client.received > size, `${client.received}`);
  client.destroy();
});

test("connect_timeout: a backend that never accepts is a 503", async (t) => {
  // 192.0.2.0/24 is reserved for documentation (RFC 5737): packets go nowhere, or the kernel has no route.
  const proxy = await startProxy(t, {
    toml: `command_socket = "$FOLDER/sozu.sock"
worker_count = 1
[[listeners]]
address = "127.0.0.1:$PORT"
protocol = "http"
connect_timeout = 1
[clusters.app]
protocol = "http"
frontends = [{ address = "127.0.0.1:$PORT", hostname = "localhost" }]
backends = [{ address = "192.0.2.1:81" }]
`,
  });
  const client = await connectRaw(proxy.port);
  const [answer, ms] = await timed(client.request(GET));
  assert.equal(answer.status, 503);
  assert.ok(ms < 9000, `${ms} ms`);
});
