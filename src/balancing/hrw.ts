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
    let bestH = 0;
    let bestWeight = 0;
    for (let i = 0; i < backends.length; i++) {
      const backend = backends[i];
      if (!usable(backend, nowMs, ignoreHealth)) {
        continue;
      }
      const h = ((mix(key ^ backend.seed) >>> 0) + 0.5) / 2 ** 32;
      const weight = backend.weight * backend.ramp;
      if (best === null || isBetter(h, weight, bestH, bestWeight)) {
        best = backend;
        bestH = h;
        bestWeight = weight;
      }
    }
    return best;
  }
}

/** Whether -ln(h) / weight is less. Among equal weights that takes no logarithm. */
function isBetter(h: number, weight: number, bestH: number, bestWeight: number): boolean {
  return weight === bestWeight ? h > bestH : Math.log(h) * bestWeight > Math.log(bestH) * weight;
}
