// Slow start (addition): the weight of a backend that came back grows from a tenth to the whole, in every algorithm.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Cluster } from "../../src/balancing/cluster.ts";
import {
  ALGORITHMS,
  clusterObject,
  clusterOf,
  LEAST_LOADED,
  MAGLEV,
  POWER_OF_TWO,
  seeded,
  shares,
} from "./sample-cluster.ts";

function slow(loadBalancing: number, weights: readonly number[], seconds = 10): Cluster {
  const cluster = clusterOf(loadBalancing, weights);
  const tuning = { affinity: 0, affinityName: "", slowStart: seconds, ejectAfter: 0, ejectionTime: 0 };
  cluster.configure(clusterObject({ loadBalancing, tuning }));
  return cluster;
}

test("the share follows the ramp within 2 points, at the beginning, in the middle and at the end", () => {
  for (const algorithm of ALGORITHMS) {
    for (const [afterMs, part] of [
      [0, 0.1],
      [5000, 0.55],
      [10_000, 1],
      [60_000, 1],
    ]) {
      const cluster = slow(algorithm, [100, 100]);
      cluster.startSlowly(cluster.backends[1], 1000);
      const share = shares(cluster, 100_000, seeded(5), 1000 + afterMs).get("b1") ?? 0;
      // MAGLEV leaves it a part of its own keys, which are half of all.
      const expected = algorithm === MAGLEV ? 50 * part : (100 * part) / (1 + part);
      assert.ok(Math.abs(share - expected) < 2, `algorithm ${algorithm} after ${afterMs}: ${share}, not ${expected}`);
    }
  }
});

test("under load a backend in slow start holds a tenth of what the others hold", () => {
  for (const algorithm of [LEAST_LOADED, POWER_OF_TWO]) {
    const cluster = slow(algorithm, [100, 100]);
    cluster.startSlowly(cluster.backends[1], 0);
    const random = seeded(6);
    for (let i = 0; i < 110; i++) {
      const picked = cluster.pick(0, random);
      if (picked !== null) picked.activeConnections++;
    }
    const held = cluster.backends[1].activeConnections;
    assert.ok(held >= 8 && held <= 14, `algorithm ${algorithm}: ${held}`);
  }
});

test("a backend in slow start that is alone gets everything", () => {
  for (const algorithm of ALGORITHMS) {
    const cluster = slow(algorithm, [100, 100]);
    cluster.startSlowly(cluster.backends[1], 0);
    cluster.backends[0].setVerdict(false, "");
    assert.deepEqual([...shares(cluster, 1000, seeded(7)).keys()], ["b1"]);
    assert.deepEqual([...shares(slow(algorithm, [3]), 10, seeded(7)).keys()], ["b0"]);
  }
});

test("off by default, and turned off at run time it ends at once", () => {
  const cluster = clusterOf(0, [1, 1]);
  cluster.startSlowly(cluster.backends[1], 0);
  assert.equal(cluster.backends[1].ramp, 1);
  const tuned = slow(0, [1, 1]);
  tuned.startSlowly(tuned.backends[1], 0);
  tuned.configure(clusterObject());
  tuned.pick(200, Math.random);
  assert.equal(tuned.backends[1].ramp, 1);
});
