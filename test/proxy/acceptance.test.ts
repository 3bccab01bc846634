// Behaviours of HTTP/1 sessions that users of Sōzu rely on (docs/acceptance.md), by the names of its acceptance tests:
// clients that vanish at any moment, gauges that come back to zero, one access line for each request, answers of every kind.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, afterEach, test } from "node:test";
import {
  METRIC_BACKEND_CONNECTIONS,
  METRIC_CLIENT_CONNECTIONS,
  METRIC_HTTP_ACTIVE_REQUESTS,
  METRIC_HTTP_ERRORS,
} from "../../src/observe/metrics.ts";
import { MemoryTarget } from "../observe/memory-target.ts";
import { backendOf, clusterOf, frontendOf, type ListenerOptions, Rig } from "./rig.ts";
import { connect, type Peer, RawBackend } from "./wire-peers.ts";

const log = new MemoryTarget();
const rig = new Rig({}, log);
after(() => rig.stop());

const GET = "GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const peers: Peer[] = [];
const backends: RawBackend[] = [];

afterEach(async () => {
  for (const peer of peers.splice(0)) peer.socket.destroy();
  for (const backend of backends.splice(0)) backend.close();
  await quiet();
});

async function site(options: ListenerOptions = {}): Promise<{ port: number; backend: RawBackend }> {
  const backend = await RawBackend.start();
  backends.push(backend);
  return { port: rig.listen([backend.port], options), backend };
}

async function client(port: number): Promise<Peer> {
  const peer = await connect(port);
  peers.push(peer);
  return peer;
}

/** Answers every request with 200 as it comes. */
function answerAll(backend: RawBackend, answer: string = OK): void {
  backend.server.on("connection", (socket) => {
    socket.on("data", () => socket.write(answer));
    socket.on("error", () => undefined);
  });
}

/** Until no session, request or backend request is left; the gauges agree, and none is below zero. */
async function quiet(): Promise<void> {
  const { values } = rig.stats;
  const deadline = Date.now() + 5000;
  while (rig.proxy.sessions > 0 || rig.proxy.http.exchanges.active > 0) {
    if (Date.now() > deadline) assert.fail(`${rig.proxy.sessions} sessions are left`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  rig.proxy.onTimeout();
  assert.equal(values[METRIC_HTTP_ACTIVE_REQUESTS], 0);
  assert.equal(values[METRIC_CLIENT_CONNECTIONS], 0);
  assert.ok(values[METRIC_BACKEND_CONNECTIONS] >= 0);
  assert.equal(rig.proxy.context.buffers.inUse, 0);
  assert.equal(rig.proxy.context.slots.inUse, 0);
}

/** The access lines since the last call. */
function lines(): string[] {
  rig.sink.flush();
  return log
    .takeText()
    .split("\n")
    .filter((line) => line.includes("-ACCESS"));
}

test("test_client_hup_during_request: head, body, wait and answer are left behind cleanly", async () => {
  const { port, backend } = await site();
  const moments = ["GET /a HT", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf", GET];
  for (const text of moments) {
    const peer = await client(port);
    peer.send(text);
    if (text !== moments[0]) await (await backend.connection()).has("\r\n\r\n");
    peer.socket.resetAndDestroy();
    await quiet();
  }
  const peer = await client(port);
  peer.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  await peer.has("half");
  peer.socket.resetAndDestroy();
  await back.end();
  await quiet();
});

test("test_rapid_connect_disconnect: sessions come and go, with and without a request", async () => {
  const { port, backend } = await site();
  answerAll(backend);
  for (let i = 0; i < 100; i++) {
    const peer = await client(port);
    if (i % 2 === 0) peer.send(GET);
    if (i % 3 === 0) peer.socket.resetAndDestroy();
    else peer.socket.end();
  }
  const last = await client(port);
  last.send(GET);
  await last.has("ok");
});

test("test_keepalive_then_hup: each request has one access line, the end of the connection none", async () => {
  const { port, backend } = await site();
  answerAll(backend);
  const peer = await client(port);
  lines();
  for (let i = 0; i < 5; i++) {
    peer.send(GET);
    await peer.has("ok");
    peer.clear();
  }
  peer.socket.resetAndDestroy();
  await quiet();
  assert.equal(lines().length, 5);
});

test("test_concurrent_hup: 50 clients vanish at once in the middle of their requests", async () => {
  const { port, backend } = await site();
  const all = await Promise.all(Array.from({ length: 50 }, () => client(port)));
  for (const peer of all) peer.send(GET);
  for (let i = 0; i < 50; i++) await (await backend.connection()).has("\r\n\r\n");
  for (const peer of all) peer.socket.resetAndDestroy();
  await quiet();
  const last = await client(port);
  last.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send(OK);
  await last.has("ok");
});

test("test_idle_timeout_no_underflow: an idle connection that times out was no request", async () => {
  const { port, backend } = await site({ frontTimeout: 1, requestTimeout: 1 });
  answerAll(backend);
  const served = await client(port);
  const silent = await client(port);
  lines();
  served.send(GET);
  await served.has("ok");
  served.clear();
  assert.equal(await served.end(), "");
  await silent.end();
  await quiet();
  assert.equal(lines().filter((line) => line.includes(" GET ")).length, 1);
});

test("test_malformed_request_no_underflow: a refused request counts up and down once", async () => {
  const { port, backend } = await site();
  answerAll(backend);
  for (const text of [
    "garbage\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    `${GET}\0`,
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
  ]) {
    const peer = await client(port);
    peer.send(text);
    assert.match(await peer.end(), /HTTP\/1.1 400 /);
    peer.socket.destroy();
    await quiet();
  }
});

test("test_100_continue_no_double_decrement: interim and final answer are one request", async () => {
  const { port, backend } = await site();
  const peer = await client(port);
  lines();
  peer.send("POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send("HTTP/1.1 100 Continue\r\n\r\n");
  await peer.has("100 Continue");
  peer.send("body");
  await back.has("body");
  back.send(OK);
  await peer.has("ok");
  assert.equal(rig.proxy.http.exchanges.active, 0);
  assert.equal(lines().length, 1);
});

test("test_rapid_idle_with_valid_traffic: idle ends beside served requests", async () => {
  const { port, backend } = await site({ frontTimeout: 1, requestTimeout: 1 });
  answerAll(backend);
  const silent = await Promise.all(Array.from({ length: 20 }, () => client(port)));
  for (let i = 0; i < 20; i++) {
    const peer = await client(port);
    peer.send(GET);
    await peer.has("ok");
    peer.socket.destroy();
  }
  await Promise.all(silent.map((peer) => peer.end()));
});

test("test_backend_refused_no_error_inflation: a request to a dead backend is one error and one line", async () => {
  const dead = await RawBackend.start();
  dead.close();
  await once(dead.server, "close");
  const port = rig.listen([dead.port]);
  const before = rig.stats.values[METRIC_HTTP_ERRORS];
  lines();
  const peer = await client(port);
  peer.send(GET);
  await peer.has("503 ");
  assert.ok(rig.stats.values[METRIC_HTTP_ERRORS] - before <= 1);
  assert.equal(lines().length, 1);
});

test("test_h1_close_delimited_response_fully_delivered: small and 48 kB, to both versions", async () => {
  const { port, backend } = await site();
  for (const [version, size] of [
    ["1.1", 10],
    ["1.1", 48_000],
    ["1.0", 10],
    ["1.0", 48_000],
  ] as const) {
    const peer = await client(port);
    peer.send(`GET / HTTP/${version}\r\nHost: a\r\nConnection: close\r\n\r\n`);
    const back = await backend.connection();
    await back.has("\r\n\r\n");
    back.send(`HTTP/1.1 200 OK\r\n\r\n${"x".repeat(size)}`);
    back.socket.end();
    const text = await peer.end();
    assert.equal(text.split("\r\n\r\n").slice(1).join("").replace(/[^x]/g, "").length, size);
    assert.equal(text.endsWith("0\r\n\r\n"), version === "1.1");
  }
});

test("test_http_behaviors: no route, no backend, garbage on both sides, answers of every length, early ends", async () => {
  const backend = await RawBackend.start();
  backends.push(backend);
  const port = rig.listen([]);
  const address = { ip: "127.0.0.1", port };
  const app = `app-${port}`;
  rig.must({ kind: "remove_http_frontend", frontend: frontendOf(app, address) });
  const ask = async (text: string = GET): Promise<Peer> => {
    const peer = await client(port);
    peer.send(text);
    return peer;
  };
  const backendGets = async (): Promise<Peer> => {
    const back = await backend.connection();
    await back.has("\r\n\r\n");
    return back;
  };
  assert.match(await (await ask()).has("</html>"), /^HTTP\/1.1 404 /);
  rig.must({ kind: "add_http_frontend", frontend: frontendOf(app, address) });
  assert.match(await (await ask()).has("</html>"), /^HTTP\/1.1 503 /);
  rig.must({ kind: "add_backend", backend: backendOf(app, backend.port) });
  assert.match(await (await ask("HELLO\r\n\r\n")).end(), /^HTTP\/1.1 400 /);
  let peer = await ask();
  (await backendGets()).send("TEST\r\n\r\n");
  assert.match(await peer.has("</html>"), /^HTTP\/1.1 502 /);
  peer = await ask();
  (await backendGets()).socket.end();
  assert.match(await peer.has("</html>"), /^HTTP\/1.1 502 /);
  peer = await ask();
  let back = await backendGets();
  back.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  back.socket.end();
  assert.match(await peer.has("0\r\n\r\n"), /^HTTP\/1.1 200 OK\r\n[\s\S]*until the end/);
  peer = await ask(GET.replace("GET", "HEAD"));
  back = await backendGets();
  back.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  assert.match(await peer.has("\r\n\r\n"), /Content-Length: 1000\r\n\r\n$/);
  peer = await ask(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
  await back.until((text) => text.split("\r\n\r\n").length > 2, "a second request");
  back.send(OK);
  assert.match(await peer.end(), /Connection: close\r\n[\s\S]*ok$/);
});

test("test_status_header_split: an answer in pieces at every place is the same answer", async () => {
  const { port, backend } = await site();
  const answer = "HTTP/1.1 200 Fine\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok";
  let back: Peer | null = null;
  for (let at = 1; at < answer.length; at++) {
    const peer = await client(port);
    peer.send(GET);
    back ??= await backend.connection();
    await back.has("\r\n\r\n");
    back.clear();
    back.socket.setNoDelay(true);
    back.send(answer.slice(0, at));
    await new Promise((resolve) => setImmediate(resolve));
    back.send(answer.slice(at));
    assert.match(await peer.has("ok"), /^HTTP\/1.1 200 Fine\r\nX-A: b\r\nSozu-Id: \w+\r\nContent-Length: 2\r\n\r\nok$/);
    peer.socket.destroy();
  }
});

test("test_blue_green: the new backend takes over, what is in flight ends at the old one", async () => {
  const { port, backend: blue } = await site();
  const green = await RawBackend.start();
  backends.push(green);
  const cluster = `app-${port}`;
  const inFlight = await client(port);
  inFlight.send(GET);
  const old = await blue.connection();
  await old.has("\r\n\r\n");
  rig.must({ kind: "add_backend", backend: backendOf(cluster, green.port) });
  const address = { ip: "127.0.0.1", port: blue.port };
  rig.must({ kind: "remove_backend", clusterId: cluster, backendId: `b-${blue.port}`, address });
  answerAll(green);
  for (let i = 0; i < 10; i++) {
    const peer = await client(port);
    peer.send(GET);
    await peer.has("ok");
  }
  old.send(OK);
  await inFlight.has("ok");
  assert.equal(blue.accepted.length, 1);
  await old.end();
});

test("test_wildcard: *.host takes one label, an exact host comes first", async () => {
  const { port, backend } = await site();
  const exact = await RawBackend.start();
  backends.push(exact);
  answerAll(backend, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwild");
  answerAll(exact, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nexact");
  const address = { ip: "127.0.0.1", port };
  const app = `app-${port}`;
  rig.must({ kind: "remove_http_frontend", frontend: frontendOf(app, address) });
  rig.must({ kind: "add_http_frontend", frontend: { ...frontendOf(app, address), hostname: "*.sozu.test" } });
  rig.must({ kind: "add_cluster", cluster: clusterOf(`exact-${port}`) });
  rig.must({ kind: "add_backend", backend: backendOf(`exact-${port}`, exact.port) });
  rig.must({
    kind: "add_http_frontend",
    frontend: { ...frontendOf(`exact-${port}`, address), hostname: "www.sozu.test" },
  });
  for (const [host, ending] of [
    ["www.sozu.test", "exact"],
    ["other.sozu.test", "wild"],
    ["sozu.test", "</html>"],
    ["www.sozu.test.org", "</html>"],
  ] as const) {
    const peer = await client(port);
    peer.send(GET.replace("a.test", host));
    await peer.has(ending);
  }
});

test("test_h1_pipelining: three requests in one packet are answered in order", async () => {
  const { port, backend } = await site();
  const peer = await client(port);
  peer.send(["/1", "/2", "/3"].map((path) => GET.replace("/a", path)).join(""));
  const back = await backend.connection();
  for (const path of ["/1", "/2", "/3"]) {
    await back.has(`GET ${path} HTTP/1.1\r\n`);
    back.send(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${path}`);
    await peer.until((text) => text.endsWith(path), path);
  }
});
