// A place for one worker: its listening sockets and stats page belong to the place and outlive every worker in it.

import type { StatsReader } from "../observe/stats-reader.ts";
import { BackOff } from "./back-off.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** One of `worker_count` places. */
export class WorkerSlot {
  readonly index: number;
  /** The stats page, shared with whichever worker is here; stays open in main. */
  readonly statsFd: number;
  readonly stats: StatsReader;
  readonly backOff: BackOff;
  /** The worker of this place; null between its death and the start of its successor. */
  worker: WorkerProcess | null;
  /** Predecessors that still run and leave when the present worker is ready; true: by SIGKILL. */
  readonly leaving: Map<WorkerProcess, boolean>;
  /** A successor waits for its pause to pass. */
  restart: NodeJS.Timeout | null;
  /** Since when nobody accepts here, `performance.now()`; -1 while a worker serves, and before the first one. */
  vacantSinceMs: number;
  /** The worker of another slot that accepts on these sockets meanwhile. */
  lentTo: WorkerProcess | null;
  /** The heartbeat stood still when it was last looked at. */
  stalled: boolean;

  constructor(index: number, statsFd: number, stats: StatsReader) {
    this.index = index;
    this.statsFd = statsFd;
    this.stats = stats;
    this.backOff = new BackOff();
    this.worker = null;
    this.leaving = new Map();
    this.restart = null;
    this.vacantSinceMs = -1;
    this.lentTo = null;
    this.stalled = false;
  }
}
