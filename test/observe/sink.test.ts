// The batch sink under a target whose writes the test completes: order, bounds, losses, recovery.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BatchSink } from "../../src/observe/sink.ts";
import { MemoryTarget } from "./memory-target.ts";

function put(sink: BatchSink, line: string): boolean {
  const bytes = new TextEncoder().encode(line);
  return sink.append(bytes, 0, bytes.length);
}

test("lines wait for a tick and go out in one write", () => {
  const target = new MemoryTarget();
  const sink = new BatchSink(target, 1024);
  put(sink, "a\n");
  put(sink, "b\n");
  assert.deepEqual(target.writes, []);
  assert.equal(sink.pending, true);
  sink.tick();
  assert.deepEqual(target.writes, ["a\nb\n"]);
  assert.equal(sink.pending, false);
  sink.tick();
  assert.equal(target.writes.length, 1);
});

test("32 kB go out without a tick", () => {
  const target = new MemoryTarget();
  const sink = new BatchSink(target);
  const line = `${"x".repeat(1023)}\n`;
  for (let i = 0; i < 31; i++) put(sink, line);
  assert.equal(target.writes.length, 0);
  put(sink, line);
  assert.equal(target.takeText().length, 32_768);
});

test("while one batch is written the next one fills, and follows it", () => {
  const target = new MemoryTarget();
  target.instant = false;
  const sink = new BatchSink(target, 64);
  put(sink, "first\n");
  sink.flush();
  put(sink, "second\n");
  sink.flush();
  assert.equal(target.waiting, true);
  target.complete();
  assert.deepEqual(target.writes, ["first\n"]);
  sink.tick();
  target.complete();
  assert.deepEqual(target.writes, ["first\n", "second\n"]);
});

test("with both halves full lines are dropped, counted, and reported once when it recovers", () => {
  const target = new MemoryTarget();
  target.instant = false;
  const sink = new BatchSink(target, 64);
  const reports: number[] = [];
  sink.onRecovered = (lines) => reports.push(lines);
  for (let i = 0; i < 8; i++) put(sink, "1234567\n");
  assert.equal(sink.dropped, 0);
  for (let i = 0; i < 5; i++) assert.equal(put(sink, "1234567\n"), false);
  assert.equal(sink.dropped, 5);
  target.complete();
  assert.deepEqual(reports, [5]);
  sink.tick();
  target.complete();
  assert.deepEqual(reports, [5]);
  assert.equal(target.takeText(), "1234567\n".repeat(8));
  assert.equal(put(sink, "again\n"), true);
});

test("a line longer than a half is dropped, and nothing else is", () => {
  const target = new MemoryTarget();
  const sink = new BatchSink(target, 64);
  put(sink, "a\n");
  assert.equal(put(sink, `${"x".repeat(40)}\n`), false);
  put(sink, "b\n");
  sink.tick();
  assert.equal(target.takeText(), "a\nb\n");
  assert.equal(sink.dropped, 1);
});

test("a short write is continued where it ended", () => {
  const target = new MemoryTarget();
  target.takes = 3;
  const sink = new BatchSink(target, 64);
  put(sink, "0123456789\n");
  sink.flush();
  assert.deepEqual(target.writes, ["012", "345", "678", "9\n"]);
  assert.equal(sink.pending, false);
});

test("a failed write costs its lines, is counted and reported once, and the target is reopened", () => {
  const target = new MemoryTarget();
  const sink = new BatchSink(target, 64);
  const troubles: string[] = [];
  const recovered: number[] = [];
  sink.onTrouble = (message) => troubles.push(message);
  sink.onRecovered = (lines) => recovered.push(lines);
  target.failures = ["ENOSPC", "ENOSPC"];
  for (const line of ["a\n", "b\n", "c\n"]) {
    put(sink, line);
    put(sink, line);
    sink.tick();
  }
  assert.equal(sink.unsent, 4);
  assert.equal(target.reopened, 2);
  assert.deepEqual(troubles, ["log target memory: cannot write: ENOSPC"]);
  assert.equal(target.takeText(), "c\nc\n");
  assert.deepEqual(recovered, [4]);
  // A target that comes and goes is reported now and then.
  for (let i = 0; i < 60; i++) {
    target.failures = ["EIO"];
    put(sink, "d\n");
    sink.tick();
    put(sink, "d\n");
    sink.tick();
  }
  assert.equal(sink.unsent, 64);
  assert.equal(troubles.length, 3);
  assert.equal(recovered.length, 3);
});

test("while its target is gone a sink keeps lines, and drops and counts what is too much", () => {
  const target = new MemoryTarget();
  const sink = new BatchSink(target, 64);
  const troubles: string[] = [];
  sink.onTrouble = (message) => troubles.push(message);
  target.gone = true;
  for (let i = 0; i < 10; i++) {
    put(sink, "1234567\n");
    sink.tick();
  }
  assert.deepEqual(troubles, ["log target memory: cannot write: EPIPE"]);
  assert.equal(sink.unsent, 0);
  const kept = 10 - sink.dropped;
  assert.ok(kept >= 5 && sink.dropped > 0, `${sink.dropped}`);
  target.gone = false;
  sink.tick();
  sink.tick();
  assert.equal(target.takeText(), "1234567\n".repeat(kept));
});

test("a target that always fails is tried once per tick, not in a circle", () => {
  const target = new MemoryTarget();
  const sink = new BatchSink(target, 1 << 18);
  target.failures = new Array(1000).fill("EIO");
  const line = `${"x".repeat(1023)}\n`;
  for (let i = 0; i < 500; i++) put(sink, line);
  assert.ok(1000 - target.failures.length <= 6, `${1000 - target.failures.length} tries`);
});

test("a target that is not ready keeps the batch and is tried again at the tick", () => {
  const target = new MemoryTarget();
  const sink = new BatchSink(target, 64);
  target.failures = ["EAGAIN", "EAGAIN"];
  put(sink, "a\n");
  sink.flush();
  put(sink, "b\n");
  sink.tick();
  assert.equal(target.takeText(), "");
  sink.tick();
  assert.equal(target.takeText(), "a\n");
  sink.tick();
  assert.equal(target.takeText(), "b\n");
  assert.equal(sink.unsent, 0);
});

test("a busy sink tries a target that was not ready every few lines", () => {
  const target = new MemoryTarget();
  const sink = new BatchSink(target, 1024);
  target.failures = ["EAGAIN", "EAGAIN", "EAGAIN"];
  put(sink, "first\n");
  sink.flush();
  for (let i = 0; i < 47; i++) put(sink, "more\n");
  assert.equal(target.takeText(), "");
  put(sink, "more\n");
  assert.equal(target.takeText(), "first\n");
  sink.tick();
  assert.equal(target.takeText(), "more\n".repeat(48));
});

test("drain calls back when everything is written", () => {
  const target = new MemoryTarget();
  target.instant = false;
  const sink = new BatchSink(target, 64);
  let drained = 0;
  put(sink, "a\n");
  sink.flush();
  put(sink, "b\n");
  sink.drain(() => drained++);
  target.complete();
  assert.equal(drained, 0);
  target.complete();
  assert.equal(drained, 1);
  sink.drain(() => drained++);
  assert.equal(drained, 2);
  assert.equal(target.takeText(), "a\nb\n");
});

test("drain gives up on a target that fails instead of waiting for ever", () => {
  const target = new MemoryTarget();
  const sink = new BatchSink(target, 64);
  target.failures = ["EPIPE"];
  let drained = 0;
  put(sink, "a\n");
  sink.drain(() => drained++);
  assert.equal(drained, 1);
  assert.equal(sink.unsent, 1);
});

test("flushSync writes what has collected, but never behind a write that is under way", () => {
  const target = new MemoryTarget();
  const sink = new BatchSink(target, 64);
  put(sink, "a\n");
  sink.flushSync();
  assert.equal(target.takeText(), "a\n");
  sink.flushSync();
  assert.equal(target.takeText(), "");
  target.instant = false;
  put(sink, "b\n");
  sink.flush();
  put(sink, "c\n");
  sink.flushSync();
  assert.equal(target.takeText(), "");
  assert.equal(sink.dropped, 1);
});

test("flushSync finishes short writes and stops at an error", () => {
  const target = new MemoryTarget();
  const sink = new BatchSink(target, 64);
  target.takes = 2;
  put(sink, "abcde\n");
  sink.flushSync();
  assert.deepEqual(target.writes, ["ab", "cd", "e\n"]);
  target.failures = ["EIO"];
  put(sink, "f\n");
  sink.flushSync();
  assert.equal(sink.unsent, 1);
  target.failures = ["EAGAIN"];
  put(sink, "g\n");
  sink.flush();
  put(sink, "h\n");
  sink.flushSync();
  assert.equal(target.takeText(), "abcde\ng\nh\n");
});

test("a failed reopen is reported and the sink goes on", () => {
  const target = new MemoryTarget();
  const sink = new BatchSink(target, 64);
  const troubles: string[] = [];
  sink.onTrouble = (message) => troubles.push(message);
  target.reopenError = "EACCES";
  sink.reopen();
  assert.deepEqual(troubles, ["log target memory: cannot reopen: EACCES"]);
  put(sink, "a\n");
  sink.tick();
  assert.equal(target.takeText(), "a\n");
});

test("whatever happens, lines come out whole and in order, and every other one is counted", () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.nat({ max: 30 }) },
    { weight: 1, arbitrary: fc.constantFrom("tick", "complete", "fail", "again", "short") },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300, size: "max" }), (steps) => {
      const target = new MemoryTarget();
      target.instant = false;
      const sink = new BatchSink(target, 128);
      let sent = 0;
      for (const item of steps) {
        if (typeof item === "number") put(sink, `${sent++}:${"x".repeat(item)}\n`);
        else if (item === "tick") sink.tick();
        else if (item === "fail") target.failures = ["EIO"];
        else if (item === "again") target.failures = ["EAGAIN"];
        else if (item === "short") target.takes = 7;
        else if (target.waiting) target.complete();
      }
      for (let i = 0; sink.pending && i < 100; i++) {
        if (target.waiting) target.complete();
        else sink.tick();
      }
      assert.equal(sink.pending, false);
      // A write that fails after a short one leaves half a line behind; only whole ones count here.
      const lines = target.takeText().split("\n").slice(0, -1);
      const numbers = lines.map((line) => Number.parseInt(line, 10));
      if (target.takes === Number.POSITIVE_INFINITY) {
        assert.ok(lines.every((line) => /^\d+:x*$/.test(line)));
        assert.deepEqual(
          numbers,
          [...numbers].sort((a, b) => a - b),
        );
        assert.equal(lines.length + sink.dropped + sink.unsent, sent);
      }
    }),
  );
});
