// Keep-alive on both sides: who may close, who reuses, pipelining.

import assert from "node:assert/strict";
import { before, beforeEach, test } from "node:test";
import { ok, type RawBackend, rawBackend } from "./lib/backend.ts";
import { connectRaw } from "./lib/client.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { fileScope } from "./lib/scope.ts";

const scope = fileScope();

let backend: RawBackend;
let proxy: RunningProxy;

before(async () => {
  backend = await rawBackend(scope);
  proxy = await startProxy(scope, { clusters: { app: { backends: [backend.port] } } });
});

beforeEach(() => {
  backend.requests.length = 0;
  backend.count = 0;
  backend.handler = (_request, peer) => peer.send(ok());
});

const get = (path = "/", ...fields: string[]): string =>
  `${[`GET ${path} HTTP/1.1`, "Host: localhost", ...fields].join("\r\n")}\r\n\r\n`;

for (const front of ["keeps", "closes"] as const) {
  for (const back of ["keeps", "closes"] as const) {
    test(`the client ${front}, the backend ${back} its connection`, async () => {
      backend.handler = (_request, peer) =>
        back === "keeps" ? peer.send(ok()) : peer.end(ok("ok", ["Connection: close"]));
      const before = backend.connections;
      if (front === "keeps") {
        const client = await connectRaw(proxy.port);
        for (let i = 0; i < 4; i++) {
          const answer = await client.request(get());
          assert.equal(answer.body.toString(), "ok");
          assert.notEqual(answer.headers.get("connection"), "close");
        }
        client.destroy();
      } else {
        for (let i = 0; i < 4; i++) {
          const client = await connectRaw(proxy.port);
          const answer = await client.request(get("/", "Connection: close"));
          assert.equal(answer.headers.get("connection"), "close");
          await client.closedByPeer();
        }
      }
      const opened = backend.connections - before;
      if (back === "closes")
        assert.ok(opened >= 3, `${opened} backend connections`); // the first may be an older one
      else assert.ok(opened <= 1, `${opened} backend connections`);
    });
  }
}

test("backend connections are shared by clients", async () => {
  const before = backend.connections;
  for (let i = 0; i < 10; i++) {
    const client = await connectRaw(proxy.port);
    await client.request(get());
    client.destroy();
  }
  assert.ok(backend.connections - before <= 1);
});

test("H1-53 pipelined requests are answered in order", async () => {
  backend.handler = (request, peer) => peer.send(ok(request.target));
  for (const count of [3, 16, 1000]) {
    const client = await connectRaw(proxy.port);
    const targets = Array.from({ length: count }, (_, i) => `/${i}`);
    await client.send(targets.map((target) => get(target)).join(""));
    for (const target of targets) assert.equal((await client.answer()).body.toString(), target);
    client.destroy();
  }
});

test("pipelined requests with bodies are answered in order", async () => {
  backend.handler = (request, peer) => peer.send(ok(request.body));
  const client = await connectRaw(proxy.port);
  const bodies = ["one", "", "three", "x".repeat(40_000), "five"];
  await client.send(
    bodies
      .map((body) => `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      .join(""),
  );
  for (const body of bodies) assert.equal((await client.answer()).body.toString(), body);
  client.destroy();
});

test("H1-54 a good request, then garbage: answered, then 400 and close", async () => {
  const client = await connectRaw(proxy.port);
  await client.send(`${get("/good")}garbage\r\n\r\n`);
  assert.equal((await client.answer()).status, 200);
  assert.equal((await client.answer()).status, 400);
  await client.closedByPeer();
  assert.equal(backend.count, 1);
});

test("H1-55 bytes after a request with Connection: close are ignored", async () => {
  const client = await connectRaw(proxy.port);
  await client.send(get("/last", "Connection: close") + get("/more"));
  assert.equal((await client.answer()).status, 200);
  assert.equal((await client.closedByPeer()).length, 0);
  assert.equal(backend.count, 1);
});

test("H1-52 bytes behind an Upgrade that the backend ignores are the next request", async () => {
  const client = await connectRaw(proxy.port);
  await client.send(get("/one", "Connection: Upgrade", "Upgrade: foo") + get("/two"));
  assert.equal((await client.answer()).status, 200);
  assert.equal((await client.answer()).status, 200);
  assert.deepEqual(
    backend.requests.map((request) => request.target),
    ["/one", "/two"],
  );
  client.destroy();
});

test("every answered request and only those are closed connections of the worker", async (t) => {
  // More connections in total than max_connections allows at a time: closing must free the slot.
  const own = await startProxy(t, {
    settings: { max_connections: 20 },
    clusters: { app: { backends: [backend.port] } },
  });
  for (let i = 0; i < 100; i++) {
    const client = await connectRaw(own.port);
    assert.equal((await client.request(get("/", "Connection: close"))).status, 200);
    await client.closedByPeer();
  }
});
