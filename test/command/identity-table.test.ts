// The identity table against a plain Map, with keys that collide in shard and slot as often as they can.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { IdentityTable } from "../../src/command/identity-table.ts";

test("an identity table does what a map does, whatever collides", () => {
  const key = fc.tuple(fc.constantFrom(0, 7, 8, 15, -1, 2 ** 31 - 1, 1024), fc.constantFrom(0, 256, -256, 1, 513));
  const step = fc.tuple(fc.boolean(), key);
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const table = new IdentityTable<{ readonly n: number }>();
      const map = new Map<string, { readonly n: number }>();
      steps.forEach(([adds, [low, high]], n) => {
        const name = `${low} ${high}`;
        if (!adds) {
          assert.equal(table.take(low, high), map.get(name) ?? null);
          map.delete(name);
        } else if (table.get(low, high) === null) {
          const value = { n };
          table.add(low, high, value);
          map.set(name, value);
        }
        assert.equal(table.size, map.size);
        for (const [each, value] of map) {
          const [l, h] = each.split(" ").map(Number);
          assert.equal(table.get(l, h), value);
        }
      });
    }),
    { numRuns: 300 },
  );
});

test("an identity table grows and shrinks by 100,000 keys", () => {
  const table = new IdentityTable<object>();
  const value = {};
  const spread = (i: number): [number, number] => [Math.imul(i, 0x9e3779b1), Math.imul(i, 0x85ebca6b) ^ (i >>> 3)];
  for (let i = 0; i < 100_000; i++) table.add(...spread(i), value);
  assert.equal(table.size, 100_000);
  for (let i = 0; i < 100_000; i += 2) assert.equal(table.take(...spread(i)), value);
  for (let i = 0; i < 100_000; i++) assert.equal(table.get(...spread(i)), i % 2 === 0 ? null : value);
  assert.equal(table.size, 50_000);
});
