// ShardedMap behaves as Map does, but for the order.

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { ShardedMap } from "../../src/command/sharded-map.ts";

test("property: ShardedMap equals a Map", () => {
  const key = fc.oneof(fc.constantFrom("", "a", "b", "__proto__"), fc.string({ maxLength: 4 }));
  const step = fc.record({ key, value: fc.option(fc.nat(), { nil: undefined }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const model = new Map<string, number>();
      const map = new ShardedMap<number>();
      for (const one of steps) {
        if (one.value === undefined) assert.equal(map.delete(one.key), model.delete(one.key));
        else {
          map.set(one.key, one.value);
          model.set(one.key, one.value);
        }
        assert.equal(map.size, model.size);
        assert.equal(map.get(one.key), model.get(one.key));
        assert.equal(map.has(one.key), model.has(one.key));
      }
      assert.deepEqual([...map.entries()].sort(), [...model].sort());
      assert.deepEqual([...map.keys()].sort(), [...model.keys()].sort());
      assert.deepEqual([...map.values()].sort(), [...model.values()].sort());
    }),
  );
});

test("keys that look alike spread over the shards", () => {
  const map = new ShardedMap<number>();
  for (let i = 0; i < 10_000; i++) map.set(`b\0app-${i}\0app-${i}-0-10.0.0.1:8080\u000010.0.0.1:8080`, i);
  // The shards are private; what can be seen is that nothing got lost.
  assert.equal(map.size, 10_000);
  assert.equal(map.get("b\0app-77\0app-77-0-10.0.0.1:8080\u000010.0.0.1:8080"), 77);
});
