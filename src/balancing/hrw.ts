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

  constructor() {
    this.backends = [];
  }

  setBackends(backends: readonly Backend[]): void {
    this.backends = backends;
  }

  pick(nowMs: number, _random: () => number, ignoreHealth: boolean, key: number): Backend | null {
    const backends = this.backends;
    let best: Backend | null = null;
    let bestHash = 0;
    let bestWeight = 0;
    for (let i = 0; i < backends.length; i++) {
      const backend = backends[i];
      if (!usable(backend, nowMs, ignoreHealth)) {
        continue;
      }
      const hash = mix(key ^ backend.seed);
      const weight = backend.ramp === 1 ? backend.weight : backend.weight * backend.ramp;
      // Among equal weights the larger hash wins, which takes no logarithm.
      const isBetter =
        weight === bestWeight ? hash > bestHash : best === null || costOf(hash, weight) < costOf(bestHash, bestWeight);
      if (isBetter) {
        best = backend;
        bestHash = hash;
        bestWeight = weight;
      }
    }
    return best;
  }
}

function costOf(hash: number, weight: number): number {
  const h = (hash + 2 ** 31 + 0.5) / 2 ** 32;
  return -Math.log(h) / weight;
}
