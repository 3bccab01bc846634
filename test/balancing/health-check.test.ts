// The rules of active health checks (spec 7.5), without sockets.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  acceptsStatus,
  HealthTally,
  roundMs,
  VERDICT_HEALTHY,
  VERDICT_SAME,
  VERDICT_UNHEALTHY,
} from "../../src/balancing/health-check.ts";
import type { HealthCheckObject } from "../../src/command/objects.ts";

const CHECK: HealthCheckObject = {
  uri: "/",
  interval: 10,
  timeout: 5,
  healthyThreshold: 3,
  unhealthyThreshold: 2,
  expectedStatus: 0,
  tcp: false,
  acceptedStatuses: [],
};

test("a verdict changes exactly after so many results of the other kind in a row", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (results) => {
      const tally = new HealthTally();
      let healthy = true;
      for (let at = 0; at < results.length; at++) {
        const change = tally.record(results[at], healthy, CHECK);
        const needed: number = healthy ? CHECK.unhealthyThreshold : CHECK.healthyThreshold;
        const last = results.slice(Math.max(0, at + 1 - needed), at + 1);
        const changes: boolean = last.length === needed && last.every((result) => result !== healthy);
        assert.equal(change !== VERDICT_SAME, changes);
        if (!changes) continue;
        assert.equal(change, healthy ? VERDICT_UNHEALTHY : VERDICT_HEALTHY);
        healthy = !healthy;
      }
    }),
  );
});

test("any 2xx, exactly one status, or a list of ranges that wins over both", () => {
  const accepted = (check: HealthCheckObject) =>
    [199, 200, 204, 299, 300, 404, 500].filter((status) => acceptsStatus(check, status));
  assert.deepEqual(accepted(CHECK), [200, 204, 299]);
  assert.deepEqual(accepted({ ...CHECK, expectedStatus: 404 }), [404]);
  const acceptedStatuses = [
    [300, 399],
    [500, 500],
  ] as const;
  assert.deepEqual(accepted({ ...CHECK, expectedStatus: 404, acceptedStatuses }), [300, 500]);
});

test("the jitter of a cluster is always the same, within a fifth of the interval, and differs between clusters", () => {
  const rounds = Array.from({ length: 100 }, (_, at) => roundMs(`app-${at}`, CHECK));
  assert.equal(roundMs("app-7", CHECK), rounds[7]);
  assert.ok(rounds.every((round) => round >= 10_000 && round <= 12_000));
  assert.ok(new Set(rounds).size > 90);
});
