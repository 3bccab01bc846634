// Every timeout of HTTP/1 (spec 5.6) with its answer: who is too slow is told so, or cut off, in bounded time.

import assert from "node:assert/strict";
import { after, afterEach, beforeEach, test } from "node:test";
import { METRIC_CLIENT_CONNECTIONS } from "../../src/observe/metrics.ts";
import { getsockname, listenTcp } from "../../src/os/listeners.ts";
import * as sockets from "../../src/os/sockets.ts";
import { MemoryTarget } from "../observe/memory-target.ts";
import { Rig } from "./rig.ts";
import { connect, type Peer, RawBackend } from "./wire-peers.ts";

const log = new MemoryTarget();
const rig = new Rig({}, log);
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

/** What the access lines of `run` say at their ends. */
async function notes(run: () => Promise<unknown>): Promise<string[]> {
  rig.sink.flush();
  const before = log.writes.length;
  await run();
  for (let i = 0; i < 400 && rig.proxy.http.exchanges.active > 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  rig.sink.flush();
  const lines = log.writes.slice(before).join("").split("\n");
  return lines.filter((line) => line.includes("-ACCESS")).map((line) => line.replace(/^.* (\S+ \| .*)$/, "$1"));
}

/** A port whose accept queue is full: who connects gets no answer. */
async function blackHole(): Promise<{ port: number; close: () => void }> {
  const fd = listenTcp({ ip: "127.0.0.1", port: 0 }, { reusePort: false, backlog: 0 });
  const bound = getsockname(fd);
  if (bound === null || typeof bound === "number") throw new Error("no name");
  const filler = await connect(bound.port);
  return {
    port: bound.port,
    close: () => {
      filler.socket.destroy();
      sockets.close(fd);
    },
  };
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

test("RX-03 a client that takes 400 bytes per timeout is cut off", async () => {
  const { memory } = rig.loop;
  const room = memory.allocate(512);
  const port = rig.listen([backend.port], { frontTimeout: 0.5, backTimeout: 60 });
  // Small segments and a small window, so that the kernel passes on every few bytes that are read.
  const fd = sockets.socket(sockets.TCP4);
  sockets.setsockopt(fd, sockets.IPPROTO_TCP, 2, 88);
  sockets.setsockopt(fd, sockets.SOL_SOCKET, sockets.SO_RCVBUF, 2048);
  const length = sockets.encodeSockaddr({ ip: "127.0.0.1", port }, memory.bytes, room);
  assert.ok(sockets.connect(fd, room, length) <= 0);
  const back = await requested(fd, room, memory.bytes);
  back.send("HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n");
  back.send(Buffer.alloc(30_000_000, 0x61));
  const timer = setInterval(() => sockets.recv(fd, room, 40), 50);
  // As long as the kernel lets its buffer for the client grow, bytes move: that ends by itself.
  await new Promise((resolve) => back.socket.on("close", resolve)).finally(() => clearInterval(timer));
  sockets.close(fd);
  assert.equal(rig.proxy.context.buffers.inUse, 0);
});

/** Sends a request on a socket of ours as soon as it is connected; the backend's end of it. */
async function requested(fd: number, at: number, bytes: Uint8Array): Promise<Peer> {
  const request = Buffer.from(GET, "latin1");
  bytes.set(request, at);
  while (sockets.send(fd, at, request.length) !== request.length)
    await new Promise((resolve) => setTimeout(resolve, 5));
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  return back;
}

test("an upload to a backend that is slow but moves is not cut", async () => {
  const peer = await client(rig.listen([backend.port], { frontTimeout: 0.6, backTimeout: 0.6 }));
  const size = 7_000_000;
  peer.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
  peer.send(Buffer.alloc(size, 0x61));
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  let received = back.bytes.length;
  back.socket.removeAllListeners("data");
  const timer = setInterval(() => back.socket.resume(), 60);
  await new Promise<void>((resolve) => {
    back.socket.on("close", () => resolve());
    back.socket.on("data", (data: Buffer) => {
      received += data.length;
      back.socket.pause();
      if (received > size) resolve();
    });
  }).finally(() => clearInterval(timer));
  assert.ok(received > size, `${received} bytes`);
  back.socket.resume();
  back.send(OK);
  await peer.has("hi");
});

test("a slow event stream lives while its client takes it at once", async () => {
  const peer = await client(rig.listen([backend.port], { frontTimeout: 0.5, backTimeout: 1 }));
  peer.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
  for (let i = 0; i < 6; i++) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    back.send(`data: ${i}\n\n`);
  }
  await peer.has("data: 5");
});

test("the first head has one request_timeout from the beginning of the connection", async () => {
  const peer = await client(rig.listen([backend.port], { requestTimeout: 1 }));
  const startedAt = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 700));
  peer.send("GET / HTTP/1.1\r\n");
  assert.match(await peer.end(), /^HTTP\/1.1 408 /);
  assert.ok(performance.now() - startedAt < 1600);
});

test("5.6 front, idle: the line of a 408 says client_timeout, an idle connection that was served has no line", async () => {
  const said = await notes(async () => {
    const peer = await client(rig.listen([backend.port], { requestTimeout: 0.2 }));
    peer.send("GET / HT");
    await peer.end();
    const served = await client(rig.listen([backend.port], { frontTimeout: 0.3 }));
    served.send(GET);
    const back = await backend.connection();
    await back.has("\r\n\r\n");
    back.send(OK);
    await served.end();
  });
  assert.deepEqual(said, ["408 | client_timeout", "200 | H1::Complete"]);
});

test("5.6 front, no backend yet: 503", async () => {
  const hole = await blackHole();
  const said = await notes(async () => {
    const peer = await client(rig.listen([hole.port], { frontTimeout: 0.3, connectTimeout: 60 }));
    peer.send(GET);
    await peer.has("</html>");
  });
  hole.close();
  assert.deepEqual(said, ["503 | H1::Complete"]);
});

test("5.6 front, no response byte: 504 client_timeout_during_response", async () => {
  const said = await notes(async () => {
    const peer = await client(rig.listen([backend.port], { frontTimeout: 0.3 }));
    peer.send(GET);
    assert.match(await peer.has("</html>"), /^HTTP\/1.1 504 /);
  });
  assert.deepEqual(said, ["504 | client_timeout_during_response"]);
});

test("5.6 front, response started: closed, client_timeout_during_response", async () => {
  const said = await notes(async () => {
    const peer = await client(rig.listen([backend.port], { frontTimeout: 0.3 }));
    peer.send(GET);
    const back = await backend.connection();
    await back.has("\r\n\r\n");
    back.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
    assert.match(await peer.end(), /some$/);
    await back.end();
  });
  assert.deepEqual(said, ["200 | client_timeout_during_response"]);
});

test("5.6 back, connecting: three attempts, then 503", async () => {
  const hole = await blackHole();
  const said = await notes(async () => {
    const peer = await client(rig.listen([hole.port], { connectTimeout: 0.2 }));
    peer.send(GET);
    assert.match(await peer.has("</html>"), /^HTTP\/1.1 503 /);
  });
  hole.close();
  assert.deepEqual(said, ["503 | H1::Complete"]);
});

test("5.6 back, no response byte: 504 backend_timeout; response in flight: closed, backend_response_timeout", async () => {
  const said = await notes(async () => {
    const port = rig.listen([backend.port], { backTimeout: 0.3 });
    const first = await client(port);
    first.send(GET);
    await first.has("</html>");
    await backend.connection();
    const second = await client(port);
    second.send(GET);
    const back = await backend.connection();
    await back.has("\r\n\r\n");
    back.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
    assert.match(await second.end(), /some$/);
  });
  assert.deepEqual(said, ["504 | backend_timeout", "200 | backend_response_timeout"]);
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
