// How many clients a worker takes (spec 13.1, 13.2): at a limit, and while descriptors, buffers or time are short, accepting
// pauses and the kernel queues. Connections that exist are hurt only by eviction, which is off by default (spec 13.4).
//
// An entry of the slab is a registered descriptor: a client, a connection to a backend, a listening socket, the loop's
// own. Idle connections to backends are closed before a client has to wait for an entry.

import { Timed } from "../loop/timer-wheel.ts";
import {
  METRIC_ACCEPT_QUEUE_BACKPRESSURE,
  METRIC_ACCEPT_QUEUE_SATURATED_SECONDS,
  METRIC_CLIENT_CONNECTIONS_MAX,
  METRIC_CLIENT_CONNECTIONS_PERCENT,
  METRIC_LISTENER_CONNECTION_CAPPED,
  METRIC_SLAB_ACCEPT_THRESHOLD_PERCENT,
  METRIC_SLAB_CAPACITY,
  METRIC_SLAB_ENTRIES,
  METRIC_SLAB_USAGE_PERCENT,
} from "../observe/metrics.ts";
import { describeErrno } from "../os/errno.ts";
import type { TrafficContext } from "./context.ts";

/** Accepting goes on below this share of a limit. */
const RESUME_SHARE = 0.9;
/** How long a pause for want of descriptors lasts when nothing closes in the meantime. */
const RETRY_MS = 200;
const LOG_INTERVAL_MS = 10_000;

/** What admission asks of the proxy. */
export interface AdmissionOwner {
  /** Accepting pauses (false) or goes on (true). */
  onAccepting(accepting: boolean): void;
  /** Closes idle connections to backends. */
  closeIdle(): void;
  /** Closes the clients with the oldest activity, out of so many at most. */
  evict(max: number): void;
}

export class Admission extends Timed {
  /** Client connections now. */
  connections: number;
  isPaused: boolean;
  readonly #context: TrafficContext;
  readonly #owner: AdmissionOwner;
  readonly #max: number;
  /** Slab entries at which nobody is accepted. */
  readonly #gate: number;
  /** Waiting for `onTimeout`, not for a connection to close. */
  #scarce: boolean;
  /** The event loop is late: nobody is accepted until it is not. */
  #late: boolean;
  #loggedAtMs: number;

  constructor(context: TrafficContext, owner: AdmissionOwner) {
    super();
    const { settings, stats } = context;
    this.connections = 0;
    this.isPaused = false;
    this.#context = context;
    this.#owner = owner;
    this.#max = settings.maxConnections;
    this.#gate = 10 + 2 * this.#max;
    this.#scarce = false;
    this.#late = false;
    this.#loggedAtMs = -LOG_INTERVAL_MS;
    stats.values[METRIC_CLIENT_CONNECTIONS_MAX] = this.#max;
    stats.values[METRIC_SLAB_CAPACITY] = context.slabCapacity;
    stats.values[METRIC_SLAB_ACCEPT_THRESHOLD_PERCENT] = Math.floor((100 * this.#gate) / context.slabCapacity);
  }

  /** Asked before each accept. */
  mayAccept(): boolean {
    if (this.isPaused) return false;
    if (!this.#isFull && !this.#context.isOutOfBuffers) return true;
    if (this.#isFull && this.#mayMakeRoom()) return true;
    this.#context.stats.values[METRIC_LISTENER_CONNECTION_CAPPED]++;
    this.#scarce = !this.#isFull;
    this.#pause();
    if (this.#scarce) this.#context.loop.wheel.arm(this, RETRY_MS);
    return false;
  }

  /** Asked for each accepted socket: when the worker is full, clients are evicted. False: that was not enough. */
  hasRoom(): boolean {
    if (!this.#isFull) return true;
    this.#owner.evict(this.#max);
    if (!this.#isFull) return true;
    this.#context.stats.values[METRIC_LISTENER_CONNECTION_CAPPED]++;
    return false;
  }

  opened(): void {
    this.connections++;
    this.#gauge();
  }

  closed(): void {
    this.connections--;
    this.#gauge();
    if (this.isPaused && !this.#scarce) this.#resumeBelow(RESUME_SHARE);
  }

  /** accept() found no descriptor or no memory: wait until something has closed, and try again. */
  outOfDescriptors(): void {
    this.#fail("out of file descriptors: accepting pauses; raise the limit (ulimit -n) or lower max_connections");
  }

  acceptFailed(result: number): void {
    this.#fail(`cannot accept: ${describeErrno(-result)}`);
  }

  /** The event loop is late (true), or in time again. */
  setLate(late: boolean): void {
    this.#late = late;
    if (late) this.#pause();
    else if (this.isPaused && !this.#scarce) this.#resumeBelow(1);
  }

  /** Gauges, and a look whether entries of the slab have become free; once a second. */
  tick(): void {
    const { loop, slabCapacity, stats } = this.#context;
    stats.values[METRIC_SLAB_ENTRIES] = loop.registered;
    stats.values[METRIC_SLAB_USAGE_PERCENT] = Math.floor((100 * loop.registered) / slabCapacity);
    if (!this.isPaused) return;
    stats.values[METRIC_ACCEPT_QUEUE_SATURATED_SECONDS]++;
    if (!this.#scarce) this.#resumeBelow(RESUME_SHARE);
  }

  override onTimeout(): void {
    this.#scarce = false;
    this.#resumeBelow(1);
  }

  get #isFull(): boolean {
    return this.connections >= this.#max || this.#context.loop.registered >= this.#gate;
  }

  // Whether anybody waits is not known yet, so nobody is evicted here.
  #mayMakeRoom(): boolean {
    if (this.#context.closing) return false;
    if (this.connections < this.#max) this.#owner.closeIdle();
    return !this.#isFull || this.#context.settings.evictOnQueueFull;
  }

  #resumeBelow(share: number): void {
    if (this.#late || this.#context.closing) return;
    if (this.connections >= this.#max * share || this.#context.loop.registered >= this.#gate * share) return;
    this.isPaused = false;
    this.#context.stats.values[METRIC_ACCEPT_QUEUE_BACKPRESSURE] = 0;
    this.#owner.onAccepting(true);
  }

  #fail(message: string): void {
    this.#log(message);
    this.#scarce = true;
    this.#pause();
    this.#context.loop.wheel.arm(this, RETRY_MS);
  }

  #pause(): void {
    if (this.isPaused) return;
    this.isPaused = true;
    this.#context.stats.values[METRIC_ACCEPT_QUEUE_BACKPRESSURE] = 1;
    this.#owner.onAccepting(false);
  }

  #gauge(): void {
    this.#context.stats.values[METRIC_CLIENT_CONNECTIONS_PERCENT] = Math.floor((100 * this.connections) / this.#max);
  }

  #log(message: string): void {
    const nowMs = this.#context.loop.nowMs;
    if (nowMs - this.#loggedAtMs < LOG_INTERVAL_MS) return;
    this.#loggedAtMs = nowMs;
    this.#context.logger.warn("proxy", message);
  }
}
