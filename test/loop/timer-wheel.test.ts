// Timeouts: never early, at most two ticks late, exactly the armed ones.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TICK_MS, Timed, TimerWheel } from "../../src/loop/timer-wheel.ts";

class Entry extends Timed {
  fired = 0;
  /** Milliseconds; -1 when off. What a naive timer would hold. */
  dueMs = -1;
  action: (() => void) | null = null;

  override onTimeout(): void {
    this.fired++;
    this.dueMs = -1;
    this.action?.();
  }
}

function makeWheel(startUs = 5_000_037): { wheel: TimerWheel; clock: Float64Array; pass(ms: number): void } {
  const clock = Float64Array.of(startUs, 0);
  const wheel = new TimerWheel(clock);
  return {
    wheel,
    clock,
    pass(ms: number) {
      clock[0] += ms * 1000;
      wheel.advance();
    },
  };
}

test("an entry fires once, not before its time", () => {
  const { wheel, pass } = makeWheel();
  const entry = new Entry();
  wheel.arm(entry, 1000);
  assert.ok(wheel.isArmed(entry));
  pass(999.9);
  assert.equal(entry.fired, 0);
  pass(2 * TICK_MS);
  assert.equal(entry.fired, 1);
  assert.ok(!wheel.isArmed(entry));
  assert.equal(wheel.count, 0);
  pass(100_000);
  assert.equal(entry.fired, 1);
});

test("arming for later, for earlier, cancelling and switching off", () => {
  const { wheel, pass } = makeWheel();
  const [later, earlier, cancelled, disarmed, off] = Array.from({ length: 5 }, () => new Entry());
  for (const entry of [later, earlier, cancelled, disarmed, off]) wheel.arm(entry, 1000);
  wheel.arm(later, 5000);
  wheel.arm(earlier, 200);
  wheel.cancel(cancelled);
  wheel.disarm(disarmed);
  wheel.arm(off, 0);
  assert.equal(wheel.count, 4);
  pass(400);
  assert.deepEqual([later.fired, earlier.fired], [0, 1]);
  pass(1000);
  assert.equal(wheel.count, 1);
  pass(3500);
  assert.equal(later.fired, 0);
  pass(300);
  assert.equal(later.fired, 1);
  assert.equal(cancelled.fired + disarmed.fired + off.fired, 0);
});

test("cancel lets go of the entry, twice does no harm, and it can be armed again", () => {
  const { wheel, pass } = makeWheel();
  const entry = new Entry();
  wheel.cancel(entry);
  wheel.arm(entry, 100);
  wheel.cancel(entry);
  wheel.cancel(entry);
  assert.equal(wheel.count, 0);
  assert.deepEqual([entry.timerNext, entry.timerPrevious, entry.timerLinkedTick], [null, null, -1]);
  wheel.arm(entry, 100);
  pass(300);
  assert.equal(entry.fired, 1);
});

test("delays beyond the wheel's span, of hours and days, are kept", () => {
  const { wheel, pass } = makeWheel();
  const delays = [102_300, 102_400, 102_500, 3_600_000, 86_400_000];
  const entries = delays.map((delay) => {
    const entry = new Entry();
    wheel.arm(entry, delay);
    return entry;
  });
  let now = 0;
  while (now < 87_000_000) {
    pass(50_000);
    now += 50_000;
    for (const [i, entry] of entries.entries()) {
      assert.equal(entry.fired, now >= delays[i] + 2 * TICK_MS ? 1 : now < delays[i] ? 0 : entry.fired);
    }
  }
  assert.ok(entries.every((entry) => entry.fired === 1));
});

test("RX-23 a clock that jumps hours ahead fires what is due and nothing else", () => {
  const { wheel, pass } = makeWheel();
  const due = Array.from({ length: 100 }, () => new Entry());
  const notDue = Array.from({ length: 100 }, () => new Entry());
  for (const [i, entry] of due.entries()) wheel.arm(entry, 1 + i * 70_000);
  for (const [i, entry] of notDue.entries()) wheel.arm(entry, 7_300_000 + i * 50_000);
  pass(7_200_000);
  assert.ok(due.every((entry) => entry.fired === 1));
  assert.ok(notDue.every((entry) => entry.fired === 0));
  pass(100_300);
  assert.equal(notDue[0].fired, 1);
});

test("RX-23 a clock that runs backwards changes nothing", () => {
  const { wheel, clock, pass } = makeWheel();
  const entry = new Entry();
  wheel.arm(entry, 1000);
  pass(500);
  clock[0] -= 3_600_000_000;
  wheel.advance();
  const late = new Entry();
  wheel.arm(late, 10);
  assert.equal(entry.fired + late.fired, 0);
  clock[0] += 3_600_000_000;
  pass(700);
  assert.deepEqual([entry.fired, late.fired], [1, 1]);
});

test("RX-23 steps of the wall clock by an hour, either way, touch no timer", () => {
  const { wheel, clock, pass } = makeWheel();
  const entries = Array.from({ length: 100 }, () => new Entry());
  for (const entry of entries) wheel.arm(entry, 60_000);
  for (const step of [3_600_000_000, -7_200_000_000]) {
    clock[1] += step;
    pass(20_000);
    assert.ok(
      entries.every((entry) => entry.fired === 0),
      "no mass kill",
    );
  }
  pass(20_000 + 2 * TICK_MS);
  assert.ok(
    entries.every((entry) => entry.fired === 1),
    "nothing lives for ever",
  );
});

test("entries may arm and cancel each other and themselves while they fire", () => {
  const { wheel, pass } = makeWheel();
  const [first, second, victim, fresh] = Array.from({ length: 4 }, () => new Entry());
  const act = () => {
    wheel.cancel(victim);
    wheel.cancel(first);
    wheel.cancel(second);
    wheel.arm(fresh, 1);
  };
  first.action = act;
  second.action = act;
  for (const entry of [first, second, victim]) wheel.arm(entry, 150);
  pass(400);
  // One of the two fired first and cancelled the other.
  assert.equal(first.fired + second.fired, 1);
  pass(200);
  assert.equal(fresh.fired, 1);
  const again = new Entry();
  again.action = () => wheel.arm(again, 100);
  wheel.arm(again, 100);
  for (let i = 0; i < 10; i++) pass(200);
  assert.equal(again.fired, 10);
});

test("after a throw the rest of the slot still fires", () => {
  const { wheel, pass } = makeWheel();
  const entries = Array.from({ length: 5 }, () => new Entry());
  for (const entry of entries) {
    wheel.arm(entry, 150);
    entry.action = () => {
      throw new Error("bug");
    };
  }
  assert.throws(() => pass(500), /bug/);
  for (let i = 0; i < 4; i++) assert.throws(() => wheel.advance(), /bug/);
  wheel.advance();
  assert.ok(entries.every((entry) => entry.fired === 1));
});

test("an idle wheel catches up in one step, and tells its driver about the first entry", () => {
  const { wheel, clock, pass } = makeWheel();
  let starts = 0;
  wheel.driver = {
    onWheelStart() {
      starts++;
      clock[0] += 1000;
    },
  };
  clock[0] += 400 * 86_400_000_000;
  const entry = new Entry();
  wheel.arm(entry, 300);
  wheel.arm(new Entry(), 300);
  assert.equal(starts, 1);
  pass(299);
  assert.equal(entry.fired, 0);
  pass(201);
  assert.equal(entry.fired, 1);
});

test("any sequence of arming, cancelling and passing time equals a naive list of deadlines", () => {
  const delay = fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 400_000 }));
  const step = fc.oneof(
    fc.record({ kind: fc.constant("arm" as const), index: fc.nat(9), amount: delay }),
    fc.record({ kind: fc.constant("cancel" as const), index: fc.nat(9), amount: fc.constant(0) }),
    fc.record({ kind: fc.constant("disarm" as const), index: fc.nat(9), amount: fc.constant(0) }),
    fc.record({ kind: fc.constant("pass" as const), index: fc.constant(0), amount: fc.oneof(fc.nat(150), delay) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), fc.nat(200_000), (steps, startUs) => {
      const { wheel, clock, pass } = makeWheel(startUs);
      const entries = Array.from({ length: 10 }, () => new Entry());
      for (const { kind, index, amount } of steps) {
        const entry = entries[index];
        const nowMs = clock[0] / 1000;
        if (kind === "arm") {
          wheel.arm(entry, amount);
          entry.dueMs = nowMs + amount;
        } else if (kind === "pass") {
          const before = entries.map((one) => ({ fired: one.fired, dueMs: one.dueMs }));
          pass(amount);
          const later = clock[0] / 1000;
          for (const [i, { fired, dueMs }] of before.entries()) {
            const times = entries[i].fired - fired;
            if (dueMs < 0 || dueMs > later + 1e-6) assert.equal(times, 0, "early, or not armed");
            else if (dueMs + 2 * TICK_MS <= later) assert.equal(times, 1, "late");
            assert.ok(times <= 1);
          }
        } else {
          wheel[kind](entry);
          entry.dueMs = -1;
        }
        assert.ok(wheel.count <= 10);
      }
    }),
    { numRuns: 500 },
  );
});
