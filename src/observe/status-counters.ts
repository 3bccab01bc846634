// Which counters a response status moves (spec 12.5): its class, and its own counter when it is on the short list.
// The places are in the same order proxy-wide and in rows, so one offset table serves both.

import { METRIC_HTTP_STATUS_1XX, METRIC_HTTP_STATUS_200 } from "./metrics.ts";

const LISTED = [200, 201, 204, 301, 302, 304, 400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504, 507];
const LOCAL = [400, 401, 404, 408, 413, 421, 502, 503, 504, 507];
const OTHER = 5;
const NONE = 6;
const UNLISTED = 255;

/**
 * Counts a response. `base` is METRIC_HTTP_STATUS_1XX or `row + ROW_HTTP_STATUS_1XX`; status 0: none was sent.
 * A status outside 100 to 599 counts as `other`.
 */
export function countStatus(values: Float64Array, base: number, status: number): void {
  if (status < 100 || status > 599) {
    values[base + (status === 0 ? NONE : OTHER)] += 1;
    return;
  }
  values[base + ((status / 100) | 0) - 1] += 1;
  const listed = OFFSET[status];
  if (listed !== UNLISTED) {
    values[base + listed] += 1;
  }
}

/** Counts a local answer of an error status. `base` is METRIC_HTTP_400_ERRORS or `row + ROW_HTTP_400_ERRORS`. */
export function countLocalAnswer(values: Float64Array, base: number, status: number): void {
  const at = LOCAL.indexOf(status);
  values[base + (at === -1 ? LOCAL.length : at)] += 1;
}

const OFFSET = new Uint8Array(600).fill(UNLISTED);
for (let i = 0; i < LISTED.length; i++) {
  OFFSET[LISTED[i]] = METRIC_HTTP_STATUS_200 - METRIC_HTTP_STATUS_1XX + i;
}
