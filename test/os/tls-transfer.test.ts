// Large transfers through small socket buffers: partial writes, records cut anywhere, bytes read ahead.

import assert from "node:assert/strict";
import { createHash, randomFillSync } from "node:crypto";
import { test } from "node:test";
import { EAGAIN, EINVAL } from "../../src/os/errno.ts";
import * as s from "../../src/os/sockets.ts";
import * as tls from "../../src/os/tls.ts";
import { arena } from "./descriptors.ts";
import { identity, Pair, takeRaw, writeText } from "./tls-peers.ts";

const TOTAL = 3_000_000;

function shrink(pair: Pair): void {
  for (const fd of [pair.serverFd, pair.clientFd]) {
    s.setsockopt(fd, s.SOL_SOCKET, s.SO_SNDBUF, 4096);
    s.setsockopt(fd, s.SOL_SOCKET, s.SO_RCVBUF, 4096);
  }
}

/** Sends TOTAL bytes as spans of these lengths, read in pieces of `readSize`. Digests of both sides, and partial writes. */
function transfer(pair: Pair, lengths: readonly number[], readSize: number): { same: boolean; partial: number } {
  const sentHash = createHash("sha256");
  const gotHash = createHash("sha256");
  let sent = 0;
  let got = 0;
  let partial = 0;
  let from = 0;
  let left = 0;
  const most = lengths.reduce((sum, length) => sum + length, 0);
  while (got < TOTAL) {
    if (left === 0 && sent < TOTAL) {
      left = Math.min(most, TOTAL - sent);
      from = 0;
      randomFillSync(arena, 0, left);
      sentHash.update(arena.subarray(0, left));
    }
    if (left > 0) {
      const count = listSpans(lengths, from, left);
      const n = tls.tlsWritev(pair.server, count);
      assert.ok(n > 0 || n === -EAGAIN, `writev: ${n}`);
      if (n < left) partial++;
      if (n > 0) {
        from += n;
        left -= n;
        sent += n;
      }
    }
    const n = tls.tlsRead(pair.client, 45_000, readSize);
    assert.ok(n > 0 || n === -EAGAIN, `read: ${n}`);
    if (n > 0) {
      gotHash.update(arena.subarray(45_000, 45_000 + n));
      got += n;
    }
  }
  return { same: sentHash.digest("hex") === gotHash.digest("hex"), partial };
}

function listSpans(lengths: readonly number[], from: number, left: number): number {
  let at = from;
  let count = 0;
  for (const length of lengths) {
    const part = Math.min(length, from + left - at);
    if (part < 0) break;
    s.iov[2 * count] = at;
    s.iov[2 * count + 1] = part;
    at += part;
    count++;
  }
  return count;
}

for (const [name, lengths, readSize] of [
  ["small spans", [1, 100, 0, 3], 16_384],
  ["a head and a body", [300, 40_000], 16_384],
  ["one large span", [45_000], 100],
  ["spans of a record", [16_384, 16_384], 16_385],
  ["single bytes", [0, 1], 5000],
] as const) {
  for (const maxVersion of [tls.TLS12, tls.TLS13]) {
    test(`nothing is lost or doubled in ${name} over ${tls.tlsVersionName(maxVersion)}`, () => {
      const pair = new Pair({ server: { maxVersion } }).open();
      shrink(pair);
      const total = name === "single bytes" ? 3000 : 0;
      if (total > 0) {
        for (let i = 0; i < total; i++) {
          s.iov.set([5, 0, 5, 1]);
          while (tls.tlsWritev(pair.server, 2) !== 1) tls.tlsRead(pair.client, 0, readSize);
        }
      } else {
        const { same, partial } = transfer(pair, lengths, readSize);
        assert.ok(same);
        assert.ok(partial > 0 || name === "small spans", "the buffers were meant to be too small");
      }
      assert.equal(tls.tlsPending(pair.server), 0);
      pair.free();
    });
  }
}

test("a full kernel keeps the last byte with the caller, and the ciphertext bounded", () => {
  const pair = new Pair().open();
  shrink(pair);
  const n = tls.tlsWrite(pair.server, 0, 45_000);
  assert.equal(n, 44_999);
  const pending = tls.tlsPending(pair.server);
  assert.ok(pending > 0 && pending < 100_000, `pending ${pending}`);
  for (let i = 0; i < 100; i++) assert.equal(tls.tlsWrite(pair.server, n, 1), -EAGAIN);
  assert.equal(tls.tlsPending(pair.server), pending);
  let got = 0;
  for (let turn = 0; turn < 100 && got < 45_000; turn++) {
    const read = tls.tlsRead(pair.client, 0, 16_384);
    if (read > 0) got += read;
    if (tls.tlsPending(pair.server) > 0) tls.tlsWrite(pair.server, n, 1);
  }
  assert.equal(got, 45_000);
  pair.free();
});

test("close_notify waits for the kernel too", () => {
  const pair = new Pair().open();
  shrink(pair);
  tls.tlsWrite(pair.server, 0, 45_000);
  assert.equal(tls.tlsShutdown(pair.server), -EAGAIN);
  let end = 1;
  for (let turn = 0; turn < 100 && end !== 0; turn++) {
    end = tls.tlsRead(pair.client, 0, 16_384);
    tls.tlsShutdown(pair.server);
  }
  assert.equal(end, 0);
  pair.free();
});

test("a handshake through a tiny buffer waits for room, not for bytes", () => {
  const pair = new Pair();
  shrink(pair);
  const seen = new Set<number>();
  for (let turn = 0; turn < 200; turn++) {
    const client = tls.handshake(pair.client, 0, 0);
    const server = tls.handshake(pair.server, 40_000, 16_384);
    seen.add(server);
    if (server === tls.HANDSHAKE_HELLO) pair.decide(pair);
    if (client === tls.HANDSHAKE_DONE && server === tls.HANDSHAKE_DONE) break;
  }
  assert.ok(seen.has(tls.HANDSHAKE_DONE));
  pair.free();
});

test("bytes that were read before the session come first, whatever they hold", () => {
  for (const ahead of [1, 5, 100, 10_000]) {
    const pair = new Pair();
    tls.handshake(pair.client, 0, 0);
    const raw = takeRaw(pair.serverFd);
    const first = raw.subarray(0, ahead);
    arena.set(first, 0);
    const server = tls.tlsAccept(pair.serverFd, pair.serverContext, 0, first.length);
    // The rest comes from the socket.
    if (first.length < raw.length) {
      arena.set(raw.subarray(ahead), 0);
      s.send(pair.clientFd, 0, raw.length - ahead);
    }
    assert.equal(tls.handshake(server, 40_000, 16_384), tls.HANDSHAKE_HELLO);
    tls.choose(server, pair.serverContext, tls.ALPN_NONE, pair.identity);
    for (let i = 0; i < 4; i++) {
      tls.handshake(server, 0, 0);
      tls.handshake(pair.client, 0, 0);
    }
    assert.equal(tls.tlsWrite(server, 0, 10), 10);
    assert.equal(tls.tlsRead(pair.client, 0, 100), 10);
    tls.tlsFree(server);
    pair.free();
  }
});

test("requests read together are given until the room is full, the rest without a new event", () => {
  const pair = new Pair().open();
  for (const text of ["one", "two", "three"]) writeText(pair.client, text);
  assert.equal(tls.tlsRead(pair.server, 0, 4), 4);
  assert.equal(tls.tlsRead(pair.server, 4, 100), 7);
  assert.equal(Buffer.from(arena.subarray(0, 11)).toString(), "onetwothree");
  assert.equal(tls.tlsRead(pair.server, 0, 0), -EINVAL);
  pair.free();
});

test("a session with an identity that is gone goes on", () => {
  const pair = new Pair({ identity: identity() });
  tls.handshake(pair.client, 0, 0);
  assert.equal(tls.handshake(pair.server, 40_000, 16_384), tls.HANDSHAKE_HELLO);
  pair.decide(pair);
  tls.destroyIdentity(pair.identity);
  tls.destroyContext(pair.serverContext);
  pair.open();
  assert.equal(writeText(pair.server, "still"), 5);
  pair.free();
});
