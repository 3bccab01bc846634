// The PROXY protocol header, read whole, byte by byte and with bytes behind it (hardening PP-01 to PP-12).

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { formatPeer } from "../../../src/os/sockaddr.ts";
import { crc32c } from "../../../src/wire/proxy-protocol/crc32c.ts";
import { MALFORMED, ProxyHeader } from "../../../src/wire/proxy-protocol/decoder.ts";

const header = new ProxyHeader();
const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];

interface Verdict {
  readonly length: number;
  readonly source: string | null;
  readonly destination: string | null;
}

/** The verdict on `bytes`, which must be the same however they arrive. */
function read(bytes: Uint8Array): Verdict {
  const verdict = decode(bytes, bytes.length);
  for (let end = 0; end < bytes.length; end++) {
    const early = decode(bytes, end);
    if (early.length === 0) continue;
    assert.deepEqual(early, verdict, `cut at ${end}`);
    break;
  }
  return verdict;
}

function decode(bytes: Uint8Array, end: number): Verdict {
  const arena = new Uint8Array(bytes.length + 7).fill(0x0d);
  arena.set(bytes.subarray(0, end), 7);
  const length = header.decode(arena, 7, 7 + end);
  const known = length > 0 && header.hasAddresses;
  return {
    length,
    source: known ? formatPeer(header.source) : null,
    destination: known ? formatPeer(header.destination) : null,
  };
}

function text(line: string): Verdict {
  return read(Buffer.from(line, "latin1"));
}

function binary(command: number, family: number, block: readonly number[], length = block.length): Uint8Array {
  return Uint8Array.from([...SIGNATURE, command, family, length >> 8, length & 255, ...block]);
}

const V4 = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 0x01, 0xbb];

test("PP-01 text headers of every family and length", () => {
  assert.deepEqual(text("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET /"), {
    length: 42,
    source: "192.0.2.1:56324",
    destination: "192.0.2.2:443",
  });
  assert.deepEqual(text("PROXY TCP6 2001:DB8::1 ::ffff:102:304 0 65535\r\n"), {
    length: 47,
    source: "[2001:db8::1]:0",
    destination: "1.2.3.4:65535",
  });
  const longest = `PROXY UNKNOWN ${"f".repeat(91)}\r\n`;
  assert.deepEqual(text(longest), { length: 107, source: null, destination: null });
  assert.equal(text("PROXY UNKNOWN\r\n").length, 15);
});

test("PP-02 PP-03 PP-04 PP-05 whatever else a line says is malformed", () => {
  const lines = [
    `PROXY UNKNOWN ${"f".repeat(92)}\r\n`,
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rX",
    "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "PROXY\tTCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "PROXY TCP41.2.3.4 1.2.3.4 1 2\r\n",
    "PROXY UNKNOWNX\r\n",
    "PROXY\r\n",
    "PROXY \r\n",
    "GET / HTTP/1.1\r\n",
    ...["256.0.0.1", "01.2.3.4", "1.2.3", "16909060", "0x1.2.3.4", "1.2.3.4.5", "1.2.3.", "::1"].map(
      (ip) => `PROXY TCP4 ${ip} 1.2.3.4 1 2\r\n`,
    ),
    ...[
      "1::2::3",
      ":1",
      "1:",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "12345::",
      "[::1]",
      "::1%eth0",
      "::1.2.3.4",
      ":::",
      "1.2.3.4",
    ].map((ip) => `PROXY TCP6 ${ip} ::1 1 2\r\n`),
    ...["65536", "-1", "+80", "080", "", "http", "1 "].map((port) => `PROXY TCP4 1.2.3.4 1.2.3.4 1 ${port}\r\n`),
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
  ];
  for (const line of lines) assert.equal(text(line).length, MALFORMED, line);
});

test("PP-06 a LOCAL header and one without a family are as long as they say and name nobody", () => {
  assert.deepEqual(read(binary(0x20, 0, [])), { length: 16, source: null, destination: null });
  assert.deepEqual(read(binary(0x20, 0x11, V4)), { length: 28, source: null, destination: null });
  assert.deepEqual(read(binary(0x20, 0xff, [1, 2, 3])), { length: 19, source: null, destination: null });
  assert.deepEqual(read(binary(0x21, 0, [1, 2, 3])), { length: 19, source: null, destination: null });
});

test("PP-07 PP-08 PP-09 versions, commands, families and lengths that do not exist", () => {
  for (const command of [0x11, 0x31, 0x22, 0x2f]) assert.equal(read(binary(command, 0x11, V4)).length, MALFORMED);
  for (const family of [0x31, 0x41, 0xf1, 0x13]) assert.equal(read(binary(0x21, family, V4)).length, MALFORMED);
  assert.equal(read(binary(0x21, 0x11, V4.slice(1))).length, MALFORMED);
  assert.equal(read(binary(0x21, 0x21, V4)).length, MALFORMED);
  assert.equal(read(binary(0x21, 0x11, V4, 65535)).length, MALFORMED);
  assert.equal(read(binary(0x21, 0x11, V4, 4080)).length, 0);
});

test("PP-10 TLVs fill the header to the byte", () => {
  assert.equal(read(binary(0x21, 0x11, [...V4, 4, 0, 0])).length, 31);
  assert.equal(read(binary(0x21, 0x11, [...V4, 4, 0, 1])).length, MALFORMED);
  assert.equal(read(binary(0x21, 0x11, [...V4, 4, 0])).length, MALFORMED);
  assert.equal(read(binary(0x21, 0x11, [...V4, 5, 0, 129, ...new Array<number>(129).fill(1)])).length, MALFORMED);
});

test("PP-11 the checksum is checked", () => {
  assert.equal(crc32c(Buffer.from("123456789"), 0, 9, 99) >>> 0, 0xe3069283);
  const bytes = binary(0x21, 0x11, [...V4, 4, 0, 1, 7, 3, 0, 4, 0, 0, 0, 0]);
  new DataView(bytes.buffer).setInt32(bytes.length - 4, crc32c(bytes, 0, bytes.length, bytes.length - 4));
  assert.equal(read(bytes).source, "192.0.2.1:56324");
  bytes[20] ^= 1;
  assert.equal(read(bytes).length, MALFORMED);
});

test("an address survives the way through text and bytes", () => {
  fc.assert(
    fc.property(fc.ipV6(), fc.nat(65535), (ip, port) => {
      fc.pre(!ip.includes("."));
      const { source } = text(`PROXY TCP6 ${ip} ::1 ${port} 1\r\n`);
      const groups = new URL(`http://[${ip}]/`).hostname;
      const mapped = /^\[::ffff:/.test(groups);
      if (!mapped) assert.equal(source, `${groups}:${port}`);
    }),
  );
});

test("no input makes it throw or read past its end", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(2), (tail, start) => {
      const lead = start === 0 ? [] : start === 1 ? SIGNATURE : [...Buffer.from("PROXY TCP")];
      const { length } = read(Uint8Array.from([...lead, ...tail]));
      assert.ok(length === MALFORMED || (length >= 0 && length <= lead.length + tail.length));
    }),
  );
});

interface Vector {
  readonly id: string;
  readonly header_base64: string;
  readonly followed_by: string | null;
  readonly expect: string;
  readonly source: string | null;
  readonly destination: string | null;
}

const file = new URL("../../../../shared/vectors/proxy-protocol/vectors.json", import.meta.url);

test("the shared vectors", { skip: existsSync(file) ? false : "no ../shared/vectors beside the project" }, () => {
  const { cases } = JSON.parse(readFileSync(file, "utf8")) as { cases: Vector[] };
  for (const vector of cases) {
    const bytes = Buffer.from(vector.header_base64, "base64");
    const { expect } = vector;
    const behind = expect.startsWith("abort-after") ? "" : (vector.followed_by ?? "");
    const verdict = read(Buffer.concat([bytes, Buffer.from(behind, "base64")]));
    const wanted = expect.split("-or-");
    if (expect.startsWith("abort-after")) assert.equal(verdict.length, 0, vector.id);
    else if (wanted.includes("abort") && verdict.length === MALFORMED) continue;
    else if (expect.startsWith("abort")) assert.equal(verdict.length, MALFORMED, vector.id);
    else assert.ok(verdict.length > 0, vector.id);
    if (expect === "accept" && vector.source !== null) assert.equal(verdict.source, vector.source, vector.id);
    if (vector.destination !== null) assert.equal(verdict.destination, vector.destination, vector.id);
    if (expect === "accept-real-peer") assert.equal(verdict.source, null, vector.id);
  }
});
