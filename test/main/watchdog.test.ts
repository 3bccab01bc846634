import assert from "node:assert/strict";
import { test } from "node:test";
import { BEAT, Heart } from "../../src/main/watchdog.ts";

/** What is found after so many looks, 100 ms apart, at a heartbeat that stands still. */
function stillFor(heart: Heart, looks: number, timeoutMs: number): number[] {
  return Array.from({ length: looks }, () => heart.watch(7, 100, timeoutMs));
}

test("a heart that stands still is reported after a second and given up after the timeout, once each", () => {
  const heart = new Heart();
  const found = stillFor(heart, 41, 3000);
  assert.equal(found.indexOf(BEAT.STALLED), 10);
  assert.equal(found.indexOf(BEAT.DEAD), 30);
  assert.equal(found.filter((beat) => beat !== BEAT.SAME).length, 2);
});

test("one that moves again is well", () => {
  const heart = new Heart();
  stillFor(heart, 15, 3000);
  assert.ok(heart.stalled);
  assert.equal(heart.watch(8, 100, 3000), BEAT.MOVES_AGAIN);
  assert.ok(!heart.stalled);
  assert.equal(heart.watch(9, 100, 3000), BEAT.SAME);
});

test("time in which main itself stood still does not count", () => {
  const heart = new Heart();
  heart.watch(7, 100, 3000);
  assert.equal(heart.watch(7, 60_000, 3000), BEAT.SAME);
});

test("a page that this release cannot read says nothing", () => {
  const heart = new Heart();
  for (let look = 0; look < 100; look++) assert.equal(heart.watch(0, 100, 1000), BEAT.SAME);
});
