// Sends all metrics to a statsd server over UDP (spec 12.4): once a second, by main, from the pages of the workers, so that
// traffic never waits for it. What has not changed is not sent; what does not fit into a second (too many lines, a socket
// that does not take them) stays a difference and is sent with the next, so counters lose nothing. A server that is not
// there costs a counted error.

import { bucketStart, HISTOGRAM_BUCKETS, HISTOGRAM_LANES, isEmptyGroup } from "../../observe/histogram.ts";
import { DETAIL_BACKEND, DETAIL_CLUSTER } from "../../observe/metric-detail.ts";
import { KIND_GAUGE, METRICS, type MetricInfo, ROW_COUNTERS, ROW_METRICS } from "../../observe/metrics.ts";
import { ROW_SLOTS, ROW_TIMES, TIMES } from "../../observe/stats-layout.ts";
import { dynamicMetrics, PROXY_SLOTS, type RowPlace } from "../../observe/stats-reader.ts";
import type { MainMetric } from "./main-metrics.ts";
import type { Page } from "./pages.ts";
import { type LineStyle, LineWriter, type Subject } from "./statsd-lines.ts";

/** Datagrams a second. */
export const DATAGRAMS_MAX = 4000;

/** What is sent. */
export interface DrainSource {
  readonly pages: () => readonly Page[];
  readonly main: () => readonly MainMetric[];
  /** The effective level of detail. */
  readonly detail: () => number;
}

/** What was sent of one row or page, by place; values as of then. */
interface Sent {
  readonly generation: number;
  readonly values: Float64Array;
}

interface Time {
  readonly name: string;
  readonly at: number;
}

/** Finds what changed and writes it as lines. Sending is the caller's. */
export class StatsdDrain {
  readonly #source: DrainSource;
  readonly #writer: LineWriter;
  readonly #sent: WeakMap<object, Sent[]>;
  readonly #main: Map<string, number>;
  readonly #room: Float64Array;
  #datagrams: number;
  /** Where the last pass stopped: the index of a page and a row. */
  #page: number;
  #row: number;

  /** `send` gets each datagram; its bytes are valid during the call. */
  constructor(source: DrainSource, style: LineStyle, send: (datagram: Uint8Array) => void) {
    this.#source = source;
    this.#sent = new WeakMap();
    this.#main = new Map();
    this.#room = new Float64Array(PROXY_SLOTS);
    this.#datagrams = 0;
    this.#page = 0;
    this.#row = 0;
    this.#writer = new LineWriter(style, (datagram) => {
      this.#datagrams++;
      send(datagram);
    });
  }

  /**
   * One pass over everything, to be run in slices; `isFull` tells that the socket takes no more. Returns whether the pass
   * came to its end; the next one goes on where it stopped.
   */
  *pass(isFull: () => boolean): Generator<void, boolean> {
    this.#datagrams = 0;
    this.#drainMain();
    yield;
    // What retired workers counted was sent while they ran.
    const pages = this.#source.pages().filter(({ isRetired }) => !isRetired);
    for (const page of pages) {
      this.#drainProxy(page);
      yield;
    }
    const complete = this.#source.detail() < DETAIL_CLUSTER || (yield* this.#drainRows(pages, isFull));
    this.#writer.flush();
    return complete;
  }

  *#drainRows(pages: readonly Page[], isFull: () => boolean): Generator<void, boolean> {
    if (this.#page >= pages.length) this.#page = 0;
    for (let count = 0; count < pages.length; count++) {
      const page = pages[this.#page]!;
      const places = page.reader.places();
      yield;
      for (; this.#row < places.length; this.#row++) {
        if (this.#datagrams >= DATAGRAMS_MAX || isFull()) return false;
        this.#drainRow(page, places[this.#row]!);
        yield;
      }
      this.#row = 0;
      this.#page = (this.#page + 1) % pages.length;
    }
    return true;
  }

  #drainMain(): void {
    this.#writer.about({ origin: "MAIN", clusterId: null, backendId: null });
    for (const { name, kind, value } of this.#source.main()) {
      this.#value(name, kind, value, this.#main.get(name) ?? (kind === KIND_GAUGE ? -1 : 0));
      this.#main.set(name, value);
    }
  }

  #drainProxy(page: Page): void {
    const values = this.#room.fill(0);
    page.reader.addProxy(values);
    const before = this.#sentOf(page, 0, 0, PROXY_SLOTS);
    this.#writer.about(subjectOf(page, null));
    this.#values(METRICS, values, before);
    for (const [name, value, at] of dynamicMetrics(values)) {
      this.#value(name, 0, value, before[at]);
      before[at] = value;
    }
    this.#times(TIMES, values, before);
  }

  #drainRow(page: Page, place: RowPlace): void {
    if (place.backendId !== null && this.#source.detail() < DETAIL_BACKEND) return;
    const values = this.#room.fill(0, 0, ROW_SLOTS);
    if (!page.reader.addRow(place, values)) return;
    const isTimed = !isEmptyGroup(values, ROW_COUNTERS);
    const before = this.#sentOf(page, place.row, place.generation, isTimed ? ROW_SLOTS : ROW_COUNTERS);
    this.#writer.about(subjectOf(page, place));
    this.#values(ROW_METRICS, values, before);
    if (isTimed) this.#times(ROW_TIMES, values, before);
  }

  #values(metrics: readonly MetricInfo[], values: Float64Array, before: Float64Array): void {
    for (const { name, kind, at } of metrics) {
      if (values[at] === before[at]) continue;
      this.#value(name, kind, values[at], before[at]);
      before[at] = values[at];
    }
  }

  #value(name: string, kind: number, value: number, before: number): void {
    if (value === before) return;
    if (kind === KIND_GAUGE) {
      this.#writer.gauge(name, Math.max(0, value));
      return;
    }
    // Below what was sent: it was cleared meanwhile.
    const added = value > before ? value - before : value;
    if (added > 0) this.#writer.count(name, added);
  }

  #times(times: readonly Time[], values: Float64Array, before: Float64Array): void {
    for (const { name, at } of times) {
      // Samples of 0 add to the first bucket, others to the sum.
      const first = at + HISTOGRAM_LANES;
      if (values[at] === before[at] && values[first] === before[first]) continue;
      before[at] = values[at];
      for (let i = 0; i < HISTOGRAM_BUCKETS; i++) {
        const place = first + i * HISTOGRAM_LANES;
        const added = values[place] >= before[place] ? values[place] - before[place] : values[place];
        before[place] = values[place];
        if (added === 0) continue;
        const start = bucketStart(i);
        this.#writer.time(name, start + Math.floor((bucketStart(i + 1) - 1 - start) / 2), added);
      }
    }
  }

  #sentOf({ reader }: Page, row: number, generation: number, slots: number): Float64Array {
    let pages = this.#sent.get(reader);
    if (pages === undefined) {
      pages = [];
      this.#sent.set(reader, pages);
    }
    const known = pages[row];
    const earlier = known?.generation === generation ? known.values : null;
    if (earlier !== null && earlier.length >= slots) return earlier;
    const values = new Float64Array(slots);
    if (earlier !== null) values.set(earlier);
    pages[row] = { generation, values };
    return values;
  }
}

function subjectOf({ workerId }: Page, place: RowPlace | null): Subject {
  const origin = `WRK-${String(workerId).padStart(2, "0")}`;
  return { origin, clusterId: place?.clusterId ?? null, backendId: place?.backendId ?? null };
}
