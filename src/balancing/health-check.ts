// What an active health check means (spec 7.5), without sockets and clocks: whether its configuration makes sense, which
// statuses pass, when the next round is, and when results change a backend's verdict.
//
// A new backend is healthy. So many successes in a row make an unhealthy one healthy, so many failures in a row the
// opposite; any result of the other kind begins the count anew.

import { PROBE_URI_BYTES_MAX } from "../command/limits.ts";
import type { HealthCheckObject } from "../command/objects.ts";
import { hashText } from "./hash.ts";

/** What a result changed. */
export const VERDICT_SAME = 0;
export const VERDICT_HEALTHY = 1;
export const VERDICT_UNHEALTHY = 2;

/** Results in a row of one backend. */
export class HealthTally {
  successes: number;
  failures: number;

  constructor() {
    this.successes = 0;
    this.failures = 0;
  }

  /** Counts a result of a backend that is `healthy` so far. Returns VERDICT_*. */
  record(success: boolean, healthy: boolean, check: HealthCheckObject): number {
    if (success) {
      this.failures = 0;
      this.successes = Math.min(this.successes + 1, check.healthyThreshold);
      return !healthy && this.successes === check.healthyThreshold ? VERDICT_HEALTHY : VERDICT_SAME;
    }
    this.successes = 0;
    this.failures = Math.min(this.failures + 1, check.unhealthyThreshold);
    return healthy && this.failures === check.unhealthyThreshold ? VERDICT_UNHEALTHY : VERDICT_SAME;
  }
}

/** Whether an answer of this status passes the check. */
export function acceptsStatus(check: HealthCheckObject, status: number): boolean {
  const { acceptedStatuses, expectedStatus } = check;
  if (acceptedStatuses.length > 0) return acceptedStatuses.some(([from, to]) => status >= from && status <= to);
  return expectedStatus === 0 ? status >= 200 && status < 300 : status === expectedStatus;
}

/** Milliseconds between two rounds: the interval and up to a fifth more, so that clusters do not probe in step. */
export function roundMs(clusterId: string, check: HealthCheckObject): number {
  const jitter = (hashText(clusterId) >>> 0) / 2 ** 32;
  return check.interval * 1000 * (1 + JITTER_MAX * jitter);
}

/** null, or what is wrong with a check, for people. */
export function checkHealthCheck(check: HealthCheckObject): string | null {
  for (const [name, value] of [
    ["interval", check.interval],
    ["timeout", check.timeout],
    ["healthy_threshold", check.healthyThreshold],
    ["unhealthy_threshold", check.unhealthyThreshold],
  ] as const) {
    if (!Number.isInteger(value) || value < 1) return `health check: ${name} must be at least 1`;
  }
  for (const [from, to] of check.acceptedStatuses) {
    if (!isStatus(from) || !isStatus(to) || from > to) return `health check: ${from}-${to} is no range of statuses`;
  }
  if (check.expectedStatus !== 0 && !isStatus(check.expectedStatus)) {
    return `health check: ${check.expectedStatus} is no status`;
  }
  if (check.tcp) return null;
  if (!check.uri.startsWith("/")) return "health check: uri must begin with /";
  if (check.uri.length > PROBE_URI_BYTES_MAX) return `health check: uri is longer than ${PROBE_URI_BYTES_MAX} bytes`;
  // RFC 9112 3.2: a target is visible ASCII without a fragment. Anything else could end the line.
  return /^[!"$-~]+$/.test(check.uri) ? null : "health check: uri may only contain visible ASCII characters without #";
}

function isStatus(value: number): boolean {
  return Number.isInteger(value) && value >= 100 && value <= 599;
}

const JITTER_MAX = 0.2;
