// `metrics clear` (spec 12.4): every counter and time of a page back to 0. Gauges stay: they say what is now. Done by the
// worker that writes the page (a count that is being added must not come back), or by main when no worker does.

import { isEmptyGroup } from "./histogram.ts";
import {
  KIND_COUNTER,
  METRIC_CLIENT_CONNECT_PER_SOURCE,
  METRICS,
  METRICS_END,
  ROW_COUNTERS,
  ROW_METRICS,
} from "./metrics.ts";
import { capacityOf } from "./stats.ts";
import { DIRECTORY_START, HEAD_CAPACITY, HEAD_ROWS_USED, ROW_SLOTS, rowsStart } from "./stats-layout.ts";

/** Clears a page row by row; the caller decides how many rows a slice of time has. */
export function* clearCounters(buffer: ArrayBuffer): Generator<void, void> {
  const values = new Float64Array(buffer, 0, Math.floor(buffer.byteLength / 8));
  for (const { kind, at } of METRICS) if (kind === KIND_COUNTER) values[at] = 0;
  // Connections by source, causes of refusals, and behind them the proxy-wide times.
  values.fill(0, METRIC_CLIENT_CONNECT_PER_SOURCE, METRICS_END);
  values.fill(0, METRICS_END, DIRECTORY_START / 8);
  yield;
  const capacity = Math.min(values[HEAD_CAPACITY], capacityOf(buffer.byteLength));
  const used = Math.min(values[HEAD_ROWS_USED], capacity);
  for (let row = 0; row < used; row++) {
    clearRow(values, rowsStart(capacity) + row * ROW_SLOTS);
    yield;
  }
}

/** Pages that were never written stay untouched. */
function clearRow(values: Float64Array, base: number): void {
  for (const { kind, at } of ROW_METRICS) {
    if (kind === KIND_COUNTER && values[base + at] !== 0) values[base + at] = 0;
  }
  const times = base + ROW_COUNTERS;
  if (!isEmptyGroup(values, times)) values.fill(0, times, base + ROW_SLOTS);
}
