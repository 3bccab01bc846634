// Bodies of every size both ways, byte-exact, with slow readers: back-pressure keeps the worker's memory bounded.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { connect } from "node:net";
import { before, test } from "node:test";
import { type Peer, rawBackend } from "./lib/backend.ts";
import { residentBytes } from "./lib/processes.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { fileScope, sleep, until } from "./lib/scope.ts";

const scope = fileScope();
const MEGABYTE = 1024 * 1024;
const BLOCK = Buffer.from(Array.from({ length: 65_536 }, (_, i) => (i * 31 + (i >> 8)) & 255));
/** What the buffers and the heap of a worker may grow by while a big body flows. */
const GROWTH_MAX = 40 * MEGABYTE;

/** Bodies of the size that the target names, e.g. `/length/1000` or `/chunked/1000`; uploads are hashed. */
let proxy: RunningProxy;
let upload: { bytes: number; hash: string } | null = null;
let pauseReading = false;
let paused: Peer | null = null;

before(async () => {
  const backend = await rawBackend(
    scope,
    (head, peer) => {
      const [, kind, size] = head.target.split("/");
      if (kind === "upload") receive(peer, Number(size), head.headers.get("transfer-encoding") === "chunked");
      else void download(peer, Number(size), kind as string);
    },
    { onHead: true },
  );
  proxy = await startProxy(scope, { clusters: { app: { backends: [backend.port] } } });
});

function* blocks(size: number): Generator<Buffer> {
  for (let left = size; left > 0; left -= BLOCK.length) yield left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left);
}

function hashOf(size: number): string {
  const hash = createHash("sha256");
  for (const block of blocks(size)) hash.update(block);
  return hash.digest("hex");
}

async function download(peer: Peer, size: number, kind: string): Promise<void> {
  const framing = { length: `Content-Length: ${size}\r\n`, chunked: "Transfer-Encoding: chunked\r\n", close: "" }[kind];
  peer.send(`HTTP/1.1 200 OK\r\n${framing}\r\n`);
  for (const block of blocks(size)) {
    if (kind === "chunked") peer.send(`${block.length.toString(16)}\r\n`);
    const room = peer.socket.write(block);
    if (kind === "chunked") peer.send("\r\n");
    if (!room) await new Promise((resolve) => peer.socket.once("drain", resolve));
  }
  if (kind === "chunked") peer.send("0\r\n\r\n");
  if (kind === "close") peer.end();
}

/** Hashes the decoded body; with `pauseReading` it waits before it reads on. */
function receive(peer: Peer, size: number, isChunked: boolean): void {
  const hash = createHash("sha256");
  let bytes = 0;
  let chunkLeft = -1;
  let line = "";
  const done = (): void => {
    upload = { bytes, hash: hash.digest("hex") };
    // This connection has lost its parser: it serves no other request.
    peer.end("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  };
  const take = (data: Buffer): void => {
    hash.update(data);
    bytes += data.length;
  };
  const onData = (data: Buffer): void => {
    if (!isChunked) {
      take(data);
      if (bytes === size) done();
      return;
    }
    for (let at = 0; at < data.length; ) {
      if (chunkLeft > 0) {
        const end = Math.min(data.length, at + chunkLeft);
        take(data.subarray(at, end));
        chunkLeft -= end - at;
        at = end;
        continue;
      }
      line += String.fromCharCode(data[at++] as number);
      if (!line.endsWith("\r\n") || line === "\r\n") {
        if (line === "\r\n" && chunkLeft === 0) line = "";
        continue;
      }
      chunkLeft = Number.parseInt(line, 16);
      line = "";
      if (chunkLeft !== 0) continue;
      done();
      return;
    }
  };
  peer.socket.removeAllListeners("data");
  const pending = peer.pending;
  peer.pending = Buffer.alloc(0);
  if (pending.length > 0) onData(pending);
  else if (size === 0 && !isChunked) done();
  peer.socket.on("data", onData);
  if (!pauseReading) return;
  peer.socket.pause();
  paused = peer;
}

/** Reads a whole answer as fast (or slowly) as told and resolves with its body's size and hash. */
function fetchHash(target: string, slow = false): Promise<{ bytes: number; hash: string; complete: boolean }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: proxy.port, host: "127.0.0.1" });
    const hash = createHash("sha256");
    const parser = new BodyReader((data) => hash.update(data));
    socket.on("error", reject);
    socket.on("data", (data: Buffer) => {
      parser.push(data);
      if (parser.done) socket.end();
      if (slow && parser.bytes < 2 * MEGABYTE) {
        socket.pause();
        setTimeout(() => socket.resume(), 5);
      }
    });
    socket.on("close", () =>
      resolve({ bytes: parser.bytes, hash: hash.digest("hex"), complete: parser.done || parser.untilClose }),
    );
    socket.write(`GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  });
}

/** Decodes one answer that may be far larger than memory should be. */
class BodyReader {
  bytes = 0;
  done = false;
  untilClose = false;
  #head: Buffer | null = Buffer.alloc(0);
  #left = -1;
  #chunked = false;
  #line = "";
  readonly #take: (data: Buffer) => void;

  constructor(take: (data: Buffer) => void) {
    this.#take = take;
  }

  push(data: Buffer): void {
    if (this.#head !== null) {
      this.#head = Buffer.concat([this.#head, data]);
      const end = this.#head.indexOf("\r\n\r\n");
      if (end < 0) return;
      const text = this.#head.toString("latin1", 0, end).toLowerCase();
      const length = /content-length: (\d+)/.exec(text);
      this.#chunked = text.includes("transfer-encoding: chunked");
      this.#left = length === null ? (this.#chunked ? 0 : Number.POSITIVE_INFINITY) : Number(length[1]);
      this.untilClose = this.#left === Number.POSITIVE_INFINITY;
      this.done = !this.#chunked && this.#left === 0;
      data = this.#head.subarray(end + 4);
      this.#head = null;
    }
    for (let at = 0; at < data.length && !this.done; ) {
      if (this.#left > 0) {
        const end = Math.min(data.length, at + this.#left);
        this.#take(data.subarray(at, end));
        this.bytes += end - at;
        this.#left -= end - at;
        at = end;
        this.done = !this.#chunked && this.#left === 0;
        continue;
      }
      this.#line += String.fromCharCode(data[at++] as number);
      if (!this.#line.endsWith("\r\n") || this.#line === "\r\n") {
        if (this.#line === "\r\n") this.#line = "";
        continue;
      }
      this.#left = Number.parseInt(this.#line, 16);
      this.#line = "";
      this.done = this.#left === 0;
    }
  }
}

for (const size of [0, 1, 95, 16_383, 16_384, 16_393, 16_394, 65_536, 1_000_000, 20 * MEGABYTE]) {
  for (const kind of ["length", "chunked", "close"]) {
    test(`an answer of ${size} bytes, ${kind}, arrives exact`, async () => {
      const got = await fetchHash(`/${kind}/${size}`);
      assert.equal(got.bytes, size);
      assert.equal(got.hash, hashOf(size));
      assert.ok(got.complete);
    });
  }
}

for (const size of [0, 1, 16_393, 1_000_000, 20 * MEGABYTE]) {
  for (const kind of ["length", "chunked"]) {
    test(`an upload of ${size} bytes, ${kind}, arrives exact`, () => uploadExact(size, kind === "chunked"));
  }
}

async function uploadExact(size: number, isChunked: boolean): Promise<void> {
  upload = null;
  const socket = connect({ port: proxy.port, host: "127.0.0.1" });
  const framing = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${size}`;
  socket.write(`POST /upload/${size} HTTP/1.1\r\nHost: localhost\r\n${framing}\r\n\r\n`);
  let answer = "";
  socket.on("data", (data: Buffer) => {
    answer += data.toString("latin1");
  });
  socket.on("error", () => undefined);
  for (const block of blocks(size)) {
    if (isChunked) socket.write(`${block.length.toString(16)}\r\n`);
    const room = socket.write(block);
    if (isChunked) socket.write("\r\n");
    if (!room) await new Promise((resolve) => socket.once("drain", resolve));
  }
  if (isChunked) socket.write("0\r\n\r\n");
  await until("the answer", () => answer.startsWith("HTTP/1.1 200"), 30_000);
  assert.deepEqual(upload, { bytes: size, hash: hashOf(size) });
  socket.destroy();
}

test("100 MB down to a slow reader: exact, and the worker's memory stays flat", async () => {
  const worker = proxy.workerPids[0] as number;
  const size = 100 * MEGABYTE;
  const before = residentBytes(worker);
  let highest = before;
  const watch = setInterval(() => {
    highest = Math.max(highest, residentBytes(worker));
  }, 20);
  const got = await fetchHash(`/length/${size}`, true);
  clearInterval(watch);
  assert.equal(got.bytes, size);
  assert.equal(got.hash, hashOf(size));
  assert.ok(highest - before < GROWTH_MAX, `grew by ${((highest - before) / MEGABYTE).toFixed(1)} MB`);
});

test("RX-21 100 MB up to a stalled backend: the client is paused, then everything arrives", async () => {
  const worker = proxy.workerPids[0] as number;
  const size = 100 * MEGABYTE;
  const before = residentBytes(worker);
  pauseReading = true;
  upload = null;
  const socket = connect({ port: proxy.port, host: "127.0.0.1" });
  let answer = "";
  socket.on("data", (data: Buffer) => {
    answer += data.toString("latin1");
  });
  socket.write(`POST /upload/${size} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${size}\r\n\r\n`);
  let sent = 0;
  const writing = (async () => {
    for (const block of blocks(size)) {
      sent += block.length;
      if (!socket.write(block)) await new Promise((resolve) => socket.once("drain", resolve));
    }
  })();
  await until("the client is paused", async () => {
    const then = sent;
    await sleep(300);
    return then > 0 && sent === then;
  });
  assert.ok(sent < 30 * MEGABYTE, `${sent} bytes were taken in`);
  assert.ok(residentBytes(worker) - before < GROWTH_MAX);
  pauseReading = false;
  (paused as Peer | null)?.socket.resume();
  await writing;
  await until("the answer", () => answer.startsWith("HTTP/1.1 200"), 30_000);
  assert.deepEqual(upload, { bytes: size, hash: hashOf(size) });
  socket.destroy();
});
