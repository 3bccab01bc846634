// The clock of the byte path: two doubles in shared words, written by native calls, read without a call.
// `poll` refreshes both; `recv`, `send`, `writev`, `accept` and `connect` the monotonic one; nothing else does.

import { clockWords, native } from "./native.ts";

/** [0] CLOCK_MONOTONIC, [1] CLOCK_REALTIME, both in microseconds, as of the last refreshing call. */
export const clock: Float64Array = clockWords;

/** Refreshes both clocks and returns the monotonic one, in microseconds. */
export function readClock(): number {
  native.readClock();
  return clockWords[0];
}

native.readClock();
