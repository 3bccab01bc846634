// The picture of `sozu top`: lines of text, at most as wide and as many as there is room for. Pure.

import { shown } from "../display/objects.ts";
import { type Counted, type Rates, ratesOf, type Sample } from "./sample.ts";

/** By which column clusters and backends are sorted, largest first. */
export const SORTS = ["requests", "errors", "p99", "connections", "name"] as const;
export type Sort = (typeof SORTS)[number];

/** Room and choices. */
export interface View {
  readonly width: number;
  /** Lines; Infinity: all. */
  readonly height: number;
  readonly sort: Sort;
  readonly paused: boolean;
  readonly time: string;
}

/** What happened between two samples. */
export function picture(before: Sample, now: Sample, view: View): string[] {
  const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1000);
  const workers = between(before.workers, now.workers, seconds);
  const clusters = between(before.clusters, now.clusters, seconds).sort(comparator(view.sort));
  const backends = between(before.backends, now.backends, seconds).sort(comparator(view.sort));
  const fixed = [...summary(workers, view), "", ...table(WORKERS, workers)];
  // What is left is shared; a heading and an empty line go with each table.
  const left = Math.min(view.height - fixed.length, 1e6);
  const forBackends = backends.length === 0 ? 0 : Math.floor(left / 2);
  const lines = [
    ...fixed,
    ...listOf(CLUSTERS, clusters, left - forBackends),
    ...listOf(BACKENDS, backends, forBackends),
  ];
  return lines.slice(0, view.height).map((line) => [...line].slice(0, view.width).join("").trimEnd());
}

function between(before: readonly Counted[], now: readonly Counted[], seconds: number): Rates[] {
  const known = new Map(before.map((each) => [each.name, each]));
  return now.map((each) => ratesOf(known.get(each.name), each, seconds));
}

function summary(workers: readonly Rates[], { sort, paused, time }: View): string[] {
  const sum = (pick: (rates: Rates) => number): number => workers.reduce((total, rates) => total + pick(rates), 0);
  const requests = sum((rates) => rates.rate("http.requests"));
  const failed = sum((rates) => rates.rate("http.status.5xx"));
  const share = requests === 0 ? 0 : (100 * failed) / requests;
  const connections = sum((rates) => rates.gauge("client.connections"));
  return [
    `sozu top  ${time}${paused ? "  paused" : ""}  sorted by ${sort}`,
    `${decimal(requests)} req/s   5xx ${decimal(share)} %   ${connections} connections   ` +
      `in ${bytes(sum((rates) => rates.rate("bytes_in")))}/s   out ${bytes(sum((rates) => rates.rate("bytes_out")))}/s`,
  ];
}

interface Column {
  readonly title: string;
  readonly cell: (rates: Rates) => string;
}

const NAME_WIDTH = 32;
const LATENCIES: readonly Column[] = [
  { title: "p50", cell: (rates) => duration(rates.quantile(0.5)) },
  { title: "p99", cell: (rates) => duration(rates.quantile(0.99)) },
];

const WORKERS: readonly Column[] = [
  { title: "WORKER", cell: ({ name }) => name },
  { title: "req/s", cell: (rates) => decimal(rates.rate("http.requests")) },
  { title: "active", cell: (rates) => String(rates.gauge("http.active_requests")) },
  { title: "conns", cell: (rates) => String(rates.gauge("client.connections")) },
  { title: "5xx/s", cell: (rates) => decimal(rates.rate("http.status.5xx")) },
  ...LATENCIES,
  { title: "lag", cell: (rates) => `${rates.gauge("event_loop.lag_ms")} ms` },
  { title: "buffers", cell: (rates) => `${rates.gauge("buffer.usage_percent")} %` },
];

const TRAFFIC: readonly Column[] = [
  { title: "req/s", cell: (rates) => decimal(rates.rate("requests")) },
  { title: "5xx/s", cell: (rates) => decimal(rates.rate("http.status.5xx")) },
  ...LATENCIES,
  { title: "conns", cell: (rates) => String(rates.gauge("connections_per_backend")) },
];

const CLUSTERS: readonly Column[] = [
  { title: "CLUSTER", cell: ({ name }) => shown(name) },
  ...TRAFFIC,
  {
    title: "backends",
    cell: (rates) => `${rates.gauge("cluster.available_backends")}/${rates.gauge("cluster.total_backends")}`,
  },
];

const BACKENDS: readonly Column[] = [{ title: "BACKEND", cell: ({ name }) => shown(name) }, ...TRAFFIC];

function listOf(columns: readonly Column[], all: readonly Rates[], lines: number): string[] {
  if (all.length === 0 || lines < 3) return [];
  const room = lines - 2;
  if (all.length <= room) return ["", ...table(columns, all)];
  const more = `and ${all.length - room + 1} more`;
  return ["", ...table(columns, all.slice(0, room - 1)), more];
}

function table(columns: readonly Column[], all: readonly Rates[]): string[] {
  const rows = [columns.map(({ title }) => title), ...all.map((rates) => columns.map(({ cell }) => cell(rates)))];
  return rows.map((cells) => {
    const name = [...cells[0]!].slice(0, NAME_WIDTH).join("").padEnd(NAME_WIDTH);
    return [name, ...cells.slice(1).map((cell) => cell.padStart(9))].join(" ");
  });
}

function comparator(sort: Sort): (a: Rates, b: Rates) => number {
  const byName = (a: Rates, b: Rates): number => (a.name < b.name ? -1 : a.name === b.name ? 0 : 1);
  if (sort === "name") return byName;
  const keys = new Map<Rates, number>();
  const key = (rates: Rates): number => {
    const known = keys.get(rates) ?? keyOf(sort, rates);
    keys.set(rates, known);
    return known;
  };
  return (a, b) => key(b) - key(a) || byName(a, b);
}

function keyOf(sort: Sort, rates: Rates): number {
  switch (sort) {
    case "requests":
      return rates.rate("requests");
    case "errors":
      return rates.rate("http.status.5xx");
    case "p99":
      return rates.quantile(0.99);
    default:
      return rates.gauge("connections_per_backend");
  }
}

function decimal(value: number): string {
  return value >= 100 || value === 0 ? String(Math.round(value)) : value.toFixed(1);
}

function duration(us: number): string {
  if (us < 0) return "-";
  if (us < 1000) return `${Math.round(us)} us`;
  return us < 1_000_000 ? `${decimal(us / 1000)} ms` : `${decimal(us / 1_000_000)} s`;
}

function bytes(count: number): string {
  if (count < 1000) return `${Math.round(count)} B`;
  return count < 1_000_000 ? `${decimal(count / 1000)} kB` : `${decimal(count / 1_000_000)} MB`;
}
