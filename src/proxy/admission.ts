// How many clients a worker takes (spec 13.2): at the limit, and while descriptors or buffers are short, accepting pauses
// and the kernel queues. Connections that exist are never hurt by it.

import { Timed } from "../loop/timer-wheel.ts";
import {
  METRIC_ACCEPT_QUEUE_BACKPRESSURE,
  METRIC_CLIENT_CONNECTIONS_MAX,
  METRIC_CLIENT_CONNECTIONS_PERCENT,
  METRIC_LISTENER_CONNECTION_CAPPED,
} from "../observe/metrics.ts";
import { describeErrno } from "../os/errno.ts";
import type { TrafficContext } from "./context.ts";

/** Accepting goes on below this share of the limit. */
const RESUME_SHARE = 0.9;
/** How long a pause for want of descriptors lasts when nothing closes in the meantime. */
const RETRY_MS = 200;
const LOG_INTERVAL_MS = 10_000;

export class Admission extends Timed {
  /** Client connections now. */
  connections: number;
  isPaused: boolean;
  /** Called when accepting pauses (false) or goes on (true). */
  onChange: (accepting: boolean) => void;
  readonly #context: TrafficContext;
  readonly #max: number;
  #scarce: boolean;
  #loggedAtMs: number;

  constructor(context: TrafficContext) {
    super();
    this.connections = 0;
    this.isPaused = false;
    this.onChange = () => {};
    this.#context = context;
    this.#max = context.settings.maxConnections;
    this.#scarce = false;
    this.#loggedAtMs = -LOG_INTERVAL_MS;
    context.stats.values[METRIC_CLIENT_CONNECTIONS_MAX] = this.#max;
  }

  /** Asked before each accept. */
  mayAccept(): boolean {
    if (this.isPaused) return false;
    const { buffers, settings } = this.#context;
    if (this.connections < this.#max && buffers.inUse < settings.maxBuffers) return true;
    this.#context.stats.values[METRIC_LISTENER_CONNECTION_CAPPED]++;
    this.#pause();
    this.#scarce = this.connections < this.#max;
    if (this.#scarce) this.#context.loop.wheel.arm(this, RETRY_MS);
    return false;
  }

  opened(): void {
    this.connections++;
    this.#gauge();
  }

  closed(): void {
    this.connections--;
    this.#gauge();
    if (this.isPaused && !this.#scarce && this.connections < this.#max * RESUME_SHARE) this.#resume();
  }

  /** accept() found no descriptor or no memory: wait until something has closed, and try again. */
  outOfDescriptors(): void {
    this.#log("out of file descriptors: accepting pauses; raise the limit (ulimit -n) or lower max_connections");
    this.#scarce = true;
    this.#pause();
    this.#context.loop.wheel.arm(this, RETRY_MS);
  }

  acceptFailed(result: number): void {
    this.#log(`cannot accept: ${describeErrno(-result)}`);
    this.#scarce = true;
    this.#pause();
    this.#context.loop.wheel.arm(this, RETRY_MS);
  }

  override onTimeout(): void {
    this.#scarce = false;
    if (this.connections < this.#max) this.#resume();
  }

  #pause(): void {
    this.isPaused = true;
    this.#context.stats.values[METRIC_ACCEPT_QUEUE_BACKPRESSURE] = 1;
    this.onChange(false);
  }

  #resume(): void {
    if (this.#context.closing) return;
    this.isPaused = false;
    this.#context.stats.values[METRIC_ACCEPT_QUEUE_BACKPRESSURE] = 0;
    this.onChange(true);
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
