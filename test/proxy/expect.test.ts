// Interim answers, expectations and answers that come early: nobody waits for somebody who waits (spec 5.4; hardening
// H1-50, H1-51, BE-17; test_100_continue_no_double_decrement).

import assert from "node:assert/strict";
import { after, afterEach, beforeEach, test } from "node:test";
import { METRIC_HTTP_EARLY_RESPONSE_CLOSE } from "../../src/observe/metrics.ts";
import { Rig } from "./rig.ts";
import { connect, type Peer, RawBackend } from "./wire-peers.ts";

const rig = new Rig();
after(() => rig.stop());

let backend: RawBackend;
let front: Peer;

const EXPECT = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

function answer(status: string, body = "hi"): string {
  return `HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

beforeEach(async () => {
  backend = await RawBackend.start();
  front = await connect(rig.listen([backend.port]));
});

afterEach(async () => {
  front.socket.destroy();
  backend.close();
  for (let i = 0; i < 500 && rig.proxy.sessions > 0; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(rig.proxy.http.exchanges.active, 0);
  assert.equal(rig.proxy.context.buffers.inUse, 0);
  assert.equal(rig.proxy.context.slots.inUse, 0);
});

/** The backend's end, once it has the head. */
async function atBackend(): Promise<Peer> {
  const back = await backend.connection();
  assert.match(await back.has("\r\n\r\n"), /^Expect: 100-continue\r$/im);
  back.clear();
  return back;
}

test("H1-50 the expectation goes to the backend, its 100 comes back once, then body and answer", async () => {
  front.send(EXPECT);
  const back = await atBackend();
  assert.equal(front.text, "");
  back.send(CONTINUE);
  assert.equal(await front.has("\r\n\r\n"), CONTINUE);
  front.send("body");
  await back.has("body");
  back.send(answer("200 OK"));
  assert.match(await front.has("hi"), /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK\r\n/);
  front.clear();
  front.send(GET);
  await back.has("GET / ");
  back.send(answer("200 OK", "again"));
  await front.has("again");
});

test("H1-50 a client that sends its body without waiting is served by a backend that never says 100", async () => {
  front.send(EXPECT);
  const back = await atBackend();
  front.send("body");
  await back.has("body");
  back.send(answer("200 OK"));
  const text = await front.has("hi");
  assert.match(text, /^HTTP\/1.1 200 OK\r\n/);
  assert.ok(!/^Connection: close/m.test(text));
  front.send(GET);
  await back.has("GET / ");
});

test("H1-50 body with the head: forwarded at once, no 100 is made up", async () => {
  front.send(`${EXPECT}body`);
  const back = await backend.connection();
  await back.has("body");
  back.send(answer("200 OK"));
  assert.match(await front.has("hi"), /^HTTP\/1.1 200 OK\r\n/);
});

for (const status of ["417 Expectation Failed", "401 Unauthorized", "200 OK"]) {
  test(`H1-50 a final ${status.slice(0, 3)} instead of the 100 closes: what the client sends next may be anything`, async () => {
    front.send(EXPECT);
    const back = await atBackend();
    back.send(answer(status));
    const text = await front.has("hi");
    assert.match(text, new RegExp(`^HTTP/1.1 ${status}\r\n[\\s\\S]*Connection: close\r\n`));
    front.send(GET);
    assert.equal(await front.end(), text);
    assert.equal(back.text, "");
    assert.equal(backend.accepted.length, 1);
  });
}

test("H1-50 a local answer instead of the 100 closes", async () => {
  const port = rig.listen([]);
  const peer = await connect(port);
  peer.send(EXPECT);
  assert.match(await peer.end(), /^HTTP\/1.1 503 [\s\S]*Connection: close\r\n/);
  peer.socket.destroy();
});

test("H1-51 an expectation that is not exactly one 100-continue is a 417", async () => {
  for (const fields of ["Expect: y 100-continue", "Expect: 100-continue\r\nExpect: 100-continue"]) {
    const peer = await connect(rig.listen([backend.port]));
    peer.send(EXPECT.replace("Expect: 100-continue", fields));
    assert.match(await peer.end(), /^HTTP\/1.1 417 /);
    peer.socket.destroy();
  }
  assert.equal(backend.accepted.length, 0);
});

test("103 and unknown interim answers pass at once, and count as one request", async () => {
  front.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
  await front.has("Link: </a>\r\n\r\n");
  back.send("HTTP/1.1 199 Soon\r\n\r\n");
  await front.has("199 Soon\r\n\r\n");
  assert.equal(rig.proxy.http.exchanges.active, 1);
  back.send(answer("200 OK"));
  await front.has("hi");
  assert.equal(rig.proxy.http.exchanges.active, 0);
});

test("an HTTP/1.0 client gets no interim answer, and its expectation goes nowhere", async () => {
  front.send(EXPECT.replace("1.1", "1.0"));
  const back = await backend.connection();
  assert.ok(!/^expect:/im.test(await back.has("\r\n\r\n")));
  back.send(CONTINUE);
  front.send("body");
  await back.has("body");
  back.send(answer("200 OK"));
  assert.match(await front.has("hi"), /^HTTP\/1.1 200 OK\r\n/);
});

test("BE-17 an early answer to a long upload is delivered, says that it closes, and frees both sides", async () => {
  const before = rig.stats.values[METRIC_HTTP_EARLY_RESPONSE_CLOSE] as number;
  front.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
  front.send(Buffer.alloc(100_000, 0x61));
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send(answer("413 Content Too Large"));
  assert.match(await front.has("hi"), /^HTTP\/1.1 413 [\s\S]*Connection: close\r\n/);
  await back.end();
  await front.end();
  assert.equal(rig.stats.values[METRIC_HTTP_EARLY_RESPONSE_CLOSE], before + 1);
});

test("BE-17 after an early answer to a short upload the rest is dropped and the connection lives on", async () => {
  front.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf");
  const back = await backend.connection();
  await back.has("half");
  back.send(answer("403 Forbidden"));
  const text = await front.has("hi");
  assert.ok(!/^Connection: close/m.test(text));
  front.send(`rest${GET}`);
  const next = await backend.connection();
  assert.match(await next.has("\r\n\r\n"), /^GET \/ /);
  next.send(answer("200 OK"));
  await front.has("200 OK");
});

test("BE-17 an early answer that streams while the upload goes on is not held back", async () => {
  front.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nping\r\n");
  const back = await backend.connection();
  await back.has("ping");
  back.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npong\r\n");
  await front.has("pong");
  front.send("4\r\nmore\r\n0\r\n\r\n");
  await back.has("0\r\n\r\n");
  back.send("3\r\nend\r\n0\r\n\r\n");
  assert.match(await front.end(), /pong\r\n3\r\nend\r\n0\r\n\r\n$/);
});
