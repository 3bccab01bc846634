// The ClientHello decoder (RFC 8446 4.1.2, RFC 6066 3, RFC 7301 3.1): facts, what is malformed, and that neither cuts nor
// trailing bytes nor garbage make a difference.

import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import test from "node:test";
import { type ConnectionOptions, connect } from "node:tls";
import fc from "fast-check";
import {
  alpn,
  type HelloRecipe,
  helloBytes,
  type NameRecipe,
  pairs,
  recordsOf,
  sized,
  sni,
  versions,
} from "../../../fuzz/lib/hello-bytes.ts";
import { HELLO_RECORDS, HelloRecords } from "../../../fuzz/lib/hello-records.ts";
import {
  ClientHello,
  decodeClientHello,
  HELLO_MALFORMED,
  HELLO_OTHER_MESSAGE,
  HELLO_TOO_LONG,
  hasValue,
} from "../../../src/wire/client-hello/decoder.ts";
import { SERVER_NAME, serverNameText } from "../../../src/wire/client-hello/server-name.ts";

/** What a decoder says, with texts instead of offsets; decoded at an odd place between other bytes. */
function facts(message: Uint8Array) {
  const bytes = Buffer.concat([Buffer.alloc(3, 0xff), message, Buffer.alloc(5, 0xff)]);
  const hello = new ClientHello();
  const result = decodeClientHello(bytes, 3, bytes.length, hello);
  if (result <= 0) return result;
  assert.equal(result, message.length);
  const slice = (start: number, end: number): Uint8Array | null => (start < 0 ? null : bytes.subarray(start, end));
  return {
    serverName: hello.serverName,
    sni: hello.sniStart < 0 ? null : serverNameText(bytes, hello.sniStart, hello.sniEnd),
    version: hello.versionMax,
    ciphers: values(slice(hello.ciphersStart, hello.ciphersEnd)),
    signatures: values(slice(hello.signaturesStart, hello.signaturesEnd)),
    groups: values(slice(hello.groupsStart, hello.groupsEnd)),
    alpn: names(slice(hello.alpnStart, hello.alpnEnd)),
    flags: [hello.isFallback, hello.offersTicket, hello.offersEarlyData, hello.wantsStatus],
  };
}

function values(bytes: Uint8Array | null): number[] | null {
  if (bytes === null) return null;
  return Array.from({ length: bytes.length / 2 }, (_, i) => Buffer.from(bytes).readUInt16BE(2 * i));
}

function names(bytes: Uint8Array | null): string[] | null {
  if (bytes === null) return null;
  const list: string[] = [];
  for (let at = 0; at < bytes.length; at += 1 + bytes[at]!) {
    list.push(Buffer.from(bytes.subarray(at + 1, at + 1 + bytes[at]!)).toString("latin1"));
  }
  return list;
}

const FULL: HelloRecipe = {
  sessionId: new Uint8Array(32),
  ciphers: [0x0a0a, 0x1301, 0xc02b, 0x5600],
  extensions: [
    [0x1a1a, new Uint8Array(0)],
    sni("WWW.Example.Test."),
    pairs(10, 0x11ec, 0x001d),
    pairs(13, 0x0403, 0x0804),
    alpn("h2", "http/1.1"),
    versions(0x7a7a, 0x0304, 0x0303),
    [35, new Uint8Array(3)],
    [5, new Uint8Array(5)],
    [42, new Uint8Array(0)],
    [41, new Uint8Array(7)],
  ],
};

test("every fact that a listener needs is found", () => {
  assert.deepEqual(facts(helloBytes(FULL)), {
    serverName: SERVER_NAME.VALID,
    sni: "www.example.test",
    version: 0x0304,
    ciphers: [0x0a0a, 0x1301, 0xc02b, 0x5600],
    signatures: [0x0403, 0x0804],
    groups: [0x11ec, 0x001d],
    alpn: ["h2", "http/1.1"],
    flags: [true, true, true, true],
  });
  const bare = facts(helloBytes({ extensions: null }));
  assert.deepEqual(bare, facts(helloBytes({ extensions: [] })));
  assert.deepEqual(bare, {
    serverName: SERVER_NAME.ABSENT,
    sni: null,
    version: 0x0303,
    ciphers: [0x1301, 0xc02b],
    signatures: null,
    groups: null,
    alpn: null,
    flags: [false, false, false, false],
  });
  const hello = new ClientHello();
  const bytes = helloBytes(FULL);
  decodeClientHello(bytes, 0, bytes.length, hello);
  assert.ok(hello.isTls13);
  assert.ok(hasValue(bytes, hello.groupsStart, hello.groupsEnd, 0x001d));
  assert.ok(!hasValue(bytes, hello.groupsStart, hello.groupsEnd, 0x0017));
  assert.ok(!hasValue(bytes, -1, -1, 0));
});

test("real clients: what Node's OpenSSL sends, whole and in pieces", async () => {
  const options = { servername: "shop.test", ALPNProtocols: ["h2", "http/1.1"] };
  for (const [more, version] of [
    [{}, 0x0304],
    [{ maxVersion: "TLSv1.2" }, 0x0303],
  ] as const) {
    const records = await firstFlight({ ...options, ...more });
    const collected = new HelloRecords();
    assert.equal(collected.push(records, 0, records.length), HELLO_RECORDS.COMPLETE);
    const found = facts(collected.message.slice(0, collected.length));
    assert.ok(typeof found === "object");
    assert.deepEqual([found.sni, found.version, found.alpn], ["shop.test", version, ["h2", "http/1.1"]]);
    assert.ok(found.groups?.includes(0x001d) && found.signatures?.includes(0x0403));
  }
});

/** What a client of Node sends first. */
function firstFlight(options: ConnectionOptions): Promise<Uint8Array> {
  return new Promise((resolve) => {
    const socket = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        done();
        resolve(Uint8Array.from(chunk));
        setImmediate(() => client.destroy());
      },
    });
    const client = connect({ ...options, socket });
    client.on("error", () => {});
  });
}

test("TLS-01: names that cannot be host names are told from those that can, and are no error of the message", () => {
  const verdict = (...list: NameRecipe[]): unknown => {
    const found = facts(helloBytes({ extensions: [sni(...list)] }));
    return typeof found === "object" ? [found.serverName, found.sni] : found;
  };
  const valid = (name: string): unknown => [SERVER_NAME.VALID, name];
  const invalid = [SERVER_NAME.INVALID, null];
  assert.deepEqual(verdict("a"), valid("a"));
  assert.deepEqual(verdict("A_b-1.TEST"), valid("a_b-1.test"));
  assert.deepEqual(verdict(`${"a".repeat(63)}.test`), valid(`${"a".repeat(63)}.test`));
  assert.deepEqual(verdict(`${"a".repeat(64)}.test`), invalid);
  assert.deepEqual(verdict(`${"a.".repeat(126)}a`), valid(`${"a.".repeat(126)}a`));
  assert.deepEqual(verdict("a.".repeat(150)), invalid);
  for (const name of ["a\0.test", "a b.test", "*.test", ".", "..", ".a", "a..b", "a/b", "bücher.test", "a:443"]) {
    const expected = name === "a:443" ? [SERVER_NAME.IP_LITERAL, null] : invalid;
    assert.deepEqual(verdict(name), expected, JSON.stringify(name));
  }
  for (const name of ["127.0.0.1", "::1", "2130706433", "1.2.3"]) {
    assert.deepEqual(verdict(name), [SERVER_NAME.IP_LITERAL, null], name);
  }
  assert.deepEqual(verdict("a.test", "b.test"), invalid);
  assert.deepEqual(verdict([1, "a.test"]), invalid);
  assert.deepEqual(verdict([1, "x"], "a.test"), invalid);
  assert.equal(verdict(), HELLO_MALFORMED);
  assert.equal(verdict(""), HELLO_MALFORMED);
});

test("TLS-02: ALPN lists: none, a thousand names, an empty name", () => {
  const list = (...protocols: string[]) => facts(helloBytes({ extensions: [alpn(...protocols)] }));
  const thousand = Array.from({ length: 1000 }, (_, i) => `p${i}`);
  assert.deepEqual((list(...thousand) as { alpn: string[] }).alpn, thousand);
  assert.deepEqual((list("x".repeat(255)) as { alpn: string[] }).alpn, ["x".repeat(255)]);
  assert.equal(list(), HELLO_MALFORMED);
  assert.equal(list("h2", "", "http/1.1"), HELLO_MALFORMED);
  const cut = sized(Buffer.of(3, 0x68, 0x32));
  assert.equal(facts(helloBytes({ extensions: [[16, cut]] })), HELLO_MALFORMED);
});

test("what breaks the grammar is malformed", () => {
  const extension = (type: number, ...content: number[]): HelloRecipe => ({
    extensions: [[type, Buffer.from(content)]],
  });
  const cases: [string, HelloRecipe][] = [
    ["a long session id", { sessionId: new Uint8Array(33) }],
    ["no cipher", { ciphers: [] }],
    ["no compression method", { compression: [] }],
    ["bytes behind the extensions", { rest: Buffer.of(0) }],
    ["half a length of extensions", { extensions: null, rest: Buffer.of(0) }],
    ["a length of extensions that is too long", { extensions: null, rest: Buffer.of(0, 1) }],
    ["half an extension", { extensions: null, rest: sized(Buffer.of(0, 0, 0)) }],
    ["an extension that is too long", { extensions: null, rest: sized(Buffer.of(0xaa, 0xaa, 0, 1)) }],
    ["the same extension twice", { extensions: [versions(0x0304), versions(0x0304)] }],
    ["an empty server name extension", extension(0)],
    ["a server name list that is too long", extension(0, 0, 9, 0, 0, 1, 97)],
    ["half a server name", extension(0, 0, 2, 0, 0)],
    ["a server name that is too long", extension(0, 0, 4, 0, 0, 9, 97)],
    ["no signature algorithm", extension(13, 0, 0)],
    ["half a signature algorithm", extension(13, 0, 1, 4)],
    ["a group list that is too short", extension(10, 0, 2, 0, 29, 0, 23)],
    ["no version", extension(43, 0)],
    ["half a version", extension(43, 1, 3)],
    ["a version list that is too short", extension(43, 2, 3, 4, 3, 3)],
    ["early data with content", extension(42, 1)],
    ["an empty pre-shared key", extension(41)],
  ];
  for (const [what, recipe] of cases) assert.equal(facts(helloBytes(recipe)), HELLO_MALFORMED, what);
  const odd = helloBytes();
  odd[4 + 34 + 2] = 3;
  assert.equal(facts(odd), HELLO_MALFORMED);
});

test("other messages, long ones and incomplete ones are told apart", () => {
  const hello = new ClientHello();
  assert.equal(decodeClientHello(Buffer.of(2), 0, 1, hello), HELLO_OTHER_MESSAGE);
  assert.equal(decodeClientHello(Buffer.of(1, 255, 0, 0), 0, 4, hello), HELLO_TOO_LONG);
  const bytes = helloBytes(FULL);
  for (let end = 0; end < bytes.length; end++) assert.equal(decodeClientHello(bytes, 0, end, hello), 0);
  assert.equal(decodeClientHello(bytes, 0, bytes.length, hello), bytes.length);
});

test("property: whatever the bytes, it returns, and every span lies inside the message", () => {
  const whole = helloBytes(FULL);
  const mutations = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 });
  const hello = new ClientHello();
  const check = (bytes: Uint8Array): void => {
    const result = decodeClientHello(bytes, 0, bytes.length, hello);
    assert.ok(Number.isInteger(result) && result >= HELLO_TOO_LONG && result <= bytes.length);
    if (result <= 0) return;
    for (const [start, end] of [
      [hello.sniStart, hello.sniEnd],
      [hello.ciphersStart, hello.ciphersEnd],
      [hello.signaturesStart, hello.signaturesEnd],
      [hello.groupsStart, hello.groupsEnd],
      [hello.alpnStart, hello.alpnEnd],
    ] as const) {
      assert.ok((start === -1 && end === -1) || (start >= 4 && start < end && end <= result));
    }
    assert.equal(hello.serverName === SERVER_NAME.VALID, hello.sniStart >= 0);
  };
  fc.assert(
    fc.property(mutations, (changes) => {
      const bytes = whole.slice();
      for (const [at, value] of changes) bytes[at] = value;
      check(bytes);
    }),
    { numRuns: 3000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => check(Buffer.concat([Buffer.of(1, 0), bytes]))));
});

test("TLS-08: records of one byte, of any size, cut anywhere, give the same message", () => {
  const message = helloBytes(FULL);
  for (const size of [1, 2, 7, 100, 16_384]) {
    const bytes = recordsOf(message, size);
    for (const step of [1, 3, 1000, bytes.length]) {
      const collected = new HelloRecords();
      let result: number = HELLO_RECORDS.MORE;
      for (let at = 0; at < bytes.length; at += step) {
        assert.equal(result, HELLO_RECORDS.MORE);
        result = collected.push(bytes, at, Math.min(bytes.length, at + step));
      }
      assert.equal(result, HELLO_RECORDS.COMPLETE);
      assert.deepEqual(collected.message.slice(0, collected.length), Uint8Array.from(message));
    }
  }
});

test("TLS-08: large messages and records are bounded, what is no handshake is told", () => {
  const large = helloBytes({
    extensions: [
      [0xaaaa, new Uint8Array(65_000)],
      [21, new Uint8Array(500)],
    ],
  });
  const collected = new HelloRecords();
  const records = recordsOf(large, 16_384);
  assert.equal(collected.push(records, 0, records.length), HELLO_RECORDS.COMPLETE);
  assert.equal(collected.length, large.length);
  const verdict = (...bytes: number[]): number => new HelloRecords().push(Buffer.from(bytes), 0, bytes.length);
  assert.equal(verdict(22, 3, 1, 0x41, 0), HELLO_RECORDS.TOO_LONG);
  assert.equal(verdict(22, 3, 1, 0x40, 0), HELLO_RECORDS.MORE);
  assert.equal(verdict(22, 3, 1, 0, 4, 1, 0xff, 0, 0), HELLO_RECORDS.TOO_LONG);
  assert.equal(verdict(22, 3, 1, 0, 0), HELLO_RECORDS.OTHER);
  assert.equal(verdict(22, 3, 1, 0, 1, 2), HELLO_RECORDS.OTHER);
  assert.equal(verdict(...Buffer.from("GET / HTTP/1.1")), HELLO_RECORDS.OTHER);
  assert.equal(verdict(21, 3, 1, 0, 2, 1, 0), HELLO_RECORDS.OTHER);
  const stopped = new HelloRecords();
  stopped.push(Buffer.of(21), 0, 1);
  assert.equal(stopped.push(records, 0, records.length), HELLO_RECORDS.OTHER);
});
