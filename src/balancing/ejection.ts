// Passive ejection (addition, off by default): a backend whose requests fail one after the other is left out for a
// while, twice as long each time up to ten times the configured time. A failure is an answer 5xx, no answer in time,
// or none that makes sense; failed connections are the business of back-off.
//
// Never more than half of a cluster's backends are out, and never one without which nothing could be opened: when all
// fail alike, the fault lies behind them, and the load of all on the last one would make it worse. While nothing else
// can be opened an ejected backend is asked all the same (fail-open). Who was in for ten times the configured time
// begins anew.

import type { Backend } from "./backend.ts";
import type { Cluster } from "./cluster.ts";

/**
 * Counts how a request to a backend ended. Returns the milliseconds for which it is ejected from now on, 0: it is not.
 * The caller readmits it then.
 */
export function countOutcome(cluster: Cluster, backend: Backend, failed: boolean, nowMs: number): number {
  if (!failed) {
    backend.failedRequests = 0;
    return 0;
  }
  if (++backend.failedRequests < cluster.ejectAfter || backend.ejected || backend.removed) return 0;
  if (!maySpare(cluster, backend, nowMs)) return 0;
  const longestMs = EJECTION_FACTOR_MAX * cluster.ejectionMs;
  if (backend.readmittedAtMs !== -1 && nowMs - backend.readmittedAtMs >= longestMs) backend.ejections = 0;
  const lastsMs = Math.min(longestMs, cluster.ejectionMs * 2 ** backend.ejections);
  backend.ejections = Math.min(backend.ejections + 1, DOUBLINGS_MAX);
  backend.failedRequests = 0;
  backend.setEjected(true);
  return lastsMs;
}

/** The time of an ejection is over, or ejections were turned off. */
export function readmit(cluster: Cluster, backend: Backend, nowMs: number): void {
  backend.setEjected(false);
  backend.failedRequests = 0;
  backend.readmittedAtMs = nowMs;
  cluster.startSlowly(backend, nowMs);
}

function maySpare(cluster: Cluster, backend: Backend, nowMs: number): boolean {
  let out = 1;
  let others = 0;
  for (const other of cluster.backends) {
    if (other === backend) continue;
    if (other.ejected) out++;
    else if (other.canOpen(nowMs)) others++;
  }
  return others > 0 && 2 * out <= cluster.backends.length;
}

const EJECTION_FACTOR_MAX = 10;
/** 2^4 is more than the factor: counting on would only overflow. */
const DOUBLINGS_MAX = 4;
