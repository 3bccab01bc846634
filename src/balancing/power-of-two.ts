// Two different backends drawn by weight, the less loaded of them taken: nearly as even as the least loaded of all,
// without every worker running to the same one.

import type { Backend } from "./backend.ts";
import { heaviestOf, loadOf, type Policy } from "./policy.ts";
import { drawUsable, Random } from "./random.ts";

/** POWER_OF_TWO by one of the load metrics. */
export class PowerOfTwo implements Policy {
  private backends: readonly Backend[];
  private readonly metric: number;
  private heaviest: number;
  private readonly draw: Random;

  /** `metric`: LoadMetric of the schema. */
  constructor(metric: number) {
    this.backends = [];
    this.metric = metric;
    this.heaviest = 0;
    this.draw = new Random();
  }

  setBackends(backends: readonly Backend[]): void {
    this.backends = backends;
    this.heaviest = heaviestOf(backends);
    this.draw.setBackends(backends);
  }

  pick(nowMs: number, random: () => number, ignoreHealth: boolean): Backend | null {
    const first = this.draw.pick(nowMs, random, ignoreHealth);
    if (first === null || this.backends.length === 1) {
      return first;
    }
    let second = this.draw.pick(nowMs, random, ignoreHealth);
    if (second === first) {
      second = drawUsable(this.backends, nowMs, random, ignoreHealth, first);
    }
    if (second === null) {
      return first;
    }
    const { metric, heaviest } = this;
    return loadOf(second, metric, nowMs, heaviest) < loadOf(first, metric, nowMs, heaviest) ? second : first;
  }
}
