// What `sozu top` knows of one moment, and what two moments say about the time between them. Pure.

import type { AggregatedMetrics, FilteredMetrics } from "../../command/gen/sozu_pb.ts";

type Metrics = Readonly<Record<string, FilteredMetrics>>;

/** The numbers of one worker, cluster or backend at one moment. */
export interface Counted {
  readonly name: string;
  readonly values: ReadonlyMap<string, number>;
  /** Samples of `request_time` up to each bound, in microseconds. */
  readonly times: ReadonlyMap<number, number>;
}

/** One moment; `atMs` on any clock that only goes on. */
export interface Sample {
  readonly atMs: number;
  readonly workers: readonly Counted[];
  readonly clusters: readonly Counted[];
  /** Named `cluster/backend`. */
  readonly backends: readonly Counted[];
}

/** The metrics that top asks for. */
export const TOP_METRICS: readonly string[] = [
  "http.requests",
  "http.active_requests",
  "http.status.5xx",
  "client.connections",
  "bytes_in",
  "bytes_out",
  "event_loop.lag_ms",
  "buffer.usage_percent",
  "requests",
  "cluster.available_backends",
  "cluster.total_backends",
  "connections_per_backend",
  "request_time_histogram",
];

/** `byWorker` is the answer about workers, `merged` the one about clusters; times in microseconds. */
export function sampleOf(byWorker: AggregatedMetrics, merged: AggregatedMetrics, atMs: number): Sample {
  const workers = Object.entries(byWorker.workers).map(([id, { proxy }]) => countedOf(id, proxy));
  const clusters = Object.entries(merged.clusters);
  return {
    atMs,
    workers: workers.sort((a, b) => Number(a.name) - Number(b.name)),
    clusters: clusters.map(([id, { cluster }]) => countedOf(id, cluster)),
    backends: clusters.flatMap(([id, { backends }]) =>
      backends.map(({ backendId, metrics }) => countedOf(`${id}/${backendId}`, metrics)),
    ),
  };
}

function countedOf(name: string, metrics: Metrics): Counted {
  const values = new Map<string, number>();
  const times = new Map<number, number>();
  for (const [key, { inner }] of Object.entries(metrics)) {
    if (inner.case === "count" || inner.case === "gauge") values.set(key, Number(inner.value));
    if (inner.case !== "histogram") continue;
    for (const { le, count } of inner.value.buckets) times.set(Number(le), Number(count));
  }
  return { name, values, times };
}

/** What happened between two moments, a second. */
export interface Rates {
  readonly name: string;
  /** `undefined` name: 0. */
  gauge(key: string): number;
  rate(key: string): number;
  /** Microseconds below which a share of the requests of the time between stayed; -1: there were none. */
  quantile(share: number): number;
}

/** `before` undefined: it was not there. */
export function ratesOf(before: Counted | undefined, now: Counted, seconds: number): Rates {
  return {
    name: now.name,
    gauge: (key) => now.values.get(key) ?? 0,
    rate: (key) => Math.max(0, (now.values.get(key) ?? 0) - (before?.values.get(key) ?? 0)) / seconds,
    quantile: (share) => quantileBetween(before?.times ?? new Map(), now.times, share),
  };
}

/** Interpolated in the bucket it falls into; buckets double, so this is an estimate. */
function quantileBetween(before: ReadonlyMap<number, number>, now: ReadonlyMap<number, number>, share: number): number {
  const bounds = [...now.keys()].sort((a, b) => a - b);
  const last = bounds.at(-1);
  if (last === undefined) return -1;
  // Before, there may have been fewer buckets: everything then was below the last of them.
  const beforeMax = Math.max(0, ...before.values());
  const upTo = (bound: number): number => (now.get(bound) ?? 0) - (before.get(bound) ?? beforeMax);
  const wanted = share * upTo(last);
  if (wanted <= 0) return -1;
  let below = 0;
  let from = 0;
  for (const bound of bounds) {
    const here = upTo(bound);
    if (here >= wanted) return from + ((bound - from) * (wanted - below)) / Math.max(1, here - below);
    below = here;
    from = bound;
  }
  return last;
}
