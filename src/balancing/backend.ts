// A backend as a worker sees it: what was configured, what it is doing, and whether it may be dialled.
//
// Back-off (spec 7.3): a failed connection counts a try, up to 6, and starts a wait: 1 s after the first, then
// uniformly random in [1, 2^tries) seconds. Failures during a wait are ignored, a success resets. At 6 tries the
// backend is down; it is still tried again after each wait, which is how it comes back. Health (spec 7.5) and ejection
// only say whether it is preferred: when nothing else is left, such a backend is asked all the same. The clock and the
// randomness are arguments.

import { formatAddress } from "../command/address-text.ts";
import type { BackendObject, SocketAddress } from "../command/objects.ts";
import { utf8Bytes } from "../command/utf8.ts";
import { hashText } from "./hash.ts";

/** One backend of a cluster. Objects live on while requests use them, also after their removal. */
export class Backend {
  readonly clusterId: string;
  readonly id: string;
  readonly address: SocketAddress;
  /** For access lines, made when one first asks: most backends of a large state are never spoken to. */
  private idBytesMade: Uint8Array | null;
  private addressBytesMade: Uint8Array | null;
  /** 1 to 255; a share of the picks in proportion to the other weights. */
  weight: number;
  /** Only picked when no other backend can be opened. */
  backup: boolean;
  /** The value of a client's sticky cookie that means this backend. */
  stickyId: string | null;
  /** Connections that carry a request; kept by the proxy. */
  activeConnections: number;
  /** Requests in flight; kept by the proxy. */
  activeRequests: number;
  /** No longer configured: no new requests, and gone once it is idle. */
  removed: boolean;
  /** Neither its health check nor an ejection speaks against it. Set through setVerdict() and setEjected(). */
  healthy: boolean;
  /** The last verdict of the health check; true without one. */
  passesCheck: boolean;
  /** Why the check failed last, for people. */
  checkProblem: string;
  /** Left out because requests failed one after the other (addition; see ejection.ts). */
  ejected: boolean;
  /** Requests in a row that failed, times it was ejected in a row, and when the last ejection ended. */
  failedRequests: number;
  ejections: number;
  readmittedAtMs: number;
  /** The proxy's timer that ends an ejection. */
  readmission: object | null;
  /** The part of its weight that counts: 1, or less during slow start; kept by the cluster. */
  ramp: number;
  rampSinceMs: number;
  /** Hash of its identity, made when a policy first asks; null: not yet. */
  private seedMade: number | null;
  /** errno of the last failed connection, 0 when it was a timeout or there was none. */
  lastErrno: number;
  /** Base of its stats row, set by the proxy; -1: none. */
  row: number;
  /** The next backend of the cluster with this id, at another address. */
  namesake: Backend | null;
  /** The proxy's pool of idle connections. */
  attachment: object | null;
  private tries: number;
  private waitUntilMs: number;
  /** Average connection time that follows peaks at once (PeakEWMA). */
  private averageMs: number;
  private averagedAtMs: number;

  constructor(object: BackendObject) {
    this.clusterId = object.clusterId;
    this.id = object.backendId;
    this.address = object.address;
    this.idBytesMade = null;
    this.addressBytesMade = null;
    this.weight = effectiveWeight(object.weight);
    this.backup = object.backup;
    this.stickyId = object.stickyId;
    this.activeConnections = 0;
    this.activeRequests = 0;
    this.removed = false;
    this.healthy = true;
    this.passesCheck = true;
    this.checkProblem = "";
    this.ejected = false;
    this.failedRequests = 0;
    this.ejections = 0;
    this.readmittedAtMs = NEVER;
    this.readmission = null;
    this.ramp = 1;
    this.rampSinceMs = NEVER;
    this.seedMade = null;
    this.lastErrno = 0;
    this.row = -1;
    this.namesake = null;
    this.attachment = null;
    this.tries = 0;
    this.waitUntilMs = 0;
    this.averageMs = AVERAGE_INITIAL_MS;
    this.averagedAtMs = NEVER;
  }

  /** The id as UTF-8. */
  get idBytes(): Uint8Array {
    this.idBytesMade ??= utf8Bytes(this.id);
    return this.idBytesMade;
  }

  /** `127.0.0.1:1026`, `[::1]:80`. */
  get addressBytes(): Uint8Array {
    this.addressBytesMade ??= utf8Bytes(formatAddress(this.address));
    return this.addressBytesMade;
  }

  /** Hash of its identity, for affinity. */
  get seed(): number {
    this.seedMade ??= hashText(`${formatAddress(this.address)} ${this.id}`);
    return this.seedMade;
  }

  /** Takes new parameters over; counters, back-off and health stay (spec 7.1). */
  update(object: BackendObject): void {
    this.weight = effectiveWeight(object.weight);
    this.backup = object.backup;
    this.stickyId = object.stickyId;
  }

  /** Whether it may get a request now. */
  canOpen(nowMs: number): boolean {
    return this.healthy && !this.removed && nowMs >= this.waitUntilMs;
  }

  /** Whether it may be tried although its health check fails (fail-open, spec 7.2). */
  canOpenUnhealthy(nowMs: number): boolean {
    return !this.removed && nowMs >= this.waitUntilMs;
  }

  /** Milliseconds until it may be dialled again after a failed connection; 0: now. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.waitUntilMs - nowMs);
  }

  /** The verdict of its health check. */
  setVerdict(passes: boolean, problem: string): void {
    this.passesCheck = passes;
    this.checkProblem = problem;
    this.healthy = passes && !this.ejected;
  }

  setEjected(ejected: boolean): void {
    this.ejected = ejected;
    this.healthy = this.passesCheck && !ejected;
  }

  /** Counts as available in gauges: a short back-off does not matter, being down does (spec 7.1). */
  get available(): boolean {
    return this.healthy && !this.removed && this.tries < TRIES_MAX;
  }

  /** Whether the last connections all failed, TRIES_MAX in a row. */
  get down(): boolean {
    return this.tries >= TRIES_MAX;
  }

  /** A connection was made in `connectMs`. True: the backend was down and has recovered. */
  onConnected(nowMs: number, connectMs: number): boolean {
    const recovered = this.tries >= TRIES_MAX;
    this.tries = 0;
    this.waitUntilMs = 0;
    this.observe(nowMs, connectMs);
    return recovered;
  }

  /** A connection failed. `random` is uniform in [0, 1). True: the backend went down with this failure. */
  onConnectFailed(nowMs: number, random: () => number): boolean {
    if (nowMs < this.waitUntilMs) {
      return false;
    }
    const before = this.tries;
    this.tries = Math.min(before + 1, TRIES_MAX);
    const longestMs = 2 ** this.tries * 1000;
    const waitMs = this.tries === 1 ? WAIT_MIN_MS : WAIT_MIN_MS + random() * (longestMs - WAIT_MIN_MS);
    this.waitUntilMs = nowMs + waitMs;
    return before < TRIES_MAX && this.tries === TRIES_MAX;
  }

  /**
   * What one more connection would cost: (connections + 1) * average connection time, in milliseconds (spec 7.2). The
   * average fades while nothing is measured, else a backend that was slow once would never be asked again, and times
   * below a millisecond are all alike. `heaviest` is the largest weight that it is compared with: connections of a
   * lighter backend count for more, while idle backends of equal times stay equal, and are then drawn by weight.
   */
  connectionCost(nowMs: number, heaviest: number): number {
    if (this.averagedAtMs === NEVER) {
      this.averagedAtMs = nowMs;
    }
    const averageMs = this.averageMs * Math.exp(-Math.max(0, nowMs - this.averagedAtMs) / AVERAGE_DECAY_MS);
    const weight = this.weight * this.ramp;
    return Math.max(AVERAGE_MIN_MS, averageMs) * (1 + (this.activeConnections * heaviest) / weight);
  }

  private observe(nowMs: number, connectMs: number): void {
    if (connectMs > this.averageMs) {
      this.averageMs = connectMs;
    } else {
      const elapsedMs = this.averagedAtMs === NEVER ? 0 : Math.max(0, nowMs - this.averagedAtMs);
      const keep = Math.exp(-elapsedMs / AVERAGE_DECAY_MS);
      this.averageMs = this.averageMs * keep + connectMs * (1 - keep);
    }
    this.averagedAtMs = nowMs;
  }
}

/** Weight 0 means the default (decisions 9); what is no weight at all counts as 1, so that nothing divides by zero. */
function effectiveWeight(weight: number): number {
  if (weight === 0) {
    return WEIGHT_DEFAULT;
  }
  return weight >= 1 ? Math.floor(weight) : 1;
}

/** Failed tries after which a backend is down. */
export const TRIES_MAX = 6;
const WEIGHT_DEFAULT = 100;
const WAIT_MIN_MS = 1000;
const AVERAGE_INITIAL_MS = 50;
const AVERAGE_MIN_MS = 1;
const NEVER = -1;
const AVERAGE_DECAY_MS = 1000;
