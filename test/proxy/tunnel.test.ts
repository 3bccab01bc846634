// Upgrade and tunnels: which requests are offered to the backend, which answers are followed, and what a tunnel keeps,
// passes on and gives back (spec 5.4, 10.5; hardening WS-01 to WS-10, H1-52, BE-09, UP-18, UP-19).

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { after, afterEach, beforeEach, test } from "node:test";
import {
  METRIC_CLIENT_CONNECTIONS,
  METRIC_PROTOCOL_HTTP,
  METRIC_PROTOCOL_WS,
  METRIC_WEBSOCKET_ACTIVE_REQUESTS,
} from "../../src/observe/metrics.ts";
import { MemoryTarget } from "../observe/memory-target.ts";
import { type ListenerOptions, Rig } from "./rig.ts";
import { connect, type Peer, RawBackend } from "./wire-peers.ts";

const log = new MemoryTarget();
const rig = new Rig({}, log);
after(() => rig.stop());

let backend: RawBackend;
let clients: Peer[] = [];

const OFFER =
  "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
const SWITCH =
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: y\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

beforeEach(async () => {
  backend = await RawBackend.start();
});

afterEach(async () => {
  for (const peer of clients) peer.socket.destroy();
  clients = [];
  backend.close();
  await settled();
  assert.equal(rig.stats.values[METRIC_WEBSOCKET_ACTIVE_REQUESTS], 0);
  assert.equal(rig.stats.values[METRIC_PROTOCOL_WS], 0);
  assert.equal(rig.stats.values[METRIC_PROTOCOL_HTTP], 0);
  assert.equal(rig.stats.values[METRIC_CLIENT_CONNECTIONS], 0);
  assert.equal(rig.proxy.http.exchanges.active, 0);
  assert.equal(rig.proxy.http.exchanges.tunnels, 0);
  assert.equal(rig.proxy.context.buffers.inUse, 0);
  assert.equal(rig.proxy.context.slots.inUse, 0);
});

/** Until the proxy has noticed that everybody is gone. */
async function settled(): Promise<void> {
  for (let i = 0; i < 500 && rig.proxy.sessions > 0; i++) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function client(port: number): Promise<Peer> {
  const peer = await connect(port);
  clients.push(peer);
  return peer;
}

/** A tunnel: both ends, with nothing received yet. */
async function tunnel(options: ListenerOptions = {}): Promise<{ front: Peer; back: Peer }> {
  const front = await client(rig.listen([backend.port], options));
  front.send(OFFER);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send(SWITCH);
  await front.has("\r\n\r\n");
  front.clear();
  back.clear();
  return { front, back };
}

function lines(): string[] {
  rig.sink.flush();
  return log.writes
    .join("")
    .split("\n")
    .filter((line: string) => line.includes("-ACCESS"));
}

test("WS-01 an upgrade is offered in one canonical form, and the 101 comes back in one", async () => {
  const front = await client(rig.listen([backend.port]));
  front.send(OFFER);
  const back = await backend.connection();
  const request = await back.has("\r\n\r\n");
  assert.equal(request.match(/^Connection:.*$/gim)?.join(), "Connection: Upgrade");
  assert.equal(request.match(/^Upgrade:.*$/gim)?.join(), "Upgrade: websocket");
  assert.match(request, /^Sec-WebSocket-Key: k\r$/m);
  back.send(SWITCH);
  const answer = await front.has("\r\n\r\n");
  assert.match(
    answer,
    /^HTTP\/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: y\r\nSozu-Id: \w{26}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n$/,
  );
  assert.equal(rig.stats.values[METRIC_WEBSOCKET_ACTIVE_REQUESTS], 1);
  assert.equal(rig.stats.values[METRIC_PROTOCOL_WS], 1);
  assert.equal(rig.stats.values[METRIC_PROTOCOL_HTTP], 0);
});

for (const size of [1, 1000, 65_536, 16 * 1024 * 1024]) {
  test(`WS-01 ${size} bytes each way are the same bytes`, async () => {
    const { front, back } = await tunnel();
    const sent = Buffer.alloc(size);
    for (let i = 0; i < size; i++) sent[i] = (i * 31 + (i >> 9)) & 255;
    const wanted = createHash("sha256").update(sent).digest("hex");
    for (const [from, to] of [
      [front, back],
      [back, front],
    ] as const) {
      const hash = createHash("sha256");
      let received = 0;
      to.socket.removeAllListeners("data");
      const done = new Promise<void>((resolve) => {
        to.socket.on("data", (data: Buffer) => {
          received += data.length;
          hash.update(data);
          if (received >= size) resolve();
        });
      });
      from.send(sent);
      await done;
      assert.equal(received, size);
      assert.equal(hash.digest("hex"), wanted);
    }
  });
}

test("WS-02 a frame sent with the request is delivered behind the 101, and one behind the 101 to the client", async () => {
  const front = await client(rig.listen([backend.port]));
  front.send(`${OFFER}first frame`);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  assert.ok(!back.text.includes("first"));
  back.clear();
  back.send(`${SWITCH}hello`);
  assert.equal(await back.has("first frame"), "first frame");
  assert.match(await front.has("hello"), /\r\n\r\nhello$/);
});

for (const [name, answer] of [
  ["200", OK],
  ["404", OK.replace("200 OK", "404 Not Found")],
  ["503", OK.replace("200 OK", "503 Busy")],
]) {
  test(`WS-03 H1-52 an upgrade answered with ${name} stays HTTP, and what follows is parsed as HTTP`, async () => {
    const front = await client(rig.listen([backend.port]));
    front.send(OFFER + GET);
    const back = await backend.connection();
    await back.has("\r\n\r\n");
    assert.ok(!back.text.includes("GET / "));
    back.clear();
    back.send(answer as string);
    await back.has("GET / HTTP/1.1\r\n");
    back.send(OK.replace("hi", "yo"));
    assert.match(await front.has("yo"), new RegExp(`^HTTP/1.1 ${name} [\\s\\S]*hiHTTP/1.1 200 OK`));
    assert.ok(!/upgrade/i.test(front.text));
  });
}

for (const [name, answer] of [
  ["another protocol", SWITCH.replace("websocket", "foo")],
  ["no protocol", SWITCH.replace("Upgrade: websocket\r\n", "")],
  ["two protocols", SWITCH.replace("websocket", "websocket, foo")],
  ["no Connection", SWITCH.replace("Connection: Upgrade\r\n", "")],
]) {
  test(`WS-04 a 101 with ${name} is a 502`, async () => {
    const front = await client(rig.listen([backend.port]));
    front.send(OFFER);
    const back = await backend.connection();
    await back.has("\r\n\r\n");
    back.send(answer as string);
    assert.match(await front.has("</html>"), /^HTTP\/1.1 502 /);
    await back.end();
  });
}

for (const [name, request] of [
  ["nobody asked for", GET],
  ["HTTP/1.0 asked for", OFFER.replace("1.1", "1.0")],
  [
    "a POST asked for",
    `POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx`,
  ],
  ["asked for without Connection", OFFER.replace("keep-alive, Upgrade", "keep-alive")],
  ["asked for twice", OFFER.replace("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: foo")],
  ["asked for as no token", OFFER.replace("Upgrade: websocket", "Upgrade: web socket")],
  ["to h2c", OFFER.replace("Upgrade: websocket", "Upgrade: websocket, h2c")],
]) {
  test(`BE-09 WS-05 a 101 that ${name} is a 502, and the offer is not passed on`, async () => {
    const front = await client(rig.listen([backend.port]));
    front.send(request as string);
    const back = await backend.connection();
    assert.ok(!/^upgrade:/im.test(await back.has("\r\n\r\n")));
    back.send(SWITCH);
    assert.match(await front.has("</html>"), /^HTTP\/1.1 502 /);
  });
}

test("WS-06 what Connection names is dropped, Upgrade is kept", async () => {
  const front = await client(rig.listen([backend.port]));
  front.send(OFFER.replace("keep-alive, Upgrade", "X-Hop, Upgrade\r\nX-Hop: 1\r\nTE: trailers"));
  const back = await backend.connection();
  const request = await back.has("\r\n\r\n");
  assert.ok(!/x-hop|^te:/im.test(request));
  assert.match(request, /^Connection: Upgrade\r\nUpgrade: websocket\r$/m);
});

test("WS-07 frames that no WebSocket allows pass as they are", async () => {
  const { front, back } = await tunnel();
  const frames = Buffer.from([0xf1, 0xff, 0x00, 0x89, 0x7e, 0xff, 0xff, 0xc3, 0x28, 0x0d, 0x0a, 0x0d, 0x0a]);
  front.send(frames);
  await back.until(() => back.bytes.length >= frames.length, "the frames");
  assert.deepEqual(back.bytes, frames);
});

test("WS-08 UP-19 a client that has sent everything still gets the rest of the answer", async () => {
  const { front, back } = await tunnel();
  front.send("last words");
  front.socket.end();
  assert.equal(await back.end(), "last words");
  back.send("and mine");
  back.socket.end();
  assert.equal(await front.end(), "and mine");
});

test("WS-08 UP-19 a backend that has sent everything still gets the rest", async () => {
  const { front, back } = await tunnel();
  const much = Buffer.alloc(3_000_000, 0x61);
  back.socket.end(much);
  await front.until(() => front.bytes.length === much.length, "all of it");
  front.send("thanks");
  front.socket.end();
  assert.equal(await back.end(), "thanks");
  await front.end();
});

test("WS-08 UP-18 a reset of the client is a reset for the backend", async () => {
  const { front, back } = await tunnel();
  const failed = once(back.socket, "error");
  front.socket.resetAndDestroy();
  const [error] = (await failed) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ECONNRESET");
});

test("WS-08 UP-18 a reset of the backend is a reset for the client", async () => {
  const { front, back } = await tunnel();
  const failed = once(front.socket, "error");
  back.socket.resetAndDestroy();
  const [error] = (await failed) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ECONNRESET");
});

test("UP-18 what came before a backend's reset is delivered to a client that is still taking it", async () => {
  const { front, back } = await tunnel();
  front.socket.removeAllListeners("data");
  let received = 0;
  let failed = false;
  front.socket.on("data", (data: Buffer) => {
    received += data.length;
  });
  front.socket.on("error", () => {
    failed = true;
  });
  front.socket.pause();
  back.send(Buffer.alloc(30_000_000, 0x64));
  for (let i = 0; i < 400 && rig.proxy.context.buffers.inUse === 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  back.socket.resetAndDestroy();
  front.socket.resume();
  await front.end();
  assert.ok(received > 1_000_000, `${received} bytes`);
  assert.equal(failed, false);
});

test("a client that talks to a backend that has left for good is told so", async () => {
  const { front, back } = await tunnel();
  back.socket.resume();
  back.send("last words");
  await front.has("last words");
  back.socket.destroy();
  const talk = setInterval(() => front.socket.writable && front.send("are you there?"), 5);
  await settled().finally(() => clearInterval(talk));
  assert.equal(rig.proxy.sessions, 0);
});

test("a reset behind a half-close is noticed", async () => {
  const { front, back } = await tunnel();
  front.socket.end();
  await back.end();
  front.socket.resetAndDestroy();
  await settled();
  assert.equal(rig.proxy.sessions, 0);
});

test("WS-09 an idle tunnel ends at the shorter timeout; traffic in either direction keeps it", async () => {
  const { front, back } = await tunnel({ frontTimeout: 0.6, backTimeout: 5 });
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    (i % 2 === 0 ? front : back).send(".");
  }
  await back.has("...");
  await front.has("..");
  await Promise.all([front.end(), back.end()]);
});

test("WS-09 a tunnel without timeouts stays", async () => {
  const { front, back } = await tunnel({ frontTimeout: 0, backTimeout: 0, requestTimeout: 0.2 });
  await new Promise((resolve) => setTimeout(resolve, 800));
  front.send("still here");
  await back.has("still here");
});

for (const side of ["client", "backend"]) {
  test(`WS-10 a ${side} that does not read holds two buffers, stops its peer, and ends at the timeout`, async () => {
    const { front, back } = await tunnel({ frontTimeout: 0.8 });
    const [reader, writer] = side === "client" ? [front, back] : [back, front];
    reader.socket.pause();
    const piece = Buffer.alloc(1_000_000, 0x62);
    let written = 0;
    let most = 0;
    const gone = new Promise<void>((resolve) => writer.socket.on("close", () => resolve()));
    const watch = setInterval(() => {
      most = Math.max(most, rig.proxy.context.buffers.inUse);
      while (!writer.socket.destroyed && written < 1e9 && writer.socket.write(piece)) written += piece.length;
    }, 5);
    await gone;
    clearInterval(watch);
    assert.ok(most <= 2, `${most} buffers`);
    assert.ok(written < 100_000_000, `${written} bytes taken`);
  });
}

test("WS-10 a reader that is slow but moves keeps its tunnel", async () => {
  const { front, back } = await tunnel({ frontTimeout: 0.5, backTimeout: 0.5 });
  front.socket.pause();
  const size = 8_000_000;
  back.send(Buffer.alloc(size, 0x63));
  const timer = setInterval(() => {
    front.socket.resume();
    setTimeout(() => front.socket.pause(), 5);
  }, 100);
  await front.until(() => front.bytes.length >= size, "all of it").finally(() => clearInterval(timer));
});

test("a tunnel writes a line at its 101 and one at its end", async () => {
  const before = lines().length;
  const { front, back } = await tunnel();
  front.send("12345");
  await back.has("12345");
  back.send("123");
  await front.has("123");
  front.socket.end();
  await back.end();
  back.socket.end();
  await front.end();
  await settled();
  const [first, second] = lines().slice(before) as [string, string];
  assert.match(first, / http a GET \/chat 101 \| H1::Upgrade$/);
  assert.match(second, / 5 3 \[\] None WS a GET \/chat 101$/);
  const id = /\[\w+ (\w+) /;
  assert.equal(id.exec(first)?.[1], id.exec(second)?.[1]);
});

test("a tunnel that broke is an error line", async () => {
  const before = lines().length;
  const { front } = await tunnel();
  front.socket.resetAndDestroy();
  await settled();
  assert.match(lines()[before + 1] as string, /ERROR-ACCESS .* WS a GET \/chat 101 \| front socket read error$/);
});

test("a connection that was a tunnel is not used again, and counts as load while it lasts", async () => {
  const port = rig.listen([backend.port]);
  const front = await client(port);
  front.send(OFFER);
  const first = await backend.connection();
  await first.has("\r\n\r\n");
  first.send(SWITCH);
  await front.has("\r\n\r\n");
  const cluster = rig.proxy.clusters.get(`app-${port}`);
  assert.equal(cluster?.backends[0]?.activeRequests, 1);
  front.socket.end();
  first.socket.end();
  await settled();
  assert.equal(cluster?.backends[0]?.activeRequests, 0);
  const other = await client(port);
  other.send(GET);
  const second = await backend.connection();
  await second.has("\r\n\r\n");
  second.send(OK);
  await other.has("hi");
});
