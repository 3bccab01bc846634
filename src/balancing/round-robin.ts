// Weighted round robin, interleaved: a cycle has as many rounds as the largest weight (divided by the common divisor of
// all), and round r visits every backend whose weight is above r. With backends sorted by weight that is a prefix, so a
// pick is a step of a cursor; with equal weights it is plain round robin in the order of configuration.
// A backend that cannot be opened loses its turn; nobody inherits it in particular, so its share spreads over the
// others.

import type { Backend } from "./backend.ts";
import { type Policy, usable } from "./policy.ts";

/** ROUND_ROBIN. */
export class RoundRobin implements Policy {
  private backends: readonly Backend[];
  /** Weight of backends[i] divided by the common divisor. */
  private shares: Int32Array;
  private cursor: number;
  private round: number;

  constructor() {
    this.backends = [];
    this.shares = new Int32Array(0);
    this.cursor = 0;
    this.round = 0;
  }

  setBackends(backends: readonly Backend[]): void {
    // Stable: backends of one weight stay in their order.
    this.backends = backends.toSorted((a, b) => b.weight - a.weight);
    let divisor = 0;
    for (const backend of backends) {
      divisor = commonDivisor(divisor, backend.weight);
    }
    this.shares = Int32Array.from(this.backends, (backend) => backend.weight / divisor);
    if (this.cursor >= backends.length || this.round >= (this.shares[0] ?? 0)) {
      this.cursor = 0;
      this.round = 0;
    }
  }

  pick(nowMs: number, random: () => number, ignoreHealth: boolean): Backend | null {
    const count = this.backends.length;
    // The rest of this round, the next round from its start, and if that is a short one, a whole first round.
    for (let steps = 2 * count; steps > 0; steps--) {
      const backend = this.next();
      // In slow start it loses some of its turns.
      if (usable(backend, nowMs, ignoreHealth) && (backend.ramp === 1 || random() < backend.ramp)) {
        return backend;
      }
    }
    this.round = 0;
    this.cursor = 0;
    for (let steps = count; steps > 0; steps--) {
      const backend = this.next();
      if (usable(backend, nowMs, ignoreHealth)) {
        return backend;
      }
    }
    return null;
  }

  private next(): Backend {
    if (this.cursor >= this.shares.length || this.shares[this.cursor] <= this.round) {
      this.cursor = 0;
      this.round = this.round + 1 < this.shares[0] ? this.round + 1 : 0;
    }
    return this.backends[this.cursor++];
  }
}

function commonDivisor(a: number, b: number): number {
  while (b !== 0) {
    const rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}
