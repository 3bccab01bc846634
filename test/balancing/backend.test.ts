// Back-off of one backend (spec 7.3) under a clock and a randomness of the test's own.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Backend, TRIES_MAX } from "../../src/balancing/backend.ts";
import { backendObject } from "./sample-cluster.ts";

const half = (): number => 0.5;

test("the first failure waits exactly a second", () => {
  const backend = new Backend(backendObject("b0"));
  assert.equal(backend.canOpen(0), true);
  assert.equal(
    backend.onConnectFailed(10_000, () => 0.999),
    false,
  );
  assert.equal(backend.canOpen(10_999), false);
  assert.equal(backend.canOpen(11_000), true);
  assert.equal(backend.available, true, "a short back-off still counts as available");
});

test("later waits are random between one and 2^tries seconds", () => {
  for (const [random, waits] of [
    [0, [1000, 1000, 1000, 1000, 1000, 1000, 1000]],
    [0.5, [1000, 2500, 4500, 8500, 16_500, 32_500, 32_500]],
  ] as const) {
    const backend = new Backend(backendObject("b0"));
    let now = 0;
    for (const wait of waits) {
      backend.onConnectFailed(now, () => random);
      assert.equal(backend.canOpen(now + wait - 1), false);
      assert.equal(backend.canOpen(now + wait), true);
      now += wait;
    }
  }
});

test("failures during a wait are ignored", () => {
  const backend = new Backend(backendObject("b0"));
  for (let now = 0; now < 1000; now++) backend.onConnectFailed(now, half);
  assert.equal(backend.canOpen(1000), true);
});

test("it goes down at the sixth failure, once, and is tried again after the wait", () => {
  const backend = new Backend(backendObject("b0"));
  const told: boolean[] = [];
  for (let i = 0; i < 8; i++) told.push(backend.onConnectFailed(i * 100_000, half));
  assert.deepEqual(told, [false, false, false, false, false, true, false, false]);
  assert.equal(backend.down, true);
  assert.equal(backend.available, false);
  assert.equal(backend.canOpen(900_000), true);
});

test("a success resets everything, and tells when the backend was down", () => {
  const backend = new Backend(backendObject("b0"));
  backend.onConnectFailed(0, half);
  assert.equal(backend.onConnected(10, 1), false);
  assert.equal(backend.canOpen(10), true);
  for (let i = 1; i <= TRIES_MAX; i++) backend.onConnectFailed(i * 100_000, half);
  assert.equal(backend.onConnected(900_000, 1), true);
  assert.equal(backend.available, true);
  assert.equal(backend.onConnectFailed(900_001, half), false);
  assert.equal(backend.canOpen(901_001), true, "counting starts at one again");
});

test("a wait never exceeds 64 s, and down and recovered alternate", () => {
  const event = fc.record({ failed: fc.boolean(), afterMs: fc.nat({ max: 80_000 }), random: fc.nat({ max: 999 }) });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60, size: "max" }), (events) => {
      const backend = new Backend(backendObject("b0"));
      let now = 0;
      let isDown = false;
      for (const { failed, afterMs, random } of events) {
        now += afterMs;
        if (failed && backend.onConnectFailed(now, () => random / 1000)) {
          assert.equal(isDown, false);
          isDown = true;
        }
        if (!failed && backend.onConnected(now, 1)) {
          assert.equal(isDown, true);
          isDown = false;
        }
        assert.equal(backend.down, isDown);
        assert.equal(backend.canOpen(now + 64_000), true);
      }
    }),
  );
});

test("weight 0 is the default, and what is no weight counts as 1", () => {
  for (const [weight, effective] of [
    [0, 100],
    [1, 1],
    [255, 255],
    [-3, 1],
    [2.9, 2],
    [Number.NaN, 1],
  ]) {
    assert.equal(new Backend(backendObject("b0", { weight })).weight, effective);
  }
});

test("the average connection time jumps up at once and comes down over seconds", () => {
  const backend = new Backend(backendObject("b0"));
  assert.equal(backend.connectionCost(0, 100), 50);
  backend.onConnected(0, 400);
  assert.equal(backend.connectionCost(0, 100), 400);
  backend.onConnected(0, 10);
  assert.equal(backend.connectionCost(0, 100), 400, "no time has passed");
  backend.onConnected(1000, 10);
  assert.ok(backend.connectionCost(1000, 100) > 10 && backend.connectionCost(1000, 100) < 200);
  backend.onConnected(60_000, 10);
  assert.ok(Math.abs(backend.connectionCost(60_000, 100) - 10) < 0.1);
  backend.activeConnections = 2;
  assert.ok(Math.abs(backend.connectionCost(60_000, 100) - 30) < 0.5);
  assert.ok(Math.abs(backend.connectionCost(60_000, 200) - 50) < 0.5, "twice the weight, half the load");
});

test("an average that nothing renews fades, so that who was slow once is asked again", () => {
  const backend = new Backend(backendObject("b0"));
  assert.equal(backend.connectionCost(5000, 100), 50, "the initial value holds when it is first asked for");
  backend.onConnected(5000, 3000);
  assert.equal(backend.connectionCost(5000, 100), 3000);
  assert.ok(backend.connectionCost(7000, 100) < 500);
  assert.equal(backend.connectionCost(60_000, 100), 1, "and ends at a millisecond");
});
