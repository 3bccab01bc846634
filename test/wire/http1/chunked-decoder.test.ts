// Chunked bodies: each text is read whole, byte by byte and cut in two at each offset; data, end and error must agree.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CHUNKED, ChunkedDecoder } from "../../../src/wire/http1/chunked-decoder.ts";
import { type WireError, wireErrors } from "../../../src/wire/http1/errors.ts";
import { CHUNK_OVERHEAD_BYTES_MAX } from "../../../src/wire/http1/limits.ts";
import { TrailerDecoder } from "../../../src/wire/http1/trailer-decoder.ts";
import { describeFields } from "./describe.ts";
import { feed, latin1 } from "./feed.ts";

const decoder = new ChunkedDecoder();
const trailers = new TrailerDecoder();

/** Data, outcome and consumed bytes of a body fed in pieces. */
function read(bytes: Uint8Array, pieces: readonly number[]): { data: string; outcome: string; used: number } {
  decoder.reset();
  const data: Buffer[] = [];
  let from = 0;
  for (const piece of pieces) {
    const to = from + piece;
    for (;;) {
      const event = decoder.next(bytes, from, to);
      if (event < 0)
        return { data: Buffer.concat(data).toString("latin1"), outcome: wireErrors[-event].name, used: -1 };
      from = decoder.position;
      if (event === CHUNKED.DATA) {
        assert.ok(decoder.dataEnd > decoder.dataStart && decoder.dataEnd === from);
        data.push(Buffer.from(bytes.subarray(decoder.dataStart, decoder.dataEnd)));
        continue;
      }
      if (event === CHUNKED.NEED_MORE) {
        assert.equal(from, to);
        break;
      }
      const outcome = event === CHUNKED.END ? "end" : "trailers";
      return { data: Buffer.concat(data).toString("latin1"), outcome, used: from };
    }
  }
  return { data: Buffer.concat(data).toString("latin1"), outcome: "more", used: from };
}

function readAllWays(text: string) {
  const bytes = latin1(text);
  const whole = read(bytes, [bytes.length]);
  assert.deepEqual(read(bytes, new Array(bytes.length).fill(1)), whole, `byte by byte: ${JSON.stringify(text)}`);
  for (let cut = 1; cut < bytes.length; cut++) {
    assert.deepEqual(read(bytes, [cut, bytes.length - cut]), whole, `cut at ${cut}: ${JSON.stringify(text)}`);
  }
  return whole;
}

function refused(name: keyof typeof WireError, ...texts: string[]) {
  for (const text of texts) assert.equal(readAllWays(text).outcome, name, JSON.stringify(text.slice(0, 100)));
}

test("chunks give their data and the end its position", () => {
  const text = "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET / HTTP/1.1";
  assert.deepEqual(readAllWays(text), { data: "hello world", outcome: "end", used: text.indexOf("GET") });
  assert.deepEqual(readAllWays("0\r\n\r\n"), { data: "", outcome: "end", used: 5 });
  assert.deepEqual(readAllWays("A\r\n0123456789\r\n0a\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n").outcome, "end");
});

test("H1-38 sizes are hexadecimal digits and nothing else", () => {
  for (const size of ["0x5", "+5", "-5", "5_0", " 5", "5 ", "", "5\t", "g", "5h", "5,", "5=", "\r", "\xb2"]) {
    refused("InvalidChunkSize", `${size}\r\nhello\r\n0\r\n\r\n`);
  }
  refused(
    "ChunkSizeTooLarge",
    `${"1".repeat(17)}\r\n`,
    "FFFFFFFFFFFFFFFF\r\n",
    "20000000000000\r\n",
    `${"0".repeat(17)}\r\n`,
  );
});

test("H1-39 leading zeros are read up to 16 digits", () => {
  assert.equal(readAllWays("0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n").data, "hello");
  refused("ChunkSizeTooLarge", "00000000000000005\r\nhello\r\n0\r\n\r\n");
});

test("a chunk of 2^53 - 1 bytes is counted exactly", () => {
  decoder.reset();
  const bytes = latin1("1fffffffffffff\r\nabc");
  assert.equal(decoder.next(bytes, 0, bytes.length), CHUNKED.DATA);
  assert.equal(decoder.chunkRemaining, Number.MAX_SAFE_INTEGER - 3);
});

test("H1-40 data that is longer or shorter than its size is refused", () => {
  refused("MissingChunkEnd", "4\r\nSEE-THIS\r\n0\r\n\r\n", "9\r\nSEE-THIS\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n");
});

test("H1-41 line ends are CRLF", () => {
  refused("BareCarriageReturn", "5\rXhello\r\n0\r\n\r\n", "5\r\rhello", "0\r\n\rX");
  refused("BareLineFeed", "5\nhello\r\n0\r\n\r\n", "0\n\r\n", "5;a\nhello", "5;a=b\nhello", '5;a="b"\nhello');
  refused("MissingChunkEnd", "5\r\nhello\n0\r\n\r\n", "5\r\nhello\rX");
});

test("H1-42 extensions outside the grammar are refused", () => {
  for (const extension of [
    ";",
    ";[",
    ";a=",
    ";=b",
    ";a=b=c",
    ";a b",
    "; a",
    ";a =b",
    ";a= b",
    ' ;a="x"',
    ';a="x"y',
    ';a="\x00"',
    ";;a",
  ]) {
    const outcome = readAllWays(`5${extension}\r\nhello\r\n0\r\n\r\n`).outcome;
    assert.ok(outcome === "InvalidChunkExtension" || outcome === "InvalidChunkSize", `${extension}: ${outcome}`);
  }
  refused(
    "InvalidChunkExtension",
    '5;a="b\r\nc"\r\nhello',
    '5;a="b\\\r\n',
    "5;a\0\r\n",
    "5;a=b\0\r\n",
    '5;a="\x7f"\r\n',
  );
  refused("BareCarriageReturn", "5\r\r;a", "5;a\r;b\r\n");
});

test("H1-43 valid extensions are accepted and no part of the data", () => {
  const text = '5;a=b;c="d;\\"\r\xe9 \t";e\r\nhello\r\n0;last\r\n\r\n'.replace("\r\xe9", "\xe9");
  assert.deepEqual(readAllWays(text), { data: "hello", outcome: "end", used: text.length });
});

test("H1-44 framing beyond its budget is refused", () => {
  decoder.reset();
  const long = latin1(`5;${"a".repeat(CHUNK_OVERHEAD_BYTES_MAX)}\r\n`);
  assert.equal(read(long, [long.length]).outcome, "ChunkOverheadTooLarge");
  assert.equal(read(long, new Array(long.length).fill(1)).outcome, "ChunkOverheadTooLarge");
  const extensions = latin1(`5;${"a".repeat(1000)}\r\nhello\r\n`.repeat(10_000));
  assert.equal(read(extensions, [extensions.length]).outcome, "ChunkOverheadTooLarge");
  const tiny = latin1("1\r\nx\r\n".repeat(6_000));
  const outcome = read(tiny, [tiny.length]);
  assert.deepEqual([outcome.outcome, outcome.data.length], ["ChunkOverheadTooLarge", 5_461]);
  // Events of a few bytes each, as a server that streams them sends, may go on for ever.
  const events = latin1("6\r\nevent\n\r\n".repeat(50_000));
  assert.equal(read(events, [events.length]).outcome, "more");
});

test("H1-46 a body whose last CRLF is missing is not over", () => {
  assert.equal(readAllWays("0\r\n").outcome, "more");
  assert.equal(readAllWays("5\r\nhello\r\n0\r\n\r").outcome, "more");
  assert.equal(readAllWays("0\r\nGET / HTTP/1.1\r\n").outcome, "trailers");
});

test("trailers begin where the decoder says and are read by the trailer decoder", () => {
  const text = "3\r\nabc\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n";
  assert.deepEqual(readAllWays(text), { data: "abc", outcome: "trailers", used: text.indexOf("X-Sum") });
  const section = latin1("X-Sum: 1\r\nY:2\r\n\r\n");
  const outcome = feed(
    trailers,
    (d) => d.reset(),
    section,
    (d, bytes, base) => describeFields(d.head, bytes, base),
  );
  assert.deepEqual(outcome, { result: section.length, facts: ["X-Sum: 1", "loose Y: 2"] });
  decoder.reset();
  const last = latin1("0\r\nX");
  assert.equal(decoder.next(last, 0, 4), CHUNKED.TRAILER_START);
  assert.equal(decoder.next(last, 3, 4), CHUNKED.TRAILER_START, "asked again, it says so again");
  assert.equal(decoder.position, 3);
});

test("H1-45 trailers that would frame, route or authenticate are dropped", () => {
  const names = [
    "Content-Length",
    "transfer-encoding",
    "Host",
    "Authorization",
    "X-Real-IP",
    "X-Forwarded-For",
    "Connection",
    "Set-Cookie",
  ];
  const section = latin1(`${names.map((name) => `${name}: 1\r\n`).join("")}Content_Length: 1\r\nX-Sum: 1\r\n\r\n`);
  const outcome = feed(
    trailers,
    (d) => d.reset(),
    section,
    (d, bytes, base) => describeFields(d.head, bytes, base),
  );
  assert.deepEqual(outcome.facts, [...names.map((name) => `drop ${name}: 1`), "drop Content_Length: 1", "X-Sum: 1"]);
});

test("trailers keep the rules of fields", () => {
  for (const [name, text] of [
    ["ObsoleteFolding", "A: b\r\n c\r\n\r\n"],
    ["MissingColon", "no-colon\r\n\r\n"],
    ["BareLineFeed", "A: b\n\r\n"],
    ["TooManyFields", "A: b\r\n".repeat(129)],
  ] as const) {
    trailers.reset();
    const bytes = latin1(text);
    assert.equal(wireErrors[-trailers.decode(bytes, 0, 0, bytes.length)].name, name);
  }
});
