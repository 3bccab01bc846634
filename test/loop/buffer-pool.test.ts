// Pooled buffers: a ceiling, reuse of the warm ones, pages given back above the floor.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BufferPool } from "../../src/loop/buffer-pool.ts";
import { Memory } from "../../src/loop/memory.ts";

const SIZE = 16393;

function makePool(min: number, max: number): { pool: BufferPool; bytes: Uint8Array } {
  const memory = new Memory(BufferPool.bytesFor(SIZE, max) + 100);
  memory.allocate(100);
  return { pool: new BufferPool(memory, SIZE, min, max), bytes: memory.bytes };
}

test("at the ceiling take is -1 until a buffer is given", () => {
  const { pool } = makePool(1, 3);
  const offsets = [pool.take(), pool.take(), pool.take()];
  assert.equal(pool.take(), -1);
  assert.equal(pool.inUse, 3);
  assert.equal(pool.capacity, 3);
  pool.give(offsets[1]);
  assert.equal(pool.take(), offsets[1]);
});

test("lent buffers lie on pages, apart from each other, whatever the order", () => {
  const operations = fc.array(fc.oneof(fc.constant(-1), fc.nat(20)), { maxLength: 200 });
  fc.assert(
    fc.property(operations, fc.nat(4), (steps, min) => {
      const { pool, bytes } = makePool(min, 7);
      const lent: number[] = [];
      for (const step of steps) {
        if (step < 0) {
          const offset = pool.take();
          assert.equal(offset === -1, lent.length === 7);
          if (offset === -1) continue;
          assert.equal(offset % 4096, 0);
          assert.ok(offset + SIZE <= bytes.length);
          for (const other of lent) assert.ok(Math.abs(other - offset) >= SIZE);
          lent.push(offset);
        } else if (lent.length > 0) {
          pool.give(lent.splice(step % lent.length, 1)[0]);
        } else {
          pool.trim();
          assert.ok(pool.committed <= min);
        }
        assert.equal(pool.inUse, lent.length);
        assert.ok(pool.committed >= pool.inUse);
      }
    }),
    { numRuns: 100 },
  );
});

test("giving twice, or what is no buffer, throws", () => {
  const { pool } = makePool(1, 2);
  const offset = pool.take();
  pool.give(offset);
  assert.throws(() => pool.give(offset), /no buffer that was taken/);
  for (const wrong of [-1, 1, offset + 1, offset + 20480 * 2, 1e9, Number.NaN]) {
    assert.throws(() => pool.give(wrong), /no buffer that was taken/);
  }
});

test("trim gives back the pages of free buffers above the floor, never those of lent ones", () => {
  const { pool, bytes } = makePool(2, 6);
  const offsets = Array.from({ length: 6 }, () => pool.take());
  for (const offset of offsets) bytes[offset] = 7;
  for (const offset of offsets.slice(0, 5)) pool.give(offset);
  assert.equal(pool.committed, 6);
  assert.equal(pool.trim(), 4);
  assert.equal(pool.committed, 2);
  assert.equal(bytes[offsets[5]], 7);
  // The last one given is the warmest: it stays.
  assert.equal(bytes[offsets[4]], 7);
  for (const offset of offsets.slice(0, 4)) assert.equal(bytes[offset], 0);
  assert.equal(pool.trim(), 0);
});
