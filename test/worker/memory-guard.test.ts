// When a worker is short of memory, and when it is not any more.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import type { Logger } from "../../src/observe/logger.ts";
import { ResidentMemory } from "../../src/os/resident.ts";
import { MemoryGuard } from "../../src/worker/memory-guard.ts";

const MB = 1048576;

function rig(residentMax: number) {
  const now = { resident: 50 * MB, used: 10 * MB };
  const told: boolean[] = [];
  const lines: string[] = [];
  const guard = new MemoryGuard({
    residentMax,
    resident: () => now.resident,
    heap: () => ({ used: now.used, limit: 100 * MB }),
    logger: { warn: (_module: string, text: string) => lines.push(text) } as unknown as Logger,
    onShort: (short) => told.push(short),
  });
  return { now, told, lines, guard };
}

test("RX-09 above the ceiling new work is refused, below 95 % of it taken again, each told once", () => {
  const { now, told, lines, guard } = rig(100 * MB);
  assert.equal(guard.check(), 50 * MB);
  now.resident = 101 * MB;
  for (let i = 0; i < 3; i++) guard.check();
  assert.deepEqual([guard.short, told], [true, [true]]);
  now.resident = 97 * MB;
  guard.check();
  assert.ok(guard.short, "it would come back at once");
  now.resident = 94 * MB;
  for (let i = 0; i < 3; i++) guard.check();
  assert.deepEqual([guard.short, told], [false, [true, false]]);
  assert.equal(lines.length, 2);
  assert.match(lines[0] as string, /^short of memory \(101 MB resident, heap 10 of 100 MB\)/);
});

test("a heap counts when it stays full over several checks, not for garbage of a moment", () => {
  const { now, told, guard } = rig(0);
  now.resident = 10_000 * MB;
  for (let i = 0; i < 10; i++) {
    now.used = i % 3 === 2 ? 60 * MB : 95 * MB;
    guard.check();
  }
  assert.deepEqual(told, []);
  now.used = 95 * MB;
  for (let i = 0; i < 3; i++) guard.check();
  now.used = 85 * MB;
  guard.check();
  assert.deepEqual(told, [true]);
  now.used = 70 * MB;
  guard.check();
  assert.deepEqual(told, [true, false]);
});

test("resident memory is what the kernel says, whatever the size of a page; without /proc it is 0", () => {
  const measured = new ResidentMemory().read();
  const shown = Number(execFileSync("ps", ["-o", "rss=", "-p", String(process.pid)]).toString()) * 1024;
  assert.ok(Math.abs(measured - shown) < 20 * MB, `${measured} ${shown}`);
  assert.equal(new ResidentMemory("/nowhere").read(), 0);
});
