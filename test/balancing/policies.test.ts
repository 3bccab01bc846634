// Each policy through its cluster: the shares that weights promise, what is never picked, and what load changes.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Backend } from "../../src/balancing/backend.ts";
import {
  ALGORITHMS,
  backendObject,
  clusterObject,
  clusterOf,
  fail,
  HRW,
  LEAST_LOADED,
  MAGLEV,
  POWER_OF_TWO,
  RANDOM,
  ROUND_ROBIN,
  seeded,
  shares,
} from "./sample-cluster.ts";

const PICKS = 100_000;

function assertShares(found: ReadonlyMap<string, number>, weights: readonly number[]): void {
  const sum = weights.reduce((a, b) => a + b, 0);
  for (const [at, weight] of weights.entries()) {
    const share = found.get(`b${at}`) ?? 0;
    assert.ok(Math.abs(share - (weight * 100) / sum) < 2, `b${at}: ${share} % for weight ${weight} of ${sum}`);
  }
}

test("weights are met within 2 points of 100,000 picks, by every policy at rest", () => {
  for (const weights of [
    [1, 1],
    [100, 100, 100],
    [1, 2, 3],
    [255, 1],
    [10, 20, 70],
    [7, 7, 1, 13],
  ]) {
    for (const algorithm of [ROUND_ROBIN, RANDOM, LEAST_LOADED, HRW, MAGLEV]) {
      assertShares(shares(clusterOf(algorithm, weights), PICKS, seeded(1)), weights);
    }
  }
});

test("power of two draws by weight, so at rest equal weights get equal shares and heavier ones more", () => {
  assertShares(shares(clusterOf(POWER_OF_TWO, [5, 5, 5]), PICKS, seeded(2)), [5, 5, 5]);
  const found = shares(clusterOf(POWER_OF_TWO, [1, 2, 7]), PICKS, seeded(3));
  assertShares(found, [1, 2, 7]);
});

test("weights are met within 2 points at rest by every load metric", () => {
  for (const metric of [0, 1, 2]) {
    for (const algorithm of [LEAST_LOADED, POWER_OF_TWO]) {
      assertShares(shares(clusterOf(algorithm, [1, 2, 7], metric), PICKS, seeded(9)), [1, 2, 7]);
      assertShares(shares(clusterOf(algorithm, [200, 50], metric), PICKS, seeded(10)), [200, 50]);
    }
  }
});

test("weights are met within 2 points under load: 200 requests in flight, the oldest ends first", () => {
  for (const metric of [0, 1, 2]) {
    const weights = [10, 20, 70];
    const cluster = clusterOf(LEAST_LOADED, weights, metric);
    const random = seeded(11);
    const inFlight: Backend[] = [];
    const counts = new Map<string, number>();
    for (let i = 0; i < PICKS; i++) {
      if (inFlight.length === 200) {
        const done = inFlight.shift() as Backend;
        done.activeConnections--;
        done.activeRequests--;
      }
      const picked = cluster.pick(0, random) as Backend;
      picked.activeConnections++;
      picked.activeRequests++;
      inFlight.push(picked);
      counts.set(picked.id, (counts.get(picked.id) ?? 0) + 100 / PICKS);
    }
    assertShares(counts, weights);
  }
});

test("equal weights take turns in the order of configuration", () => {
  const cluster = clusterOf(ROUND_ROBIN, [100, 100, 100]);
  const picks = Array.from({ length: 7 }, () => cluster.pick(0, Math.random)?.id);
  assert.deepEqual(picks, ["b0", "b1", "b2", "b0", "b1", "b2", "b0"]);
});

test("a heavier backend is not picked in one long run", () => {
  const cluster = clusterOf(ROUND_ROBIN, [3, 2, 1]);
  const picks = Array.from({ length: 6 }, () => cluster.pick(0, Math.random)?.id).join(" ");
  assert.equal(picks, "b0 b1 b2 b0 b1 b0");
});

test("round robin gives a whole cycle its exact shares", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength: 8 }), (weights) => {
      const cluster = clusterOf(ROUND_ROBIN, weights);
      const counts = new Array(weights.length).fill(0);
      const sum = weights.reduce((a, b) => a + b, 0);
      for (let i = 0; i < sum; i++) counts[Number(cluster.pick(0, Math.random)?.id.slice(1))]++;
      assert.deepEqual(counts, weights);
    }),
  );
});

test("a backend in back-off is skipped and its share spreads in proportion over the others", () => {
  for (const algorithm of [ROUND_ROBIN, RANDOM, LEAST_LOADED]) {
    const cluster = clusterOf(algorithm, [50, 10, 30]);
    fail(cluster.backends[0], 0);
    const found = shares(cluster, PICKS, seeded(4), 500);
    assert.equal(found.get("b0"), undefined);
    assert.ok(Math.abs((found.get("b1") ?? 0) - 25) < 2, `algorithm ${algorithm}: ${found.get("b1")}`);
    assertShares(shares(cluster, PICKS, seeded(5), 1500), [50, 10, 30]);
  }
});

test("whatever fails, a pick is a backend that can be opened, and null only when there is none", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...ALGORITHMS),
      fc.nat({ max: 2 }),
      fc.array(
        fc.record({
          weight: fc.integer({ min: 1, max: 255 }),
          up: fc.boolean(),
          healthy: fc.boolean(),
          backup: fc.boolean(),
        }),
        { maxLength: 12 },
      ),
      fc.integer(),
      (algorithm, metric, parts, seed) => {
        const cluster = clusterOf(algorithm, [], metric);
        for (const [at, { weight, up, healthy, backup }] of parts.entries()) {
          const backend = cluster.addBackend(backendObject(`b${at}`, { weight, backup }));
          backend.healthy = healthy;
          backend.activeConnections = at % 3;
          backend.activeRequests = at % 4;
          if (!up) fail(backend, 0);
        }
        const open = parts.filter(({ up, healthy }) => up && healthy);
        const tier = open.some(({ backup }) => !backup) ? open.filter(({ backup }) => !backup) : open;
        const random = seeded(seed);
        for (let i = 0; i < 20; i++) {
          const picked = cluster.pick(500, random);
          const part = picked === null ? null : parts[Number(picked.id.slice(1))];
          if (tier.length > 0) assert.ok(part !== null && tier.includes(part));
          else if (parts.some(({ up }) => up)) assert.ok(part?.up, "fail-open ignores health only");
          else assert.equal(part, null);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test("least loaded follows the metric, for its weight", () => {
  const cluster = clusterOf(LEAST_LOADED, [100, 100, 200]);
  const [b0, b1, b2] = cluster.backends;
  b0.activeConnections = 3;
  b1.activeConnections = 2;
  b2.activeConnections = 3;
  assert.equal(cluster.pick(0, Math.random), b2, "3 of weight 200 is less than 2 of weight 100");
  cluster.configure(clusterObject({ loadBalancing: LEAST_LOADED, loadMetric: 1 }));
  b0.activeRequests = 1;
  b1.activeRequests = 5;
  b2.activeRequests = 5;
  assert.equal(cluster.pick(0, Math.random), b0);
});

test("least loaded by connection time prefers the quick and the idle", () => {
  const cluster = clusterOf(LEAST_LOADED, [100, 100], 2);
  const [b0, b1] = cluster.backends;
  b0.onConnected(1000, 200);
  b1.onConnected(1000, 55);
  assert.equal(cluster.pick(1000, Math.random), b1);
  b1.activeConnections = 9;
  assert.equal(cluster.pick(1000, Math.random), b0, "ten times 55 ms is more than 200 ms");
});

test("power of two takes the less loaded of two different ones", () => {
  const cluster = clusterOf(POWER_OF_TWO, [100, 100, 100, 100]);
  cluster.backends[2].activeConnections = 1000;
  const found = shares(cluster, 10_000, seeded(6));
  assert.equal(found.get("b2"), undefined, "always loses against the other draw");
  const two = clusterOf(POWER_OF_TWO, [1, 255]);
  two.backends[1].activeConnections = 1000;
  assert.deepEqual([...shares(two, 1000, seeded(7)).keys()], ["b0"], "a light one is drawn as the second");
});

test("many backends share the picks evenly when picks raise the load", () => {
  for (const algorithm of [LEAST_LOADED, POWER_OF_TWO]) {
    const cluster = clusterOf(algorithm, new Array(20).fill(100));
    const random = seeded(8);
    for (let i = 0; i < 2000; i++) {
      const backend = cluster.pick(0, random);
      if (backend !== null) backend.activeConnections++;
    }
    const loads = cluster.backends.map((backend) => backend.activeConnections);
    assert.ok(Math.max(...loads) - Math.min(...loads) <= (algorithm === LEAST_LOADED ? 1 : 12), String(loads));
  }
});
