// The arena's division into fixed areas.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Memory } from "../../src/loop/memory.ts";

test("areas are aligned, disjoint and zeroed", () => {
  const memory = new Memory(100_000);
  assert.equal(memory.bytes.length, 102_400);
  const first = memory.allocate(10);
  const second = memory.allocate(10);
  const page = memory.allocate(1, 4096);
  const last = memory.allocate(0, 64);
  assert.deepEqual([first, second, page, last], [0, 16, 4096, 4160]);
  assert.equal(memory.bytes[page], 0);
  assert.equal(memory.remaining, 102_400 - 4160);
});

test("an arena that is too small says so", () => {
  const memory = new Memory(4096);
  memory.allocate(4096);
  assert.throws(() => memory.allocate(1), /the arena of 4096 bytes has no room for 1 more/);
  assert.throws(() => memory.allocate(-1), RangeError);
});

test("sizes that offsets cannot name are refused", () => {
  for (const size of [0, -1, Number.NaN, 2 ** 31]) assert.throws(() => new Memory(size), RangeError);
});
