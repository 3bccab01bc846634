// What a cluster's backends being up or down means to operators: gauges, counters, and one log line per outage (spec 7.3).

import type { Cluster } from "../balancing/cluster.ts";
import { AVAILABILITY_LOST, AVAILABILITY_SAME } from "../balancing/cluster.ts";
import {
  ROW_BACKENDS_FAIL_OPEN,
  ROW_CLUSTER_AVAILABLE_BACKENDS,
  ROW_CLUSTER_AVAILABLE_RECOVERED,
  ROW_CLUSTER_NO_AVAILABLE_BACKENDS,
  ROW_CLUSTER_TOTAL_BACKENDS,
} from "../observe/metrics.ts";
import type { TrafficContext } from "./context.ts";

/** To be called when a backend of the cluster went down, came back, was added or removed. */
export function noteAvailability(context: TrafficContext, cluster: Cluster): void {
  const { stats, logger } = context;
  const { values } = stats;
  const available = cluster.availableBackends;
  const total = cluster.backends.length;
  const { row } = cluster;
  if (row !== -1) {
    values[row + ROW_CLUSTER_AVAILABLE_BACKENDS] = available;
    values[row + ROW_CLUSTER_TOTAL_BACKENDS] = total;
    values[row + ROW_BACKENDS_FAIL_OPEN] = cluster.failOpenPicks;
  }
  const change = cluster.checkAvailability();
  if (change === AVAILABILITY_SAME) return;
  if (change === AVAILABILITY_LOST) {
    if (row !== -1) values[row + ROW_CLUSTER_NO_AVAILABLE_BACKENDS]++;
    logger.error("proxy", `cluster ${cluster.id}: all ${total} backends are down`);
    return;
  }
  if (row !== -1) values[row + ROW_CLUSTER_AVAILABLE_RECOVERED]++;
  logger.info("proxy", `cluster ${cluster.id}: backends recovered (${available}/${total} available)`);
}
