// What all balancing policies are: a set of backends of one tier (all ordinary ones, or all backups) and a choice among
// those that can be opened. A policy per file, the same methods each. All honour weights (decisions 9).
// Invariants: a backend that cannot be opened is never returned; null means that none can.

import type { Backend } from "./backend.ts";

/** Chooses among the backends of a tier. */
export interface Policy {
  /** Replaces the set. Cursors are kept as far as they make sense. The policy keeps the array and never changes it. */
  setBackends(backends: readonly Backend[]): void;
  /**
   * The choice, or null. `random` is uniform in [0, 1). `ignoreHealth`: unhealthy backends qualify too (fail-open).
   * `key`: 32 bits; what policies with affinity choose by.
   */
  pick(nowMs: number, random: () => number, ignoreHealth: boolean, key: number): Backend | null;
}

/** LoadMetric of the schema. */
export const METRIC_CONNECTIONS = 0;
export const METRIC_REQUESTS = 1;
export const METRIC_CONNECTION_TIME = 2;

/** Whether a backend qualifies. */
export function usable(backend: Backend, nowMs: number, ignoreHealth: boolean): boolean {
  return ignoreHealth ? backend.canOpenUnhealthy(nowMs) : backend.canOpen(nowMs);
}

/**
 * How loaded a backend is for its weight; smaller is better. `metric` is one of the constants above, `heaviest` the
 * largest weight of the tier. Without load all backends are equal by each metric, so that a draw by weight decides.
 */
export function loadOf(backend: Backend, metric: number, nowMs: number, heaviest: number): number {
  switch (metric) {
    case METRIC_REQUESTS:
      return backend.activeRequests / (backend.weight * backend.ramp);
    case METRIC_CONNECTION_TIME:
      return backend.connectionCost(nowMs, heaviest);
    default:
      return backend.activeConnections / (backend.weight * backend.ramp);
  }
}

/** The largest weight; 0 without backends. */
export function heaviestOf(backends: readonly Backend[]): number {
  let heaviest = 0;
  for (const backend of backends) {
    heaviest = Math.max(heaviest, backend.weight);
  }
  return heaviest;
}
