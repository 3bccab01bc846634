// When a dead worker's successor may start (hardening UP-12). A worker that had lived is replaced at once. One that dies
// young is replaced at once the first time, then after growing pauses, so that a worker that dies of its state or of its
// machine is no fork bomb. Pure: the clock is an argument.

/** A worker that lived this long ended a series of early deaths. */
export const SETTLED_MS = 10_000;
/** First pause of a series, doubled for each further early death. */
export const PAUSE_FIRST_MS = 100;
/** Longest pause. */
export const PAUSE_MAX_MS = 10_000;

/** The deaths of one worker slot. */
export class BackOff {
  /** Early deaths in a row, 0 when the last worker had settled. */
  earlyDeaths = 0;

  /** Counts the death of a worker that lived `livedMs`; returns the pause before its successor starts. */
  onDeath(livedMs: number): number {
    if (livedMs >= SETTLED_MS) {
      this.earlyDeaths = 0;
      return 0;
    }
    this.earlyDeaths += 1;
    if (this.earlyDeaths === 1) return 0;
    return Math.min(PAUSE_FIRST_MS * 2 ** (this.earlyDeaths - 2), PAUSE_MAX_MS);
  }
}
