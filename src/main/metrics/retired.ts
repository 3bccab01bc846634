// What workers counted that are gone and whose page nobody goes on with: predecessors of an upgrade, and workers that were
// replaced while they still ran. A worker that died leaves its page to its successor instead. One page for all of them,
// made when it is first needed. Gauges are left behind: they described the worker.

import {
  KIND_COUNTER,
  METRIC_CLIENT_CONNECT_PER_SOURCE,
  METRICS,
  ROW_COUNTERS,
  ROW_METRICS,
} from "../../observe/metrics.ts";
import { Stats } from "../../observe/stats.ts";
import { ROW_SLOTS } from "../../observe/stats-layout.ts";
import { PROXY_SLOTS, StatsReader } from "../../observe/stats-reader.ts";
import type { Page } from "./pages.ts";

export class RetiredStats {
  readonly #makeBuffer: () => ArrayBuffer;
  #stats: Stats | null;
  #page: Page | null;

  /** `makeBuffer`: memory of the size of a stats page, which costs nothing until it is written. */
  constructor(makeBuffer: () => ArrayBuffer) {
    this.#makeBuffer = makeBuffer;
    this.#stats = null;
    this.#page = null;
  }

  /** null: nobody has retired yet. */
  get page(): Page | null {
    return this.#page;
  }

  /** Adds what a worker that has ended counted. */
  fold(from: StatsReader): void {
    if (!from.valid) return;
    const stats = this.#open();
    const sums = new Float64Array(PROXY_SLOTS);
    from.addProxy(sums);
    for (const { kind, at } of METRICS) if (kind === KIND_COUNTER) stats.values[at] += sums[at];
    // Connections by source, causes of refusals, times.
    for (let at = METRIC_CLIENT_CONNECT_PER_SOURCE; at < PROXY_SLOTS; at++) stats.values[at] += sums[at];
    const row = sums.subarray(0, ROW_SLOTS);
    for (const place of from.places()) {
      row.fill(0);
      if (!from.addRow(place, row) || !hasCounted(row)) continue;
      const { clusterId, backendId } = place;
      const base = backendId === null ? stats.clusterRow(clusterId) : stats.backendRow(clusterId, backendId);
      for (const { kind, at } of ROW_METRICS) if (kind === KIND_COUNTER) stats.values[base + at] += row[at];
      for (let at = ROW_COUNTERS; at < ROW_SLOTS; at++) if (row[at] !== 0) stats.values[base + at] += row[at];
    }
  }

  /** Forgets the clusters that are gone: one of the same name starts anew. */
  prune(has: (clusterId: string) => boolean): void {
    for (const clusterId of this.#stats?.clusterIds() ?? []) if (!has(clusterId)) this.#stats?.freeCluster(clusterId);
  }

  /** Goes on with what an earlier main has. */
  resume(buffer: ArrayBuffer): void {
    this.#use(buffer);
  }

  #open(): Stats {
    return this.#stats ?? this.#use(this.#makeBuffer());
  }

  #use(buffer: ArrayBuffer): Stats {
    this.#stats = new Stats(buffer, { workerId: -1, pid: process.pid, nowUs: 0 });
    this.#page = { workerId: -1, isLive: false, isRetired: true, reader: new StatsReader(buffer) };
    return this.#stats;
  }
}

function hasCounted(row: Float64Array): boolean {
  return ROW_METRICS.some(({ kind, at }) => kind === KIND_COUNTER && row[at] !== 0);
}
