// The worker's side of the stats page: counting is one addition at a constant index of `values`.
// Rows of clusters and backends are handed out when the configuration changes; their base indices live in the balancing
// objects. Row 0 collects what found no room (counted in `stats.rows_overflowed`); row 1 is the graveyard: whoever
// frees a row points the object at GRAVEYARD, which swallows the late samples of requests still running, so the row
// can be reused at once without mixing two objects. Invariant: a directory entry is published last, with a new
// generation.

import { utf8Bytes } from "../command/utf8.ts";
import { isEmptyGroup } from "./histogram.ts";
import { DETAIL_BACKEND, DETAIL_PROCESS } from "./metric-detail.ts";
import { KIND_GAUGE, METRIC_STATS_ROWS_OVERFLOWED, METRICS, ROW_COUNTERS, ROW_METRICS } from "./metrics.ts";
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
  HEAD_STARTED_US,
  HEAD_VERSION,
  HEAD_WORKER_ID,
  ROW_BACKEND,
  ROW_CLUSTER,
  ROW_FREE,
  ROW_RESERVED,
  ROW_SLOTS,
  rowsStart,
  STATS_MAGIC,
  STATS_VERSION,
  statsPageBytes,
} from "./stats-layout.ts";

/** Who writes the page. Times in microseconds of CLOCK_MONOTONIC. */
export interface StatsOwner {
  readonly workerId: number;
  readonly pid: number;
  readonly nowUs: number;
}

/** The page as its worker sees it. `buffer` is mapped shared memory, or any ArrayBuffer in tests. */
export class Stats {
  /** Everything that counts: `values[METRIC_HTTP_REQUESTS]++`, `values[row + ROW_REQUESTS]++`. */
  readonly values: Float64Array;
  /** Base of the row that swallows samples of removed objects. */
  readonly graveyardRow: number;
  /** Base of the row that stands for all that found no room. */
  readonly overflowRow: number;
  /** What is recorded in rows, one of DETAIL_; gauges always are. Everything until it is set. */
  detail: number;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly capacity: number;
  private readonly rowsAt: number;
  private readonly free: number[];
  private readonly clusters: Map<string, number>;
  private readonly backends: Map<string, Map<string, number>>;
  /** Rows of a predecessor that nobody asked for yet. */
  private readonly leftovers: Set<number>;

  /**
   * Takes the page over: a page of another layout is cleared; one that a predecessor of the same layout left behind
   * keeps counters and rows and loses its gauges, which described the dead process. Throws a RangeError when the
   * buffer is smaller than `statsPageBytes(0)`.
   */
  constructor(buffer: ArrayBuffer, owner: StatsOwner) {
    if (buffer.byteLength < statsPageBytes(0)) {
      throw new RangeError(`stats page of ${buffer.byteLength} bytes is smaller than ${statsPageBytes(0)}`);
    }
    this.values = new Float64Array(buffer, 0, Math.floor(buffer.byteLength / 8));
    this.words = new Int32Array(buffer, 0, Math.floor(buffer.byteLength / 4));
    this.bytes = new Uint8Array(buffer);
    this.capacity = capacityOf(buffer.byteLength);
    this.rowsAt = rowsStart(this.capacity);
    this.overflowRow = this.rowsAt;
    this.graveyardRow = this.rowsAt + ROW_SLOTS;
    this.detail = DETAIL_BACKEND;
    this.free = [];
    this.clusters = new Map();
    this.backends = new Map();
    this.leftovers = new Set();
    if (this.fits()) {
      this.adopt();
    } else {
      this.clear();
    }
    const head = this.values;
    head[HEAD_WORKER_ID] = owner.workerId;
    head[HEAD_PID] = owner.pid;
    head[HEAD_STARTED_US] = owner.nowUs;
    head[HEAD_HEARTBEAT_US] = owner.nowUs;
  }

  /** Tells readers that the loop is alive. `nowUs`: CLOCK_MONOTONIC in microseconds. */
  heartbeat(nowUs: number): void {
    this.values[HEAD_HEARTBEAT_US] = nowUs;
  }

  /**
   * The base of a cluster's row; the same for the same id until it is freed. The overflow row when the page is
   * full.
   */
  clusterRow(clusterId: string): number {
    const known = this.clusters.get(clusterId);
    if (known !== undefined) {
      this.leftovers.delete(known);
      return this.base(known);
    }
    const row = this.allocate(ROW_CLUSTER, 0, clusterId);
    if (row === 0) {
      return this.overflowRow;
    }
    this.clusters.set(clusterId, row);
    return this.base(row);
  }

  /**
   * The base of a backend's row: backends of a cluster with the same id share one, as metrics are labelled by id.
   * The cluster gets a row too if it has none.
   */
  backendRow(clusterId: string, backendId: string): number {
    let rows = this.backends.get(clusterId);
    const known = rows?.get(backendId);
    if (known !== undefined) {
      this.leftovers.delete(known);
      return this.base(known);
    }
    this.clusterRow(clusterId);
    const row = this.allocate(ROW_BACKEND, this.clusters.get(clusterId) ?? 0, backendId);
    if (row === 0) {
      return this.overflowRow;
    }
    if (rows === undefined) {
      rows = new Map();
      this.backends.set(clusterId, rows);
    }
    rows.set(backendId, row);
    return this.base(row);
  }

  /** Counts something rare about a backend, in its row and in that of its cluster. `row` -1: it has none. */
  countOfBackend(row: number, at: number): void {
    if (row === -1 || this.detail === DETAIL_PROCESS) return;
    this.values[row + at]++;
    this.values[this.parentRow(row) + at]++;
  }

  /** The base of the cluster's row for a backend's; what has no row of its own counts in none (the graveyard). */
  parentRow(base: number): number {
    const row = (base - this.rowsAt) / ROW_SLOTS;
    if (row < RESERVED_ROWS) return this.graveyardRow;
    const parent = this.words[(DIRECTORY_START >> 2) + row * ENTRY_WORDS + ENTRY_PARENT];
    return this.base(parent);
  }

  /** The clusters that have a row. */
  clusterIds(): string[] {
    return [...this.clusters.keys()];
  }

  /** Frees the rows of a cluster and of all its backends. Point the objects at `graveyardRow` first. */
  freeCluster(clusterId: string): void {
    const rows = this.backends.get(clusterId);
    if (rows !== undefined) {
      for (const row of rows.values()) {
        this.release(row);
      }
      this.backends.delete(clusterId);
    }
    const row = this.clusters.get(clusterId);
    if (row !== undefined) {
      this.release(row);
      this.clusters.delete(clusterId);
    }
  }

  /** Frees the row of a backend id; to be called when the last backend with this id is gone from the cluster. */
  freeBackend(clusterId: string, backendId: string): void {
    const rows = this.backends.get(clusterId);
    const row = rows?.get(backendId);
    if (rows === undefined || row === undefined) {
      return;
    }
    this.release(row);
    rows.delete(backendId);
    if (rows.size === 0) {
      this.backends.delete(clusterId);
    }
  }

  /** Frees the rows of a predecessor that the configuration did not ask for again. Called once it is in place. */
  freeLeftovers(): void {
    for (const [cluster, row] of this.clusters) {
      if (this.leftovers.has(row)) {
        this.freeCluster(cluster);
      }
    }
    for (const [cluster, rows] of this.backends) {
      for (const [backend, row] of rows) {
        if (this.leftovers.has(row)) {
          this.freeBackend(cluster, backend);
        }
      }
    }
    this.leftovers.clear();
  }

  private base(row: number): number {
    return this.rowsAt + row * ROW_SLOTS;
  }

  private allocate(state: number, parent: number, id: string): number {
    let row = this.free.pop();
    if (row === undefined) {
      const used = this.values[HEAD_ROWS_USED];
      if (used >= this.capacity) {
        this.values[METRIC_STATS_ROWS_OVERFLOWED]++;
        return 0;
      }
      row = used;
      this.values[HEAD_ROWS_USED] = used + 1;
    }
    const base = this.base(row);
    this.clearRow(base);
    const entry = DIRECTORY_START + row * ENTRY_BYTES;
    const id8 = encodeId(id);
    this.bytes.set(id8, entry + ENTRY_ID);
    const word = entry >> 2;
    this.words[word + ENTRY_LENGTH] = id8.length;
    this.words[word + ENTRY_PARENT] = parent;
    Atomics.add(this.words, word + ENTRY_GENERATION, 1);
    Atomics.store(this.words, word + ENTRY_STATE, state);
    return row;
  }

  /** Histograms that hold nothing (see isEmptyGroup) are left alone: of a row that was never used, pages stay untouched. */
  private clearRow(base: number): void {
    const times = base + ROW_COUNTERS;
    if (!isEmptyGroup(this.values, times)) {
      this.values.fill(0, times, base + ROW_SLOTS);
    }
    this.values.fill(0, base, times);
  }

  private release(row: number): void {
    const word = (DIRECTORY_START >> 2) + row * ENTRY_WORDS;
    Atomics.store(this.words, word + ENTRY_STATE, ROW_FREE);
    Atomics.add(this.words, word + ENTRY_GENERATION, 1);
    this.leftovers.delete(row);
    this.free.push(row);
  }

  private fits(): boolean {
    const head = this.values;
    return (
      head[HEAD_MAGIC] === STATS_MAGIC &&
      head[HEAD_VERSION] === STATS_VERSION &&
      head[HEAD_METRICS] === METRICS.length &&
      head[HEAD_ROW_METRICS] === ROW_METRICS.length &&
      head[HEAD_CAPACITY] === this.capacity &&
      Number.isInteger(head[HEAD_ROWS_USED]) &&
      head[HEAD_ROWS_USED] >= RESERVED_ROWS &&
      head[HEAD_ROWS_USED] <= this.capacity
    );
  }

  private clear(): void {
    const used = Math.min(this.values[HEAD_ROWS_USED], this.capacity) || 0;
    this.bytes.fill(0, 0, DIRECTORY_START + Math.max(used, RESERVED_ROWS) * ENTRY_BYTES);
    const head = this.values;
    head[HEAD_VERSION] = STATS_VERSION;
    head[HEAD_METRICS] = METRICS.length;
    head[HEAD_ROW_METRICS] = ROW_METRICS.length;
    head[HEAD_CAPACITY] = this.capacity;
    head[HEAD_ROWS_USED] = RESERVED_ROWS;
    this.values.fill(0, this.overflowRow, this.overflowRow + RESERVED_ROWS * ROW_SLOTS);
    this.reserveRows();
    head[HEAD_MAGIC] = STATS_MAGIC;
  }

  private reserveRows(): void {
    for (let row = 0; row < RESERVED_ROWS; row++) {
      this.words[(DIRECTORY_START >> 2) + row * ENTRY_WORDS + ENTRY_STATE] = ROW_RESERVED;
    }
  }

  /** Rebuilds the maps from the directory a predecessor left. Ids that were cut are not found again and start anew. */
  private adopt(): void {
    for (let i = 0; i < METRICS.length; i++) {
      if (METRICS[i].kind === KIND_GAUGE) {
        this.values[METRICS[i].at] = 0;
      }
    }
    this.reserveRows();
    const used = this.values[HEAD_ROWS_USED];
    const names: string[] = ["", ""];
    for (let row = RESERVED_ROWS; row < used; row++) {
      names.push(this.adoptName(row));
    }
    for (let row = RESERVED_ROWS; row < used; row++) {
      const word = (DIRECTORY_START >> 2) + row * ENTRY_WORDS;
      if (this.words[word + ENTRY_STATE] === ROW_BACKEND) {
        this.adoptBackend(row, this.words[word + ENTRY_PARENT], names);
      }
    }
  }

  private adoptName(row: number): string {
    const entry = DIRECTORY_START + row * ENTRY_BYTES;
    const state = this.words[(entry >> 2) + ENTRY_STATE];
    const length = this.words[(entry >> 2) + ENTRY_LENGTH];
    if ((state !== ROW_CLUSTER && state !== ROW_BACKEND) || length < 0 || length >= ENTRY_ID_MAX) {
      this.release(row);
      return "";
    }
    const name = DECODER.decode(this.bytes.subarray(entry + ENTRY_ID, entry + ENTRY_ID + length));
    if (state === ROW_CLUSTER && this.clusters.has(name)) {
      this.release(row);
      return "";
    }
    this.clearGauges(row);
    this.leftovers.add(row);
    if (state === ROW_CLUSTER) {
      this.clusters.set(name, row);
    }
    return name;
  }

  private adoptBackend(row: number, parent: number, names: string[]): void {
    const cluster = parent >= RESERVED_ROWS && parent < names.length ? names[parent] : "";
    if (this.clusters.get(cluster) !== parent || this.backends.get(cluster)?.has(names[row])) {
      this.release(row);
      return;
    }
    let rows = this.backends.get(cluster);
    if (rows === undefined) {
      rows = new Map();
      this.backends.set(cluster, rows);
    }
    rows.set(names[row], row);
  }

  private clearGauges(row: number): void {
    for (let i = 0; i < ROW_METRICS.length; i++) {
      if (ROW_METRICS[i].kind === KIND_GAUGE) {
        this.values[this.base(row) + ROW_METRICS[i].at] = 0;
      }
    }
  }
}

/** Rows (with the two reserved ones) that a page of `bytes` has room for. */
export function capacityOf(bytes: number): number {
  let capacity = Math.floor((bytes - DIRECTORY_START) / (ENTRY_BYTES + ROW_SLOTS * 8));
  while ((rowsStart(capacity) + capacity * ROW_SLOTS) * 8 > bytes) {
    capacity--;
  }
  return capacity;
}

/** The bytes of an id in the directory: cut to the room, then ending in `~` and 8 hex digits of its FNV-1a hash. */
function encodeId(id: string): Uint8Array {
  const bytes = utf8Bytes(id);
  if (bytes.length < ENTRY_ID_MAX) {
    return bytes;
  }
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) {
    hash = Math.imul(hash ^ bytes[i], 0x01000193);
  }
  const tail = utf8Bytes(`~${(hash >>> 0).toString(16).padStart(8, "0")}`);
  const cut = new Uint8Array(ENTRY_ID_MAX);
  cut.set(bytes.subarray(0, ENTRY_ID_MAX - tail.length));
  cut.set(tail, ENTRY_ID_MAX - tail.length);
  return cut;
}

/** The overflow row and the graveyard. */
const RESERVED_ROWS = 2;
const DECODER = new TextDecoder();
