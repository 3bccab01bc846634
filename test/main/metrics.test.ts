// Metrics of main without processes: what is read from pages and how it is merged, leases, lines for statsd.

import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { type AggregatedMetrics, QueryMetricsOptionsSchema, type Response } from "../../src/command/gen/sozu_pb.ts";
import { ContentWriter, histogramBuckets } from "../../src/main/metrics/content.ts";
import { CLIENT_ID_BYTES_MAX, DetailLeases, LEASES_MAX } from "../../src/main/metrics/detail.ts";
import { configVerbs, MainMetrics } from "../../src/main/metrics/main-metrics.ts";
import { queryMetrics } from "../../src/main/metrics/query.ts";
import { RetiredStats } from "../../src/main/metrics/retired.ts";
import { StatsdDrain } from "../../src/main/metrics/statsd.ts";
import { DATAGRAM_BYTES, LineWriter } from "../../src/main/metrics/statsd-lines.ts";
import { record } from "../../src/observe/histogram.ts";
import {
  METRIC_BYTES_IN,
  METRIC_CLIENT_CONNECTIONS,
  METRIC_HTTP_REQUESTS,
  ROW_BACKEND_DOWN,
  ROW_CONNECTIONS_PER_BACKEND,
  ROW_REQUESTS,
} from "../../src/observe/metrics.ts";
import { Stats } from "../../src/observe/stats.ts";
import { clearCounters } from "../../src/observe/stats-clear.ts";
import { ROW_TIME_REQUEST, statsPageBytes, TIME_REQUEST } from "../../src/observe/stats-layout.ts";
import { StatsReader } from "../../src/observe/stats-reader.ts";

/** A page with room for some rows, its writer and its reader. */
function page(workerId: number, isLive = true) {
  const buffer = new ArrayBuffer(statsPageBytes(16));
  const stats = new Stats(buffer, { workerId, pid: 1, nowUs: 0 });
  return { workerId, isLive, isRetired: false, buffer, stats, reader: new StatsReader(buffer) };
}

type Pages = readonly ReturnType<typeof page>[];

function run<T>(steps: Generator<void, T>): T {
  for (;;) {
    const { value, done } = steps.next();
    if (done === true) return value;
  }
}

function ask(pages: Pages, options: object = {}, more: { detail?: number; bytesMax?: number } = {}): Response {
  const question = { list: false, noClusters: false, workers: false, ...options };
  const source = { pages, main: [], detail: 2, clusters: 1, backends: 2, frontends: 3, bytesMax: 1e6, ...more };
  return run(queryMetrics(create(QueryMetricsOptionsSchema, question), source));
}

function metricsOf(response: Response): AggregatedMetrics {
  assert.equal(response.content?.contentType.case, "metrics", response.message);
  return response.content.contentType.value as AggregatedMetrics;
}

const inner = (metrics: AggregatedMetrics["main"] | undefined, name: string) => metrics?.[name]?.inner;

test("spec 12.4: counters, gauges and histograms of workers are sums; a gauge below 0 reads as 0", () => {
  const pages = [page(0), page(1)];
  for (const { stats } of pages) {
    stats.values[METRIC_HTTP_REQUESTS] += 5;
    stats.values[METRIC_CLIENT_CONNECTIONS] = -3;
    record(stats.values, TIME_REQUEST, 1500);
    record(stats.values, TIME_REQUEST, 90_000);
    const row = stats.clusterRow("app");
    stats.values[row + ROW_REQUESTS] += 7;
    record(stats.values, row + ROW_TIME_REQUEST, 2500);
    stats.values[stats.backendRow("app", "b0") + ROW_CONNECTIONS_PER_BACKEND] = 4;
    stats.countOfBackend(stats.backendRow("app", "b0"), ROW_BACKEND_DOWN);
  }
  const { proxying, clusters } = metricsOf(ask(pages));
  assert.deepEqual(inner(proxying, "http.requests"), { case: "count", value: 10n });
  assert.deepEqual(inner(proxying, "client.connections"), { case: "gauge", value: 0n });
  assert.deepEqual(inner(proxying, "configuration.backends"), { case: "gauge", value: 4n });
  assert.equal(inner(proxying, "bytes_in"), undefined, "never counted");
  const app = clusters["app"];
  assert.deepEqual(inner(app?.cluster, "requests"), { case: "count", value: 14n });
  assert.deepEqual(inner(app?.cluster, "connections_per_backend"), { case: "gauge", value: 8n });
  assert.deepEqual(inner(app?.cluster, "backend.down"), { case: "count", value: 2n });
  assert.deepEqual(app?.backends, [], "no backends at the detail of clusters");
  const time = inner(proxying, "request_time");
  assert.ok(time?.case === "percentiles");
  assert.equal(time.value.samples, 4n);
  assert.equal(time.value.sum, 183n);
  assert.equal(time.value.p50, 1n);
  assert.ok(time.value.p100 >= 87n && time.value.p100 <= 93n);
  const backends = metricsOf(ask(pages, {}, { detail: 3 })).clusters["app"]?.backends;
  assert.deepEqual(
    backends?.map(({ backendId }) => backendId),
    ["b0"],
  );
});

test("a worker that was killed counts on, a removed cluster does not, and is unknown", () => {
  const dead = page(0, false);
  dead.stats.values[METRIC_HTTP_REQUESTS] += 3;
  dead.stats.values[dead.stats.clusterRow("app") + ROW_REQUESTS] += 3;
  dead.stats.clusterRow("gone");
  dead.stats.freeCluster("gone");
  const alive = page(1);
  const { proxying, clusters } = metricsOf(ask([dead, alive]));
  assert.deepEqual(inner(proxying, "http.requests"), { case: "count", value: 3n });
  assert.deepEqual(inner(proxying, "configuration.clusters"), { case: "gauge", value: 1n }, "of the living");
  assert.deepEqual(Object.keys(clusters), ["app"]);
  assert.equal(ask([dead, alive], { clusterIds: ["gone"] }).message, "No metrics found for object with id gone");
});

test("workers that retired count on: in sums only, for clusters that are there, and without their gauges", () => {
  const retired = new RetiredStats(() => new ArrayBuffer(statsPageBytes(16)));
  const old = page(0);
  old.stats.values[METRIC_HTTP_REQUESTS] = 3;
  old.stats.values[METRIC_CLIENT_CONNECTIONS] = 2;
  record(old.stats.values, TIME_REQUEST, 7);
  for (const id of ["app", "gone"]) {
    const row = old.stats.clusterRow(id);
    old.stats.values[row + ROW_REQUESTS] = 3;
    record(old.stats.values, row + ROW_TIME_REQUEST, 0);
    old.stats.values[old.stats.backendRow(id, "b0") + ROW_REQUESTS] = 3;
    old.stats.values[old.stats.backendRow(id, "b0") + ROW_CONNECTIONS_PER_BACKEND] = 1;
  }
  assert.equal(retired.page, null);
  retired.fold(old.reader);
  retired.fold(old.reader);
  const alive = page(1);
  alive.stats.values[alive.stats.clusterRow("app") + ROW_REQUESTS] = 1;
  const all = [alive, retired.page] as unknown as Pages;
  const { proxying, clusters } = metricsOf(ask(all, {}, { detail: 3 }));
  assert.deepEqual(inner(proxying, "http.requests"), { case: "count", value: 6n });
  assert.deepEqual(inner(proxying, "client.connections"), { case: "gauge", value: 0n });
  assert.deepEqual(Object.keys(clusters), ["app"]);
  assert.deepEqual(inner(clusters["app"]?.cluster, "requests"), { case: "count", value: 7n });
  assert.deepEqual(clusters["app"]?.backends, [], "the backend is not there any more");
  assert.deepEqual(Object.keys(metricsOf(ask(all, { workers: true })).workers), ["1"]);
  alive.stats.clusterRow("gone");
  assert.equal(inner(metricsOf(ask(all)).clusters["gone"]?.cluster, "requests")?.case, "count");
  retired.prune((id) => id === "app");
  assert.equal(inner(metricsOf(ask(all)).clusters["gone"]?.cluster, "requests"), undefined, "it starts anew");
});

test("names choose exactly, also what never counted; a list has every name once", () => {
  const pages = [page(0)];
  const { proxying } = metricsOf(ask(pages, { metricNames: ["bytes_in", "request_time_histogram", "nothing"] }));
  assert.deepEqual(Object.keys(proxying), ["bytes_in"]);
  pages[0]!.stats.values[METRIC_BYTES_IN] = 1;
  record(pages[0]!.stats.values, TIME_REQUEST, 10);
  const again = metricsOf(ask(pages, { metricNames: ["request_time_histogram"] })).proxying;
  assert.deepEqual(Object.keys(again), ["request_time_histogram"]);
  const { content } = ask(pages, { list: true });
  assert.ok(content?.contentType.case === "availableMetrics");
  const { proxyMetrics, clusterMetrics } = content.contentType.value;
  for (const names of [proxyMetrics, clusterMetrics]) assert.deepEqual(names, [...new Set(names)].sort());
  assert.ok(proxyMetrics.includes("http.requests") && clusterMetrics.includes("requests"));
});

test("CP-23 an answer that will not fit is given up on the way", () => {
  const pages = [page(0)];
  for (let i = 0; i < 10; i++) pages[0]!.stats.clusterRow(`cluster-${i}`);
  assert.match(ask(pages, {}, { bytesMax: 500 }).message, /larger than max_command_buffer_size \(500 bytes\)/);
  assert.match(ask(pages, { workers: true }, { bytesMax: 500 }).message, /larger than max_command_buffer_size/);
});

test("property: buckets double, are cumulative, and hold each sample at or above its value", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 10_000_000 }), { minLength: 1, maxLength: 200 }), (samples) => {
      const values = new Float64Array(4096);
      for (const us of samples) record(values, 0, us);
      const buckets = histogramBuckets(values, 0, 1000);
      for (const [at, { le }] of buckets.entries()) assert.equal(le, BigInt(2 ** at - 1));
      let before = 0n;
      for (const { le, count } of buckets) {
        assert.ok(count !== undefined && count >= before);
        before = count;
        // Exact but for the bucket of the page that the bound cuts: 7 % of the value.
        const bound = (Number(le) + 1) * 1000;
        const least = samples.filter((us) => us < bound * 0.93).length;
        const most = samples.filter((us) => us < bound * 1.07 + 1).length;
        assert.ok(Number(count) >= least && Number(count) <= most, `${le}: ${count} of ${least} to ${most}`);
      }
      assert.equal(before, BigInt(samples.length));
    }),
  );
});

test("clearing leaves gauges and rows, and nothing else", () => {
  const one = page(0);
  const row = one.stats.clusterRow("app");
  one.stats.values[METRIC_HTTP_REQUESTS] = 9;
  one.stats.values[METRIC_CLIENT_CONNECTIONS] = 2;
  one.stats.values[row + ROW_REQUESTS] = 9;
  record(one.stats.values, row + ROW_TIME_REQUEST, 0);
  record(one.stats.values, TIME_REQUEST, 7);
  run(clearCounters(one.buffer));
  const { proxying, clusters } = metricsOf(ask([one], { metricNames: [] }));
  assert.equal(inner(proxying, "http.requests"), undefined);
  assert.equal(inner(proxying, "request_time"), undefined);
  assert.deepEqual(inner(proxying, "client.connections"), { case: "gauge", value: 2n });
  assert.equal(inner(clusters["app"]?.cluster, "request_time"), undefined);
});

test("spec 12.6: leases raise the detail, are bound to a process, end by themselves, and are 64 at most", () => {
  const gone = new Set<number>();
  const leases = new DetailLeases(2, (pid) => gone.has(pid));
  const asked = { clientId: "a", level: 3, ttlSeconds: 0, clear: false };
  const raised = { previous: 2, effective: 3, kind: "applied", clientId: "a" };
  assert.deepEqual(leases.request(asked, 10, 0), raised);
  assert.equal(leases.request(asked, 10, 30_000), null, "a renewal");
  assert.match(String(leases.request(asked, 11, 0)), /another process \(pid 10\)/);
  assert.match(String(leases.request({ ...asked, clear: true }, 11, 0)), /another process/);
  assert.equal(leases.expire(89_999), null);
  assert.deepEqual(leases.expire(90_000), { previous: 3, effective: 2, kind: "expired", clientId: "a" });
  leases.request({ ...asked, ttlSeconds: 100_000 }, 10, 0);
  gone.add(10);
  assert.equal((leases.request({ ...asked, clear: true }, 11, 0) as { kind: string }).kind, "cleared");
  leases.request({ ...asked, ttlSeconds: 100_000 }, 10, 0);
  assert.equal((leases.expire(300_000) as { kind: string }).kind, "expired", "300 s are the most");
  assert.equal(leases.request({ ...asked, level: 0 }, 10, 0), null, "less than what is configured changes nothing");
  for (let i = 1; i < LEASES_MAX; i++) leases.request({ ...asked, clientId: `c${i}` }, 10, 0);
  assert.match(String(leases.request({ ...asked, clientId: "more" }, 10, 0)), /64 leases/);
  assert.equal(typeof leases.request(asked, 10, 0), "object", "whoever has one may renew it");
  assert.match(String(leases.request({ ...asked, clientId: "" }, 1, 0)), /client_id/);
  assert.match(String(leases.request({ ...asked, clientId: "x".repeat(CLIENT_ID_BYTES_MAX + 1) }, 1, 0)), /client_id/);
  assert.match(String(leases.request({ ...asked, level: null }, 10, 0)), /detail/);
});

test("main counts each kind of request that changes something", () => {
  const names = configVerbs();
  for (const verb of ["cluster_added", "http_frontend_added", "metrics_configured", "state_saved"]) {
    assert.ok(names.includes(`config.${verb}`), verb);
  }
  assert.ok(names.every((name) => /^config\.[a-z_]+$/.test(name)) && !names.includes("config.query_metrics"));
  const kept = { "workers.started": 4, "workers.serving": 2 };
  const main = new MainMetrics(() => kept as never);
  const request = (requestType: object) => ({ requestType }) as never;
  const parts = [request({ case: "addCluster", value: {} }), request({ case: "addCluster", value: {} })];
  main.configured(request({ case: "transaction", value: { requests: parts } }));
  main.configured(request({ case: "status", value: {} }));
  const numbers = () => Object.fromEntries(main.all().map(({ name, value }) => [name, value]));
  const expected = { "config.cluster_added": 2, "config.transaction_applied": 1, ...kept };
  assert.deepEqual(numbers(), expected);
  main.clear();
  assert.deepEqual(numbers(), { "workers.started": 0, "workers.serving": 2 });
});

const STYLE = { prefix: "sozu", tagged: false, version: "1.2.3" };

test("lines are packed into datagrams, ids cannot break them, many samples are one line", () => {
  const datagrams: string[] = [];
  const writer = new LineWriter(STYLE, (bytes) => datagrams.push(Buffer.from(bytes).toString()));
  writer.about({ origin: "WRK-01", clusterId: "a:b|c\nd e", backendId: "é#@," });
  writer.count("requests", 3);
  writer.gauge("up", 1);
  writer.time("t", 1500, 1);
  writer.time("t", 250, 4);
  writer.flush();
  writer.flush();
  const before = "sozu.WRK-01.cluster.a_b_c_d_e.backend.é___.";
  assert.deepEqual(datagrams.join("").split("\n"), [
    `${before}requests:3|c`,
    `${before}up:1|g`,
    `${before}t:1.5|ms`,
    `${before}t:0.25|ms|@0.25`,
  ]);
  datagrams.length = 0;
  for (let i = 0; i < 200; i++) writer.count(`name-${i}`, i);
  writer.flush();
  assert.ok(datagrams.length > 5 && datagrams.every((one) => Buffer.byteLength(one) <= DATAGRAM_BYTES));
  assert.equal(datagrams.join("\n").split("\n").length, 200);
  const tagged: string[] = [];
  const other = new LineWriter({ ...STYLE, tagged: true }, (bytes) => tagged.push(Buffer.from(bytes).toString()));
  other.about({ origin: "MAIN", clusterId: null, backendId: null });
  other.count("x", 1);
  other.about({ origin: "WRK-00", clusterId: "app", backendId: "b0" });
  other.count("x", 1);
  other.flush();
  const tags = "origin=WRK-00,version=1.2.3,cluster_id=app,backend_id=b0";
  assert.deepEqual(tagged, [`sozu.x,origin=MAIN,version=1.2.3:1|c\nsozu.backend.x,${tags}:1|c`]);
});

test("what does not fit into a pass is sent with the next, and nothing twice", () => {
  const one = page(3);
  for (let i = 0; i < 10; i++) one.stats.values[one.stats.clusterRow(`c${i}`) + ROW_REQUESTS] = i + 1;
  one.stats.values[METRIC_HTTP_REQUESTS] = 5;
  const lines: string[] = [];
  const source = { pages: () => [one], main: () => [], detail: () => 2 };
  const drain = new StatsdDrain(source, STYLE, (bytes) => lines.push(...Buffer.from(bytes).toString().split("\n")));
  let asked = 0;
  assert.equal(run(drain.pass(() => ++asked > 4)), false);
  assert.equal(run(drain.pass(() => false)), true);
  const counts = lines.filter((line) => line.includes(".requests:"));
  assert.equal(counts.length, 11);
  assert.ok(
    counts.includes("sozu.WRK-03.http.requests:5|c") && counts.includes("sozu.WRK-03.cluster.c9.requests:10|c"),
  );
  lines.length = 0;
  assert.equal(run(drain.pass(() => false)), true);
  assert.deepEqual(lines, [], "nothing has changed");
  run(clearCounters(one.buffer));
  one.stats.values[METRIC_HTTP_REQUESTS] = 2;
  run(drain.pass(() => false));
  assert.deepEqual(lines, ["sozu.WRK-03.http.requests:2|c"], "after a clear it counts from 0");
});

test("times are milliseconds, or microseconds for whoever asks", () => {
  const one = page(0);
  record(one.stats.values, TIME_REQUEST, 20);
  const values = new Float64Array(5120);
  one.reader.addProxy(values);
  const { request_time: time } = new ContentWriter([], true).proxy(values);
  assert.equal(time?.inner?.case === "percentiles" && time.inner.value.p50, 20n);
  const { request_time: coarse } = new ContentWriter([], false).proxy(values);
  assert.equal(coarse?.inner?.case === "percentiles" && coarse.inner.value.p50, 0n);
});
