// `sozu top` without a terminal or a proxy: what two moments make of a picture.

import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { picture, type View } from "../../src/cli/top/picture.ts";
import { ratesOf, type Sample, sampleOf } from "../../src/cli/top/sample.ts";
import { AggregatedMetricsSchema } from "../../src/command/gen/sozu_pb.ts";

const count = (value: number) => ({ inner: { case: "count" as const, value: BigInt(value) } });
const gauge = (value: number) => ({ inner: { case: "gauge" as const, value: BigInt(value) } });
const histogram = (counts: Readonly<Record<number, number>>) => {
  const buckets = Object.entries(counts).map(([le, total]) => ({ le: BigInt(le), count: BigInt(total) }));
  return { inner: { case: "histogram" as const, value: { sum: 0n, count: 0n, buckets } } };
};

function sample(atMs: number, requests: Readonly<Record<string, number>>, slow = 0): Sample {
  const proxy = { "http.requests": count(sum(requests)), "client.connections": gauge(3) };
  const clusters = Object.fromEntries(
    Object.entries(requests).map(([id, total]) => {
      const times = { 1023: total - slow, 2047: total - slow, 65535: total };
      const cluster = {
        requests: count(total),
        "cluster.available_backends": gauge(1),
        "cluster.total_backends": gauge(2),
        request_time_histogram: histogram(times),
      };
      return [id, { cluster, backends: [{ backendId: "b0", metrics: { requests: count(total) } }] }];
    }),
  );
  const byWorker = create(AggregatedMetricsSchema, { workers: { 1: { proxy }, 0: { proxy } } });
  return sampleOf(byWorker, create(AggregatedMetricsSchema, { clusters }), atMs);
}

function sum(requests: Readonly<Record<string, number>>): number {
  return Object.values(requests).reduce((total, one) => total + one, 0);
}

const VIEW: View = { width: 120, height: 50, sort: "requests", paused: false, time: "12:00:00" };

test("rates are of the time between two moments; the busiest clusters come first", () => {
  const lines = picture(sample(0, { a: 10, b: 10 }), sample(2000, { a: 20, b: 210, "new\u001b[31m": 4 }), VIEW);
  assert.match(lines[0] as string, /^sozu top {2}12:00:00 {2}sorted by requests$/);
  assert.match(lines[1] as string, /^214 req\/s {3}5xx 0 %/, "two workers of 107 a second each");
  const clusters = lines.slice(lines.findIndex((line) => line.startsWith("CLUSTER")) + 1);
  assert.match(clusters[0] as string, /^b +100 .* 1\/2$/);
  assert.match(clusters[1] as string, /^a +5\.0 /);
  assert.ok(
    lines.every((line) => !line.includes("\u001b")),
    "ids cannot write to the terminal",
  );
  assert.ok(lines.some((line) => /^b\/b0 +100 /.test(line)));
});

test("it fits the terminal, and says what it leaves out", () => {
  const many = Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`cluster-${at}`, at]));
  const lines = picture(sample(0, many), sample(1000, many), { ...VIEW, width: 40, height: 20, paused: true });
  assert.ok(lines.length <= 20);
  assert.ok(lines.every((line) => line.length <= 40));
  assert.match(lines[0] as string, /paused/);
  assert.ok(lines.some((line) => /^and \d+ more$/.test(line)));
});

test("quantiles are those of the requests in between, and of nothing when there were none", () => {
  const [before] = sample(0, { a: 100 }).clusters;
  const [now] = sample(1000, { a: 200 }, 50).clusters;
  const rates = ratesOf(before, now as NonNullable<typeof now>, 1);
  assert.ok(rates.quantile(0.4) <= 1023);
  assert.ok(rates.quantile(0.9) > 2047 && rates.quantile(0.9) <= 65535);
  assert.equal(ratesOf(now, now as NonNullable<typeof now>, 1).quantile(0.5), -1);
});
