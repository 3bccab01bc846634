// A place for one worker: its listening sockets belong to the place and outlive every worker in it, and so does its stats
// page, but for upgrades: two workers that both count need a page each.

import type { StatsReader } from "../observe/stats-reader.ts";
import { BackOff } from "./back-off.ts";
import type { Release } from "./release.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** A successor that starts beside a worker that serves. */
export interface Candidate {
  readonly worker: WorkerProcess;
  readonly release: Release;
  readonly page: StatsPage;
  /** Called once: null when it serves, else why it does not. */
  readonly settle: (problem: string | null) => void;
}

/** A stats page; the descriptor is open while the page is somebody's. */
export interface StatsPage {
  readonly fd: number;
  readonly reader: StatsReader;
}

/** One of `worker_count` places. */
export class WorkerSlot {
  readonly index: number;
  /** The page of the present worker. */
  page: StatsPage;
  readonly backOff: BackOff;
  /** What workers of this place run. */
  release: Release;
  /** The worker of this place; null between its death and the start of its successor. */
  worker: WorkerProcess | null;
  /** The successor of an upgrade, until it serves or fails. */
  candidate: Candidate | null;
  /** Predecessors that still run and leave when the present worker is ready; true: by SIGKILL. */
  readonly leaving: Map<WorkerProcess, boolean>;
  /** A successor waits for its pause to pass. */
  restart: NodeJS.Timeout | null;
  /** Since when nobody accepts here, `performance.now()`; -1 while a worker serves, and before the first one. */
  vacantSinceMs: number;
  /** The worker of another slot that accepts on these sockets meanwhile. */
  lentTo: WorkerProcess | null;

  constructor(index: number, page: StatsPage, release: Release) {
    this.index = index;
    this.page = page;
    this.release = release;
    this.backOff = new BackOff();
    this.worker = null;
    this.candidate = null;
    this.leaving = new Map();
    this.restart = null;
    this.vacantSinceMs = -1;
    this.lentTo = null;
  }

  get stats(): StatsReader {
    return this.page.reader;
  }

  /** The heartbeat of the present worker stands still. */
  get stalled(): boolean {
    return this.worker?.heart.stalled === true;
  }

  /** Every worker here that follows the state: one that drains still answers requests by it. */
  get followers(): readonly WorkerProcess[] {
    const all = [...this.leaving.keys()];
    if (this.candidate !== null && this.candidate.worker !== this.worker) all.push(this.candidate.worker);
    if (this.worker !== null) all.push(this.worker);
    return all;
  }
}
