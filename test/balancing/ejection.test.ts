// Passive ejection (addition) under a clock of the test's own.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Cluster } from "../../src/balancing/cluster.ts";
import { countOutcome, readmit } from "../../src/balancing/ejection.ts";
import type { BalancingTuningObject } from "../../src/command/objects.ts";
import { clusterObject, clusterOf, fail, ROUND_ROBIN, seeded, shares } from "./sample-cluster.ts";

function ejecting(backends: number, tuning: Partial<BalancingTuningObject> = {}): Cluster {
  const cluster = clusterOf(ROUND_ROBIN, new Array(backends).fill(100));
  cluster.configure(
    clusterObject({
      tuning: { affinity: 0, affinityName: "", slowStart: 0, ejectAfter: 3, ejectionTime: 30, ...tuning },
    }),
  );
  return cluster;
}

/** So many failures in a row; the milliseconds that the last one ejects for. */
function failing(cluster: Cluster, at: number, times: number, nowMs = 0): number {
  let lasts = 0;
  for (let i = 0; i < times; i++) lasts = countOutcome(cluster, cluster.backends[at], true, nowMs);
  return lasts;
}

test("so many failures in a row eject, a success between them begins the count anew", () => {
  const cluster = ejecting(2);
  assert.equal(failing(cluster, 0, 2), 0);
  assert.equal(countOutcome(cluster, cluster.backends[0], false, 0), 0);
  assert.equal(failing(cluster, 0, 2), 0);
  assert.equal(failing(cluster, 0, 1), 30_000);
  assert.equal(cluster.backends[0].canOpen(0), false);
  assert.equal(cluster.backends[0].available, false);
  assert.deepEqual([...shares(cluster, 10, seeded(1)).keys()], ["b1"]);
  readmit(cluster, cluster.backends[0], 30_000);
  assert.equal(cluster.backends[0].canOpen(30_000), true);
});

test("each ejection lasts twice as long as the one before, up to ten times", () => {
  const cluster = ejecting(2);
  const lasted: number[] = [];
  for (let now = 0, i = 0; i < 6; i++) {
    const lasts = failing(cluster, 0, 3, now);
    lasted.push(lasts / 1000);
    now += lasts;
    readmit(cluster, cluster.backends[0], now);
  }
  assert.deepEqual(lasted, [30, 60, 120, 240, 300, 300]);
});

test("who was in for ten times the configured time begins anew", () => {
  const cluster = ejecting(2);
  failing(cluster, 0, 3, 0);
  readmit(cluster, cluster.backends[0], 30_000);
  assert.equal(failing(cluster, 0, 3, 330_000), 30_000);
});

test("the only backend is never ejected, nor one of two when the other cannot be opened", () => {
  assert.equal(failing(ejecting(1), 0, 100), 0);
  const cluster = ejecting(2);
  fail(cluster.backends[1], 0);
  assert.equal(failing(cluster, 0, 100, 1), 0);
  assert.equal(failing(cluster, 0, 1, 2000), 30_000, "it is later, when the other can be opened again");
});

test("never more than half are out, whatever fails", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.array(fc.record({ at: fc.nat({ max: 8 }), failed: fc.boolean(), back: fc.boolean() }), { maxLength: 200 }),
      (count, events) => {
        const cluster = ejecting(count, { ejectAfter: 1 });
        for (const { at, failed, back } of events) {
          const backend = cluster.backends[at % count];
          if (back && backend.ejected) readmit(cluster, backend, 0);
          countOutcome(cluster, backend, failed, 0);
          const out = cluster.backends.filter((one) => one.ejected).length;
          assert.ok(2 * out <= count);
          assert.notEqual(cluster.pick(0, Math.random), null);
        }
      },
    ),
  );
});

test("while nothing else can be opened an ejected backend is asked all the same", () => {
  const cluster = ejecting(2);
  failing(cluster, 0, 3);
  fail(cluster.backends[1], 0);
  assert.equal(cluster.pick(1, Math.random)?.id, "b0");
  assert.equal(cluster.failOpenPicks, 1);
});

test("an ejection and a failed health check are two reasons: both must end", () => {
  const cluster = ejecting(2);
  const [backend] = cluster.backends;
  failing(cluster, 0, 3);
  backend.setVerdict(false, "status 500");
  readmit(cluster, backend, 30_000);
  assert.equal(backend.healthy, false);
  backend.setVerdict(true, "");
  assert.equal(backend.healthy, true);
});
