// Weighted random: a draw in the sum of the weights, found by binary search. When the drawn backend cannot be opened,
// or is in slow start and loses the toss, one more draw among those that can be, which keeps the shares in proportion.

import type { Backend } from "./backend.ts";
import { type Policy, usable } from "./policy.ts";

/** RANDOM. */
export class Random implements Policy {
  private backends: readonly Backend[];
  /** ends[i]: sum of the weights up to and including backend i. */
  private ends: Float64Array;

  constructor() {
    this.backends = [];
    this.ends = new Float64Array(0);
  }

  setBackends(backends: readonly Backend[]): void {
    this.backends = backends;
    this.ends = new Float64Array(backends.length);
    let sum = 0;
    for (let i = 0; i < backends.length; i++) {
      sum += backends[i].weight;
      this.ends[i] = sum;
    }
  }

  pick(nowMs: number, random: () => number, ignoreHealth: boolean): Backend | null {
    const count = this.backends.length;
    if (count === 0) {
      return null;
    }
    const drawn = this.backends[this.find(random() * this.ends[count - 1])];
    const isTaken = usable(drawn, nowMs, ignoreHealth) && (drawn.ramp === 1 || random() < drawn.ramp);
    return isTaken ? drawn : drawUsable(this.backends, nowMs, random, ignoreHealth, null);
  }

  private find(point: number): number {
    let low = 0;
    let high = this.ends.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (point < this.ends[middle]) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }
}

/** Draws by weight among the backends that can be opened, leaving `except` out; null when there are none. */
export function drawUsable(
  backends: readonly Backend[],
  nowMs: number,
  random: () => number,
  ignoreHealth: boolean,
  except: Backend | null,
): Backend | null {
  let chosen: Backend | null = null;
  let sum = 0;
  for (let i = 0; i < backends.length; i++) {
    const backend = backends[i];
    if (backend === except || !usable(backend, nowMs, ignoreHealth)) {
      continue;
    }
    // Keeping each with probability weight / sum so far leaves every one with its share of the whole.
    const weight = backend.weight * backend.ramp;
    sum += weight;
    if (chosen === null || random() * sum < weight) {
      chosen = backend;
    }
  }
  return chosen;
}
