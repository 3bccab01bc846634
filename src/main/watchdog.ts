// Whether a worker's loop turns (decisions 26): its heartbeat lies in the stats page. Silence, and the time that a start
// takes, are counted in main's own ticks, not read off the clock: when main itself stood still, or the whole machine did,
// nobody is blamed for it.

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

/** What main knows of one worker's heartbeat. */
export class Heart {
  /** It stood still for STALL_MS when it was last looked at. */
  stalled: boolean;
  /** The heartbeat when it was last seen to move, and for how long main has watched it stand still since. */
  #beatUs: number;
  #silentMs: number;

  constructor() {
    this.stalled = false;
    this.#beatUs = 0;
    this.#silentMs = 0;
  }

  /** Looks at the heartbeat of a worker that serves or drains; `sinceMs`: since the last look. DEAD comes once. */
  watch(beatUs: number, sinceMs: number, timeoutMs: number): number {
    // 0: a page that this release cannot read.
    if (beatUs !== this.#beatUs || beatUs === 0) {
      this.#beatUs = beatUs;
      this.#silentMs = 0;
      if (!this.stalled) return BEAT.SAME;
      this.stalled = false;
      return BEAT.MOVES_AGAIN;
    }
    const silentMs = this.#silentMs + ownTime(sinceMs);
    this.#silentMs = silentMs;
    if (silentMs >= Math.max(timeoutMs, STALL_MS)) {
      this.#silentMs = 0;
      return BEAT.DEAD;
    }
    if (this.stalled || silentMs < STALL_MS) return BEAT.SAME;
    this.stalled = true;
    return BEAT.STALLED;
  }
}
