// QueryMetrics (spec 12.4): what all pages say, merged or by worker, all of it or some clusters, backends or names. The
// answer is made in steps, so that thousands of clusters do not keep main from its other clients, and given up as soon as
// it is certain not to fit into a message (CP-23).

import type { QueryMetricsOptions, Response } from "../../command/gen/sozu_pb.ts";
import { setEntry } from "../../command/map-entry.ts";
import { failureResponse, okResponse } from "../../command/messages.ts";
import { DETAIL_BACKEND, DETAIL_CLUSTER } from "../../observe/metric-detail.ts";
import {
  METRIC_CONFIGURATION_BACKENDS,
  METRIC_CONFIGURATION_CLUSTERS,
  METRIC_CONFIGURATION_FRONTENDS,
  METRICS,
  ROW_METRICS,
} from "../../observe/metrics.ts";
import { ROW_TIMES, TIMES } from "../../observe/stats-layout.ts";
import { dynamicMetrics, PROXY_SLOTS } from "../../observe/stats-reader.ts";
import { ContentWriter, type MetricMap } from "./content.ts";
import type { MainMetric } from "./main-metrics.ts";
import { type ClusterPlaces, indexPages, type Page, rowRoom, sumCluster, sumRows } from "./pages.ts";

/** What a query reads. */
export interface MetricsSource {
  readonly pages: readonly Page[];
  readonly main: readonly MainMetric[];
  /** The effective level of detail. */
  readonly detail: number;
  /** Objects of the state, which every worker has. */
  readonly clusters: number;
  readonly backends: number;
  readonly frontends: number;
  /** Largest answer, in bytes. */
  readonly bytesMax: number;
}

/** ClusterMetrics. */
interface ClusterContent {
  readonly cluster: MetricMap;
  readonly backends: { backendId: string; metrics: MetricMap }[];
}

/** WorkerMetrics. */
interface WorkerContent {
  readonly proxy: MetricMap;
  readonly clusters: Record<string, ClusterContent>;
}

/** Answers one query; to be run in slices. */
export function* queryMetrics(options: QueryMetricsOptions, source: MetricsSource): Generator<void, Response> {
  if (options.list) return listNames(source);
  const writer = new ContentWriter(options.metricNames, options.microseconds);
  const query = new Query(options, source, writer);
  const main = writer.main(source.main);
  if (!options.workers) {
    const merged = yield* query.read(source.pages);
    if (typeof merged === "string") return failureResponse(merged);
    const { proxy: proxying, clusters } = merged;
    return okResponse(DONE, { case: "metrics", value: { main, proxying, clusters } });
  }
  const workers: Record<string, WorkerContent> = {};
  let problem = NOTHING;
  for (const page of source.pages) {
    if (page.isRetired) continue;
    const found = yield* query.read([page]);
    if (typeof found !== "string") workers[page.workerId] = found;
    else if (writer.bytes > source.bytesMax) return failureResponse(found);
    else problem = found;
  }
  if (Object.keys(workers).length === 0) return failureResponse(problem);
  return okResponse(DONE, { case: "metrics", value: { main, workers } });
}

const DONE = "Successfully queried metrics";
const NOTHING = "no worker has counted anything yet";

class Query {
  readonly #options: QueryMetricsOptions;
  readonly #source: MetricsSource;
  readonly #writer: ContentWriter;
  readonly #room: Float64Array;

  constructor(options: QueryMetricsOptions, source: MetricsSource, writer: ContentWriter) {
    this.#options = options;
    this.#source = source;
    this.#writer = writer;
    this.#room = rowRoom();
  }

  /** What these pages say together, or why there is no answer. */
  *read(pages: readonly Page[]): Generator<void, WorkerContent | string> {
    const { clusterIds, backendIds, noClusters } = this.#options;
    const isChosen = clusterIds.length > 0 || backendIds.length > 0;
    const proxy = isChosen ? {} : this.#proxy(pages);
    if (!isChosen && (noClusters || this.#source.detail < DETAIL_CLUSTER)) return { proxy, clusters: {} };
    const index = yield* indexPages(pages);
    const ids = isChosen ? chosen(index, clusterIds, backendIds) : index.keys();
    if (typeof ids === "string") return ids;
    const clusters: Record<string, ClusterContent> = {};
    for (const id of ids) {
      setEntry(clusters, id, this.#cluster(index.get(id)!));
      this.#writer.bytes += id.length;
      if (this.#writer.bytes > this.#source.bytesMax) return tooLarge(this.#source.bytesMax);
      yield;
    }
    return { proxy, clusters };
  }

  #proxy(pages: readonly Page[]): MetricMap {
    return this.#writer.proxy(sumProxies(pages, this.#source));
  }

  #cluster(places: ClusterPlaces): ClusterContent {
    const wanted = this.#options.backendIds;
    sumCluster(places, this.#room);
    const cluster = wanted.length > 0 && this.#options.clusterIds.length === 0 ? {} : this.#writer.cluster(this.#room);
    if (this.#source.detail < DETAIL_BACKEND) return { cluster, backends: [] };
    const ids = [...places.backends.keys()].sort();
    const backends = ids.map((backendId) => {
      sumRows(places.backends.get(backendId)!, this.#room);
      this.#writer.bytes += backendId.length;
      return { backendId, metrics: this.#writer.backend(this.#room) };
    });
    return { cluster, backends };
  }
}

/** Everything proxy-wide of some pages, in one array. Every worker has the objects of main's state. */
export function sumProxies(
  pages: readonly Page[],
  { clusters, backends, frontends }: Pick<MetricsSource, "clusters" | "backends" | "frontends">,
): Float64Array {
  const values = new Float64Array(PROXY_SLOTS);
  for (const { reader, isLive } of pages) {
    reader.addProxy(values);
    if (!isLive) continue;
    values[METRIC_CONFIGURATION_CLUSTERS] += clusters;
    values[METRIC_CONFIGURATION_BACKENDS] += backends;
    values[METRIC_CONFIGURATION_FRONTENDS] += frontends;
  }
  return values;
}

/** The clusters that were asked for, and those that own the backends; an unknown backend is passed over. */
function chosen(
  index: ReadonlyMap<string, ClusterPlaces>,
  clusterIds: readonly string[],
  backendIds: readonly string[],
): Iterable<string> | string {
  const ids = new Set<string>();
  for (const id of clusterIds) {
    if (!index.has(id)) return `No metrics found for object with id ${id}`;
    ids.add(id);
  }
  for (const [id, { backends }] of index) if (backendIds.some((backend) => backends.has(backend))) ids.add(id);
  return ids;
}

/** The names of everything that there may be. */
function listNames({ pages, main }: MetricsSource): Response {
  const names = (infos: readonly { readonly name: string }[]): string[] => infos.map(({ name }) => name);
  const values = new Float64Array(PROXY_SLOTS);
  for (const { reader } of pages) reader.addProxy(values);
  const dynamic = [...dynamicMetrics(values)].map(([name]) => name);
  const proxyMetrics = unique([...names(METRICS), ...names(TIMES), ...names(main), ...dynamic]);
  const clusterMetrics = unique([...names(ROW_METRICS), ...names(ROW_TIMES)]);
  return okResponse("Successfully listed metrics", {
    case: "availableMetrics",
    value: { proxyMetrics, clusterMetrics },
  });
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}

function tooLarge(bytesMax: number): string {
  const advice = "ask for less (some clusters, some names, no_clusters), or raise that key and restart";
  return `the answer is larger than max_command_buffer_size (${bytesMax} bytes): ${advice}`;
}
