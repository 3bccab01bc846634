// The key by which HRW and MAGLEV choose a backend: the client's address, a header or a cookie (addition). Only clusters
// with one of these algorithms ask for it. A request without the header or cookie goes by its client's address, so that
// the first request of a visitor stays where the next ones of the same address go.

import type { Cluster } from "../balancing/cluster.ts";
import { hashBytes } from "../balancing/hash.ts";
import { AFFINITY_COOKIE, AFFINITY_HEADER } from "../command/objects.ts";
import { COOKIE } from "../wire/http1/head.ts";
import type { TrafficContext } from "./context.ts";
import { type CookieSpan, findCookie } from "./http/cookies.ts";
import type { RequestMessage } from "./messages.ts";
import type { FrontStream } from "./streams.ts";

/** Bytes of a header or cookie that count: enough for any id, and no work for the client to give us. */
const KEY_BYTES_MAX = 256;

/** 32 bits, equal for requests that belong to one backend. */
export function affinityKeyOf(
  context: TrafficContext,
  cluster: Cluster,
  front: FrontStream,
  message: RequestMessage,
  base: number,
): number {
  const { bytes, records } = context;
  const { affinity, affinityName } = cluster;
  const { head } = message;
  if (affinity === AFFINITY_HEADER) {
    for (let i = 0; i < head.count; i++) {
      if (!head.nameEquals(bytes, base, i, affinityName) || head.valueEnd(i) === head.valueStart(i)) continue;
      return hashSpan(bytes, base + head.valueStart(i), base + head.valueEnd(i));
    }
  } else if (affinity === AFFINITY_COOKIE) {
    for (let i = head.indexOf(COOKIE); i !== -1; i = head.nextIndexOf(COOKIE, i + 1)) {
      const start = base + head.valueStart(i);
      if (!findCookie(bytes, start, base + head.valueEnd(i), affinityName, found)) continue;
      if (found.valueEnd > found.valueStart) return hashSpan(bytes, found.valueStart, found.valueEnd);
    }
  }
  const ip = records.ipAt(front.record);
  return hashBytes(bytes, ip, ip + records.ipLength(front.record));
}

function hashSpan(bytes: Uint8Array, start: number, end: number): number {
  return hashBytes(bytes, start, Math.min(end, start + KEY_BYTES_MAX));
}

const found: CookieSpan = { start: 0, end: 0, valueStart: 0, valueEnd: 0 };
