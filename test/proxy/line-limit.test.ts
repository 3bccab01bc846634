// Lines that peers can cause are bounded, and none is lost without a word.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Logger } from "../../src/observe/logger.ts";
import { LineLimit } from "../../src/proxy/tls/line-limit.ts";

test("ten lines a second, then their number with the first of another second", () => {
  const said: string[] = [];
  const limit = new LineLimit(
    { warn: (_: string, text: string) => said.push(text) } as unknown as Logger,
    "https",
    "more",
  );
  const taken = (atMs: number, count: number): number =>
    Array.from({ length: count }, () => limit.take(atMs)).filter(Boolean).length;
  assert.equal(taken(5000, 25), 10);
  assert.deepEqual(said, []);
  assert.equal(taken(6001, 4), 4);
  assert.deepEqual(said, ["15 more"]);
  assert.equal(taken(9000, 1), 1);
  assert.deepEqual(said, ["15 more"]);
});
