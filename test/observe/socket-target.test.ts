// Logs into real sockets: what arrives, and what a receiver that is slow, gone or back again costs.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { BatchSink } from "../../src/observe/sink.ts";
import { SocketTarget } from "../../src/observe/socket-target.ts";
import { EAGAIN } from "../../src/os/errno.ts";
import { recvFds } from "../../src/os/fdpass.ts";
import { connectIp, socketpair } from "../../src/os/listeners.ts";
import { close, SO_SNDBUF, SOL_SOCKET, setsockopt, TCP4, UDP4, UNIX_DGRAM } from "../../src/os/sockets.ts";

/** A target whose owner answers when the test says so; its clock is the test's. */
function makeTarget(kind: "udp" | "tcp" | "unix", lines = true) {
  const asked: number[] = [];
  const clock = { ms: 0 };
  const target = new SocketTarget(`${kind}://x`, kind, {
    ask: () => asked.push(clock.ms),
    nowMs: () => clock.ms,
    lines,
  });
  const sink = new BatchSink(target, 8192);
  return { target, sink, asked, clock };
}

function put(sink: BatchSink, line: string): void {
  const bytes = new TextEncoder().encode(line);
  sink.append(bytes, 0, bytes.length);
}

/** Everything that waits in a descriptor, one text a datagram. */
function drain(fd: number, encoding: BufferEncoding = "utf8"): string[] {
  const texts: string[] = [];
  for (;;) {
    const received = recvFds(fd, 65_536, 0);
    if (received === -EAGAIN) return texts;
    assert.ok(typeof received !== "number", String(received));
    texts.push(Buffer.from(received.data).toString(encoding));
  }
}

test("without a descriptor lines wait; asked for with pauses that grow to 30 s", () => {
  const { target, sink, asked, clock } = makeTarget("unix");
  sink.tick();
  assert.deepEqual(asked, []);
  put(sink, "a\n");
  for (clock.ms = 0; clock.ms < 120_000; clock.ms += 100) sink.tick();
  assert.deepEqual(asked, [0, 1000, 3000, 7000, 15_000, 31_000, 61_000, 91_000]);
  const [mine, theirs] = socketpair(UNIX_DGRAM);
  target.adopt(mine);
  put(sink, "b\n");
  sink.tick();
  sink.tick();
  assert.deepEqual(drain(theirs), ["a\n", "b\n"]);
  assert.equal(sink.dropped + sink.unsent, 0);
  sink.close();
  close(theirs);
});

test("udp: one datagram a line; nobody listening is an error that passes", async () => {
  const server = createSocket("udp4");
  server.bind(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  const { target, sink } = makeTarget("udp");
  target.adopt(connectIp(UDP4, { ip: "127.0.0.1", port }));
  const lines = Array.from({ length: 200 }, (_, i) => `line ${i} ${"x".repeat(i % 7)}\n`);
  const got: string[] = [];
  const all = new Promise<void>((resolve) => {
    server.on("message", (message) => {
      got.push(message.toString());
      if (got.length === lines.length) resolve();
    });
  });
  for (const line of lines) put(sink, line);
  sink.tick();
  sink.tick();
  await all;
  assert.deepEqual(got, lines);
  server.close();
  await once(server, "close");
  // The first goes into the void, the kernel tells with the second, the third is sent again.
  for (let i = 0; i < 3; i++) {
    put(sink, "lost\n");
    sink.tick();
  }
  assert.equal(sink.unsent, 1);
  assert.equal(sink.pending, false);
  sink.close();
});

test("unix: a receiver that does not read costs lines, not time; one that is gone is asked for anew", () => {
  const { target, sink, asked, clock } = makeTarget("unix");
  const [mine, theirs] = socketpair(UNIX_DGRAM);
  setsockopt(mine, SOL_SOCKET, SO_SNDBUF, 4096);
  target.adopt(mine);
  const line = `${"x".repeat(99)}\n`;
  for (let i = 0; i < 500; i++) put(sink, line);
  sink.tick();
  assert.ok(sink.dropped > 300, `${sink.dropped}`);
  assert.equal(sink.unsent, 0);
  const { dropped } = sink;
  let got = 0;
  while (sink.pending) {
    got += drain(theirs).length;
    sink.tick();
  }
  got += drain(theirs).length;
  assert.equal(got + dropped, 500);
  close(theirs);
  put(sink, "kept\n");
  sink.tick();
  assert.equal(sink.pending, true);
  assert.equal(asked.length, 1);
  const [again, reader] = socketpair(UNIX_DGRAM);
  clock.ms += 1;
  target.adopt(again);
  sink.tick();
  assert.deepEqual(drain(reader), ["kept\n"]);
  assert.equal(sink.unsent, 0);
  sink.close();
  close(reader);
});

test("records of protobuf are a datagram each, whatever bytes they hold", () => {
  const { target, sink } = makeTarget("unix", false);
  const [mine, theirs] = socketpair(UNIX_DGRAM);
  target.adopt(mine);
  const records = [0, 1, 127, 128, 3000].map((length) => {
    const size = length < 128 ? [length] : [(length & 0x7f) | 0x80, length >> 7];
    return Buffer.from([...size, ...Array.from({ length }, (_, i) => (i % 3 === 0 ? 10 : 0)), 0, 0]).toString("latin1");
  });
  for (const record of records) sink.append(Buffer.from(record, "latin1"), 0, record.length);
  // The last one says that it is longer than it is.
  sink.append(Uint8Array.of(0xff, 0xff, 0xff, 0x7f, 1), 0, 5);
  sink.tick();
  assert.deepEqual(drain(theirs, "latin1"), [...records, "\xff\xff\xff\x7f\x01"]);
  sink.close();
  close(theirs);
});

/** A log server that keeps what it gets, as long as it reads. */
async function logServer() {
  const peers: Socket[] = [];
  const texts: string[] = [];
  const server = createServer((peer) => {
    const at = peers.push(peer) - 1;
    texts.push("");
    peer.on("data", (data) => {
      texts[at] += data.toString();
    });
    peer.on("error", () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { server, peers, texts, address: { ip: "127.0.0.1", port } };
}

async function turns(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 1));
}

test("tcp: written as soon as it is connected; a server that closes costs nothing that was not sent", async () => {
  const { server, peers, texts, address } = await logServer();
  const { target, sink, asked } = makeTarget("tcp");
  // Still being connected: the first write may come too early.
  target.adopt(connectIp(TCP4, address));
  put(sink, "one\n");
  await turns(() => {
    sink.tick();
    return texts[0] === "one\n";
  });
  assert.deepEqual(asked, []);
  peers[0]?.end();
  await turns(() => peers[0]?.writableFinished === true);
  await turns(() => {
    if (asked.length === 0) put(sink, "two\n");
    sink.tick();
    return asked.length === 1;
  });
  target.adopt(connectIp(TCP4, address));
  await turns(() => {
    sink.tick();
    return texts[1]?.endsWith("two\n") === true;
  });
  assert.equal(sink.unsent, 0);
  sink.close();
  for (const peer of peers) peer.destroy();
  server.close();
});

test("tcp: a connection that ends within a line does not begin the next one with its rest", async () => {
  const { server, peers, texts, address } = await logServer();
  const { target, sink, asked } = makeTarget("tcp");
  const first = connectIp(TCP4, address);
  setsockopt(first, SOL_SOCKET, SO_SNDBUF, 4096);
  target.adopt(first);
  await turns(() => peers.length === 1);
  peers[0]?.pause();
  const line = `${"y".repeat(999)}\n`;
  let lines = 0;
  const fill = (): void => {
    put(sink, line);
    lines += 1;
    sink.tick();
  };
  while (sink.dropped < 100) fill();
  peers[0]?.resetAndDestroy();
  await turns(() => {
    fill();
    return asked.length === 1;
  });
  target.adopt(connectIp(TCP4, address));
  await turns(() => {
    sink.tick();
    return (texts[1]?.length ?? 0) > 0 && !sink.pending;
  });
  assert.match(texts[1] as string, /^(y{999}\n)+$/);
  assert.ok(sink.unsent < lines);
  sink.close();
  for (const peer of peers) peer.destroy();
  server.close();
});

test("tcp: a server that refuses is asked for again", async () => {
  const { server, address } = await logServer();
  server.close();
  await once(server, "close");
  const { target, sink, asked, clock } = makeTarget("tcp");
  put(sink, "a\n");
  sink.tick();
  assert.deepEqual(asked, [0]);
  target.adopt(connectIp(TCP4, address));
  await turns(() => {
    clock.ms += 1;
    sink.tick();
    return asked.length === 2;
  });
  assert.deepEqual(asked.slice(1), [1000]);
  assert.equal(sink.unsent, 0);
  sink.close();
});
