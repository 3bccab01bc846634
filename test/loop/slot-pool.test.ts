// Head slots: size classes out of one budget, blocks that change their class.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Memory } from "../../src/loop/memory.ts";
import { SlotPool } from "../../src/loop/slot-pool.ts";

const BLOCK = 32768;

function makePool(blocks: number): { pool: SlotPool; bytes: Uint8Array } {
  const memory = new Memory(blocks * BLOCK + 8192);
  memory.allocate(100);
  return { pool: new SlotPool(memory, blocks * BLOCK + 5), bytes: memory.bytes };
}

function classOf(size: number): number {
  let bytes = 512;
  while (bytes < size) bytes *= 2;
  return bytes;
}

test("a slot has the smallest class that fits", () => {
  const { pool } = makePool(10);
  for (const size of [0, 1, 511, 512, 513, 1024, 1025, 4000, 4097, 16385, 32768]) {
    const offset = pool.take(size);
    assert.equal(pool.sizeOf(offset), classOf(size), `${size}`);
    pool.give(offset);
  }
  assert.equal(pool.take(32769), -1);
  assert.equal(pool.inUse, 0);
});

test("slots never overlap, and the budget is used to the last byte", () => {
  const { pool, bytes } = makePool(3);
  assert.equal(pool.capacityBytes, 3 * BLOCK);
  const offsets: number[] = [];
  for (let offset = pool.take(512); offset !== -1; offset = pool.take(512)) offsets.push(offset);
  assert.equal(offsets.length, (3 * BLOCK) / 512);
  assert.equal(new Set(offsets).size, offsets.length);
  assert.ok(offsets.every((offset) => offset >= 100 && offset + 512 <= bytes.length));
  for (const offset of offsets) pool.give(offset);
  const large = [pool.take(BLOCK), pool.take(BLOCK), pool.take(BLOCK)];
  assert.ok(!large.includes(-1));
  assert.equal(pool.take(1), -1);
});

test("any order of takes and gives keeps slots apart and counts right", () => {
  const step = fc.oneof(fc.record({ take: fc.integer({ min: 0, max: 33000 }) }), fc.record({ give: fc.nat(1000) }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const { pool } = makePool(4);
      const lent: { offset: number; size: number }[] = [];
      for (const one of steps) {
        if ("take" in one) {
          const offset = pool.take(one.take);
          if (offset === -1) continue;
          const size = classOf(one.take);
          for (const other of lent) {
            assert.ok(offset + size <= other.offset || other.offset + other.size <= offset, "overlap");
          }
          lent.push({ offset, size });
        } else if (lent.length > 0) {
          pool.give(lent.splice(one.give % lent.length, 1)[0].offset);
        }
        if (lent.length % 8 === 0) pool.trim();
        assert.equal(pool.inUse, lent.length);
        assert.equal(
          pool.bytesInUse,
          lent.reduce((sum, { size }) => sum + size, 0),
        );
        for (const { offset, size } of lent) assert.equal(pool.sizeOf(offset), size);
      }
      for (const { offset } of lent) pool.give(offset);
      // Nothing is lost to fragmentation: all of the budget can be had in one class.
      for (let i = 0; i < 4; i++) assert.notEqual(pool.take(BLOCK), -1);
    }),
    { numRuns: 200 },
  );
});

test("giving twice, or what is no slot, throws", () => {
  const { pool } = makePool(2);
  const offset = pool.take(1024);
  pool.take(1024);
  for (const wrong of [offset + 512, offset + 1, -1, 0, 1e9]) {
    assert.throws(() => pool.give(wrong), /no slot that was taken/, `${wrong}`);
  }
  pool.give(offset);
  assert.throws(() => pool.give(offset), /no slot that was taken/);
  assert.throws(() => pool.sizeOf(offset), /no slot that was taken/);
});

test("trim gives back pages of unused blocks only", () => {
  const { pool, bytes } = makePool(4);
  const lent = [pool.take(BLOCK), pool.take(BLOCK), pool.take(BLOCK)];
  for (const offset of lent) bytes[offset] = 9;
  pool.give(lent[0]);
  pool.give(lent[1]);
  assert.ok(pool.trim() >= 1);
  assert.equal(bytes[lent[2]], 9);
  assert.equal(pool.trim(), 0);
});
