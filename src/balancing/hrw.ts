// Weighted rendezvous hashing: every backend gets a score from the key, the best score wins. A key moves only when its
// backend goes away, and then the keys spread over the others by weight; a backend that comes takes its share from all.
// The score is -weight / ln(h) with h in (0, 1) from the key and the backend (spec 7.2); here its inverse, so that the
// smallest wins. A pick looks at every backend.

import type { Backend } from "./backend.ts";
import { mix } from "./hash.ts";
import { type Policy, usable } from "./policy.ts";

/** HRW. */
export class Hrw implements Policy {
  private backends: readonly Backend[];
  private seeds: Int32Array;
  /** All weights are equal: then the largest hash wins, without logarithms. */
  private uniform: boolean;

  constructor() {
    this.backends = [];
    this.seeds = new Int32Array(0);
    this.uniform = true;
  }

  setBackends(backends: readonly Backend[]): void {
    this.backends = backends;
    this.seeds = Int32Array.from(backends, (backend) => backend.seed);
    this.uniform = backends.every((backend) => backend.weight === backends[0].weight);
  }

  pick(nowMs: number, _random: () => number, ignoreHealth: boolean, key: number): Backend | null {
    if (!this.uniform) {
      return this.pickWeighted(nowMs, ignoreHealth, key);
    }
    const { backends, seeds } = this;
    let best: Backend | null = null;
    let bestHash = 0;
    for (let i = 0; i < seeds.length; i++) {
      const hash = mix(key ^ seeds[i]);
      // Most backends lose here, and need not be looked at.
      if (best !== null && hash <= bestHash) {
        continue;
      }
      const backend = backends[i];
      if (!usable(backend, nowMs, ignoreHealth)) {
        continue;
      }
      // In slow start its weight is another one. Had it lost, it would have lost by its weight all the more.
      if (backend.ramp !== 1) {
        return this.pickWeighted(nowMs, ignoreHealth, key);
      }
      best = backend;
      bestHash = hash;
    }
    return best;
  }

  private pickWeighted(nowMs: number, ignoreHealth: boolean, key: number): Backend | null {
    const { backends } = this;
    let best: Backend | null = null;
    let bestCost = 0;
    for (let i = 0; i < backends.length; i++) {
      const backend = backends[i];
      if (!usable(backend, nowMs, ignoreHealth)) {
        continue;
      }
      const cost = costOf(mix(key ^ backend.seed), backend.weight * backend.ramp);
      if (best === null || cost < bestCost) {
        best = backend;
        bestCost = cost;
      }
    }
    return best;
  }
}

function costOf(hash: number, weight: number): number {
  const h = (hash + 2 ** 31 + 0.5) / 2 ** 32;
  return -Math.log(h) / weight;
}
