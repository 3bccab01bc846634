// Group BE of the hardening catalogue: what backends do wrong, and what the client sees of it. `nginx-tests` vectors run in
// conformance.test.ts; h2c cases (BE-18 to BE-20) belong to a part that is not built.

import assert from "node:assert/strict";
import { before, beforeEach, test } from "node:test";
import { ok, type Peer, type RawBackend, rawBackend } from "./lib/backend.ts";
import { type Answer, connectRaw } from "./lib/client.ts";
import { residentBytes } from "./lib/processes.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { fileScope, sleep, until } from "./lib/scope.ts";

const scope = fileScope();
const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
let backend: RawBackend;
let proxy: RunningProxy;

before(async () => {
  backend = await rawBackend(scope);
  proxy = await startProxy(scope, {
    clusters: { app: { backends: [backend.port] } },
    listener: { back_timeout: 2, front_timeout: 4, connect_timeout: 1 },
  });
});

beforeEach(async () => {
  // Every case begins with no idle backend connection.
  for (const peer of backend.peers) peer.socket.destroy();
  await sleep(20);
  backend.requests.length = 0;
  backend.count = 0;
  backend.handler = (_request, peer) => peer.send(ok());
});

/** What a client sees when the backend answers with these bytes and keeps the connection open (or ends it). */
async function answerTo(
  bytes: string | Uint8Array,
  end = false,
  request = GET,
  method = "GET",
): Promise<Answer | null> {
  backend.handler = (_request, peer) => (end ? peer.end(bytes) : peer.send(bytes));
  const client = await connectRaw(proxy.port);
  try {
    client.send(request).catch(() => undefined);
    return await client.answerOrClose(method);
  } finally {
    client.destroy();
  }
}

/** 502 with a Content-Length, for each of the answers; the backend connection is not used again. */
async function all502(answers: readonly string[]): Promise<void> {
  for (const bytes of answers) {
    const connections = backend.connections;
    const answer = await answerTo(bytes);
    assert.equal(answer?.status, 502, JSON.stringify(bytes.slice(0, 200)));
    assert.ok(answer.complete && answer.headers.has("content-length"));
    backend.handler = (_request, peer) => peer.send(ok("after"));
    const client = await connectRaw(proxy.port);
    assert.equal((await client.request(GET)).body.toString(), "after");
    client.destroy();
    assert.ok(backend.connections >= connections + 1, "the broken connection was reused");
    for (const peer of backend.peers) peer.socket.destroy();
    await sleep(5);
  }
}

const answerWith = (...lines: string[]): string => `HTTP/1.1 200 OK\r\n${lines.join("\r\n")}\r\n\r\n`;

test("BE-01 answers whose framing is ambiguous", () =>
  all502([
    answerWith("Content-Length: foo"),
    `${answerWith("Content-Length: 2", "Content-Length: 3")}abc`,
    `${answerWith("Content-Length: 2", "Transfer-Encoding: chunked")}0\r\n\r\n`,
    answerWith("Transfer-Encoding: foo"),
    `${answerWith("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")}0\r\n\r\n`,
    answerWith("Content-Length: -1"),
    answerWith("Content-Length: 99999999999999999999"),
  ]));

test("BE-02 a body longer than its length: the surplus is dropped, the connection not reused", async () => {
  const client = await connectRaw(proxy.port);
  backend.handler = (_request, peer) => peer.send(`${answerWith("Content-Length: 8")}SEE-THIS-NOT-THIS`);
  const answer = await client.request(GET);
  assert.equal(answer.body.toString(), "SEE-THIS");
  backend.handler = (_request, peer) => peer.send(ok("clean"));
  const connections = backend.connections;
  assert.equal((await client.request(GET)).body.toString(), "clean");
  assert.equal(backend.connections, connections + 1);
  client.destroy();
});

test("BE-03 a body shorter than its length is never a clean end", async () => {
  for (const how of ["FIN", "RST"]) {
    backend.handler = (_request, peer) => {
      peer.send(`${answerWith("Content-Length: 100")}short`);
      setTimeout(() => (how === "FIN" ? peer.end() : peer.reset()), 30);
    };
    const client = await connectRaw(proxy.port);
    await client.send(GET);
    const answer = await client.answer();
    assert.equal(answer.complete, false, how);
    client.destroy();
  }
});

test("BE-04 a chunked body that is cut has no last chunk", async () => {
  for (const cut of ["ff\r\nunfinished\r\n", "5\r\nhello\r\n", "5\r\nhel", "5\r\nhello\r\n0\r\n", "5"]) {
    backend.handler = (_request, peer) => peer.end(answerWith("Transfer-Encoding: chunked") + cut);
    const client = await connectRaw(proxy.port);
    await client.send(GET);
    const received = (await client.closedByPeer()).toString("latin1");
    assert.equal(/\r\n0\r\n/.test(received), false, JSON.stringify(cut));
    client.destroy();
  }
});

test("BE-04 a chunked body that goes wrong in the middle is cut", async () => {
  for (const bad of ["5\r\nhello\r\nxyz\r\n", "5\r\nhelloXX5\r\nworld\r\n0\r\n\r\n", "5;\x00\r\nhello\r\n0\r\n\r\n"]) {
    backend.handler = (_request, peer) => peer.send(answerWith("Transfer-Encoding: chunked") + bad);
    const client = await connectRaw(proxy.port);
    await client.send(GET);
    const received = (await client.closedByPeer()).toString("latin1");
    assert.equal(received.startsWith("HTTP/1.1 200") && /\r\n0\r\n\r\n$/.test(received), false, JSON.stringify(bad));
    client.destroy();
  }
});

test("BE-05 bytes after the last chunk are dropped, the connection not reused", async () => {
  const client = await connectRaw(proxy.port);
  backend.handler = (_request, peer) =>
    peer.send(`${answerWith("Transfer-Encoding: chunked")}8\r\nSEE-THIS\r\n0\r\n\r\n8\r\nNOT-THIS\r\n0\r\n\r\n`);
  assert.equal((await client.request(GET)).body.toString(), "SEE-THIS");
  const connections = backend.connections;
  backend.handler = (_request, peer) => peer.send(ok("clean"));
  assert.equal((await client.request(GET)).body.toString(), "clean");
  assert.equal(backend.connections, connections + 1);
  client.destroy();
});

test("BE-06 bytes on an idle backend connection discard it", async () => {
  const client = await connectRaw(proxy.port);
  await client.request(GET);
  const idle = backend.peers.find((peer) => !peer.socket.destroyed) as Peer;
  idle.send(ok("poison"));
  await sleep(50);
  backend.handler = (_request, peer) => peer.send(ok("clean"));
  assert.equal((await client.request(GET)).body.toString(), "clean");
  client.destroy();
});

test("BE-07 a body where none may be is not forwarded", async () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HEAD", `${answerWith("Content-Length: 6")}hidden`],
    [GET, "GET", "HTTP/1.1 204 No Content\r\n\r\nhidden"],
    [GET, "GET", "HTTP/1.1 304 Not Modified\r\n\r\nhidden"],
  ];
  for (const [request, method, bytes] of cases) {
    backend.handler = (_request, peer) => peer.send(bytes);
    const client = await connectRaw(proxy.port);
    await client.request(request, method);
    backend.handler = (_request, peer) => peer.send(ok("clean"));
    assert.equal((await client.request(GET)).body.toString(), "clean");
    client.destroy();
  }
});

test("BE-08 a flood of interim answers is bounded", async () => {
  const before = residentBytes(proxy.workerPids[0] as number);
  const answer = await answerTo("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(10_000));
  assert.ok(answer === null || answer.status === 502 || answer.status === 103);
  assert.ok(residentBytes(proxy.workerPids[0] as number) - before < 20e6);
  assert.equal((await answerTo(ok("alive")))?.body.toString(), "alive");
});

test("BE-09 a 101 that nobody asked for", () =>
  all502(["HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"]));

test("BE-10 heads without measure", async () => {
  const statuses = [502, 507];
  const before = residentBytes(proxy.workerPids[0] as number);
  for (const bytes of [
    answerWith(`X: ${"a".repeat(1024 * 1024)}`),
    answerWith(...Array.from({ length: 10_000 }, (_, i) => `X-${i}: y`)),
    `HTTP/1.1 200 OK\r\nX: ${"a".repeat(100_000)}`,
  ]) {
    const answer = await answerTo(bytes);
    assert.ok(statuses.includes(answer?.status ?? 0), `${answer?.status}`);
  }
  assert.ok(residentBytes(proxy.workerPids[0] as number) - before < 20e6);
});

test("BE-11 bytes that no field has", () =>
  all502([
    answerWith("X: a\0b", "Content-Length: 0"),
    answerWith("X: a\rb", "Content-Length: 0"),
    answerWith("X: a", " folded", "Content-Length: 0"),
    answerWith("X : a", "Content-Length: 0"),
    answerWith(": a", "Content-Length: 0"),
    answerWith("nocolon", "Content-Length: 0"),
  ]));

test("BE-12 status lines that are none", () =>
  all502(
    [
      "HTTP/1.1 20 OK",
      "HTTP/1.1 2000 OK",
      "HTTP/9.9 200 OK",
      "ICY 200 OK",
      "garbage",
      "HTTP/1.1 099 X",
      "HTTP/1.1  200 OK",
    ].map((line) => `${line}\r\nContent-Length: 0\r\n\r\n`),
  ));

test("BE-13 a backend that never answers is a 504 after back_timeout", async () => {
  backend.handler = () => undefined;
  const startedAt = Date.now();
  const client = await connectRaw(proxy.port);
  const answer = await client.request(GET);
  assert.equal(answer.status, 504);
  assert.ok(Date.now() - startedAt >= 1900);
  client.destroy();
  await until("the backend connection is given up", () => backend.open === 0);
});

test("BE-14 a backend that is slow but moving is not cut", async () => {
  backend.handler = (_request, peer) => {
    peer.send(answerWith("Content-Length: 8"));
    let left = 8;
    const timer = setInterval(() => {
      peer.send("x");
      if (--left === 0) clearInterval(timer);
    }, 400);
  };
  const client = await connectRaw(proxy.port);
  const answer = await client.request(GET);
  assert.equal(answer.body.length, 8);
  client.destroy();
});

test("BE-15 a backend that refuses connections is a 503", async (t) => {
  const dead = await rawBackend(t);
  const port = dead.port;
  await dead.close();
  const own = await startProxy(t, { clusters: { app: { backends: [port] } } });
  const client = await connectRaw(own.port);
  assert.equal((await client.request(GET)).status, 503);
  client.destroy();
});

test("BE-15 a dead backend beside a living one costs no request", async (t) => {
  const dead = await rawBackend(t);
  const port = dead.port;
  await dead.close();
  const living = await rawBackend(t);
  const own = await startProxy(t, { clusters: { app: { backends: [port, living.port] } } });
  for (let i = 0; i < 20; i++) {
    const client = await connectRaw(own.port);
    assert.equal((await client.request(GET)).status, 200);
    client.destroy();
  }
});

test("BE-17 an early final answer is delivered and the upload stops", async (t) => {
  const early = await rawBackend(
    t,
    (_head, peer) => peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
    { onHead: true },
  );
  const own = await startProxy(t, { clusters: { app: { backends: [early.port] } } });
  const client = await connectRaw(own.port);
  await client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n");
  client.send(Buffer.alloc(1_000_000)).catch(() => undefined);
  const answer = await client.answer();
  assert.equal(answer.status, 403);
  assert.equal(answer.body.toString(), "no");
  await client.closedByPeer();
  client.destroy();
});

test("UP-18 a backend that closes before it answers is a 502, one that resets too", async () => {
  for (const how of ["end", "reset"] as const) {
    backend.handler = (_request, peer) => (how === "end" ? peer.end() : peer.reset());
    const client = await connectRaw(proxy.port);
    const body = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi";
    assert.equal((await client.request(body)).status, 502, how);
    client.destroy();
  }
});

test("UP-18 a client that leaves frees the backend connection", async () => {
  backend.handler = (_request, peer) => peer.send(`${answerWith("Content-Length: 100")}some`);
  const client = await connectRaw(proxy.port);
  await client.send(GET);
  await client.bytes(20);
  client.reset();
  await until("the backend connection is closed", () => backend.open === 0, 1500);
});
