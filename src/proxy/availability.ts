// What a cluster's backends being up or down means to operators: gauges, counters, events, and one log line per change
// (spec 7.3, 7.6). Every change of a backend's state that is not configuration is told here.

import type { Backend } from "../balancing/backend.ts";
import type { Cluster } from "../balancing/cluster.ts";
import { AVAILABILITY_LOST, AVAILABILITY_SAME, FAIL_OPEN_ENDED, FAIL_OPEN_NO } from "../balancing/cluster.ts";
import type { ClusterTable } from "../balancing/cluster-table.ts";
import {
  type BackendHealth,
  EVENT_BACKEND_DOWN,
  EVENT_BACKEND_UP,
  EVENT_CLUSTER_RECOVERED,
  EVENT_NO_AVAILABLE_BACKENDS,
  EVENT_REMOVED_BACKEND_HAS_NO_CONNECTIONS,
} from "../command/objects.ts";
import {
  ROW_BACKEND_AVAILABLE,
  ROW_BACKEND_DOWN,
  ROW_BACKEND_UP,
  ROW_BACKENDS_FAIL_OPEN,
  ROW_CLUSTER_AVAILABLE_BACKENDS,
  ROW_CLUSTER_AVAILABLE_RECOVERED,
  ROW_CLUSTER_NO_AVAILABLE_BACKENDS,
  ROW_CLUSTER_TOTAL_BACKENDS,
} from "../observe/metrics.ts";
import { describeErrno } from "../os/errno.ts";
import type { TrafficContext } from "./context.ts";

/** To be called when a backend of the cluster went down, came back, was added or removed, or changed its verdict. */
export function noteAvailability(context: TrafficContext, cluster: Cluster): void {
  const { stats, logger } = context;
  const { values } = stats;
  const available = cluster.availableBackends;
  const total = cluster.backends.length;
  const { row } = cluster;
  if (row !== -1) {
    values[row + ROW_CLUSTER_AVAILABLE_BACKENDS] = available;
    values[row + ROW_CLUSTER_TOTAL_BACKENDS] = total;
  }
  const change = cluster.checkAvailability();
  if (change === AVAILABILITY_SAME) return;
  if (change === AVAILABILITY_LOST) {
    if (row !== -1) values[row + ROW_CLUSTER_NO_AVAILABLE_BACKENDS]++;
    logger.error("proxy", `cluster ${cluster.id}: all ${total} backends are down`);
    context.onEvent({ kind: EVENT_NO_AVAILABLE_BACKENDS, clusterId: cluster.id, backendId: null, address: null });
    return;
  }
  if (row !== -1) values[row + ROW_CLUSTER_AVAILABLE_RECOVERED]++;
  logger.info("proxy", `cluster ${cluster.id}: backends recovered (${available}/${total} available)`);
  context.onEvent({ kind: EVENT_CLUSTER_RECOVERED, clusterId: cluster.id, backendId: null, address: null });
}

/** Gauge `backend.available` of one backend, after whatever may have changed it. */
export function noteBackendAvailable(context: TrafficContext, backend: Backend): void {
  if (backend.row !== -1) context.stats.values[backend.row + ROW_BACKEND_AVAILABLE] = backend.available ? 1 : 0;
}

/** TRIES_MAX connections in a row have failed. `cluster`: null when it is not known. */
export function noteBackendDown(context: TrafficContext, cluster: Cluster | null, backend: Backend): void {
  context.stats.countOfBackend(backend.row, ROW_BACKEND_DOWN);
  noteBackendAvailable(context, backend);
  const reason = connectProblem(backend);
  context.logger.warn("proxy", `cluster ${backend.clusterId}: backend ${backend.id} is down: ${reason}`);
  tell(context, EVENT_BACKEND_DOWN, backend);
  if (cluster !== null) noteAvailability(context, cluster);
}

/** A connection to a backend that was down has succeeded. */
export function noteBackendUp(context: TrafficContext, cluster: Cluster | null, backend: Backend): void {
  context.stats.countOfBackend(backend.row, ROW_BACKEND_UP);
  noteBackendAvailable(context, backend);
  context.logger.info("proxy", `cluster ${backend.clusterId}: backend ${backend.id} answers again`);
  tell(context, EVENT_BACKEND_UP, backend);
  if (cluster === null) return;
  cluster.startSlowly(backend, context.loop.nowMs);
  noteAvailability(context, cluster);
}

/** A pick ignored the health checks, or was the first that did not any more (`cluster.failOpen` is not FAIL_OPEN_NO). */
export function noteFailOpen(context: TrafficContext, cluster: Cluster): void {
  const { logger, stats } = context;
  if (cluster.failOpen === FAIL_OPEN_ENDED) {
    cluster.failOpen = FAIL_OPEN_NO;
    cluster.failOpenNoted = false;
    logger.info("proxy", `cluster ${cluster.id}: a healthy backend can be used again, health counts again`);
    return;
  }
  if (cluster.row !== -1) stats.values[cluster.row + ROW_BACKENDS_FAIL_OPEN]++;
  if (cluster.failOpenNoted) return;
  cluster.failOpenNoted = true;
  logger.warn(
    "proxy",
    `cluster ${cluster.id}: no healthy backend can be used, unhealthy ones get requests (fail-open)`,
  );
}

/** A removed backend has lost its last connection: whoever waits for that may stop it now. It carries no cluster. */
export function noteDrained(context: TrafficContext, backend: Backend): void {
  context.onEvent({
    kind: EVENT_REMOVED_BACKEND_HAS_NO_CONNECTIONS,
    clusterId: null,
    backendId: backend.id,
    address: backend.address,
  });
}

/** An event about a backend. */
export function tell(context: TrafficContext, kind: number, backend: Backend): void {
  context.onEvent({ kind, clusterId: backend.clusterId, backendId: backend.id, address: backend.address });
}

/** What is known of the backends of one cluster, or of all (null). Empty for a cluster that does not exist. */
export function backendHealth(
  context: TrafficContext,
  clusters: ClusterTable,
  clusterId: string | null,
): BackendHealth[] {
  const { nowMs } = context.loop;
  const found: BackendHealth[] = [];
  const one = clusterId === null ? null : clusters.get(clusterId);
  for (const cluster of clusterId === null ? clusters.all() : one === null ? [] : [one]) {
    for (const backend of cluster.backends) {
      found.push({
        clusterId: cluster.id,
        backendId: backend.id,
        address: backend.address,
        available: backend.canOpen(nowMs),
        healthy: backend.passesCheck,
        reason: reasonOf(backend, nowMs),
        activeRequests: backend.activeRequests,
      });
    }
  }
  return found;
}

function reasonOf(backend: Backend, nowMs: number): string {
  const reasons: string[] = [];
  if (!backend.passesCheck) reasons.push(`health check: ${backend.checkProblem}`);
  if (backend.ejected) reasons.push("ejected: its requests failed one after the other");
  const waitMs = backend.waitMs(nowMs);
  if (waitMs > 0) reasons.push(`${connectProblem(backend)}, next attempt in ${Math.ceil(waitMs / 1000)} s`);
  return reasons.join("; ");
}

function connectProblem(backend: Backend): string {
  return backend.lastErrno === 0 ? "connection timed out" : describeErrno(backend.lastErrno);
}
