// Frames of the command socket as byte literals: whole, byte by byte, cut at each place, with trailing bytes; and what
// broken lengths do (CP-01, CP-02, CP-04).

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { encodeFrame, FRAME, FrameDecoder } from "../../src/command/framing.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));

/** Feeds chunks and collects what comes out: bodies as hex, other results as numbers. */
function decode(decoder: FrameDecoder, chunks: readonly Uint8Array[]): (string | number)[] {
  const seen: (string | number)[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (;;) {
      const result = decoder.next();
      if (result === FRAME.NEED_MORE) break;
      seen.push(result === FRAME.MESSAGE ? Buffer.from(decoder.body).toString("hex") : result);
      if (result === FRAME.TOO_LARGE) break;
    }
  }
  return seen;
}

function bytewise(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte));
}

const TWO_FRAMES = hex("0a00000000000000 6200 | 0b00000000000000 010203".replaceAll("|", ""));

test("encodeFrame counts the prefix in the little-endian length", () => {
  assert.deepEqual(encodeFrame(hex("6200")), hex("0a00000000000000 6200"));
  assert.deepEqual(encodeFrame(new Uint8Array(0)), hex("0800000000000000"));
});

test("encodeFrame refuses a frame above the limit", () => {
  assert.equal(encodeFrame(new Uint8Array(93), 100), null);
  assert.equal(encodeFrame(new Uint8Array(92), 100)?.length, 100);
});

test("FrameDecoder finds two frames whole, byte by byte, cut anywhere, with bytes left over", () => {
  const expected = ["6200", "010203"];
  assert.deepEqual(decode(new FrameDecoder(), [TWO_FRAMES]), expected);
  assert.deepEqual(decode(new FrameDecoder({ initialBytes: 8 }), bytewise(TWO_FRAMES)), expected);
  for (let cut = 0; cut <= TWO_FRAMES.length; cut++) {
    const chunks = [TWO_FRAMES.subarray(0, cut), TWO_FRAMES.subarray(cut)];
    assert.deepEqual(decode(new FrameDecoder({ initialBytes: 8 }), chunks), expected);
  }
  const trailing = new FrameDecoder();
  assert.deepEqual(decode(trailing, [TWO_FRAMES, hex("0a000000")]), expected);
  assert.equal(trailing.buffered, 4);
});

test("CP-01: FrameDecoder consumes a length below 8 and goes on behind it", () => {
  for (let length = 0; length < 8; length++) {
    const bad = Uint8Array.of(length, 0, 0, 0, 0, 0, 0, 0);
    const seen = decode(new FrameDecoder(), [bad, TWO_FRAMES]);
    assert.deepEqual(seen, [FRAME.LENGTH_UNDER_DELIMITER, "6200", "010203"]);
  }
});

test("CP-02: FrameDecoder refuses lengths above the limit before it allocates, and stays refused", () => {
  for (const prefix of ["0000000000000080", "0000000001000000", "ffffffff00000000", "6500000000000000"]) {
    const decoder = new FrameDecoder({ initialBytes: 16, maxBytes: 100 });
    assert.deepEqual(decode(decoder, bytewise(hex(prefix))), [FRAME.TOO_LARGE]);
    decoder.push(TWO_FRAMES);
    assert.equal(decoder.next(), FRAME.TOO_LARGE);
    assert.equal(decoder.buffered, 0);
  }
});

test("FrameDecoder takes a frame of exactly the limit", () => {
  const frame = encodeFrame(new Uint8Array(92).fill(7))!;
  assert.equal(decode(new FrameDecoder({ maxBytes: 100, initialBytes: 8 }), bytewise(frame)).length, 1);
});

test("property: what FrameDecoder finds does not depend on how bytes are cut", () => {
  const frames = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });
  const cuts = fc.array(fc.nat({ max: 3000 }), { maxLength: 12 });
  fc.assert(
    fc.property(frames, cuts, (bodies, places) => {
      const whole = Buffer.concat(bodies.map((body) => encodeFrame(body)!));
      const sorted = [0, ...places.map((place) => place % (whole.length + 1)).sort((a, b) => a - b), whole.length];
      const chunks = sorted.slice(1).map((end, i) => whole.subarray(sorted[i], end));
      const expected = bodies.map((body) => Buffer.from(body).toString("hex"));
      assert.deepEqual(decode(new FrameDecoder({ initialBytes: 16 }), chunks), expected);
    }),
  );
});

test("property: FrameDecoder survives random bytes with bounded memory", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }), (chunks) => {
      const decoder = new FrameDecoder({ initialBytes: 8, maxBytes: 64 });
      decode(decoder, chunks);
      assert.ok(decoder.buffered <= 64);
    }),
  );
});
