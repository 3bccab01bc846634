import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { ULID_LENGTH, UlidSource } from "../../src/observe/ulid.ts";

const FORM = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;

function fixed(byte: number): (target: Uint8Array) => void {
  return (target) => target.fill(byte);
}

function next(source: UlidSource, nowMs: number): string {
  const bytes = new Uint8Array(ULID_LENGTH + 2).fill(1);
  source.next(nowMs, bytes, 1);
  assert.equal(bytes[0], 1, "nothing before the offset");
  assert.equal(bytes[ULID_LENGTH + 1], 1, "nothing behind the 26 characters");
  return Buffer.from(bytes.subarray(1, ULID_LENGTH + 1)).toString("latin1");
}

function timeOf(ulid: string): number {
  let time = 0;
  for (const character of ulid.slice(0, 10)) {
    time = time * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".indexOf(character);
  }
  return time;
}

test("the first ten characters are the time, the rest is random", () => {
  const source = new UlidSource(fixed(0));
  assert.equal(next(source, 1_469_918_176_385), "01ARYZ6S410000000000000000");
  assert.equal(timeOf(next(source, 1_795_197_411_123.9)), 1_795_197_411_123);
  assert.match(next(new UlidSource(fixed(255)), 5), /^0000000005ZZZZZZZZZZZZZZZZ$/);
});

test("within a millisecond the random part counts up, with carry", () => {
  const source = new UlidSource(fixed(31));
  const first = next(source, 1000);
  assert.equal(first.slice(10), "Z".repeat(16));
  const second = next(source, 1000);
  assert.equal(timeOf(second), 1001, "80 bits used up borrow the next millisecond");
  assert.equal(second.slice(10), "0".repeat(16));
  assert.equal(next(source, 1000).slice(10), `${"0".repeat(15)}1`);
  assert.equal(timeOf(next(source, 1001)), 1001);
});

test("every ULID is greater than the one before, also when the clock steps back a little", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -1, max: 3 }), { maxLength: 400 }), fc.nat({ max: 255 }), (steps, byte) => {
      const source = new UlidSource(fixed(byte));
      let now = 1_795_197_411_123;
      let last = "";
      let lowest = now;
      for (const step of steps) {
        now = Math.max(now + step, lowest - 900);
        lowest = Math.max(lowest, now);
        const ulid = next(source, now);
        assert.match(ulid, FORM);
        assert.ok(ulid > last);
        last = ulid;
      }
    }),
  );
});

test("RX-23 a clock that steps back far is followed", () => {
  const source = new UlidSource(fixed(1));
  next(source, 1_795_197_411_123);
  assert.equal(timeOf(next(source, 1_795_190_000_000)), 1_795_190_000_000);
});

test("random bytes are drawn in batches", () => {
  let draws = 0;
  const source = new UlidSource((target) => {
    draws++;
    randomFillSync(target);
  });
  const seen = new Set<string>();
  for (let i = 0; i < 10_000; i++) seen.add(next(source, 1_795_197_411_123 + (i >> 4)));
  assert.equal(seen.size, 10_000);
  assert.ok(draws <= 12, `${draws} draws for 625 milliseconds`);
});
