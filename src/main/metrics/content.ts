// From what was counted to what an answer holds (spec 12.4): counters and gauges by name, times as percentiles and as a
// histogram whose bounds double. Pages count microseconds; answers have milliseconds, unless the question wants more.
// What has never happened is left out, as in Sozu, but for what was asked for by name. `bytes` estimates the size of what
// was made so far, so that a huge answer is given up before it is complete.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { BucketSchema, FilteredMetricsSchema } from "../../command/gen/sozu_pb.ts";
import {
  bucketStart,
  HISTOGRAM_BUCKETS,
  HISTOGRAM_LANES,
  type HistogramSummary,
  summarize,
} from "../../observe/histogram.ts";
import { KIND_GAUGE, METRICS, type MetricInfo, ROW_METRICS } from "../../observe/metrics.ts";
import { ROW_TIMES, TIMES } from "../../observe/stats-layout.ts";
import { dynamicMetrics } from "../../observe/stats-reader.ts";

/** `map<string, FilteredMetrics>`. */
export type MetricMap = Record<string, MessageInitShape<typeof FilteredMetricsSchema>>;
type Inner = NonNullable<MessageInitShape<typeof FilteredMetricsSchema>["inner"]>;

interface Time {
  readonly name: string;
  readonly at: number;
}

/** Gauges of clusters; any other gauge of a row is a backend's. */
const CLUSTER_GAUGES: ReadonlySet<string> = new Set([
  "cluster.available_backends",
  "cluster.total_backends",
  "health_check.healthy_backends",
  "connections_per_backend",
]);
/** What a row of a backend shows of gauges. */
const BACKEND_GAUGES: ReadonlySet<string> = new Set(["connections_per_backend", "backend.available"]);
const HISTOGRAM_SUFFIX = "_histogram";

/** Writes the maps of one answer. */
export class ContentWriter {
  /** About as many bytes as what was written takes in an answer. */
  bytes: number;
  readonly #names: ReadonlySet<string>;
  /** Microseconds of one unit of time in the answer. */
  readonly #unitUs: number;

  /** `names`: the only metrics that are wanted; empty: all. */
  constructor(names: readonly string[], microseconds: boolean) {
    this.bytes = 0;
    this.#names = new Set(names);
    this.#unitUs = microseconds ? 1 : 1000;
  }

  /** Everything proxy-wide, from an array that addProxy() filled. */
  proxy(values: Float64Array): MetricMap {
    const map: MetricMap = {};
    for (const info of METRICS) this.#value(map, info, values[info.at], true);
    for (const [name, value] of dynamicMetrics(values)) this.#count(map, name, value);
    this.#times(map, TIMES, values);
    return map;
  }

  /** A row of a cluster, from an array that addRow() filled. */
  cluster(values: Float64Array): MetricMap {
    return this.#row(values, CLUSTER_GAUGES);
  }

  /** A row of a backend. */
  backend(values: Float64Array): MetricMap {
    return this.#row(values, BACKEND_GAUGES);
  }

  /** Main's own. */
  main(metrics: Iterable<{ readonly name: string; readonly kind: number; readonly value: number }>): MetricMap {
    const map: MetricMap = {};
    for (const metric of metrics) this.#value(map, { ...metric, at: 0 }, metric.value, true);
    return map;
  }

  #row(values: Float64Array, gauges: ReadonlySet<string>): MetricMap {
    const map: MetricMap = {};
    for (const info of ROW_METRICS) this.#value(map, info, values[info.at], gauges.has(info.name));
    this.#times(map, ROW_TIMES, values);
    return map;
  }

  #value(map: MetricMap, { name, kind }: MetricInfo, value: number, hasGauge: boolean): void {
    if (kind !== KIND_GAUGE) this.#count(map, name, value);
    else if (hasGauge && this.#wants(name)) this.#put(map, name, { case: "gauge", value: whole(value) });
  }

  #count(map: MetricMap, name: string, value: number): void {
    if (this.#wants(name) && (value > 0 || this.#names.size > 0)) {
      this.#put(map, name, { case: "count", value: whole(value) });
    }
  }

  #wants(name: string): boolean {
    return this.#names.size === 0 || this.#names.has(name);
  }

  #times(map: MetricMap, times: readonly Time[], values: Float64Array): void {
    for (const { name, at } of times) {
      const wanted = this.#wants(name);
      if (!wanted && !this.#names.has(name + HISTOGRAM_SUFFIX)) continue;
      const summary = summarize(values, at);
      if (summary.samples === 0) continue;
      const { sum, percentiles } = this.#percentiles(summary);
      if (wanted) this.#put(map, name, { case: "percentiles", value: percentiles });
      const buckets = histogramBuckets(values, at, this.#unitUs);
      this.bytes += 8 * buckets.length;
      const value = { sum, count: percentiles.samples, buckets };
      this.#put(map, name + HISTOGRAM_SUFFIX, { case: "histogram", value });
    }
  }

  #percentiles(summary: HistogramSummary) {
    const unit = (us: number): bigint => whole(us / this.#unitUs);
    const sum = unit(summary.sum);
    const percentiles = {
      samples: whole(summary.samples),
      p50: unit(summary.p50),
      p90: unit(summary.p90),
      p99: unit(summary.p99),
      p999: unit(summary.p99_9),
      p9999: unit(summary.p99_99),
      p99999: unit(summary.p99_999),
      p100: unit(summary.p100),
      sum,
    };
    this.bytes += 30;
    return { sum, percentiles };
  }

  #put(map: MetricMap, name: string, inner: Inner): void {
    this.bytes += name.length + ENTRY_BYTES;
    map[name] = { inner };
  }
}

/** Lengths and tags around an entry of a map. */
const ENTRY_BYTES = 12;

/** A level that two processes took turns in keeping may be off by some; nothing is shown below 0. */
function whole(value: number): bigint {
  return BigInt(Math.max(0, Math.floor(value)));
}

/**
 * Cumulative counts below bounds 0, 1, 3, 7, 15, ... in units of `unitUs`, up to the largest sample; exact but for the
 * bucket of the page in which a bound falls (at most 6 % wide).
 */
export function histogramBuckets(
  values: Float64Array,
  base: number,
  unitUs: number,
): MessageInitShape<typeof BucketSchema>[] {
  const counts: number[] = [];
  for (let i = 0; i < HISTOGRAM_BUCKETS; i++) {
    const count = values[base + HISTOGRAM_LANES * (1 + i)];
    if (count === 0) continue;
    const start = bucketStart(i);
    const middle = start + Math.floor((bucketStart(i + 1) - 1 - start) / 2);
    const bound = 32 - Math.clz32(Math.floor(middle / unitUs));
    while (counts.length <= bound) counts.push(0);
    counts[bound] += count;
  }
  let seen = 0;
  return counts.map((count, bound) => {
    seen += count;
    return { le: BigInt(2 ** bound - 1), count: whole(seen) };
  });
}
