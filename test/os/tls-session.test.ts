// TLS sessions, both roles against each other over a socketpair.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { EAGAIN, EBADF, ECONNABORTED, EINVAL } from "../../src/os/errno.ts";
import * as s from "../../src/os/sockets.ts";
import * as tls from "../../src/os/tls.ts";
import { makeCertificate } from "../command/certs.ts";
import { arena, put } from "./descriptors.ts";
import { authority, HELLO_AT, HELLO_ROOM, identity, Pair, readAll, takeRaw, writeText } from "./tls-peers.ts";

test("bytes go both ways, and the facts are those of the defaults", () => {
  const pair = new Pair().open();
  assert.equal(writeText(pair.client, "ping"), 4);
  assert.deepEqual(readAll(pair.server), { text: "ping", end: -EAGAIN });
  assert.equal(writeText(pair.server, "pong!"), 5);
  assert.deepEqual(readAll(pair.client), { text: "pong!", end: -EAGAIN });
  assert.equal(tls.readFacts(pair.server), 0);
  const [version = 0, cipher = 0, group = 0] = tls.factWords;
  assert.equal(tls.tlsVersionName(version), "TLSv1.3");
  assert.equal(tls.tlsCipherName(cipher), "TLS13_AES_256_GCM_SHA384");
  assert.equal(tls.tlsGroupName(group), "X25519MLKEM768");
  assert.deepEqual(Array.from(tls.factWords.subarray(3)), [0, tls.ALPN_NONE, 0, 0]);
  pair.free();
});

test("the pause hands over the ClientHello as a handshake message, once", () => {
  const pair = new Pair();
  let pauses = 0;
  pair.decide = () => {
    // The answer may come in a later turn.
    if (++pauses === 2) assert.equal(tls.choose(pair.server, pair.serverContext, tls.ALPN_NONE, pair.identity), 0);
    assert.equal(tls.helloLength() > 0, pauses === 1);
  };
  pair.open();
  assert.equal(pauses, 2);
  assert.equal(pair.hello[0], 1);
  assert.equal(pair.hello.readUIntBE(1, 3), pair.hello.length - 4);
  assert.ok(pair.hello.includes("example.com"));
  assert.equal(tls.choose(pair.server, pair.serverContext, tls.ALPN_NONE, pair.identity), -EINVAL);
  pair.free();
});

for (const { offered, agreed } of [
  { offered: ["X25519MLKEM768", "X25519"], agreed: "X25519MLKEM768" },
  { offered: ["X25519", "X25519MLKEM768"], agreed: "X25519" },
  { offered: ["secp256r1", "X25519MLKEM768"], agreed: "secp256r1" },
]) {
  test(`a client that sends its share for ${offered[0]} is not asked for another one`, () => {
    const pair = new Pair({ client: { groups: offered } });
    tls.handshake(pair.client, 0, 0);
    assert.equal(tls.handshake(pair.server, HELLO_AT, HELLO_ROOM), tls.HANDSHAKE_HELLO);
    pair.decide(pair);
    assert.equal(tls.handshake(pair.server, 0, 0), tls.HANDSHAKE_READ);
    assert.equal(tls.handshake(pair.client, 0, 0), tls.HANDSHAKE_DONE);
    assert.equal(tls.handshake(pair.server, 0, 0), tls.HANDSHAKE_DONE);
    tls.readFacts(pair.server);
    assert.equal(tls.tlsGroupName(tls.factWords[tls.FACT_GROUP] ?? 0), agreed);
    pair.free();
  });
}

const KINDS = [
  { kind: "ec", curve: "P-256" },
  { kind: "ec", curve: "P-384" },
  { kind: "rsa" },
  { kind: "ed25519" },
] as const;

for (const recipe of KINDS) {
  for (const version of [tls.TLS12, tls.TLS13]) {
    test(`a certificate with a key of ${Object.values(recipe).join(" ")} over ${tls.tlsVersionName(version)}`, () => {
      const certificate = makeCertificate({ ...recipe, names: ["example.com"], issuer: authority });
      const pair = new Pair({ identity: identity(certificate), server: { maxVersion: version } }).open();
      writeText(pair.server, "hello");
      assert.equal(readAll(pair.client).text, "hello");
      tls.readFacts(pair.client);
      assert.equal(tls.factWords[tls.FACT_VERSION], version);
      assert.equal(tls.peerCertificate(pair.client, tls.PEER_FINGERPRINT, 0, 32), 32);
      assert.equal(Buffer.from(arena.subarray(0, 32)).toString("hex"), certificate.fingerprint);
      pair.free();
    });
  }
}

test("spans of one writev become one record and one send", () => {
  const pair = new Pair({ server: { tickets: 0 } }).open();
  put(100, "head: 1\r\n\r\n");
  put(200, "body");
  s.iov.set([100, 11, 200, 4]);
  assert.equal(tls.tlsWritev(pair.server, 2), 15);
  const raw = takeRaw(pair.clientFd);
  assert.equal(raw[0], 23);
  assert.equal(raw.readUInt16BE(3), raw.length - 5);
  assert.equal(raw.length, 5 + 15 + 1 + 16);
  pair.free();
});

test("tickets leave in one send with the first answer, and the end with the last", () => {
  tls.setTicketKeys([randomBytes(tls.TICKET_KEY_BYTES)]);
  const pair = new Pair().open();
  assert.equal(takeRaw(pair.clientFd).length, 0);
  assert.equal(tls.tlsPending(pair.server), 0);
  put(0, "answer");
  assert.equal(tls.tlsWrite(pair.server, 0, 6, true), 6);
  const records = recordLengths(takeRaw(pair.clientFd));
  assert.equal(records.length, 4);
  assert.deepEqual(records.slice(2), [6 + 1 + 16, 2 + 1 + 16]);
  assert.equal(tls.tlsShutdown(pair.server), 0);
  assert.equal(takeRaw(pair.clientFd).length, 0);
  pair.free();
  tls.setTicketKeys([]);
});

test("an end that was announced stands behind all bytes", () => {
  const pair = new Pair().open();
  put(0, "answer");
  assert.equal(tls.tlsWrite(pair.server, 0, 6, true), 6);
  assert.deepEqual(readAll(pair.client), { text: "answer", end: 0 });
  writeText(pair.client, "more");
  assert.deepEqual(readAll(pair.server), { text: "more", end: -EAGAIN });
  pair.free();
});

for (const { name, maxVersion } of [
  { name: "TLSv1.2", maxVersion: tls.TLS12 },
  { name: "TLSv1.3", maxVersion: tls.TLS13 },
]) {
  test(`bytes that come with the last message of the handshake are not lost, over ${name}`, () => {
    const pair = new Pair({ server: { maxVersion } });
    let client = tls.handshake(pair.client, 0, 0);
    while (client !== tls.HANDSHAKE_DONE) {
      if (tls.handshake(pair.server, HELLO_AT, HELLO_ROOM) === tls.HANDSHAKE_HELLO) pair.decide(pair);
      client = tls.handshake(pair.client, 0, 0);
    }
    writeText(pair.client, "a");
    writeText(pair.client, "b");
    assert.equal(tls.handshake(pair.server, 0, 0), tls.HANDSHAKE_DONE);
    assert.deepEqual(readAll(pair.server), { text: "ab", end: -EAGAIN });
    writeText(pair.client, "c");
    assert.deepEqual(readAll(pair.server), { text: "c", end: -EAGAIN });
    pair.free();
  });
}

test("close_notify ends one direction; the other goes on", () => {
  const pair = new Pair().open();
  writeText(pair.client, "last");
  assert.equal(tls.tlsShutdown(pair.client), 0);
  assert.equal(tls.tlsRead(pair.server, 0, 100), 4);
  assert.ok(tls.tlsHasMore());
  assert.equal(tls.tlsRead(pair.server, 0, 100), 0);
  assert.equal(writeText(pair.server, "answer"), 6);
  assert.equal(tls.tlsShutdown(pair.server), 0);
  assert.deepEqual(readAll(pair.client), { text: "answer", end: 0 });
  pair.free();
});

test("TLS-11 an end without close_notify is told from a clean one", () => {
  const pair = new Pair().open();
  writeText(pair.client, "cut");
  s.shutdown(pair.clientFd, s.SHUT_WR);
  assert.deepEqual(readAll(pair.server), { text: "cut", end: -ECONNABORTED });
  assert.equal(tls.tlsRead(pair.server, 0, 100), -ECONNABORTED);
  assert.equal(tls.TLS_CAUSES[tls.failureWords[tls.FAILURE_CAUSE] ?? 0], "closed");
  pair.free();
});

test("stale and made-up handles are EBADF", () => {
  const pair = new Pair().open();
  const { server } = pair;
  pair.free();
  for (const handle of [server, -1, 12345, 2 ** 31 - 1]) {
    assert.equal(tls.handshake(handle, 0, 0), -EBADF);
    assert.equal(tls.tlsRead(handle, 0, 10), -EBADF);
    assert.equal(tls.tlsWrite(handle, 0, 10), -EBADF);
    assert.equal(tls.tlsWritev(handle, 1), -EBADF);
    assert.equal(tls.tlsShutdown(handle), -EBADF);
    assert.equal(tls.readFacts(handle), -EBADF);
    assert.equal(tls.tlsFree(handle), -EBADF);
    assert.equal(tls.refuse(handle, 40), -EBADF);
    assert.equal(tls.destroyContext(handle), -EBADF);
    assert.equal(tls.destroyIdentity(handle), -EBADF);
  }
  const { contexts, identities, sessions } = tls.tlsHandles();
  assert.deepEqual([contexts, identities, sessions], [0, 0, 0]);
});

/** Lengths of the records that these bytes are. */
function recordLengths(raw: Buffer): number[] {
  const lengths: number[] = [];
  for (let at = 0; at < raw.length; at += 5 + (lengths.at(-1) ?? 0)) lengths.push(raw.readUInt16BE(at + 3));
  return lengths;
}
