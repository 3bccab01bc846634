// The health check of one cluster: a round of probes at once and then after every interval, and what their results do to
// the backends (spec 7.5). Invariant: `healthy` is the number of its targets whose backend passes.

import type { Backend } from "../../balancing/backend.ts";
import type { Cluster } from "../../balancing/cluster.ts";
import { roundMs, VERDICT_HEALTHY, VERDICT_SAME } from "../../balancing/health-check.ts";
import {
  EVENT_HEALTH_CHECK_HEALTHY,
  EVENT_HEALTH_CHECK_UNHEALTHY,
  type HealthCheckObject,
} from "../../command/objects.ts";
import { Timed } from "../../loop/timer-wheel.ts";
import {
  ROW_HEALTH_CHECK_DOWN,
  ROW_HEALTH_CHECK_FAILURE,
  ROW_HEALTH_CHECK_HEALTHY_BACKENDS,
  ROW_HEALTH_CHECK_SUCCESS,
  ROW_HEALTH_CHECK_UP,
} from "../../observe/metrics.ts";
import { noteAvailability, noteBackendAvailable, tell } from "../availability.ts";
import type { HealthMonitor } from "./health-monitor.ts";
import { Target } from "./target.ts";

export class ClusterCheck extends Timed {
  readonly cluster: Cluster;
  readonly config: HealthCheckObject;
  readonly #monitor: HealthMonitor;
  readonly #targets: Map<Backend, Target>;
  readonly #roundMs: number;
  #healthy: number;

  /** Probes every backend of the cluster at once. */
  constructor(monitor: HealthMonitor, cluster: Cluster, config: HealthCheckObject) {
    super();
    this.cluster = cluster;
    this.config = config;
    this.#monitor = monitor;
    this.#targets = new Map();
    this.#roundMs = roundMs(cluster.id, config);
    this.#healthy = 0;
    for (const backend of cluster.backends) this.add(backend);
    monitor.context.loop.wheel.arm(this, this.#roundMs);
  }

  /** A backend that is probed from now on, first at once. One that is known already is left alone. */
  add(backend: Backend): void {
    if (this.#targets.has(backend)) return;
    const target = new Target(this, backend);
    this.#targets.set(backend, target);
    if (backend.passesCheck) this.#healthy++;
    this.#monitor.enqueue(target);
  }

  remove(backend: Backend): void {
    const target = this.#targets.get(backend);
    if (target === undefined) return;
    this.#targets.delete(backend);
    if (backend.passesCheck) this.#healthy--;
    this.#drop(target);
    this.#gauge();
  }

  /** Cancels everything; verdicts stay. */
  stop(): void {
    this.#monitor.context.loop.wheel.cancel(this);
    for (const target of this.#targets.values()) this.#drop(target);
    this.#targets.clear();
  }

  override onTimeout(): void {
    this.#monitor.context.loop.wheel.arm(this, this.#roundMs);
    for (const target of this.#targets.values()) this.#monitor.enqueue(target);
  }

  /** A probe has told. `problem`: why it failed. */
  result(target: Target, success: boolean, problem: string): void {
    const { context } = this.#monitor;
    const { cluster } = this;
    const { backend } = target;
    context.stats.countOfBackend(backend.row, success ? ROW_HEALTH_CHECK_SUCCESS : ROW_HEALTH_CHECK_FAILURE);
    const change = target.tally.record(success, backend.passesCheck, this.config);
    if (change !== VERDICT_SAME) {
      const passes = change === VERDICT_HEALTHY;
      this.#healthy += passes ? 1 : -1;
      backend.setVerdict(passes, problem);
      context.stats.countOfBackend(backend.row, passes ? ROW_HEALTH_CHECK_UP : ROW_HEALTH_CHECK_DOWN);
      if (passes) cluster.startSlowly(backend, context.loop.nowMs);
      this.#log(backend, passes, problem);
      tell(context, passes ? EVENT_HEALTH_CHECK_HEALTHY : EVENT_HEALTH_CHECK_UNHEALTHY, backend);
      noteBackendAvailable(context, backend);
      noteAvailability(context, cluster);
    } else if (!success && !backend.passesCheck) backend.setVerdict(false, problem);
    this.#gauge();
  }

  #log(backend: Backend, passes: boolean, problem: string): void {
    const { logger } = this.#monitor.context;
    const { id } = this.cluster;
    if (passes) {
      logger.info("health", `cluster ${id}: backend ${backend.id} is healthy again`);
      return;
    }
    logger.warn("health", `cluster ${id}: backend ${backend.id} is unhealthy: ${problem}`);
    const total = this.#targets.size;
    if (2 * this.#healthy <= total) {
      logger.warn("health", `cluster ${id}: only ${this.#healthy} of ${total} backends are healthy`);
    }
  }

  #gauge(): void {
    const { row } = this.cluster;
    if (row !== -1) this.#monitor.context.stats.values[row + ROW_HEALTH_CHECK_HEALTHY_BACKENDS] = this.#healthy;
  }

  #drop(target: Target): void {
    target.dropped = true;
    target.probe?.cancel();
  }
}
