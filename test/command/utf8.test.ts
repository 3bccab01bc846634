// Bytes and texts: the short way gives what the runtime's encoders give, and remembered texts are never mixed up.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TextCache, utf8Bytes } from "../../src/command/utf8.ts";

test("utf8Bytes equals TextEncoder for any text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 100 }), (text) => {
      assert.deepEqual(utf8Bytes(text), new TextEncoder().encode(text));
    }),
  );
});

test("a remembered text is the one of exactly these bytes", () => {
  const cache = new TextCache();
  const arena = new Uint8Array(256);
  fc.assert(
    fc.property(fc.string({ unit: "binary-ascii", maxLength: 100 }), fc.nat(100), (text, at) => {
      const end = at + new TextEncoder().encodeInto(text, arena.subarray(at)).written;
      const found = cache.find(arena, at, end);
      assert.ok(found === null || found === text);
      if (found === null) cache.keep(text, arena, at, end);
      assert.equal(cache.find(arena, at, end), end - at <= 48 ? text : null);
    }),
    { numRuns: 2000 },
  );
});
