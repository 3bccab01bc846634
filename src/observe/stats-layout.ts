// The shape of the shared stats page (design section 5): a memfd that a worker writes and main only reads, so counters
// survive the worker and nobody has to ask it. Everything is a double (atomic when aligned, exact up to 2^53) except
// the row directory, which names the rows. Pages of a memfd exist once touched: a large capacity costs nothing.
//   head        64 doubles      magic, version, sizes, heartbeat
//   metrics     to 1024         proxy-wide counters and gauges (metrics.ts)
//   histograms  two groups      proxy-wide times
//   directory   256 bytes a row state, generation, parent, id text
//   rows        16 kB a row     252 counters and gauges, then one group of histograms

import { HISTOGRAM_GROUP_SLOTS } from "./histogram.ts";
import { METRICS_END, ROW_COUNTERS } from "./metrics.ts";

/** "sozus" in ASCII. */
export const STATS_MAGIC = 0x736f7a7573;
/** Grows with every change of places that is not an append. */
export const STATS_VERSION = 1;

// Places of the head, in doubles.
export const HEAD_MAGIC = 0;
export const HEAD_VERSION = 1;
export const HEAD_METRICS = 2;
export const HEAD_ROW_METRICS = 3;
export const HEAD_CAPACITY = 4;
/** Rows that were ever used: the reader scans no further. */
export const HEAD_ROWS_USED = 5;
export const HEAD_WORKER_ID = 6;
export const HEAD_PID = 7;
/** CLOCK_MONOTONIC in microseconds, refreshed by the worker's loop. */
export const HEAD_HEARTBEAT_US = 8;
export const HEAD_STARTED_US = 9;

// Proxy-wide times: bases of histograms.
const GROUP_A = METRICS_END;
const GROUP_B = METRICS_END + HISTOGRAM_GROUP_SLOTS;
export const TIME_REQUEST = GROUP_A;
export const TIME_SERVICE = GROUP_A + 1;
export const TIME_FRONTEND_MATCHING = GROUP_A + 2;
export const TIME_REGEX_MATCHING = GROUP_A + 3;
export const TIME_ACCEPT_QUEUE_WAIT = GROUP_B;
export const TIME_EPOLL = GROUP_B + 1;
export const TIME_EVENT_LOOP = GROUP_B + 2;
export const TIME_TLS_HANDSHAKE = GROUP_B + 3;

// Times of a row: add the row's base.
export const ROW_TIME_REQUEST = ROW_COUNTERS;
export const ROW_TIME_SERVICE = ROW_COUNTERS + 1;
export const ROW_TIME_BACKEND_RESPONSE = ROW_COUNTERS + 2;
export const ROW_TIME_BACKEND_CONNECTION = ROW_COUNTERS + 3;

/** Names of the proxy-wide times and their places. */
export const TIMES: readonly { readonly name: string; readonly at: number }[] = [
  { name: "request_time", at: TIME_REQUEST },
  { name: "service_time", at: TIME_SERVICE },
  { name: "frontend_matching_time", at: TIME_FRONTEND_MATCHING },
  { name: "regex_matching_time", at: TIME_REGEX_MATCHING },
  { name: "accept_queue.wait_time", at: TIME_ACCEPT_QUEUE_WAIT },
  { name: "epoll_time", at: TIME_EPOLL },
  { name: "event_loop_time", at: TIME_EVENT_LOOP },
  { name: "tls.handshake_ms", at: TIME_TLS_HANDSHAKE },
];

/** Names of the times of a row and their offsets in it. */
export const ROW_TIMES: readonly { readonly name: string; readonly at: number }[] = [
  { name: "request_time", at: ROW_TIME_REQUEST },
  { name: "service_time", at: ROW_TIME_SERVICE },
  { name: "backend_response_time", at: ROW_TIME_BACKEND_RESPONSE },
  { name: "backend_connection_time", at: ROW_TIME_BACKEND_CONNECTION },
];

/** Doubles of a row: 16 kB. */
export const ROW_SLOTS = 2048;
/** Bytes of a directory entry: four 32-bit words (state, generation, parent row, bytes of id), then the id. */
export const ENTRY_BYTES = 256;
export const ENTRY_WORDS = ENTRY_BYTES / 4;
export const ENTRY_ID = 16;
/** Longer ids are cut and end in a hash. */
export const ENTRY_ID_MAX = ENTRY_BYTES - ENTRY_ID;
export const ENTRY_STATE = 0;
export const ENTRY_GENERATION = 1;
export const ENTRY_PARENT = 2;
export const ENTRY_LENGTH = 3;

/** States of a directory entry. */
export const ROW_FREE = 0;
export const ROW_CLUSTER = 1;
export const ROW_BACKEND = 2;
/** Rows 0 and 1: what did not fit, and late samples of removed objects. */
export const ROW_RESERVED = 3;

/** First byte of the directory: ten pages hold the head, the metrics and the proxy-wide times. */
export const DIRECTORY_START = 40_960;

/** First double of the rows, for a capacity. */
export function rowsStart(capacity: number): number {
  return Math.ceil((DIRECTORY_START + capacity * ENTRY_BYTES) / 4096) * 512;
}

/** Bytes of a page with room for `rows` clusters and backends (plus the two reserved rows). */
export function statsPageBytes(rows: number): number {
  const capacity = rows + 2;
  return (rowsStart(capacity) + capacity * ROW_SLOTS) * 8;
}
