// Whatever bytes arrive on a TLS port: an alert or a close, a cause, nothing left behind. Run it under AddressSanitizer
// too (scripts/asan.sh).

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import fc from "fast-check";
import { EAGAIN, EPROTO } from "../../src/os/errno.ts";
import { socketpair } from "../../src/os/listeners.ts";
import * as s from "../../src/os/sockets.ts";
import * as tls from "../../src/os/tls.ts";
import { makeCertificate } from "../command/certs.ts";
import {
  clientContext,
  context,
  HELLO_AT,
  HELLO_ROOM,
  identity,
  leaf,
  Pair,
  putRaw,
  readAll,
  takeRaw,
  writeText,
} from "./tls-peers.ts";

afterEach(() => assert.deepEqual(tls.tlsHandles(), { contexts: 0, identities: 0, sessions: 0, resumptions: 0 }));

interface Outcome {
  readonly result: number;
  readonly cause: string;
  readonly alert: string;
  readonly raw: Buffer;
}

const NONE: Outcome = { result: -1, cause: "none", alert: "", raw: Buffer.alloc(0) };

/** Feeds a server session with chunks, as far as it goes on; the socket ends with it. */
function feed(chunks: readonly Uint8Array[], options: tls.TlsContextOptions = {}): Outcome {
  const [serverFd, clientFd] = socketpair(s.UNIX_STREAM);
  const policy = context(options);
  const own = identity();
  const server = tls.tlsAccept(serverFd, policy, 0, 0);
  let outcome = NONE;
  for (const chunk of chunks) {
    putRaw(clientFd, chunk);
    outcome = advance(server, policy, own);
    if (outcome.result === tls.HANDSHAKE_FAILED) break;
  }
  outcome = { ...outcome, raw: takeRaw(clientFd) };
  tls.tlsFree(server);
  for (const fd of [serverFd, clientFd]) s.close(fd);
  tls.destroyContext(policy);
  tls.destroyIdentity(own);
  return outcome;
}

function advance(server: number, policy: number, own: number): Outcome {
  let result = tls.handshake(server, HELLO_AT, HELLO_ROOM);
  if (result === tls.HANDSHAKE_HELLO) {
    tls.choose(server, policy, tls.ALPN_NONE, own);
    result = tls.handshake(server, HELLO_AT, HELLO_ROOM);
  }
  if (result !== tls.HANDSHAKE_FAILED) return { ...NONE, result };
  return { ...NONE, result, ...failure() };
}

function failure(): { cause: string; alert: string } {
  const [cause = 0, alert = -1] = tls.failureWords;
  return { cause: tls.TLS_CAUSES[cause] ?? "?", alert: alert < 0 ? "" : tls.tlsAlertName(alert) };
}

/** The first flight of our own client. */
function helloRecord(options: tls.TlsContextOptions = {}): Buffer {
  const [serverFd, clientFd] = socketpair(s.UNIX_STREAM);
  const policy = clientContext(options);
  const client = tls.tlsConnect(clientFd, policy, "example.com", "", -1, -1);
  tls.handshake(client, 0, 0);
  const raw = takeRaw(serverFd);
  tls.tlsFree(client);
  for (const fd of [serverFd, clientFd]) s.close(fd);
  tls.destroyContext(policy);
  return raw;
}

function record(type: number, body: Uint8Array, version = 0x0303): Buffer {
  return Buffer.concat([Buffer.of(type, version >> 8, version & 255, body.length >> 8, body.length & 255), body]);
}

/** The handshake message in records of `size` bytes. */
function fragmented(hello: Buffer, size: number): Buffer[] {
  const body = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < body.length; at += size) records.push(record(22, body.subarray(at, at + size), 0x0301));
  return records;
}

test("TLS-08 a ClientHello arrives whole, byte by byte, and in records of any size", () => {
  const hello = helloRecord();
  assert.equal(feed([hello]).result, tls.HANDSHAKE_READ);
  assert.equal(feed(Array.from(hello, (byte) => Buffer.of(byte))).result, tls.HANDSHAKE_READ);
  for (const size of [1, 2, 100, 500]) {
    const records = fragmented(hello, size);
    assert.equal(feed([Buffer.concat(records)]).result, tls.HANDSHAKE_READ, `records of ${size}`);
    assert.equal(feed(records).result, tls.HANDSHAKE_READ, `records of ${size}, one at a time`);
  }
});

test("a truncated ClientHello waits, and the session can be freed at any point", () => {
  const hello = helloRecord();
  for (let length = 0; length < hello.length; length += 7) {
    const { result } = feed([hello.subarray(0, length)]);
    assert.equal(result, tls.HANDSHAKE_READ, `after ${length} bytes`);
  }
});

test("what is no TLS is refused with a cause", () => {
  const cases: [Buffer, string][] = [
    [Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "invalid_message"],
    [Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "invalid_message"],
    [Buffer.alloc(100), "invalid_message"],
    [Buffer.from("SSH-2.0-OpenSSH_9.2\r\n"), "invalid_message"],
    [record(23, Buffer.from("early data")), "inappropriate_handshake_message"],
    [record(20, Buffer.of(1)), "inappropriate_handshake_message"],
    [record(22, Buffer.from("02000026030300", "hex")), "inappropriate_handshake_message"],
    [record(21, Buffer.of(2, 40)), "inappropriate_handshake_message"],
  ];
  for (const [bytes, cause] of cases) {
    const outcome = feed([bytes]);
    assert.equal(outcome.result, tls.HANDSHAKE_FAILED, bytes.toString("latin1", 0, 20));
    assert.equal(outcome.cause, cause, `${bytes.toString("latin1", 0, 20)} ${outcome.alert}`);
  }
});

test("TLS-08 a record above the limit is record_overflow, a hello without end is cut off", () => {
  const overflow = feed([record(22, Buffer.alloc(16_384 + 257))]);
  assert.deepEqual([overflow.cause, overflow.alert], ["oversized_record", "record_overflow"]);
  const long = Buffer.concat([Buffer.from("01010000", "hex"), Buffer.alloc(65_536)]);
  const chunks = fragmented(Buffer.concat([Buffer.alloc(5), long]), 16_000);
  const outcome = feed(chunks);
  assert.equal(outcome.result, tls.HANDSHAKE_FAILED);
  // A hello that is well-formed and large does not fit into the room of the pause.
  assert.ok(["invalid_message", "flood", "peer_misbehaved"].includes(outcome.cause), outcome.cause);
});

test("TLS-03 old versions are refused with protocol_version", () => {
  const hello = helloRecord({ maxVersion: tls.TLS12 });
  for (const version of [0x0300, 0x0301, 0x0302]) {
    const old = Buffer.from(hello);
    old.writeUInt16BE(version, 9);
    const outcome = feed([old]);
    assert.equal(outcome.cause, "peer_incompatible");
    // SSLv3 has no protocol_version.
    assert.deepEqual(Array.from(outcome.raw.subarray(5)), [2, version === 0x0300 ? 40 : 70]);
  }
  // An SSLv2 hello that offers SSLv3.
  const v2 = Buffer.from("802e0100020015000000100100800300800700c006004002008004008000000400fefa0000", "hex");
  assert.equal(feed([v2, Buffer.alloc(20, 7)]).result, tls.HANDSHAKE_FAILED);
});

test("TLS-17 old suites offered alone are a handshake_failure", () => {
  const hello = helloRecord({ maxVersion: tls.TLS12, suites: ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"] });
  const at = hello.indexOf(Buffer.from("c02b", "hex"));
  // RC4, 3DES, NULL, anonymous, export, and CBC without forward secrecy.
  for (const suite of [0x0005, 0x000a, 0x0002, 0x0034, 0x0003, 0x002f, 0xc007, 0xc008, 0xc006]) {
    const bad = Buffer.from(hello);
    bad.writeUInt16BE(suite, at);
    const outcome = feed([bad]);
    assert.deepEqual([outcome.cause, outcome.alert], ["peer_incompatible", "handshake_failure"], suite.toString(16));
  }
});

test("TLS-05 a fallback to a lower version is inappropriate_fallback", () => {
  const hello = helloRecord({
    maxVersion: tls.TLS12,
    suites: ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
  });
  const at = hello.indexOf(Buffer.from("c02f", "hex"));
  hello.writeUInt16BE(0x5600, at);
  assert.equal(feed([hello]).alert, "inappropriate_fallback");
});

test("TLS-15 a flood of warnings or of empty records in the handshake ends it", () => {
  const warnings = feed(Array.from({ length: 40 }, () => record(21, Buffer.of(1, 90))));
  assert.equal(warnings.result, tls.HANDSHAKE_FAILED);
  const hello = helloRecord();
  const pieces = fragmented(hello, 100).flatMap((piece) => [piece, record(22, Buffer.alloc(0))]);
  assert.equal(feed(pieces).result, tls.HANDSHAKE_FAILED);
});

test("a flood of bytes that completes no handshake is cut off", () => {
  // Change-cipher-spec records are ignored within a TLS 1.3 handshake: OpenSSL counts them, and so do we.
  const hello = helloRecord();
  const filler = Buffer.concat(Array.from({ length: 2000 }, () => record(20, Buffer.of(1))));
  const outcome = feed([hello, ...Array.from({ length: 20 }, () => filler)]);
  assert.equal(outcome.result, tls.HANDSHAKE_FAILED);
});

test("mutated hellos and random records end in a wait or an alert, never in more", () => {
  const hello = helloRecord();
  const mutation = fc.tuple(fc.nat({ max: hello.length - 1 }), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 6 }), fc.boolean(), (changes, isSplit) => {
      const bad = Buffer.from(hello);
      for (const [at, byte] of changes) bad[at] = byte;
      const { result } = feed(isSplit ? [bad.subarray(0, 9), bad.subarray(9)] : [bad]);
      assert.ok(result >= tls.HANDSHAKE_READ && result <= tls.HANDSHAKE_FAILED, `result ${result}`);
    }),
    { numRuns: 300 },
  );
  const randomRecord = fc
    .tuple(fc.integer({ min: 18, max: 25 }), fc.uint8Array({ maxLength: 300 }))
    .map(([type, body]) => record(type, body));
  fc.assert(
    fc.property(fc.array(randomRecord, { maxLength: 5 }), fc.boolean(), (records, isAfterHello) => {
      feed(isAfterHello ? [hello, ...records] : records);
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 5 }), (chunks) => {
      feed(chunks);
    }),
    { numRuns: 300 },
  );
});

/** Runs the handshake of a pair over raw sockets in our hands: `relay` sees every flight and may change it. */
function relayed(relay: (bytes: Buffer, flight: number) => Buffer, options: tls.TlsContextOptions = {}): number[] {
  const [serverFd, serverPeer] = socketpair(s.UNIX_STREAM);
  const [clientFd, clientPeer] = socketpair(s.UNIX_STREAM);
  const policies = [context(options), clientContext()];
  const own = identity();
  const server = tls.tlsAccept(serverFd, policies[0] ?? -1, 0, 0);
  const client = tls.tlsConnect(clientFd, policies[1] ?? -1, "example.com", "example.com", -1, -1);
  const last = [-1, -1];
  let flight = 0;
  for (let turn = 0; turn < 8; turn++) {
    last[0] = tls.handshake(client, 0, 0);
    const up = takeRaw(clientPeer);
    if (up.length > 0) putRaw(serverPeer, relay(up, flight++));
    last[1] = advance(server, policies[0] ?? -1, own).result;
    const down = takeRaw(serverPeer);
    if (down.length > 0) putRaw(clientPeer, relay(down, flight++));
  }
  for (const session of [client, server]) {
    tls.tlsRead(session, 0, 1000);
    tls.tlsWrite(session, 0, 10);
    tls.tlsShutdown(session);
    tls.tlsFree(session);
  }
  for (const fd of [serverFd, serverPeer, clientFd, clientPeer]) s.close(fd);
  for (const policy of policies) tls.destroyContext(policy);
  tls.destroyIdentity(own);
  return last;
}

function splitRecords(bytes: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at + 5 <= bytes.length; ) {
    const end = at + 5 + bytes.readUInt16BE(at + 3);
    records.push(bytes.subarray(at, end));
    at = end;
  }
  return records;
}

test("reordered, doubled, dropped and changed records of every flight fail on both sides or wait", () => {
  assert.deepEqual(
    relayed((bytes) => bytes),
    [0, 0],
  );
  for (const maxVersion of [tls.TLS12, tls.TLS13]) {
    for (let target = 0; target < 4; target++) {
      const changes: ((bytes: Buffer) => Buffer)[] = [
        (bytes) => Buffer.concat(splitRecords(bytes).reverse()),
        (bytes) => Buffer.concat([bytes, bytes]),
        (bytes) => Buffer.concat(splitRecords(bytes).slice(1)),
        (bytes) => bytes.subarray(0, bytes.length - 1),
      ];
      for (let bit = 0; bit < 30; bit++) {
        changes.push((bytes) => {
          const changed = Buffer.from(bytes);
          const at = Math.floor((bit * changed.length) / 30);
          changed[at] = (changed[at] ?? 0) ^ (1 << (bit % 8));
          return changed;
        });
      }
      for (const change of changes) {
        relayed((bytes, flight) => (flight === target ? change(bytes) : bytes), { maxVersion });
      }
    }
  }
});

test("a changed record of an open session is bad_record_mac, and the session stays broken", () => {
  for (const maxVersion of [tls.TLS12, tls.TLS13]) {
    const pair = new Pair({ server: { maxVersion } }).open();
    writeText(pair.server, "x");
    takeRaw(pair.clientFd);
    writeText(pair.client, "request");
    const raw = takeRaw(pair.serverFd);
    raw[raw.length - 1] = (raw[raw.length - 1] ?? 0) ^ 1;
    putRaw(pair.clientFd, raw);
    assert.equal(tls.tlsRead(pair.server, 0, 100), -EPROTO);
    assert.deepEqual(failure(), { cause: "decrypt_error", alert: "bad_record_mac" });
    assert.equal(tls.tlsRead(pair.server, 0, 100), -EPROTO);
    assert.equal(tls.tlsWrite(pair.server, 0, 100), -EPROTO);
    assert.equal(tls.tlsShutdown(pair.server), -EPROTO);
    assert.equal(tls.handshake(pair.server, 0, 0), tls.HANDSHAKE_FAILED);
    pair.free();
  }
});

test("data before a bad record is delivered, then the failure without another event", () => {
  const pair = new Pair().open();
  writeText(pair.client, "good");
  putRaw(pair.clientFd, record(23, Buffer.alloc(40)));
  assert.equal(tls.tlsRead(pair.server, 0, 100), 4);
  assert.ok(tls.tlsHasMore());
  assert.equal(tls.tlsRead(pair.server, 0, 100), -EPROTO);
  pair.free();
});

test("records replayed to an open session are refused", () => {
  const pair = new Pair().open();
  writeText(pair.client, "pay once");
  const raw = takeRaw(pair.serverFd);
  putRaw(pair.clientFd, raw);
  putRaw(pair.clientFd, raw);
  assert.equal(readAll(pair.server).text, "pay once");
  assert.equal(tls.tlsRead(pair.server, 0, 100), -EPROTO);
  pair.free();
});

test("TLS-16 a certificate chain of 100 kB ends the handshake", () => {
  const chain = Array.from({ length: 8 }, (_, i) =>
    makeCertificate({ names: Array.from({ length: 250 }, (_, n) => `name-${i}-${n}.example.com`), issuer: null }),
  );
  const big = identity(leaf, chain.map((one) => one.pem).join(""));
  const pair = new Pair({ clientIdentity: big, server: { verify: "optional", authorities: leaf.pem } });
  const { server } = pair.handshake();
  assert.equal(server, tls.HANDSHAKE_FAILED);
  tls.destroyIdentity(big);
  pair.free();
});

test("a socket that is gone is told from a violation", () => {
  const pair = new Pair().open();
  s.close(pair.clientFd);
  const n = tls.tlsWrite(pair.server, 0, 10);
  assert.ok(n < 0 && n !== -EPROTO && n !== -EAGAIN, `write: ${n}`);
  assert.equal(failure().cause, "socket");
  tls.tlsFree(pair.client);
  tls.tlsFree(pair.server);
  s.close(pair.serverFd);
  tls.destroyContext(pair.serverContext);
  tls.destroyContext(pair.clientContext);
  tls.destroyIdentity(pair.identity);
});
