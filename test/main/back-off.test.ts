import assert from "node:assert/strict";
import { test } from "node:test";
import { BackOff, PAUSE_MAX_MS, SETTLED_MS } from "../../src/main/back-off.ts";

test("a worker that had lived is replaced at once", () => {
  const backOff = new BackOff();
  for (let i = 0; i < 5; i++) assert.equal(backOff.onDeath(SETTLED_MS), 0);
});

test("UP-12 early deaths: at once, then pauses that double up to a ceiling", () => {
  const backOff = new BackOff();
  const pauses = Array.from({ length: 10 }, () => backOff.onDeath(50));
  assert.deepEqual(pauses, [0, 100, 200, 400, 800, 1600, 3200, 6400, PAUSE_MAX_MS, PAUSE_MAX_MS]);
});

test("one settled worker ends the series", () => {
  const backOff = new BackOff();
  for (let i = 0; i < 6; i++) backOff.onDeath(0);
  assert.equal(backOff.onDeath(SETTLED_MS + 1), 0);
  assert.equal(backOff.onDeath(0), 0);
  assert.equal(backOff.onDeath(0), 100);
});
