// The chaos suite for half a minute, always with the same schedule; `npm run chaos` goes on for longer and with others.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runChaos } from "../chaos/lib/run.ts";
import { KINDS } from "../chaos/lib/schedule.ts";

for (const [seed, seconds] of [
  [1, 20],
  [8, 10],
] as const) {
  test(`UP-04 UP-05 UP-25 crashes, hangs, upgrades, limits and changes at once under load, schedule ${seed}`, async (t) => {
    const lines: string[] = [];
    const say = (line: string): void => void lines.push(line);
    assert.deepEqual(await runChaos(t, { seed, seconds, kinds: KINDS, say }), [], lines.join("\n"));
  });
}
