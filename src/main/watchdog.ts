// Whether a worker's loop turns (decisions 26): its heartbeat lies in the stats page. Silence, and the time that a start
// takes, are counted in main's own ticks, not read off the clock: when main itself stood still, or the whole machine did,
// nobody is blamed for it.

import type { WorkerSlot } from "./worker-slot.ts";

/** A heartbeat that stands still for this long is reported, and the slot's accept queue is lent. */
export const STALL_MS = 1000;
/** What one tick of main counts at most, however late it is. */
const TICK_MAX_MS = 200;

/** Of the time since the last tick, what others may be blamed for: the rest main has slept itself. */
export function ownTime(sinceMs: number): number {
  return Math.min(sinceMs, TICK_MAX_MS);
}

/** What a look at a heartbeat found. */
export const BEAT = { SAME: 0, STALLED: 1, MOVES_AGAIN: 2, DEAD: 3 } as const;

/** Looks at the heartbeat of a slot's worker, which serves; `sinceMs`: since the last look. */
export function watchBeat(slot: WorkerSlot, sinceMs: number, timeoutMs: number): number {
  const beat = slot.stats.heartbeatUs;
  // 0: a page that this release cannot read.
  if (beat !== slot.beatUs || beat === 0) {
    slot.beatUs = beat;
    slot.silentMs = 0;
    if (!slot.stalled) return BEAT.SAME;
    slot.stalled = false;
    return BEAT.MOVES_AGAIN;
  }
  slot.silentMs += ownTime(sinceMs);
  if (slot.silentMs >= Math.max(timeoutMs, STALL_MS)) return BEAT.DEAD;
  if (slot.stalled || slot.silentMs < STALL_MS) return BEAT.SAME;
  slot.stalled = true;
  return BEAT.STALLED;
}
