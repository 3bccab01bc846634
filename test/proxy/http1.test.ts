// HTTP/1 through the proxy, byte by byte as peers see it: framing, keep-alive, retries, early ends, back-pressure.

import assert from "node:assert/strict";
import { after, afterEach, beforeEach, test } from "node:test";
import { METRIC_HTTP_EARLY_RESPONSE_CLOSE } from "../../src/observe/metrics.ts";
import { Rig } from "./rig.ts";
import { connect, type Peer, RawBackend } from "./wire-peers.ts";

const rig = new Rig({ maxBuffers: 40 });
after(() => rig.stop());

let backend: RawBackend;
let port: number;
const clients: Peer[] = [];

beforeEach(async () => {
  backend = await RawBackend.start();
  port = rig.listen([backend.port]);
});

afterEach(() => {
  for (const client of clients.splice(0)) client.socket.destroy();
  backend.close();
});

async function client(): Promise<Peer> {
  const peer = await connect(port);
  clients.push(peer);
  return peer;
}

const GET = "GET /a?b=c HTTP/1.1\r\nHost: example.com\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

test("a request is forwarded with our fields behind its own, and the answer with its id", async () => {
  const peer = await client();
  peer.send("GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nUser-Agent: t\r\nX-Forwarded-For: 1.2.3.4\r\nX:  y \r\n\r\n");
  const back = await backend.connection();
  const head = await back.has("\r\n\r\n");
  const id = /Sozu-Id: ([0-9A-Z]{26})\r\n/.exec(head)?.[1];
  const from = `127.0.0.1:${peer.socket.localPort}`;
  assert.equal(
    head,
    "GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nUser-Agent: t\r\nX: y\r\n" +
      `X-Forwarded-For: 1.2.3.4, 127.0.0.1\r\nForwarded: proto=http;for="${from}";by=127.0.0.1\r\n` +
      `X-Forwarded-Proto: http\r\nX-Forwarded-Port: ${port}\r\nX-Request-Id: ${id}\r\nSozu-Id: ${id}\r\n\r\n`,
  );
  back.send("HTTP/1.1 200 Fine\r\nServer: x\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi");
  const answer = await peer.has("hi");
  assert.equal(answer, `HTTP/1.1 200 Fine\r\nServer: x\r\nSozu-Id: ${id}\r\nContent-Length: 2\r\n\r\nhi`);
});

test("a request that comes byte by byte, and an answer that does, pass like whole ones", async () => {
  const peer = await client();
  peer.socket.setNoDelay(true);
  for (const c of GET) {
    peer.send(c);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  for (const c of OK) {
    back.send(c);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.match(await peer.has("hi"), /^HTTP\/1.1 200 OK\r\nSozu-Id: \w{26}\r\nContent-Length: 2\r\n\r\nhi$/);
});

test("pipelined requests are answered in order over one backend connection", async () => {
  const peer = await client();
  peer.send(GET + GET + GET);
  const back = await backend.connection();
  for (let i = 0; i < 3; i++) {
    await back.has("\r\n\r\n");
    back.clear();
    back.send(OK.replace("hi", `${i}${i}`));
  }
  await peer.has("22");
  assert.ok(peer.text.indexOf("00") < peer.text.indexOf("11"));
  assert.equal(backend.accepted.length, 1);
});

test("garbage behind a valid request gets its 400 after the valid one's answer, then a close", async () => {
  const peer = await client();
  peer.send(`${GET}garbage\r\n\r\n`);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send(OK);
  const text = await peer.end();
  assert.match(text, /^HTTP\/1.1 200 OK[\s\S]*hiHTTP\/1.1 400 /);
  assert.match(text, /Connection: close/);
});

test("a malformed request never reaches a backend", async () => {
  const peer = await client();
  peer.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  assert.match(await peer.end(), /^HTTP\/1.1 400 /);
  assert.equal(backend.accepted.length, 0);
});

test("chunked bodies and trailers pass both ways, extensions do not", async () => {
  const peer = await client();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: 1\r\n\r\n");
  const back = await backend.connection();
  const request = await back.has("T: 1\r\n\r\n");
  assert.ok(request.endsWith("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: 1\r\n\r\n"), request);
  back.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n003\r\nabc\r\n1;q\r\nd\r\n0\r\nU: 2\r\n\r\n");
  const answer = await peer.has("U: 2\r\n\r\n");
  assert.ok(answer.endsWith("\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\nU: 2\r\n\r\n"), answer);
});

test("trailers that come in pieces pass whole", async () => {
  const peer = await client();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nT: 1");
  const back = await backend.connection();
  await back.has("1\r\nx\r\n");
  peer.send("23\r\nV: w\r\n\r");
  peer.send("\n");
  assert.ok((await back.has("V: w\r\n\r\n")).endsWith("0\r\nT: 123\r\nV: w\r\n\r\n"));
});

test("a close-delimited answer becomes chunked, and the client stays connected", async () => {
  const peer = await client();
  peer.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send("HTTP/1.1 200 OK\r\n\r\nsome");
  await peer.has("some");
  back.socket.end("more");
  const answer = await peer.has("0\r\n\r\n");
  assert.match(answer, /Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n4\r\nmore\r\n0\r\n\r\n$/);
  peer.clear();
  peer.send(GET);
  const second = await backend.connection();
  await second.has("\r\n\r\n");
  second.send(OK);
  await peer.has("hi");
});

test("an HTTP/1.0 client gets a chunked answer plain, ended by the close", async () => {
  const peer = await client();
  peer.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  assert.match(await peer.end(), /Connection: close\r\n\r\nabc$/);
});

test("an HTTP/1.0 client that asks for keep-alive gets it", async () => {
  const peer = await client();
  peer.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send(OK);
  assert.match(await peer.has("hi"), /Connection: keep-alive\r\n/);
});

test("HEAD, 204 and 304 have no body, and the connection lives on", async () => {
  const peer = await client();
  const answers: [string, string][] = [
    ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"],
    ["GET", "HTTP/1.1 204 No Content\r\n\r\n"],
    ["GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"],
  ];
  let back: Peer | null = null;
  for (const [method, answer] of answers) {
    peer.clear();
    peer.send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
    back ??= await backend.connection();
    await back.has("\r\n\r\n");
    back.clear();
    back.send(answer);
    const text = await peer.has("\r\n\r\n");
    assert.ok(text.endsWith("\r\n\r\n") && text.startsWith(answer.slice(0, 15)), text);
  }
  assert.equal(backend.accepted.length, 1);
});

test("an answer of length 0 is complete with its head", async () => {
  const peer = await client();
  for (let i = 0; i < 2; i++) {
    peer.clear();
    peer.send(GET);
    if (i === 0) await backend.connection();
    const back = backend.accepted[0];
    await back.has("\r\n\r\n");
    back.clear();
    back.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert.match(await peer.has("\r\n\r\n"), /Content-Length: 0\r\n\r\n$/);
  }
  assert.equal(backend.accepted.length, 1);
});

test("100 Continue and 103 pass before the final answer", async () => {
  const peer = await client();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  const back = await backend.connection();
  assert.match(await back.has("\r\n\r\n"), /Expect: 100-continue\r\n/);
  back.send("HTTP/1.1 100 Continue\r\n\r\n");
  await peer.has("HTTP/1.1 100 Continue\r\n\r\n");
  peer.send("abc");
  await back.has("abc");
  back.send(`HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${OK}`);
  assert.match(await peer.has("hi"), /103 Early Hints\r\nLink: x\r\n\r\nHTTP\/1.1 200 OK/);
});

test("an answer before the end of the upload is delivered; the upload stops and the connection closes", async () => {
  const peer = await client();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc");
  const back = await backend.connection();
  await back.has("abc");
  back.send(OK);
  assert.match(await peer.end(), /hi$/);
  await back.end();
});

test("bytes behind an answer are dropped and the connection is not used again", async () => {
  const peer = await client();
  peer.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send(`${OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`);
  await peer.has("hi");
  await back.end();
  peer.clear();
  peer.send(GET);
  const second = await backend.connection();
  await second.has("\r\n\r\n");
  second.send(OK.replace("hi", "no"));
  assert.match(await peer.has("no"), /^HTTP\/1.1 200 OK\r\nSozu-Id: \w{26}\r\nContent-Length: 2\r\n\r\nno$/);
});

test("BE-02 surplus behind an answer that exactly fills a read is not the next answer", async () => {
  const room = rig.proxy.context.readMax;
  const peer = await client();
  peer.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  const head = "HTTP/1.1 200 OK\r\nContent-Length: ";
  const body = "x".repeat(room - head.length - 9);
  const first = `${head}${body.length}\r\n\r\n${body}`;
  assert.equal(first.length, room);
  back.socket.cork();
  back.send(`${first}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`);
  back.socket.uncork();
  await peer.until((text) => text.length > room, "the whole body");
  peer.clear();
  peer.send(GET);
  const second = await backend.connection();
  await second.has("\r\n\r\n");
  second.send(OK);
  assert.doesNotMatch(await peer.has("hi"), /evil/);
});

test("BE-16 a pooled connection that closes as we send: GET is sent again, POST is not", async () => {
  const peer = await client();
  peer.send(GET);
  const first = await backend.connection();
  await first.has("\r\n\r\n");
  first.clear();
  first.send(OK);
  await peer.has("hi");
  peer.clear();
  peer.send(GET);
  await first.has("\r\n\r\n");
  first.socket.destroy();
  const second = await backend.connection();
  await second.has("GET /a?b=c HTTP/1.1");
  second.send(OK.replace("hi", "ho"));
  await peer.has("ho");
  peer.clear();
  second.clear();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
  await second.has("\r\n\r\nx");
  second.socket.destroy();
  assert.match(await peer.has("\r\n\r\n"), /^HTTP\/1.1 502 /);
});

test("an answer cut short is a cut short answer, never a clean end", async () => {
  const peer = await client();
  peer.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  await peer.has("hello");
  back.socket.destroy();
  assert.ok((await peer.end()).endsWith("5\r\nhello\r\n"));
});

test("a backend that closes without an answer is a 502, one that refuses is a 503", async () => {
  const peer = await client();
  peer.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.socket.destroy();
  assert.match(await peer.has("\r\n\r\n"), /^HTTP\/1.1 502 /);
  backend.close();
  const other = await client();
  other.send(GET);
  assert.match(await other.has("</html>"), /^HTTP\/1.1 503 /);
});

test("a malformed answer is a 502, also when its head came before the malformed part of its body", async () => {
  for (const bad of [
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "ICY 200 OK\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    `HTTP/1.1 200 OK\r\nX: ${"a".repeat(40_000)}\r\n\r\n`,
  ]) {
    const peer = await client();
    peer.send(GET);
    const back = await backend.connection();
    await back.has("\r\n\r\n");
    back.send(bad);
    assert.match(await peer.has("</html>"), /^HTTP\/1.1 502 /, bad.slice(0, 60));
    await back.end();
  }
});

test("a client that half-closes after its request still gets the answer", async () => {
  const peer = await client();
  peer.socket.end(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send(OK);
  assert.match(await peer.end(), /hi$/);
});

test("Connection: close is honoured in both directions", async () => {
  const peer = await client();
  peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const back = await backend.connection();
  assert.doesNotMatch(await back.has("\r\n\r\n"), /Connection/i);
  back.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
  assert.match(await peer.end(), /Connection: close\r\nContent-Length: 2\r\n\r\nhi$/);
  await back.end();
});

test("a large answer to a slow reader arrives whole, in bounded memory", async () => {
  const peer = await client();
  peer.socket.pause();
  peer.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  const size = 8_000_000;
  back.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
  back.send(Buffer.alloc(size, 0x61));
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.ok(rig.proxy.context.buffers.inUse <= 2, `${rig.proxy.context.buffers.inUse} buffers`);
  peer.socket.resume();
  await peer.until((text) => text.length > size, "the whole body");
  assert.equal(rig.proxy.context.buffers.inUse, 0);
});

test("a large upload to a slow backend arrives whole, in bounded memory", async () => {
  const peer = await client();
  const size = 8_000_000;
  peer.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
  const back = await backend.connection();
  back.socket.pause();
  peer.send(Buffer.alloc(size, 0x62));
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.ok(rig.proxy.context.buffers.inUse <= 2, `${rig.proxy.context.buffers.inUse} buffers`);
  back.socket.resume();
  await back.until((text) => text.length > size, "the whole body");
  back.send(OK);
  await peer.has("hi");
  assert.equal(rig.proxy.context.buffers.inUse, 0);
});

test("H1-37 a head larger than a buffer is a 431, however it comes", async () => {
  const head = `GET / HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(17_000)}\r\n\r\n`;
  for (const cut of [head.length, 9_000]) {
    const peer = await client();
    peer.send(head.slice(0, cut));
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (cut < head.length) peer.send(head.slice(cut));
    assert.match(await peer.end(), /^HTTP\/1.1 431 /);
  }
  assert.equal(backend.accepted.length, 0);
});

test("a body above 64 kB that is unread after a local answer closes the connection, a smaller one is read", async () => {
  const nowhere = rig.listen([]);
  const upload = (length: number): string => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;
  const kept = await connect(nowhere);
  const closed = await connect(nowhere);
  clients.push(kept, closed);
  const before = rig.stats.values[METRIC_HTTP_EARLY_RESPONSE_CLOSE] as number;
  kept.send(upload(65_535));
  assert.doesNotMatch(await kept.has("</html>"), /Connection: close/);
  kept.send("x".repeat(65_535));
  kept.send(GET);
  await kept.until((all) => all.split("HTTP/1.1 503 ").length === 3, "the second answer");
  assert.equal(rig.stats.values[METRIC_HTTP_EARLY_RESPONSE_CLOSE], before);
  closed.send(upload(65_536));
  assert.match(await closed.end(), /^HTTP\/1.1 503 [\s\S]*Connection: close\r\n/);
  assert.equal(rig.stats.values[METRIC_HTTP_EARLY_RESPONSE_CLOSE], before + 1);
});

test("H1-48 the body of a request that is answered locally is not taken for a request", async () => {
  const nowhere = rig.listen([]);
  const peer = await connect(nowhere);
  clients.push(peer);
  const smuggled = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";
  peer.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`);
  assert.match(await peer.has("</html>"), /^HTTP\/1.1 503 /);
  peer.send(GET);
  const text = await peer.until((all) => all.split("HTTP/1.1 503 ").length === 3, "the second answer");
  assert.equal(text.split("/evil").length, 1);
});
