// The stats page from both sides: a writer and a reader over one buffer, as a worker and main have it.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { record } from "../../src/observe/histogram.ts";
import * as metrics from "../../src/observe/metrics.ts";
import * as metricsTls from "../../src/observe/metrics-tls.ts";
import { Stats } from "../../src/observe/stats.ts";
import * as layout from "../../src/observe/stats-layout.ts";
import { StatsReader } from "../../src/observe/stats-reader.ts";
import { countLocalAnswer, countStatus } from "../../src/observe/status-counters.ts";
import { WireError, wireErrors } from "../../src/wire/http1/errors.ts";

const OWNER = { workerId: 3, pid: 4711, nowUs: 1_000_000 };

function page(rows: number): ArrayBuffer {
  return new ArrayBuffer(layout.statsPageBytes(rows));
}

test("a constant is named after its metric, and no two share a place", () => {
  const constants = { ...metrics, ...metricsTls } as unknown as Record<string, number>;
  for (const [prefix, list, limit] of [
    ["METRIC_", metrics.METRICS, metrics.METRIC_CLIENT_CONNECT_PER_SOURCE],
    ["ROW_", metrics.ROW_METRICS, metrics.ROW_COUNTERS],
  ] as const) {
    const places = new Set<number>();
    for (const { name, at } of list) {
      assert.equal(constants[prefix + name.replaceAll(/[.-]/g, "_").toUpperCase()], at, name);
      assert.ok(at < limit);
      places.add(at);
    }
    assert.equal(places.size, list.length);
    assert.equal(new Set(list.map((metric) => metric.name)).size, list.length);
  }
  assert.ok(
    metrics.METRIC_CLIENT_CONNECT_PER_SOURCE + metrics.PER_SOURCE_BUCKETS <= metrics.METRIC_FRONTEND_PARSE_CAUSE,
  );
  assert.ok(metrics.METRIC_FRONTEND_PARSE_CAUSE + metrics.PARSE_CAUSES <= metrics.METRIC_BACKEND_PARSE_CAUSE);
  assert.ok(metrics.METRIC_BACKEND_PARSE_CAUSE + metrics.PARSE_CAUSES <= metrics.METRICS_END);
});

test("what the worker counts main reads", () => {
  const buffer = page(8);
  const stats = new Stats(buffer, OWNER);
  const reader = new StatsReader(buffer);
  stats.values[metrics.METRIC_HTTP_REQUESTS]++;
  stats.values[metrics.METRIC_BYTES_IN] += 2 ** 40;
  record(stats.values, layout.TIME_REQUEST, 1500);
  stats.heartbeat(2_500_000);
  assert.equal(reader.valid, true);
  assert.equal(reader.workerId, 3);
  assert.equal(reader.pid, 4711);
  assert.equal(reader.heartbeatUs, 2_500_000);
  assert.equal(reader.metric(metrics.METRIC_HTTP_REQUESTS), 1);
  const proxy = reader.proxy();
  assert.equal(proxy.values.get("http.requests"), 1);
  assert.equal(proxy.values.get("bytes_in"), 2 ** 40);
  assert.equal(proxy.times.get("request_time")?.samples, 1);
  assert.equal(proxy.times.get("service_time")?.samples, 0);
});

test("refusals are read by the name of their cause, connections by the bucket of their source", () => {
  const buffer = page(1);
  const { values } = new Stats(buffer, OWNER);
  values[metrics.METRIC_FRONTEND_PARSE_CAUSE + WireError.DuplicateHost] = 3;
  values[metrics.METRIC_BACKEND_PARSE_CAUSE + WireError.InvalidStatus] = 2;
  values[metrics.METRIC_FRONTEND_PARSE_CAUSE + 127] = 1;
  values[metrics.METRIC_CLIENT_CONNECT_PER_SOURCE + 7] = 4;
  const found = moved(new StatsReader(buffer).proxy().values);
  assert.deepEqual(found, [
    "http.frontend_parse_errors.duplicate_host",
    "http.frontend_parse_errors.cause_127",
    "http.backend_parse_errors.invalid_status",
    "client.connect.per_source.bucket_007",
  ]);
  assert.ok(wireErrors.length <= metrics.PARSE_CAUSES, "every cause has a place");
});

test("rows carry their ids, counters and four times", () => {
  const buffer = page(8);
  const stats = new Stats(buffer, OWNER);
  const cluster = stats.clusterRow("app");
  const backend = stats.backendRow("app", "b0");
  assert.notEqual(cluster, backend);
  assert.equal(stats.clusterRow("app"), cluster);
  assert.equal(stats.backendRow("app", "b0"), backend);
  stats.values[cluster + metrics.ROW_REQUESTS] += 5;
  stats.values[backend + metrics.ROW_CONNECTIONS_PER_BACKEND] += 2;
  for (const time of layout.ROW_TIMES) record(stats.values, backend + time.at, 100);
  const rows = new StatsReader(buffer).rows();
  assert.deepEqual(
    rows.map((row) => [row.clusterId, row.backendId, row.values.get("requests")]),
    [
      ["app", null, 5],
      ["app", "b0", 0],
    ],
  );
  assert.equal(rows[1].values.get("connections_per_backend"), 2);
  assert.deepEqual(
    [...rows[1].times].map(([name, time]) => [name, time.samples]),
    [
      ["request_time", 1],
      ["service_time", 1],
      ["backend_response_time", 1],
      ["backend_connection_time", 1],
    ],
  );
});

test("a freed row is reused empty, and late samples go to the graveyard", () => {
  const buffer = page(1);
  const stats = new Stats(buffer, OWNER);
  const first = stats.clusterRow("old");
  stats.values[first + metrics.ROW_REQUESTS] = 9;
  record(stats.values, first + layout.ROW_TIME_REQUEST, 5);
  stats.freeCluster("old");
  stats.values[stats.graveyardRow + metrics.ROW_REQUESTS]++;
  assert.deepEqual(new StatsReader(buffer).rows(), []);
  const second = stats.clusterRow("new");
  assert.equal(second, first);
  const [row] = new StatsReader(buffer).rows();
  assert.equal(row.clusterId, "new");
  assert.equal(row.values.get("requests"), 0);
  assert.equal(row.times.get("request_time")?.samples, 0);
});

test("a full page counts what it cannot tell apart in the overflow row", () => {
  const buffer = page(2);
  const stats = new Stats(buffer, OWNER);
  stats.clusterRow("a");
  stats.clusterRow("b");
  assert.equal(stats.clusterRow("c"), stats.overflowRow);
  assert.equal(stats.backendRow("a", "b0"), stats.overflowRow);
  assert.equal(stats.values[metrics.METRIC_STATS_ROWS_OVERFLOWED], 2);
  stats.freeCluster("c");
  stats.freeBackend("a", "b0");
  stats.freeCluster("a");
  assert.notEqual(stats.clusterRow("c"), stats.overflowRow);
});

test("names of objects that JavaScript knows are plain data", () => {
  const buffer = page(8);
  const stats = new Stats(buffer, OWNER);
  for (const name of ["__proto__", "constructor", "toString"]) stats.backendRow(name, name);
  assert.deepEqual(
    new StatsReader(buffer).rows().map((row) => `${row.clusterId}/${row.backendId}`),
    ["__proto__", "constructor", "toString"].flatMap((name) => [`${name}/null`, `${name}/${name}`]),
  );
});

test("long ids are cut and stay different", () => {
  const buffer = page(4);
  const stats = new Stats(buffer, OWNER);
  stats.clusterRow(`${"é".repeat(300)}1`);
  stats.clusterRow(`${"é".repeat(300)}2`);
  const ids = new StatsReader(buffer).rows().map((row) => row.clusterId);
  assert.equal(new Set(ids).size, 2);
  assert.ok(ids.every((id) => Buffer.byteLength(id) <= 245 && /~[0-9a-f]{8}$/.test(id)));
});

test("a successor keeps counters and rows, drops gauges and what is configured no more", () => {
  const buffer = page(8);
  const before = new Stats(buffer, OWNER);
  before.values[metrics.METRIC_HTTP_REQUESTS] = 7;
  before.values[metrics.METRIC_CLIENT_CONNECTIONS] = 5;
  const app = before.clusterRow("app");
  const backend = before.backendRow("app", "b0");
  before.backendRow("gone", "b0");
  before.backendRow("app", "gone");
  before.values[app + metrics.ROW_REQUESTS] = 3;
  before.values[backend + metrics.ROW_CONNECTIONS_PER_BACKEND] = 4;
  const after = new Stats(buffer, { ...OWNER, pid: 4712 });
  assert.equal(after.values[metrics.METRIC_HTTP_REQUESTS], 7);
  assert.equal(after.values[metrics.METRIC_CLIENT_CONNECTIONS], 0);
  assert.equal(after.clusterRow("app"), app);
  assert.equal(after.backendRow("app", "b0"), backend);
  assert.equal(after.values[app + metrics.ROW_REQUESTS], 3);
  assert.equal(after.values[backend + metrics.ROW_CONNECTIONS_PER_BACKEND], 0);
  after.freeLeftovers();
  const rows = new StatsReader(buffer).rows().map((row) => `${row.clusterId}/${row.backendId}`);
  assert.deepEqual(rows, ["app/null", "app/b0"]);
});

test("a page of another layout or full of noise is cleared", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 64, maxLength: 4096 }), fc.nat({ max: 60_000 }), (noise, at) => {
      const buffer = page(4);
      new Stats(buffer, OWNER).clusterRow("app");
      const bytes = new Uint8Array(buffer);
      bytes.set(noise, Math.min(at, bytes.length - noise.length));
      new StatsReader(buffer).rows();
      new StatsReader(buffer).proxy();
      const stats = new Stats(buffer, OWNER);
      stats.clusterRow("app");
      stats.backendRow("app", "b0");
      stats.freeLeftovers();
      const rows = new StatsReader(buffer).rows();
      assert.ok(rows.some((row) => row.clusterId === "app" && row.backendId === "b0"));
    }),
    { numRuns: 100 },
  );
});

test("a page that nobody has set up reads as empty", () => {
  for (const bytes of [0, 8, 64, layout.statsPageBytes(0)]) {
    const reader = new StatsReader(new ArrayBuffer(bytes));
    assert.equal(reader.valid, false);
    assert.equal(reader.heartbeatUs, 0);
    assert.deepEqual(reader.rows(), []);
    assert.equal(reader.proxy().values.size, 0);
  }
  assert.throws(() => new Stats(new ArrayBuffer(100), OWNER), RangeError);
});

test("random changes keep the directory equal to a model", () => {
  const id = fc.constantFrom("a", "b", "c", "d");
  const change = fc.record({ kind: fc.nat({ max: 3 }), cluster: id, backend: id });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 120, size: "max" }), (changes) => {
      const buffer = page(20);
      const stats = new Stats(buffer, OWNER);
      const model = new Map<string, Set<string>>();
      for (const { kind, cluster, backend } of changes) {
        if (kind === 0) {
          stats.clusterRow(cluster);
          if (!model.has(cluster)) model.set(cluster, new Set());
        } else if (kind === 1) {
          stats.backendRow(cluster, backend);
          if (!model.has(cluster)) model.set(cluster, new Set());
          model.get(cluster)?.add(backend);
        } else if (kind === 2) {
          stats.freeBackend(cluster, backend);
          model.get(cluster)?.delete(backend);
        } else {
          stats.freeCluster(cluster);
          model.delete(cluster);
        }
      }
      const expected = [...model].flatMap(([cluster, backends]) => [
        `${cluster}/null`,
        ...[...backends].map((backend) => `${cluster}/${backend}`),
      ]);
      const found = new StatsReader(buffer).rows().map((row) => `${row.clusterId}/${row.backendId}`);
      assert.deepEqual(found.sort(), expected.sort());
    }),
  );
});

test("a status moves its class and its own counter, a strange one moves other, none moves none", () => {
  const cases: [number, string[]][] = [
    [200, ["http.status.2xx", "http.status.200"]],
    [204, ["http.status.2xx", "http.status.204"]],
    [206, ["http.status.2xx"]],
    [100, ["http.status.1xx"]],
    [304, ["http.status.3xx", "http.status.304"]],
    [404, ["http.status.4xx", "http.status.404"]],
    [507, ["http.status.5xx", "http.status.507"]],
    [599, ["http.status.5xx"]],
    [600, ["http.status.other"]],
    [999, ["http.status.other"]],
    [99, ["http.status.other"]],
    [0, ["http.status.none"]],
  ];
  for (const [status, names] of cases) {
    const buffer = page(2);
    const stats = new Stats(buffer, OWNER);
    const row = stats.clusterRow("app");
    countStatus(stats.values, metrics.METRIC_HTTP_STATUS_1XX, status);
    countStatus(stats.values, row + metrics.ROW_HTTP_STATUS_1XX, status);
    const reader = new StatsReader(buffer);
    for (const values of [reader.proxy().values, reader.rows()[0].values]) {
      assert.deepEqual(moved(values), names);
    }
  }
});

test("a local answer moves its own error counter or other", () => {
  for (const [status, name] of [
    [400, "http.400.errors"],
    [421, "http.421.errors"],
    [507, "http.507.errors"],
    [431, "http.other.errors"],
  ] as const) {
    const buffer = page(2);
    const stats = new Stats(buffer, OWNER);
    countLocalAnswer(stats.values, metrics.METRIC_HTTP_400_ERRORS, status);
    assert.deepEqual(moved(new StatsReader(buffer).proxy().values), [name]);
  }
});

function moved(values: ReadonlyMap<string, number>): string[] {
  return [...values].filter(([, value]) => value !== 0).map(([name]) => name);
}
