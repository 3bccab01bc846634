// HTTP/1 over TLS through the proxy, as clients of another TLS library see it.

import assert from "node:assert/strict";
import { after, afterEach, beforeEach, test } from "node:test";
import type nodeTls from "node:tls";
import { METRIC_CLIENT_CONNECTIONS } from "../../src/observe/metrics.ts";
import * as metric from "../../src/observe/metrics-tls.ts";
import { tlsHandles } from "../../src/os/tls.ts";
import { Rig } from "./rig.ts";
import { connectSecure, listenSecure, Relay } from "./secure.ts";
import { type Peer, RawBackend } from "./wire-peers.ts";

const rig = new Rig({ maxBuffers: 40 });
const { values } = rig.stats;
after(() => rig.stop());

let backend: RawBackend;
let port: number;
const clients: Peer[] = [];

beforeEach(async () => {
  backend = await RawBackend.start();
  port = listenSecure(rig, [backend.port]);
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy();
  backend.close();
  while (values[METRIC_CLIENT_CONNECTIONS] > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(tlsHandles().sessions, 0);
  assert.equal(values[metric.METRIC_PROTOCOL_HTTPS], 0);
  assert.equal(values[metric.METRIC_PROTOCOL_TLS_HANDSHAKE], 0);
});

async function client(options: nodeTls.ConnectionOptions = {}): Promise<Peer & { socket: nodeTls.TLSSocket }> {
  const peer = await connectSecure(port, options);
  clients.push(peer);
  return peer;
}

const GET = "GET /a?b=c HTTP/1.1\r\nHost: example.com\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

test("5.3: a backend is told that the client spoke https", async () => {
  const peer = await client();
  peer.send(GET);
  const back = await backend.connection();
  const head = await back.has("\r\n\r\n");
  assert.match(head, /\r\nX-Forwarded-Proto: https\r\n/);
  assert.match(head, /\r\nForwarded: proto=https;for="127\.0\.0\.1:\d+";by=127\.0\.0\.1\r\n/);
  back.send(OK);
  assert.match(await peer.has("hi"), /^HTTP\/1\.1 200 OK\r\n/);
  assert.equal(values[metric.METRIC_PROTOCOL_HTTPS], 1);
});

test("8.6: both versions and every suite of them are spoken and counted", async () => {
  const before = Float64Array.from(values);
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const peer = await client({ minVersion: version, maxVersion: version });
    assert.equal(peer.socket.getProtocol(), version);
    peer.send(GET);
    const back = await backend.connection();
    await back.has("\r\n\r\n");
    back.send(`${OK.replace("OK\r\n", "OK\r\nConnection: close\r\n")}`);
    await peer.has("hi");
  }
  const grown = (at: number): number => values[at] - before[at];
  assert.equal(grown(metric.METRIC_TLS_VERSION_TLSV1_2), 1);
  assert.equal(grown(metric.METRIC_TLS_VERSION_TLSV1_3), 1);
  assert.equal(grown(metric.METRIC_TLS_CIPHER_TLS13_AES_256_GCM_SHA384), 1);
  assert.equal(grown(metric.METRIC_HTTP_ALPN_HTTP11), 2);
});

test("a request that comes in records of one byte, and a large answer, pass whole", async () => {
  const peer = await client();
  for (const c of GET) {
    peer.send(c);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  const body = Buffer.alloc(3_000_000, "0123456789abcdef");
  back.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
  back.send(body);
  const answer = await peer.until((text) => text.length > body.length + 60, "the whole answer");
  assert.ok(answer.endsWith(body.toString("latin1")));
});

test("a slow reader gets a large answer whole, over and over on one connection", async () => {
  const peer = await client();
  const body = Buffer.alloc(900_000);
  for (let i = 0; i < body.length; i++) body[i] = 33 + (i % 90);
  for (let round = 0; round < 3; round++) {
    peer.clear();
    peer.socket.pause();
    peer.send(GET);
    if (round === 0) await backend.connection();
    const [back] = backend.accepted;
    await back?.has("\r\n\r\n");
    back?.clear();
    back?.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
    back?.send(body);
    await new Promise((resolve) => setTimeout(resolve, 50));
    peer.socket.resume();
    const answer = await peer.until((text) => text.length >= body.length + 60, "the whole answer");
    assert.ok(answer.endsWith(body.toString("latin1")));
  }
});

test("a large request body passes whole", async () => {
  const peer = await client();
  const body = Buffer.alloc(2_000_000, "abcdefghij");
  peer.send(`POST /up HTTP/1.1\r\nHost: example.com\r\nContent-Length: ${body.length}\r\n\r\n`);
  peer.send(body);
  const back = await backend.connection();
  const got = await back.until((text) => text.length > body.length, "the whole body");
  assert.ok(got.endsWith(body.toString("latin1").slice(-1000)));
  back.send(OK);
  await peer.has("hi");
});

test("pipelined requests in one record are answered in order", async () => {
  const peer = await client();
  peer.send(GET.replace("/a", "/1") + GET.replace("/a", "/2"));
  const back = await backend.connection();
  await back.has("GET /1");
  back.send(OK.replace("hi", "11"));
  await back.has("GET /2");
  back.send(OK.replace("hi", "22"));
  await peer.until((text) => /11HTTP[\s\S]*\r\n\r\n22$/.test(text), "both answers");
});

test("the end of a connection is announced: close_notify, then FIN", async () => {
  const peer = await client();
  peer.send(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send(OK);
  // A FIN without close_notify would be an error of the socket.
  let failed: Error | null = null;
  peer.socket.on("error", (error) => {
    failed = error;
  });
  assert.match(await peer.end(), /hi$/);
  assert.equal(failed, null);
});

test("TLS-11: a client that ends without close_notify within a body is cut off, and the backend sees it", async () => {
  const relay = await Relay.start(port);
  const peer = await client({ port: relay.port });
  peer.send("POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  const back = await backend.connection();
  await back.has("hello");
  relay.cut();
  assert.ok(!(await back.end()).includes("0\r\n\r\n"));
  relay.close();
});

test("8.2: without a default certificate, no name and an unknown one get the alert unrecognized_name", async () => {
  const before = values[metric.METRIC_TLS_HANDSHAKE_FAILED_NO_CERTIFICATES_PRESENT];
  await assert.rejects(client({ servername: "" }), /unrecognized name/);
  await assert.rejects(client({ servername: "other.test" }), /unrecognized name/);
  assert.equal(values[metric.METRIC_TLS_HANDSHAKE_FAILED_NO_CERTIFICATES_PRESENT] - before, 2);
});

test("8.7 TLS-18: a host that the certificate does not cover is answered 421, another one of it is served", async () => {
  const peer = await client();
  peer.send("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n");
  assert.match(await peer.has("</html>"), /^HTTP\/1\.1 421 /);
  assert.equal(values[metric.METRIC_HTTP_SNI_AUTHORITY_MISMATCH], 1);
  peer.clear();
  peer.send("GET / HTTP/1.1\r\nHost: WWW.Example.com.:443\r\n\r\n");
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send(OK);
  await peer.has("hi");
  assert.equal(values[metric.METRIC_HTTP_SNI_AUTHORITY_MISMATCH], 1);
});
