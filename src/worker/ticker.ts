// What a worker does several times a second whether or not there is traffic: shows that its loop turns, writes out log
// lines that wait, and looks after its memory.

import type { EventLoop } from "../loop/event-loop.ts";
import { Timed } from "../loop/timer-wheel.ts";
import {
  METRIC_MEMORY_OVERLOAD,
  METRIC_PROCESS_RESIDENT_BYTES,
  METRIC_PROCESS_UPTIME_SECONDS,
} from "../observe/metrics.ts";
import type { Stats } from "../observe/stats.ts";
import type { WorkerLogs } from "./logs.ts";
import type { MemoryGuard } from "./memory-guard.ts";

const PERIOD_MS = 200;
/** Memory is looked at once a second. */
const TICKS_PER_CHECK = 5;

/** Armed once, then by itself. */
export class Ticker extends Timed {
  readonly #loop: EventLoop;
  readonly #stats: Stats;
  readonly #logs: WorkerLogs;
  readonly #startedUs: number;
  readonly #memory: MemoryGuard;
  #ticks: number;

  constructor(loop: EventLoop, stats: Stats, logs: WorkerLogs, memory: MemoryGuard) {
    super();
    this.#loop = loop;
    this.#stats = stats;
    this.#logs = logs;
    this.#startedUs = loop.nowUs;
    this.#memory = memory;
    this.#ticks = 0;
  }

  start(): void {
    this.#loop.wheel.arm(this, PERIOD_MS);
  }

  onTimeout(): void {
    this.#stats.heartbeat(this.#loop.nowUs);
    this.#stats.values[METRIC_PROCESS_UPTIME_SECONDS] = Math.floor((this.#loop.nowUs - this.#startedUs) / 1e6);
    for (const sink of this.#logs.sinks) sink.tick();
    this.#logs.count(this.#stats);
    if (++this.#ticks % TICKS_PER_CHECK === 0) {
      this.#stats.values[METRIC_PROCESS_RESIDENT_BYTES] = this.#memory.check();
      this.#stats.values[METRIC_MEMORY_OVERLOAD] = this.#memory.short ? 1 : 0;
    }
    this.#loop.wheel.arm(this, PERIOD_MS);
  }
}
