// The backend with the least load for its weight. Among equals a draw by weight: at rest, when all have no load, the
// shares are those of the weights instead of all going to the first.

import type { Backend } from "./backend.ts";
import { heaviestOf, loadOf, type Policy, usable } from "./policy.ts";

/** LEAST_LOADED by one of the load metrics. */
export class LeastLoaded implements Policy {
  private backends: readonly Backend[];
  private readonly metric: number;
  private heaviest: number;

  /** `metric`: LoadMetric of the schema. */
  constructor(metric: number) {
    this.backends = [];
    this.metric = metric;
    this.heaviest = 0;
  }

  setBackends(backends: readonly Backend[]): void {
    this.backends = backends;
    this.heaviest = heaviestOf(backends);
  }

  pick(nowMs: number, random: () => number, ignoreHealth: boolean): Backend | null {
    const backends = this.backends;
    let best: Backend | null = null;
    let bestLoad = 0;
    let sum = 0;
    for (let i = 0; i < backends.length; i++) {
      const backend = backends[i];
      if (!usable(backend, nowMs, ignoreHealth)) {
        continue;
      }
      const load = loadOf(backend, this.metric, nowMs, this.heaviest);
      if (best === null || load < bestLoad) {
        best = backend;
        bestLoad = load;
        sum = backend.weight * backend.ramp;
      } else if (load === bestLoad) {
        const weight = backend.weight * backend.ramp;
        sum += weight;
        if (random() * sum < weight) {
          best = backend;
        }
      }
    }
    return best;
  }
}
