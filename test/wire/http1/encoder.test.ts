// The encoder: numbers, lines, runs of fields; within one array and between two.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as encoder from "../../../src/wire/http1/encoder.ts";
import { HOST, USER_AGENT } from "../../../src/wire/http1/head.ts";
import { RequestDecoder } from "../../../src/wire/http1/request-decoder.ts";
import { latin1 } from "./feed.ts";

const out = new Uint8Array(8192);
const OUT = 4096;

const written = (end: number) => Buffer.from(out.subarray(OUT, end)).toString("latin1");

test("numbers are written as JavaScript would", () => {
  const edges = [
    0,
    1,
    9,
    10,
    15,
    16,
    99,
    100,
    255,
    256,
    65_535,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32,
    10 ** 15,
    Number.MAX_SAFE_INTEGER,
  ];
  for (const value of edges) {
    assert.equal(written(encoder.encodeDecimal(out, OUT, value)), String(value));
    assert.equal(written(encoder.encodeHex(out, OUT, value)), value.toString(16));
  }
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      assert.equal(written(encoder.encodeDecimal(out, OUT, value)), String(value));
      assert.equal(written(encoder.encodeHex(out, OUT, value)), value.toString(16));
    }),
  );
});

test("the stated maxima hold for the largest numbers", () => {
  const largest = Number.MAX_SAFE_INTEGER;
  assert.ok(encoder.encodeContentLength(out, OUT, largest) - OUT <= encoder.CONTENT_LENGTH_BYTES_MAX);
  assert.ok(encoder.encodeChunkHead(out, OUT, largest) - OUT <= encoder.CHUNK_HEAD_BYTES_MAX);
  assert.ok(encoder.encodeStatusLine(out, OUT, 200, out, 0, 0) - OUT <= encoder.STATUS_LINE_BYTES_MAX);
  const line = encoder.encodeRequestLine(out, OUT, latin1("GET?"), 1, 0, 3, 3, 4);
  assert.ok(line - OUT - 4 <= encoder.REQUEST_LINE_EXTRA_BYTES_MAX);
});

test("status lines and single fields", () => {
  const source = latin1("..Not Found.value");
  assert.equal(written(encoder.encodeStatusLine(out, OUT, 404, source, 2, 11)), "HTTP/1.1 404 Not Found\r\n");
  assert.equal(written(encoder.encodeStatusLine(out, OUT, 999, source, 0, 0)), "HTTP/1.1 999 \r\n");
  assert.equal(written(encoder.encodeContentLength(out, OUT, 0)), "Content-Length: 0\r\n");
  assert.equal(written(encoder.encodeContentLength(out, OUT, 1234)), "Content-Length: 1234\r\n");
  assert.equal(written(encoder.encodeChunkHead(out, OUT, 4096)), "1000\r\n");
  assert.equal(written(encoder.encodeField(out, OUT, latin1("Sozu-Id"), source, 12, 17)), "Sozu-Id: value\r\n");
});

/** Decodes a head at `base` of `out` and encodes it again. */
function again(text: string, source = out, base = 17): string {
  source.set(latin1(text), base);
  const decoder = new RequestDecoder();
  assert.equal(decoder.decode(source, base, base, base + text.length), text.length, text);
  let at = encoder.encodeRequestLine(
    out,
    OUT,
    source,
    decoder.method,
    base + decoder.methodStart,
    base + decoder.methodEnd,
    base + decoder.pathStart,
    base + decoder.pathEnd,
  );
  const line = at;
  at = encoder.encodeFields(out, at, source, base, decoder.head);
  assert.ok(at - line <= encoder.encodedFieldsMax(decoder.head));
  return written(at);
}

test("request lines carry the path, never the authority", () => {
  const line = (method: string, target: string) =>
    again(`${method} ${target} HTTP/1.1\r\nHost: a\r\n\r\n`).split("\r\n")[0];
  assert.equal(line("GET", "/a?b"), "GET /a?b HTTP/1.1");
  assert.equal(line("PROPFIND", "http://a/x?y"), "PROPFIND /x?y HTTP/1.1");
  assert.equal(line("GET", "http://a"), "GET / HTTP/1.1");
  assert.equal(line("GET", "http://a?b"), "GET /?b HTTP/1.1");
  assert.equal(line("OPTIONS", "*"), "OPTIONS * HTTP/1.1");
  assert.equal(line("OPTIONS", "http://a"), "OPTIONS * HTTP/1.1");
});

test("dropped fields are left out, the others are canonical and in order", () => {
  const text =
    "GET / HTTP/1.0\r\nHost: a\r\nA:1\r\nB: 2\r\nC: 3\r\nKeep-Alive: x\r\nConnection: D\r\nD: 4\r\nE:  5 \r\nF:\r\nG: 6\r\n\r\n";
  const expected = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nE: 5\r\nF: \r\nG: 6\r\n";
  assert.equal(again(text), expected);
  assert.equal(again(text, new Uint8Array(1000)), expected, "from another array");
});

test("a table may be thinned by hand before it is encoded", () => {
  const text = "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: 1\r\nX: y\r\nUser-Agent: 2\r\n\r\n";
  out.set(latin1(text), 0);
  const decoder = new RequestDecoder();
  assert.ok(decoder.decode(out, 0, 0, text.length) > 0);
  const { head } = decoder;
  assert.deepEqual(
    [head.indexOf(USER_AGENT), head.lastIndexOf(USER_AGENT), head.nextIndexOf(USER_AGENT, 2)],
    [1, 3, 3],
  );
  assert.equal(head.nameEquals(out, 0, 2, latin1("x")), true);
  head.drop(USER_AGENT);
  head.dropIndex(head.indexOf(HOST));
  assert.equal(written(encoder.encodeFields(out, OUT, out, 0, head)), "X: y\r\n");
});

test("constants of every length are written exactly", () => {
  for (let length = 0; length <= 40; length++) {
    const text = "X-Forwarded-Proto: http\r\nX-Forwarded-Port: 80\r\n".slice(0, length);
    out.fill(0xee);
    const end = encoder.encodeConstant(out, OUT, new encoder.Constant(text));
    assert.equal(written(end), text);
    assert.deepEqual([out[OUT - 1], out[end]], [0xee, 0xee]);
  }
});

test("spans of every length are copied exactly, whatever surrounds them", () => {
  const source = Uint8Array.from({ length: 600 }, (_, i) => (i * 7 + 13) & 0xff);
  for (let length = 0; length <= 300; length++) {
    for (const from of [0, 1, 3]) {
      out.fill(0xee);
      out.set(source, 0);
      const end = encoder.encodeSpan(out, OUT + from, out, from, from + length);
      assert.equal(end, OUT + from + length);
      assert.deepEqual(out.subarray(OUT + from, end), source.subarray(from, from + length));
      assert.equal(out[OUT + from - 1], 0xee);
      assert.equal(out[end], 0xee, `length ${length}`);
    }
  }
});
