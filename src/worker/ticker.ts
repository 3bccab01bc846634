// What a worker does several times a second whether or not there is traffic: shows that its loop turns, and writes out
// log lines that wait.

import type { EventLoop } from "../loop/event-loop.ts";
import { Timed } from "../loop/timer-wheel.ts";
import { METRIC_PROCESS_UPTIME_SECONDS } from "../observe/metrics.ts";
import type { Stats } from "../observe/stats.ts";
import type { WorkerLogs } from "./logs.ts";

const PERIOD_MS = 200;

/** Armed once, then by itself. */
export class Ticker extends Timed {
  readonly #loop: EventLoop;
  readonly #stats: Stats;
  readonly #logs: WorkerLogs;
  readonly #startedUs: number;

  constructor(loop: EventLoop, stats: Stats, logs: WorkerLogs) {
    super();
    this.#loop = loop;
    this.#stats = stats;
    this.#logs = logs;
    this.#startedUs = loop.nowUs;
  }

  start(): void {
    this.#loop.wheel.arm(this, PERIOD_MS);
  }

  onTimeout(): void {
    this.#stats.heartbeat(this.#loop.nowUs);
    this.#stats.values[METRIC_PROCESS_UPTIME_SECONDS] = Math.floor((this.#loop.nowUs - this.#startedUs) / 1e6);
    for (const sink of this.#logs.sinks) sink.tick();
    this.#logs.count(this.#stats);
    this.#loop.wheel.arm(this, PERIOD_MS);
  }
}
