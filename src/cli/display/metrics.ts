// What `sozu metrics` shows (spec 3.1): sections for main, the proxy, workers and clusters; in each a table of gauges and
// counts, one of percentiles and one of histograms. Times are milliseconds. Pure.

import type {
  AggregatedMetrics,
  AvailableMetrics,
  ClusterMetrics,
  FilteredMetrics,
  MetricDetailStatus,
  Percentiles,
  WorkerMetricDetailStatus,
} from "../../command/gen/sozu_pb.ts";
import { METRIC_DETAILS } from "../../command/words.ts";
import { shown } from "./objects.ts";
import { renderTable } from "./table.ts";

type Metrics = Readonly<Record<string, FilteredMetrics>>;

/** The answer to a query. */
export function metricsText({ main, proxying, workers, clusters }: AggregatedMetrics): string {
  const parts = [section("MAIN PROCESS", tables(main))];
  if (Object.keys(proxying).length > 0) parts.push(section("PROXYING", tables(proxying)));
  for (const id of Object.keys(workers).sort((a, b) => Number(a) - Number(b))) {
    const { proxy, clusters: own } = workers[id]!;
    parts.push(section(`Worker ${id}`, tables(proxy) + clustersText(own)));
  }
  if (Object.keys(clusters).length > 0) parts.push(section("Clusters", clustersText(clusters)));
  return parts.join("\n");
}

/** The names that there are. */
export function namesText({ proxyMetrics, clusterMetrics }: AvailableMetrics): string {
  const list = (names: readonly string[]): string => names.map((name) => `  ${name}\n`).join("");
  return `Proxy metrics:\n${list(proxyMetrics)}Cluster and backend metrics:\n${list(clusterMetrics)}`;
}

/** Which detail is recorded. */
export function detailText({ configured, effective, previousEffective, workers }: MetricDetailStatus): string {
  const level = (number: number): string => METRIC_DETAILS[number] ?? String(number);
  const row = (
    scope: string,
    each: Pick<WorkerMetricDetailStatus, "configured" | "effective" | "previousEffective">,
  ) => [scope, level(each.configured), level(each.previousEffective), level(each.effective)];
  const rows = Object.entries(workers).map(([id, each]) => [
    ...row(`worker:${id}`, each),
    String(each.activeLeaseCount),
  ]);
  const main = [...row("main", { configured, effective, previousEffective }), ""];
  return renderTable(["scope", "configured", "previous effective", "effective", "active leases"], [main, ...rows]);
}

function section(title: string, body: string): string {
  return `${title}\n${"=".repeat(title.length)}\n${body === "" ? "nothing\n" : body}`;
}

function clustersText(clusters: Readonly<Record<string, ClusterMetrics>>): string {
  return Object.keys(clusters)
    .sort()
    .map((id) => {
      const { cluster, backends } = clusters[id]!;
      const parts = backends.map((each) => `Backend ${shown(each.backendId)}\n${tables(each.metrics)}`);
      return `\nCluster ${shown(id)}\n${"-".repeat(8 + id.length)}\n${tables(cluster)}${parts.join("")}`;
    })
    .join("");
}

/** The tables of one set of metrics; "" when it is empty. */
function tables(metrics: Metrics): string {
  const names = Object.keys(metrics).sort();
  return valuesTable(metrics, names) + percentilesTable(metrics, names) + histogramsTable(metrics, names);
}

function valuesTable(metrics: Metrics, names: readonly string[]): string {
  const rows = names.flatMap((name) => {
    const { inner } = metrics[name]!;
    if (inner.case === "gauge") return [[shown(name), String(inner.value), ""]];
    return inner.case === "count" || inner.case === "time" ? [[shown(name), "", String(inner.value)]] : [];
  });
  return rows.length === 0 ? "" : renderTable(["metric", "gauge", "count"], rows);
}

const PERCENTILES: readonly (readonly [string, (found: Percentiles) => bigint])[] = [
  ["samples", ({ samples }) => samples],
  ["p50", ({ p50 }) => p50],
  ["p90", ({ p90 }) => p90],
  ["p99", ({ p99 }) => p99],
  ["p99.9", ({ p999 }) => p999],
  ["p99.99", ({ p9999 }) => p9999],
  ["p99.999", ({ p99999 }) => p99999],
  ["p100", ({ p100 }) => p100],
];

function percentilesTable(metrics: Metrics, names: readonly string[]): string {
  const rows = names.flatMap((name) => {
    const { inner } = metrics[name]!;
    if (inner.case !== "percentiles") return [];
    return [[shown(name), ...PERCENTILES.map(([, pick]) => String(pick(inner.value)))]];
  });
  return rows.length === 0 ? "" : renderTable(["percentiles (ms)", ...PERCENTILES.map(([title]) => title)], rows);
}

/** Per bucket, not cumulative: what lies between the bound before and this one. */
function histogramsTable(metrics: Metrics, names: readonly string[]): string {
  const found = names.flatMap((name) => {
    const { inner } = metrics[name]!;
    return inner.case === "histogram" ? [{ name: name.replace(/_histogram$/, ""), ...inner.value }] : [];
  });
  if (found.length === 0) return "";
  const bounds = [...new Set(found.flatMap(({ buckets }) => buckets.map(({ le }) => le)))].sort((a, b) =>
    a < b ? -1 : 1,
  );
  const rows = found.map(({ name, sum, count, buckets }) => {
    const own = new Map(buckets.map((bucket, at) => [bucket.le, bucket.count - (buckets[at - 1]?.count ?? 0n)]));
    return [shown(name), String(sum), String(count), ...bounds.map((bound) => String(own.get(bound) ?? ""))];
  });
  return renderTable(["histogram (ms)", "sum", "count", ...bounds.map(String)], rows);
}
