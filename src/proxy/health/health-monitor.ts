// All health checks of a worker: which clusters have one, and when a probe may start.
//
// Probes must not starve traffic: those that are due wait in a queue, and each pass of the loop starts a few, between
// which traffic has its turn. One is in flight per backend, and overall a quarter of `max_connections`, at most 65,536, so
// that backends that hang cost no client its descriptor; what is due while all are taken starts when one ends. A probe for
// which there is no descriptor, or no entry of the slab, is left out: that is our trouble and says nothing of the backend.

import type { Backend } from "../../balancing/backend.ts";
import type { Cluster } from "../../balancing/cluster.ts";
import { ROW_HEALTH_CHECK_HEALTHY_BACKENDS } from "../../observe/metrics.ts";
import { describeErrno } from "../../os/errno.ts";
import { ResponseDecoder } from "../../wire/http1/response-decoder.ts";
import { noteAvailability, noteBackendAvailable } from "../availability.ts";
import type { TrafficContext } from "../context.ts";
import { ClusterCheck } from "./cluster-check.ts";
import { Probe } from "./probe.ts";
import type { Target } from "./target.ts";

const STARTS_PER_PASS = 16;
const PROBES_MAX = 65_536;
const DONE_MAX = 1024;
/** Allowed however small `max_connections` is. */
const PROBES_MIN = 8;

export class HealthMonitor {
  readonly context: TrafficContext;
  /** Reads the head of every answer: a head is always decoded from its first byte on. */
  readonly decoder: ResponseDecoder;
  /** On the loop's ready list. */
  queued: boolean;
  readonly #checks: Map<string, ClusterCheck>;
  #due: Target[];
  #next: number;
  #inFlight: number;
  #short: boolean;
  readonly #most: number;

  constructor(context: TrafficContext) {
    this.context = context;
    this.decoder = new ResponseDecoder();
    this.queued = false;
    this.#checks = new Map();
    this.#due = [];
    this.#next = 0;
    this.#inFlight = 0;
    this.#short = false;
    this.#most = Math.min(PROBES_MAX, Math.max(PROBES_MIN, context.settings.maxConnections >> 2));
  }

  /** Probes in flight. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /**
   * A cluster was configured or lost its configuration. A check that changed begins anew, with the verdicts that
   * backends have; one that is gone takes them with it.
   */
  configure(cluster: Cluster): void {
    const config = cluster.config?.healthCheck ?? null;
    const known = this.#checks.get(cluster.id);
    if (known !== undefined && config !== null && JSON.stringify(known.config) === JSON.stringify(config)) return;
    known?.stop();
    this.#checks.delete(cluster.id);
    if (config !== null) this.#checks.set(cluster.id, new ClusterCheck(this, cluster, config));
    else if (known !== undefined) this.#forgetVerdicts(cluster);
  }

  added(cluster: Cluster, backend: Backend): void {
    this.#checks.get(cluster.id)?.add(backend);
  }

  removed(backend: Backend): void {
    this.#checks.get(backend.clusterId)?.remove(backend);
  }

  /** Nothing is probed any more: the worker stops. */
  stop(): void {
    for (const check of this.#checks.values()) check.stop();
    this.#checks.clear();
    this.#due = [];
    this.#next = 0;
  }

  /** Its probe starts in one of the next passes, unless one is in flight. */
  enqueue(target: Target): void {
    if (target.queued || target.probe !== null) return;
    target.queued = true;
    this.#due.push(target);
    this.context.loop.runLater(this);
  }

  /** The probe of a target is over. */
  ended(target: Target): void {
    target.probe = null;
    this.#inFlight--;
    if (this.#next < this.#due.length) this.context.loop.runLater(this);
  }

  onReady(_events: number): void {
    const due = this.#due;
    // While there is always more than may be in flight, the queue is never empty: what is done must not pile up in it.
    if (this.#next >= DONE_MAX) {
      due.splice(0, this.#next);
      this.#next = 0;
    }
    for (let started = 0; started < STARTS_PER_PASS && this.#inFlight < this.#most; started++) {
      if (this.#next === due.length) {
        due.length = 0;
        this.#next = 0;
        return;
      }
      const target = due[this.#next++];
      target.queued = false;
      if (!target.dropped) this.#start(target);
    }
    if (this.#inFlight < this.#most) this.context.loop.runLater(this);
  }

  #start(target: Target): void {
    const { loop, slabCapacity } = this.context;
    if (loop.registered >= slabCapacity) return;
    const fd = Probe.socketFor(target);
    if (fd < 0) {
      if (!this.#short) this.context.logger.warn("health", `backends are not probed: ${describeErrno(fd)}`);
      this.#short = true;
      return;
    }
    this.#short = false;
    this.#inFlight++;
    target.probe = new Probe(this, target, fd);
    target.probe.start();
  }

  #forgetVerdicts(cluster: Cluster): void {
    for (const backend of cluster.backends) {
      backend.setVerdict(true, "");
      noteBackendAvailable(this.context, backend);
    }
    if (cluster.row !== -1) this.context.stats.values[cluster.row + ROW_HEALTH_CHECK_HEALTHY_BACKENDS] = 0;
    noteAvailability(this.context, cluster);
  }
}
