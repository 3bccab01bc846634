import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  bucketOf,
  bucketStart,
  copyBuckets,
  HISTOGRAM_BUCKETS,
  HISTOGRAM_GROUP_SLOTS,
  quantile,
  record,
  summarize,
} from "../../src/observe/histogram.ts";

test("buckets cover every value without gap or overlap", () => {
  for (let bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
    assert.equal(bucketOf(bucketStart(bucket)), bucket);
    assert.equal(bucketOf(bucketStart(bucket + 1) - 1), bucket);
  }
  assert.equal(bucketStart(HISTOGRAM_BUCKETS), 2 ** 31);
});

test("a bucket is at most a sixteenth of its values wide", () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 31 - 1 }), (value) => {
      const bucket = bucketOf(value);
      const width = bucketStart(bucket + 1) - bucketStart(bucket);
      assert.ok(value < 32 ? width === 1 : width <= value / 16);
    }),
  );
});

test("values out of range are clamped or ignored, never written elsewhere", () => {
  const values = new Float64Array(HISTOGRAM_GROUP_SLOTS + 2);
  for (const value of [2 ** 31, 2 ** 40, Number.POSITIVE_INFINITY]) record(values, 4, value);
  for (const value of [-1, Number.NaN]) record(values, 4, value);
  assert.equal(copyBuckets(values, 4)[HISTOGRAM_BUCKETS - 1], 3);
  assert.equal(values.filter((value) => value > 0).length, 2, "one bucket and the sum");
});

test("the four histograms of a group do not touch each other", () => {
  const values = new Float64Array(HISTOGRAM_GROUP_SLOTS);
  for (let lane = 0; lane < 4; lane++) {
    for (const value of [0, 31, 32, 1000, 2 ** 31 - 1]) for (let n = 0; n <= lane; n++) record(values, lane, value);
  }
  for (let lane = 0; lane < 4; lane++) {
    const summary = summarize(values, lane);
    assert.equal(summary.samples, 5 * (lane + 1));
    assert.equal(summary.sum, (31 + 32 + 1000 + 2 ** 31 - 1) * (lane + 1));
  }
});

test("percentiles are within 3.2 % of the exact ones", () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 50_000_000 }), { minLength: 1, maxLength: 500 }), (samples) => {
      const values = new Float64Array(HISTOGRAM_GROUP_SLOTS);
      for (const sample of samples) record(values, 2, sample);
      const sorted = samples.toSorted((a, b) => a - b);
      const summary = summarize(values, 2);
      assert.equal(summary.samples, samples.length);
      for (const [q, found] of [
        [0.5, summary.p50],
        [0.9, summary.p90],
        [0.99, summary.p99],
        [0.999, summary.p99_9],
        [1, summary.p100],
      ]) {
        const exact = sorted[Math.max(0, Math.ceil(q * sorted.length - 1e-6) - 1)];
        assert.ok(Math.abs(found - exact) <= exact * 0.032 + 0.5, `${q}: ${found} for ${exact}`);
      }
    }),
  );
});

test("an empty histogram has zeros", () => {
  const summary = summarize(new Float64Array(HISTOGRAM_GROUP_SLOTS), 0);
  assert.deepEqual(Object.values(summary), new Array(9).fill(0));
  assert.equal(quantile(new Float64Array(HISTOGRAM_BUCKETS), 0, 0.5), 0);
});
