// Metrics from end to end: counted by workers in shared pages, read by main, shown by the command line, sent to a statsd
// server. Workers are killed in between, and nothing that was counted is lost.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { existsSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { type AggregatedMetrics, MetricDetail, MetricsConfiguration } from "../src/command/gen/sozu_pb.ts";
import { httpBackend } from "./lib/backend.ts";
import { order } from "./lib/changes.ts";
import { once } from "./lib/client.ts";
import { killWorker } from "./lib/kills.ts";
import { currentRelease, type RunningProxy, startProxy } from "./lib/proxy.ts";
import { type Scope, until } from "./lib/scope.ts";

const NO_TERMINAL = existsSync("/usr/bin/script") ? false : "needs script: apt-get install bsdutils";
const GET = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const NOWHERE = "GET / HTTP/1.1\r\nHost: nowhere.test\r\nConnection: close\r\n\r\n";

interface Query {
  readonly clusterIds?: string[];
  readonly backendIds?: string[];
  readonly metricNames?: string[];
  readonly noClusters?: boolean;
  readonly workers?: boolean;
}

async function query(proxy: RunningProxy, options: Query = {}): Promise<AggregatedMetrics> {
  const value = { list: false, noClusters: false, workers: false, ...options };
  const { content } = await order(proxy.socketPath, { case: "queryMetrics", value });
  assert.equal(content?.contentType.case, "metrics");
  return content.contentType.value as AggregatedMetrics;
}

/** The number of a counter or gauge; 0 when it is not there. */
function numberOf(metrics: AggregatedMetrics["main"] | undefined, name: string): number {
  const inner = metrics?.[name]?.inner;
  return inner?.case === "count" || inner?.case === "gauge" ? Number(inner.value) : 0;
}

async function requests(proxy: RunningProxy, count: number, bytes = GET): Promise<void> {
  for (let i = 0; i < count; i++) assert.notEqual(await once(proxy.port, bytes), null);
}

async function serve(scope: Scope) {
  return httpBackend(scope, (_request, response) => response.end("ok"));
}

test("spec 12.4: what workers count is merged, also of those that were killed", async (t) => {
  const backend = await serve(t);
  const proxy = await startProxy(t, {
    workers: 3,
    clusters: { app: { backends: [{ port: backend.port, id: "b0" }] } },
  });
  await requests(proxy, 20);
  await requests(proxy, 5, NOWHERE);
  const before = await query(proxy);
  assert.equal(numberOf(before.proxying, "http.requests"), 25);
  assert.equal(numberOf(before.proxying, "http.404.errors"), 5);
  assert.equal(numberOf(before.clusters["app"]?.cluster, "requests"), 20);
  assert.equal(numberOf(before.proxying, "configuration.clusters"), 3, "one a worker");
  assert.equal(numberOf(before.main, "configuration.clusters"), 1);
  const [pid] = proxy.workerPids;
  killWorker(pid as number, [proxy.port]);
  await until("its successor serves", async () => {
    const { main } = await query(proxy);
    return numberOf(main, "workers.died") === 1 && numberOf(main, "workers.serving") === 3;
  });
  await requests(proxy, 20);
  const after = await query(proxy);
  assert.equal(numberOf(after.proxying, "http.requests"), 45);
  assert.equal(numberOf(after.clusters["app"]?.cluster, "requests"), 40);
  const time = after.clusters["app"]?.cluster["request_time"]?.inner;
  assert.equal(time?.case === "percentiles" && time.value.samples, 40n);
  const histogram = after.clusters["app"]?.cluster["request_time_histogram"]?.inner;
  assert.ok(histogram?.case === "histogram");
  assert.equal(histogram.value.count, 40n);
  assert.deepEqual(
    histogram.value.buckets.map(({ le }) => le),
    histogram.value.buckets.map((_, at) => BigInt(2 ** at - 1)),
  );
  assert.equal(histogram.value.buckets.at(-1)?.count, 40n);
  const byWorker = await query(proxy, { workers: true, noClusters: true });
  assert.deepEqual(Object.keys(byWorker.proxying), []);
  const each = Object.values(byWorker.workers).map(({ proxy: own }) => numberOf(own, "http.requests"));
  assert.equal(each.length, 3);
  assert.equal(
    each.reduce((sum, one) => sum + one, 0),
    45,
  );
});

test("what a worker counted before and after it was upgraded is in the sums once, for statsd too", async (t) => {
  const backend = await serve(t);
  const server = await statsd(t);
  const toml = `
command_socket = "$FOLDER/sozu.sock"
worker_count = 1
[metrics]
address = "127.0.0.1:${server.port}"
[clusters.app]
protocol = "http"
frontends = [{ address = "127.0.0.1:$PORT", hostname = "localhost" }]
backends = [{ address = "127.0.0.1:${backend.port}" }]
`;
  const proxy = await startProxy(t, { toml });
  const all = async () => {
    const { proxying, clusters } = await query(proxy);
    return [numberOf(proxying, "http.requests"), numberOf(clusters["app"]?.cluster, "requests")];
  };
  const [old] = proxy.workerPids;
  await requests(proxy, 8);
  assert.deepEqual(await all(), [8, 8]);
  await until("the first eight", () => server.sum(/\.WRK-\d\d\.http\.requests$/) === 8);
  const upgraded = await proxy.run("upgrade", "--worker", "0");
  assert.equal(upgraded.code, 0, upgraded.stderr);
  await requests(proxy, 5);
  assert.deepEqual(await all(), [13, 13]);
  await until("the predecessor ends", () => !proxy.workerPids.includes(old as number));
  assert.deepEqual(await all(), [13, 13]);
  await until("all thirteen", () => server.sum(/\.WRK-\d\d\.http\.requests$/) === 13);
});

test("queries choose names, clusters and backends; unknown clusters are refused", async (t) => {
  const backend = await serve(t);
  const cluster = (host: string) => ({ frontends: [host], backends: [{ port: backend.port, id: `${host}-b` }] });
  const proxy = await startProxy(t, { clusters: { one: cluster("localhost"), two: cluster("two.test") } });
  await requests(proxy, 3);
  const named = await query(proxy, { metricNames: ["requests", "http.requests", "config.cluster_added"] });
  assert.deepEqual(Object.keys(named.proxying), ["http.requests"]);
  assert.deepEqual(Object.keys(named.clusters["one"]?.cluster ?? {}), ["requests"]);
  const chosen = await query(proxy, { clusterIds: ["two"] });
  assert.deepEqual(Object.keys(chosen.clusters), ["two"]);
  assert.deepEqual(Object.keys(chosen.proxying), []);
  await assert.rejects(query(proxy, { clusterIds: ["three"] }), /No metrics found for object with id three/);
  assert.deepEqual(Object.keys((await query(proxy, { noClusters: true })).clusters), []);
  assert.deepEqual(Object.keys((await query(proxy, { backendIds: ["two.test-b", "nobody"] })).clusters), ["two"]);
});

test("spec 12.6: backends have metrics of their own while a lease asks for it; disabled, nothing is recorded", async (t) => {
  const backend = await serve(t);
  const proxy = await startProxy(t, {
    workers: 2,
    clusters: { app: { backends: [{ port: backend.port, id: "b0" }] } },
  });
  const rows = async () => {
    const app = (await query(proxy)).clusters["app"];
    return [numberOf(app?.cluster, "requests"), ...(app?.backends ?? []).map((b) => numberOf(b.metrics, "requests"))];
  };
  await requests(proxy, 4);
  assert.deepEqual(await rows(), [4]);
  const lease = { clientId: "test", detail: MetricDetail.DETAIL_BACKEND, ttlSeconds: 200 };
  const status = await order(proxy.socketPath, { case: "setMetricDetail", value: lease });
  const held = status.content?.contentType;
  assert.ok(held?.case === "metricDetailStatus");
  const { configured, effective, previousEffective, workers } = held.value;
  assert.deepEqual([configured, previousEffective, effective], [2, 2, 3]);
  const leases = Object.values(workers).map((each) => `${each.effective} ${each.activeLeaseCount}`);
  assert.deepEqual(leases, ["3 1", "3 1"]);
  await requests(proxy, 3);
  assert.deepEqual(await rows(), [7, 3]);
  await order(proxy.socketPath, { case: "setMetricDetail", value: { clientId: "test", clear: true } });
  await requests(proxy, 2);
  assert.deepEqual(await rows(), [9]);
  await order(proxy.socketPath, { case: "configureMetrics", value: MetricsConfiguration.DISABLED });
  // A worker that starts now does not record, either.
  killWorker(proxy.workerPids[0] as number, [proxy.port]);
  await until("its successor serves", async () => numberOf((await query(proxy)).main, "workers.serving") === 2);
  await requests(proxy, 5);
  assert.deepEqual(await rows(), [9]);
  await order(proxy.socketPath, { case: "configureMetrics", value: MetricsConfiguration.ENABLED });
  await requests(proxy, 1);
  assert.deepEqual(await rows(), [10]);
  assert.equal(numberOf((await query(proxy)).proxying, "http.requests"), 15, "the proxy as a whole is always counted");
});

test("a clear empties counters and times of workers and main, and leaves gauges", async (t) => {
  const backend = await serve(t);
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [backend.port] } } });
  await requests(proxy, 6);
  await order(proxy.socketPath, { case: "configureMetrics", value: MetricsConfiguration.CLEAR });
  const { main, proxying, clusters } = await query(proxy);
  assert.equal(numberOf(proxying, "http.requests"), 0);
  assert.equal(proxying["request_time"], undefined);
  assert.equal(numberOf(clusters["app"]?.cluster, "requests"), 0);
  assert.equal(numberOf(clusters["app"]?.cluster, "cluster.total_backends"), 2, "a gauge is what is now: one a worker");
  // The order itself is the first request that counts again.
  assert.equal(numberOf(main, "config.metrics_configured"), 1);
  assert.equal(numberOf(main, "command.requests"), 1);
});

test("CP-23 an answer about thousands of clusters that does not fit is refused with the reason, and main goes on", async (t) => {
  const proxy = await startProxy(t, { settings: { command_buffer_size: 10_000, max_command_buffer_size: 100_000 } });
  const lines: string[] = [];
  for (let i = 0; i < 900; i++) {
    const cluster = { cluster_id: `cluster-${i}`, sticky_session: false, https_redirect: false, load_balancing: 0 };
    lines.push(JSON.stringify({ request_type: { ADD_CLUSTER: cluster } }));
  }
  const added = await proxy.runWith(`${lines.join("\n")}\n`, "transaction");
  assert.equal(added.code, 0, added.stderr);
  const names = ["requests", "http.errors", "bytes_in", "bytes_out", "http.status.2xx", "http.status.5xx"];
  await assert.rejects(query(proxy, { metricNames: names }), /max_command_buffer_size \(100000 bytes\)/);
  const one = await query(proxy, { clusterIds: ["cluster-7"] });
  assert.deepEqual(Object.keys(one.clusters), ["cluster-7"]);
});

test("spec 4.7: requests are counted by kind, those about metrics too", async (t) => {
  const proxy = await startProxy(t);
  await order(proxy.socketPath, { case: "configureMetrics", value: MetricsConfiguration.ENABLED });
  await order(proxy.socketPath, { case: "setMaxConnectionsPerIp", value: 5n });
  const { content } = await order(proxy.socketPath, { case: "countRequests", value: {} });
  const held = content?.contentType;
  assert.ok(held?.case === "requestCounts");
  assert.equal(held.value.map["ConfigureMetrics"], 1);
  assert.equal(held.value.map["SetMaxConnectionsPerIp"], 1);
  const { main } = await query(proxy);
  assert.equal(numberOf(main, "config.metrics_configured"), 1);
  assert.equal(numberOf(main, "config.connection_limit_changed"), 1);
});

test("spec 3.2: sozu metrics shows tables and JSON, sozu top a picture", async (t) => {
  const backend = await serve(t);
  const proxy = await startProxy(t, {
    workers: 2,
    clusters: { app: { backends: [{ port: backend.port, id: "b0" }] } },
  });
  await requests(proxy, 4);
  const text = await proxy.run("metrics", "get");
  assert.equal(text.code, 0, text.stderr);
  assert.match(text.stdout, /MAIN PROCESS\n============\n/);
  assert.match(text.stdout, /PROXYING\n========\n/);
  assert.match(text.stdout, /│ http\.requests +│ +│ 4 +│/);
  assert.match(text.stdout, /Cluster app\n/);
  assert.match(text.stdout, /│ request_time +│ 4 /);
  const json = await proxy.run("metrics", "get", "-n", "requests,http.requests", "-k", "app", "--json");
  const { clusters, proxying } = JSON.parse(json.stdout).METRICS;
  assert.deepEqual(proxying, {});
  assert.deepEqual(clusters, { app: { cluster: { requests: { inner: { COUNT: 4 } } }, backends: [] } });
  const workers = JSON.parse((await proxy.run("metrics", "get", "-w", "--no-clusters", "--json")).stdout).METRICS;
  assert.deepEqual(Object.keys(workers.workers), ["0", "1"]);
  assert.deepEqual(workers.workers["0"].clusters, {});
  const names = await proxy.run("metrics", "get", "--list");
  assert.match(names.stdout, /^ {2}http\.requests$/m);
  const unknown = await proxy.run("metrics", "get", "--clusters", "nobody");
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /No metrics found for object with id nobody/);
  const detail = await proxy.run("metrics", "detail", "backend", "--ttl", "30");
  assert.match(detail.stdout, /│ main +│ cluster +│ cluster +│ backend +│/);
  const again = await proxy.run("metrics", "detail", "--clear");
  assert.match(again.stdout, /│ main +│ cluster +│ backend +│ cluster +│/);
  for (const verb of ["disable", "enable", "clear"]) assert.equal((await proxy.run("metrics", verb)).code, 0);
  const top = await proxy.run("top", "--tick-once", "--refresh-ms", "50", "--detail", "backend");
  assert.equal(top.code, 0, top.stderr);
  assert.match(top.stdout, /^WORKER +req\/s/m);
  assert.match(top.stdout, /^app .* 2\/2$/m);
  assert.match(top.stdout, /^app\/b0 /m);
  const after = await query(proxy);
  assert.equal(numberOf(after.main, "metrics.leases"), 0, "top has given its lease back");
});

test("sozu top redraws in place, takes keys, and leaves the terminal as it was", { skip: NO_TERMINAL }, async (t) => {
  const proxy = await startProxy(t);
  const release = currentRelease();
  const words = [join(release, "bin", "node"), join(release, "js", "cli", "main.js"), "-c", "config.toml"];
  const command = `${words.join(" ")} top --refresh-ms 50`;
  const child = spawn("script", ["-qefc", command, "/dev/null"], {
    cwd: proxy.folder,
    stdio: ["pipe", "pipe", "pipe"],
  });
  t.after(() => child.kill());
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  await until("a picture", () => output.includes("WORKER"));
  child.stdin.write("s");
  await until("another order", () => output.includes("sorted by errors"));
  child.stdin.write("p");
  await until("a pause", () => output.includes("paused"));
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  child.stdin.write("q");
  assert.equal(await ended, 0);
  assert.ok(output.startsWith("\x1b[?1049h"), "on a screen of its own");
  assert.ok(output.includes("\x1b[?25h\x1b[?1049l"), "which it leaves");
});

/** A statsd server; what its lines add up to. */
async function statsd(t: Scope) {
  const lines: string[] = [];
  const socket = createSocket("udp4");
  socket.on("message", (datagram) => {
    assert.ok(datagram.length <= 1432);
    lines.push(...datagram.toString().split("\n"));
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  t.after(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  const sum = (pattern: RegExp): number => {
    const found = lines.flatMap((line) => {
      const match = /^(.*):([^|]*)\|c$/.exec(line);
      return match !== null && pattern.test(match[1] as string) ? [Number(match[2])] : [];
    });
    return found.reduce((total, value) => total + value, 0);
  };
  return { lines, sum, port: (socket.address() as AddressInfo).port };
}

test("spec 12.4: a statsd server gets every count once, also when a worker dies, and every time as a sample", async (t) => {
  const backend = await serve(t);
  const server = await statsd(t);
  const toml = (extra: string): string => `
command_socket = "$FOLDER/sozu.sock"
worker_count = 2
[metrics]
address = "127.0.0.1:${server.port}"
${extra}
[clusters.app]
protocol = "http"
frontends = [{ address = "127.0.0.1:$PORT", hostname = "localhost" }]
backends = [{ address = "127.0.0.1:${backend.port}", backend_id = "b:0" }]
`;
  const proxy = await startProxy(t, { toml: toml(`detail = "backend"\nprefix = "edge"`) });
  await requests(proxy, 10);
  await until("the first ten", () => server.sum(/^edge\.WRK-\d\d\.http\.requests$/) === 10);
  killWorker(proxy.workerPids[0] as number, [proxy.port]);
  await until("its successor serves", async () => numberOf((await query(proxy)).main, "workers.serving") === 2);
  await requests(proxy, 10);
  await until("all twenty", () => server.sum(/^edge\.WRK-\d\d\.http\.requests$/) === 20);
  await until("the cluster", () => server.sum(/^edge\.WRK-\d\d\.cluster\.app\.requests$/) === 20);
  await until("the backend", () => server.sum(/^edge\.WRK-\d\d\.cluster\.app\.backend\.b_0\.requests$/) === 20);
  assert.ok(server.lines.some((line) => line === "edge.MAIN.configuration.clusters:1|g"));
  const samples = (): number =>
    server.lines.reduce((count, line) => {
      const match = /^edge\.WRK-\d\d\.cluster\.app\.request_time:[\d.]+\|ms(?:\|@([\d.]+))?$/.exec(line);
      return match === null ? count : count + Math.round(1 / Number(match[1] ?? 1));
    }, 0);
  await until("every request as a sample", () => samples() === 20);
  const tagged = await startProxy(t, { toml: toml("tagged_metrics = true") });
  await requests(tagged, 3);
  const tags = /^sozu\.cluster\.requests,origin=WRK-\d\d,version=[^,]+,cluster_id=app$/;
  await until("tags", () => server.sum(tags) === 3);
});

test("RX-16 a statsd server that is not there, or full, costs requests nothing and is counted", async (t) => {
  const backend = await serve(t);
  const gone = createSocket("udp4");
  await new Promise<void>((resolve) => gone.bind(0, "127.0.0.1", resolve));
  const { port } = gone.address();
  await new Promise<void>((resolve) => gone.close(() => resolve()));
  const toml = `
command_socket = "$FOLDER/sozu.sock"
worker_count = 1
[metrics]
address = "127.0.0.1:${port}"
[clusters.app]
protocol = "http"
frontends = [{ address = "127.0.0.1:$PORT", hostname = "localhost" }]
backends = [{ address = "127.0.0.1:${backend.port}" }]
`;
  const proxy = await startProxy(t, { toml });
  await requests(proxy, 5);
  await until("datagrams were sent", async () => numberOf((await query(proxy)).main, "metrics.datagrams") > 0);
  await requests(proxy, 5);
  assert.equal(numberOf((await query(proxy)).proxying, "http.requests"), 10);
});
