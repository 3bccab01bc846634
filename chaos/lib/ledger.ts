// What became of every request of the chaos suite: served, lost with the process that served it, or failed. A failure is
// whatever the schedule does not explain, so one entry is one bug (or one hole in this accounting).

/** Failures that are kept with their text. */
const FAILURES_MAX = 200;

/** Counts of one kind of client. */
export interface Tally {
  served: number;
  lost: number;
  failed: number;
  longestMs: number;
}

/** The account of a run. */
export class Ledger {
  readonly tallies: Map<string, Tally>;
  /** `12.345 s upload: closed inside an answer` */
  readonly failures: string[];
  failed: number;
  /** Requests that were in flight when the process that had accepted their connection was killed. */
  mayBeLost: number;
  /** Of all requests since `lap`, in milliseconds. */
  #longestMs: number;
  readonly #startedMs: number;

  constructor() {
    this.tallies = new Map();
    this.failures = [];
    this.failed = 0;
    this.mayBeLost = 0;
    this.#longestMs = 0;
    this.#startedMs = performance.now();
  }

  /** Seconds since the start. */
  get seconds(): number {
    return (performance.now() - this.#startedMs) / 1000;
  }

  get served(): number {
    return this.#sum("served");
  }

  get lost(): number {
    return this.#sum("lost");
  }

  of(kind: string): Tally {
    const tally = this.tallies.get(kind) ?? { served: 0, lost: 0, failed: 0, longestMs: 0 };
    this.tallies.set(kind, tally);
    return tally;
  }

  /** A request of which the time counts was answered. */
  serve(kind: string, tookMs: number): void {
    const tally = this.of(kind);
    tally.served++;
    tally.longestMs = Math.max(tally.longestMs, tookMs);
    this.#longestMs = Math.max(this.#longestMs, tookMs);
  }

  /** Something that takes as long as it takes went well: a download, a message after a pause. */
  pass(kind: string): void {
    this.of(kind).served++;
  }

  fail(kind: string, text: string): void {
    this.of(kind).failed++;
    this.failed++;
    if (this.failures.length < FAILURES_MAX) this.failures.push(`${this.seconds.toFixed(3)} s ${kind}: ${text}`);
  }

  /** The longest request since the last call. */
  lap(): number {
    const longestMs = this.#longestMs;
    this.#longestMs = 0;
    return longestMs;
  }

  #sum(key: "served" | "lost"): number {
    let sum = 0;
    for (const tally of this.tallies.values()) sum += tally[key];
    return sum;
  }
}
