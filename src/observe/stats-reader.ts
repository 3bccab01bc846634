// Main's side of a stats page: reads what a worker (alive or not) counted, without asking it.
// The worker may write meanwhile. Every number is one aligned double, so it is old or new, never torn; a row that is
// freed or reused while it is read is recognised by its generation and left out. Nothing here trusts the page: lengths
// and indices are checked, because a dying worker may have left anything.

import { wireErrors } from "../wire/http1/errors.ts";
import { type HistogramSummary, isEmptyGroup, summarize } from "./histogram.ts";
import {
  METRIC_BACKEND_PARSE_CAUSE,
  METRIC_CLIENT_CONNECT_PER_SOURCE,
  METRIC_FRONTEND_PARSE_CAUSE,
  METRICS,
  METRICS_START,
  type MetricInfo,
  PARSE_CAUSES,
  PER_SOURCE_BUCKETS,
  ROW_COUNTERS,
  ROW_METRICS,
} from "./metrics.ts";
import { capacityOf } from "./stats.ts";
import {
  DIRECTORY_START,
  ENTRY_BYTES,
  ENTRY_GENERATION,
  ENTRY_ID,
  ENTRY_ID_MAX,
  ENTRY_LENGTH,
  ENTRY_PARENT,
  ENTRY_STATE,
  ENTRY_WORDS,
  HEAD_CAPACITY,
  HEAD_HEARTBEAT_US,
  HEAD_MAGIC,
  HEAD_METRICS,
  HEAD_PID,
  HEAD_ROW_METRICS,
  HEAD_ROWS_USED,
  HEAD_VERSION,
  HEAD_WORKER_ID,
  ROW_BACKEND,
  ROW_CLUSTER,
  ROW_SLOTS,
  ROW_TIMES,
  rowsStart,
  STATS_MAGIC,
  STATS_VERSION,
  TIMES,
} from "./stats-layout.ts";

/** Counters and gauges by name, times (microseconds) by name. */
export interface MetricsSnapshot {
  readonly values: ReadonlyMap<string, number>;
  readonly times: ReadonlyMap<string, HistogramSummary>;
}

/** The row of a cluster (`backendId` null) or of a backend. */
export interface RowSnapshot extends MetricsSnapshot {
  readonly clusterId: string;
  readonly backendId: string | null;
}

/** Where the row of a cluster (`backendId` null) or backend was found. */
export interface RowPlace {
  readonly clusterId: string;
  readonly backendId: string | null;
  readonly row: number;
  readonly generation: number;
}

/** Doubles of what addProxy() adds to. */
export const PROXY_SLOTS: number = DIRECTORY_START / 8;

/** Reads one page. Cheap to construct; holds no state besides the views. */
export class StatsReader {
  private readonly values: Float64Array;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;

  /** `buffer`: the page, mapped. A page that no worker has set up yet reads as empty. */
  constructor(buffer: ArrayBuffer) {
    this.values = new Float64Array(buffer, 0, Math.floor(buffer.byteLength / 8));
    this.words = new Int32Array(buffer, 0, Math.floor(buffer.byteLength / 4));
    this.bytes = new Uint8Array(buffer);
  }

  /** Whether a worker of a known layout has set the page up. */
  get valid(): boolean {
    return (
      this.values.length > HEAD_VERSION &&
      this.values[HEAD_MAGIC] === STATS_MAGIC &&
      this.values[HEAD_VERSION] === STATS_VERSION &&
      this.values[HEAD_CAPACITY] <= capacityOf(this.bytes.length)
    );
  }

  /** CLOCK_MONOTONIC in microseconds of the worker's last turn; 0 before the first. */
  get heartbeatUs(): number {
    return this.valid ? this.values[HEAD_HEARTBEAT_US] : 0;
  }

  get workerId(): number {
    return this.values[HEAD_WORKER_ID];
  }

  get pid(): number {
    return this.values[HEAD_PID];
  }

  /** One proxy-wide counter or gauge, by its METRIC_ constant. */
  metric(at: number): number {
    return this.valid ? this.values[at] : 0;
  }

  /** Everything proxy-wide; refusals by cause and connections by source only where there were any. */
  proxy(): MetricsSnapshot {
    const count = this.valid ? Math.min(METRICS.length, this.values[HEAD_METRICS]) : 0;
    const times = new Map<string, HistogramSummary>();
    if (this.valid) {
      for (const time of TIMES) {
        times.set(time.name, summarize(this.values, time.at));
      }
    }
    const values = this.read(METRICS, count, 0);
    if (this.valid) {
      for (const [name, value] of dynamicMetrics(this.values)) values.set(name, value);
    }
    return { values, times };
  }

  /** The page itself, for whoever clears it while no worker writes. */
  get buffer(): ArrayBuffer {
    return this.values.buffer as ArrayBuffer;
  }

  /** Adds everything proxy-wide to an array of PROXY_SLOTS doubles, place by place. */
  addProxy(into: Float64Array): void {
    if (!this.valid) return;
    for (let i = METRICS_START; i < PROXY_SLOTS; i++) into[i] += this.values[i];
  }

  /** Where the rows in use are. */
  places(): RowPlace[] {
    const places: RowPlace[] = [];
    const used = this.valid ? Math.min(this.values[HEAD_ROWS_USED], this.values[HEAD_CAPACITY]) : 0;
    for (let row = 2; row < used; row++) {
      const word = (DIRECTORY_START >> 2) + row * ENTRY_WORDS;
      const state = Atomics.load(this.words, word + ENTRY_STATE);
      const generation = Atomics.load(this.words, word + ENTRY_GENERATION);
      if (state !== ROW_CLUSTER && state !== ROW_BACKEND) continue;
      const id = this.id(row);
      const clusterId = state === ROW_CLUSTER ? id : this.id(this.words[word + ENTRY_PARENT]);
      if (id === null || clusterId === null) continue;
      places.push({ clusterId, backendId: state === ROW_CLUSTER ? null : id, row, generation });
    }
    return places;
  }

  /** Adds a row to an array of ROW_SLOTS doubles; false, and nothing added, when it has changed hands since places(). */
  addRow(place: RowPlace, into: Float64Array): boolean {
    const base = rowsStart(this.values[HEAD_CAPACITY]) + place.row * ROW_SLOTS;
    const word = (DIRECTORY_START >> 2) + place.row * ENTRY_WORDS;
    const slots = isEmptyGroup(this.values, base + ROW_COUNTERS) ? ROW_COUNTERS : ROW_SLOTS;
    for (let i = 0; i < slots; i++) SCRATCH[i] = this.values[base + i];
    if (Atomics.load(this.words, word + ENTRY_GENERATION) !== place.generation) return false;
    for (let i = 0; i < slots; i++) into[i] += SCRATCH[i];
    return true;
  }

  /** Every row in use. Rows that changed hands while they were read are left out. */
  rows(): RowSnapshot[] {
    const rows: RowSnapshot[] = [];
    if (!this.valid) {
      return rows;
    }
    const used = Math.min(this.values[HEAD_ROWS_USED], this.values[HEAD_CAPACITY]);
    for (let row = 2; row < used; row++) {
      const snapshot = this.row(row);
      if (snapshot !== null) {
        rows.push(snapshot);
      }
    }
    return rows;
  }

  private row(row: number): RowSnapshot | null {
    const word = (DIRECTORY_START >> 2) + row * ENTRY_WORDS;
    const state = Atomics.load(this.words, word + ENTRY_STATE);
    const generation = Atomics.load(this.words, word + ENTRY_GENERATION);
    if (state !== ROW_CLUSTER && state !== ROW_BACKEND) {
      return null;
    }
    const id = this.id(row);
    const clusterId = state === ROW_CLUSTER ? id : this.id(this.words[word + ENTRY_PARENT]);
    const base = rowsStart(this.values[HEAD_CAPACITY]) + row * ROW_SLOTS;
    const count = Math.min(ROW_METRICS.length, this.values[HEAD_ROW_METRICS]);
    const values = this.read(ROW_METRICS, count, base);
    const times = new Map<string, HistogramSummary>();
    for (const time of ROW_TIMES) {
      times.set(time.name, summarize(this.values, base + time.at));
    }
    const unchanged =
      Atomics.load(this.words, word + ENTRY_STATE) === state &&
      Atomics.load(this.words, word + ENTRY_GENERATION) === generation;
    if (!unchanged || id === null || clusterId === null) {
      return null;
    }
    return { clusterId, backendId: state === ROW_CLUSTER ? null : id, values, times };
  }

  private id(row: number): string | null {
    if (row < 2 || row >= this.values[HEAD_CAPACITY]) {
      return null;
    }
    const entry = DIRECTORY_START + row * ENTRY_BYTES;
    const length = this.words[(entry >> 2) + ENTRY_LENGTH];
    if (length < 0 || length > ENTRY_ID_MAX) {
      return null;
    }
    return DECODER.decode(this.bytes.subarray(entry + ENTRY_ID, entry + ENTRY_ID + length));
  }

  private read(metrics: readonly MetricInfo[], count: number, base: number): Map<string, number> {
    const values = new Map<string, number>();
    for (let i = 0; i < count; i++) {
      values.set(metrics[i].name, this.values[base + metrics[i].at]);
    }
    return values;
  }
}

/**
 * The counters that have a place for each cause or source, only where there were any: name, value, place. `values`: as
 * addProxy() has them.
 */
export function* dynamicMetrics(values: Float64Array): Generator<readonly [string, number, number]> {
  for (const [total, start] of CAUSES) {
    for (let code = 0; code < PARSE_CAUSES; code++) {
      // Named as in the table of wire errors.
      const name = `${total}.${wireErrors[code]?.metric ?? `cause_${code}`}`;
      if (values[start + code] > 0) yield [name, values[start + code], start + code];
    }
  }
  for (let bucket = 0; bucket < PER_SOURCE_BUCKETS; bucket++) {
    const at = METRIC_CLIENT_CONNECT_PER_SOURCE + bucket;
    if (values[at] > 0) yield [`client.connect.per_source.bucket_${String(bucket).padStart(3, "0")}`, values[at], at];
  }
}

const CAUSES = [
  ["http.frontend_parse_errors", METRIC_FRONTEND_PARSE_CAUSE],
  ["http.backend_parse_errors", METRIC_BACKEND_PARSE_CAUSE],
] as const;
const SCRATCH = new Float64Array(ROW_SLOTS);
const DECODER = new TextDecoder();
