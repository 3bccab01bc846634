// Every timeout of HTTP/1 (spec 5.6) with its answer: who is too slow is told so, or cut off, in bounded time.

import assert from "node:assert/strict";
import { after, afterEach, beforeEach, test } from "node:test";
import { METRIC_CLIENT_CONNECTIONS } from "../../src/observe/metrics.ts";
import { Rig } from "./rig.ts";
import { connect, type Peer, RawBackend } from "./wire-peers.ts";

const rig = new Rig();
after(() => rig.stop());

let backend: RawBackend;
const clients: Peer[] = [];
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

beforeEach(async () => {
  backend = await RawBackend.start();
});

afterEach(() => {
  for (const client of clients.splice(0)) client.socket.destroy();
  backend.close();
});

async function client(port: number): Promise<Peer> {
  const peer = await connect(port);
  clients.push(peer);
  return peer;
}

/** Sends a byte every 100 ms until the connection ends. */
function drip(peer: Peer, byte: string): NodeJS.Timeout {
  const timer = setInterval(() => (peer.socket.writable ? peer.send(byte) : clearInterval(timer)), 100);
  peer.socket.on("close", () => clearInterval(timer));
  peer.socket.on("end", () => clearInterval(timer));
  return timer;
}

test("RX-01 a head that does not end is a 408 after request_timeout, however it drips", async () => {
  const peer = await client(rig.listen([backend.port], { requestTimeout: 1 }));
  peer.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
  const timer = drip(peer, "y");
  assert.match(await peer.end(), /^HTTP\/1.1 408 [\s\S]*Connection: close/);
  clearInterval(timer);
  assert.equal(backend.accepted.length, 0);
});

test("RX-05 a connection that says nothing gets a 408 and a close", async () => {
  const peer = await client(rig.listen([backend.port], { requestTimeout: 1 }));
  assert.match(await peer.end(), /^HTTP\/1.1 408 /);
});

test("an idle connection that was served is closed without a word after front_timeout", async () => {
  const peer = await client(rig.listen([backend.port], { frontTimeout: 1 }));
  peer.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send(OK);
  await peer.has("hi");
  peer.clear();
  assert.equal(await peer.end(), "");
});

test("RX-02 a body that drips is a 408 after front_timeout", async () => {
  const peer = await client(rig.listen([backend.port], { frontTimeout: 1 }));
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
  const back = await backend.connection();
  const timer = drip(peer, "z");
  assert.match(await peer.end(), /^HTTP\/1.1 408 /);
  clearInterval(timer);
  await back.end();
});

test("BE-13 a backend that accepts and never answers is a 504 after back_timeout", async () => {
  const peer = await client(rig.listen([backend.port], { backTimeout: 1 }));
  peer.send(GET);
  const back = await backend.connection();
  assert.match(await peer.has("</html>"), /^HTTP\/1.1 504 /);
  await back.end();
});

test("BE-14 an answer that drips lives on as long as it moves; one that stops is cut", async () => {
  const peer = await client(rig.listen([backend.port], { backTimeout: 1 }));
  peer.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
  const timer = drip(back, "w");
  await peer.until((text) => text.endsWith("w".repeat(18)), "18 bytes in 1.8 s");
  clearInterval(timer);
  const text = await peer.end();
  assert.ok(text.length < 200);
});

test("a client that stops reading is cut off after front_timeout, and its buffers are freed", async () => {
  const peer = await client(rig.listen([backend.port], { frontTimeout: 1, backTimeout: 1 }));
  peer.socket.pause();
  peer.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send("HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n");
  back.send(Buffer.alloc(30_000_000, 0x61));
  await back.end();
  assert.equal(rig.proxy.context.buffers.inUse, 0);
});

test("RX-04 a slow but moving download is not cut", async () => {
  const peer = await client(rig.listen([backend.port], { frontTimeout: 1, backTimeout: 1 }));
  peer.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  const size = 6_000_000;
  back.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
  back.send(Buffer.alloc(size, 0x61));
  const timer = setInterval(() => {
    peer.socket.resume();
    setTimeout(() => peer.socket.pause(), 5);
  }, 150);
  await peer.until((text) => text.length > size, "all of it");
  clearInterval(timer);
});

test("no connection of a client is left behind", async () => {
  for (const peer of clients) peer.socket.destroy();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(rig.proxy.sessions, 0);
  assert.equal(rig.stats.values[METRIC_CLIENT_CONNECTIONS], 0);
  assert.equal(rig.proxy.http.exchanges.active, 0);
  assert.equal(rig.proxy.context.slots.inUse, 0);
  assert.equal(rig.proxy.context.records.inUse, 0);
});
