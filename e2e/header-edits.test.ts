// The edits of spec 5.3: forwarding headers, the correlation header, X-Request-Id, X-Real-IP.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type RecordedRequest, rawBackend } from "./lib/backend.ts";
import { connectRaw } from "./lib/client.ts";
import type { TomlKeys } from "./lib/config.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import type { Scope } from "./lib/scope.ts";

const ULID = /^[0-9A-HJKMNP-TV-Z]{26}$/;

interface Seen {
  readonly proxy: RunningProxy;
  readonly request: RecordedRequest;
  readonly answer: ReadonlyMap<string, string>;
  readonly clientPort: number;
}

async function send(t: Scope, fields: readonly string[], listener: TomlKeys = {}): Promise<Seen> {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, { listener, clusters: { app: { backends: [backend.port] } } });
  const client = await connectRaw(proxy.port);
  const clientPort = client.localPort;
  const answer = await client.request(`${["GET / HTTP/1.1", "Host: localhost", ...fields].join("\r\n")}\r\n\r\n`);
  client.destroy();
  return { proxy, request: backend.requests[0] as RecordedRequest, answer: answer.headers, clientPort };
}

test("headers that are missing are added after the client's own", async (t) => {
  const { proxy, request, answer, clientPort } = await send(t, ["X-Mine: 1"]);
  const id = request.headers.get("sozu-id") as string;
  assert.match(id, ULID);
  assert.deepEqual(request.lines, [
    "Host: localhost",
    "X-Mine: 1",
    "X-Forwarded-For: 127.0.0.1",
    `Forwarded: proto=http;for="127.0.0.1:${clientPort}";by=127.0.0.1`,
    "X-Forwarded-Proto: http",
    `X-Forwarded-Port: ${proxy.port}`,
    `X-Request-Id: ${id}`,
    `Sozu-Id: ${id}`,
  ]);
  assert.equal(answer.get("sozu-id"), id);
});

test("forwarding headers are appended to, at their last occurrence", async (t) => {
  const { request, clientPort } = await send(t, [
    "X-Forwarded-For: 1.1.1.1",
    "X-Forwarded-For: 2.2.2.2, 3.3.3.3",
    'Forwarded: for="4.4.4.4"',
  ]);
  const chains = request.lines.filter((line) => line.startsWith("X-Forwarded-For"));
  assert.deepEqual(chains, ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2, 3.3.3.3, 127.0.0.1"]);
  assert.equal(
    request.headers.get("forwarded"),
    `for="4.4.4.4", proto=http;for="127.0.0.1:${clientPort}";by=127.0.0.1`,
  );
});

test("X-Forwarded-Proto, X-Forwarded-Port and X-Request-Id of the client are kept", async (t) => {
  const { request } = await send(t, ["X-Forwarded-Proto: https", "X-Forwarded-Port: 443", "X-Request-Id: mine"]);
  assert.equal(request.headers.get("x-forwarded-proto"), "https");
  assert.equal(request.headers.get("x-forwarded-port"), "443");
  assert.equal(request.headers.get("x-request-id"), "mine");
});

test("a Sozu-Id of the client cannot be taken for ours", async (t) => {
  const { request, answer } = await send(t, ["Sozu-Id: forged"]);
  assert.equal(request.lines.at(-1), `Sozu-Id: ${answer.get("sozu-id")}`);
});

for (const elide of [false, true]) {
  for (const add of [false, true]) {
    test(`X-Real-IP: elide ${elide}, send ${add}`, async (t) => {
      const { request } = await send(t, ["X-Real-IP: 9.9.9.9"], { elide_x_real_ip: elide, send_x_real_ip: add });
      const expected = [...(elide ? [] : ["9.9.9.9"]), ...(add ? ["127.0.0.1"] : [])].join(", ");
      assert.equal(request.headers.get("x-real-ip") ?? "", expected);
    });
  }
}

test("the correlation header may have another name", async (t) => {
  const { request, answer } = await send(t, [], { sozu_id_header: "X-Trace" });
  assert.match(request.headers.get("x-trace") ?? "", ULID);
  assert.equal(answer.get("x-trace"), request.headers.get("x-trace"));
  assert.equal(request.headers.has("sozu-id"), false);
});

test("public_address is what forwarding headers call us", async (t) => {
  const { request } = await send(t, [], { public_address: "203.0.113.7:8443" });
  assert.equal(request.headers.get("x-forwarded-port"), "8443");
  assert.match(request.headers.get("forwarded") ?? "", /;by=203\.0\.113\.7$/);
});

test("each request of a connection has an id of its own, in order", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const client = await connectRaw(proxy.port);
  for (let i = 0; i < 5; i++) await client.request("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const ids = backend.requests.map((request) => request.headers.get("sozu-id") as string);
  assert.deepEqual([...ids].sort(), ids);
  assert.equal(new Set(ids).size, 5);
  client.destroy();
});

test("RX-20 names that mean something to JavaScript are plain data", async (t) => {
  const { request } = await send(t, ["__proto__: 1", "constructor: 2", "toString: 3", "Cookie: __proto__=4"]);
  for (const name of ["__proto__", "constructor", "tostring"])
    assert.ok(request.lines.some((l) => l.toLowerCase().startsWith(name)));
});
