// One request and its response: where a front stream and a back stream meet.
//
//            open                      begin                  responseHead        responseEnd
//   (free) --------> ROUTED (slot) --------------> LINKED ------------------> ANSWERING ---------> ENDED --> (free)
//                      |   ^                         |                           |
//                      |   `---- retry, attempt -----'                           `-- frontGone / backLost --> (free)
//                      `-- local answer ------------------------------------------------------------------> (free)
//
// The exchange knows heads, interim heads, body bytes with back-pressure, trailers, ends, loss of either side with or
// without leave to retry. It does not know which protocol a side speaks: a side is a FrontStream or a BackStream, and all
// combinations are this one piece of code. Policy of a request (attempts, replay, local answers, what is logged and
// counted) lives here and nowhere else.
//
// Rules: a side never calls back into the side that is calling it, except through `exchangeDone`, `abort` and `cancel`,
// which a side must expect at the end of any call into the exchange. Body bytes are spans of the arena that are valid
// until the following flush. An exchange and its head slot exist only while a request is in flight.

import type { Backend } from "../balancing/backend.ts";
import type { Cluster } from "../balancing/cluster.ts";
import { FAIL_OPEN_NO } from "../balancing/cluster.ts";
import { METRIC_HTTP_REQUESTS } from "../observe/metrics.ts";
import type { HeaderEdits } from "../policies/header-edits.ts";
import type { HstsPolicy } from "../policies/hsts.ts";
import { statusOf } from "../wire/http1/errors.ts";
import { acceptsProtocol } from "../wire/http1/field-values.ts";
import { type Head, UPGRADE } from "../wire/http1/head.ts";
import { affinityKeyOf } from "./affinity.ts";
import { noteFailOpen } from "./availability.ts";
import type { Connection } from "./connection.ts";
import type { TrafficContext } from "./context.ts";
import type { ExchangePool } from "./exchange-pool.ts";
import { countUnlinked, recordExchange, recordTunnel } from "./exchange-record.ts";
import { HeadSlot } from "./head-slot.ts";
import type { HttpRoute } from "./http-listener.ts";
import { refuseAddress } from "./ip-limits.ts";
import { shed } from "./load-shedder.ts";
import { answerLocally } from "./local-answer.ts";
import type { RequestMessage, ResponseMessage } from "./messages.ts";
import {
  NOTE_BACKEND_CLOSED,
  NOTE_BACKEND_RESPONSE_TIMEOUT,
  NOTE_BACKEND_TIMEOUT,
  NOTE_COMPLETE,
  NOTE_TUNNEL_END,
  NOTE_UPGRADE,
} from "./notes.ts";
import type { Outbox } from "./outbox.ts";
import { statusWithoutCluster } from "./refused-routes.ts";
import { decide, httpsLocation } from "./route-policy.ts";
import {
  type BackStream,
  type FrontStream,
  LOST_BUFFERS,
  LOST_CLOSED,
  LOST_CONNECT,
  LOST_MALFORMED,
  LOST_TIMEOUT,
  LOST_UNPROCESSED,
} from "./streams.ts";

/** Connection attempts of one request (spec 7.4). */
const ATTEMPTS_MAX = 3;
/** Interim responses of one request; a backend that sends more is broken. */
const INTERIM_MAX = 64;

export class Exchange {
  readonly context: TrafficContext;
  front: FrontStream | null;
  back: BackStream | null;
  route: HttpRoute | null;
  cluster: Cluster | null;
  backend: Backend | null;
  /** The request's head, as it goes to the backend. */
  readonly slot: HeadSlot;
  /** It was answered with a 101: two connections are a pipe now. */
  isTunnel: boolean;
  isHead: boolean;
  isIdempotent: boolean;
  hasRequestBody: boolean;
  /** The request's body has no known length. */
  isChunkedRequest: boolean;
  connectionAuth: boolean;
  /** What the client's sticky cookie says, null without one. */
  stickyId: string | null;
  /** Seconds that a local answer asks the client to wait, -1: none. */
  retryAfter: number;
  /** What HRW and MAGLEV choose by; only clusters that need one have it set. */
  affinityKey: number;
  /** The whole request was handed to the exchange. */
  requestDone: boolean;
  /** Body bytes were handed to a back stream: they cannot be had again. */
  bodyHanded: boolean;
  responseStarted: boolean;
  responseDone: boolean;
  status: number;
  /** The answer was made here. */
  isLocal: boolean;
  attempts: number;
  retried: boolean;
  interims: number;
  /** The wire error that ended it, for the answer's page; 0: none. */
  cause: number;
  /** Where a redirect leads; null: it is none. */
  location: string | null;
  note: number;
  /** CLOCK_MONOTONIC in microseconds; 0: not reached. */
  startUs: number;
  connectUs: number;
  responseEndUs: number;
  bytesIn: number;
  bytesOut: number;
  backBytesIn: number;
  backBytesOut: number;
  backRttUs: number;
  next: Exchange | null;
  readonly #pool: ExchangePool;

  constructor(pool: ExchangePool) {
    this.#pool = pool;
    this.context = pool.context;
    this.front = null;
    this.back = null;
    this.route = null;
    this.cluster = null;
    this.backend = null;
    this.slot = new HeadSlot(pool.context);
    this.isTunnel = false;
    this.isHead = false;
    this.isIdempotent = false;
    this.hasRequestBody = false;
    this.isChunkedRequest = false;
    this.connectionAuth = false;
    this.stickyId = null;
    this.retryAfter = -1;
    this.affinityKey = 0;
    this.requestDone = false;
    this.bodyHanded = false;
    this.responseStarted = false;
    this.responseDone = false;
    this.status = 0;
    this.isLocal = false;
    this.attempts = 0;
    this.retried = false;
    this.interims = 0;
    this.cause = 0;
    this.location = null;
    this.note = NOTE_COMPLETE;
    this.startUs = 0.5;
    this.connectUs = 0.5;
    this.responseEndUs = 0.5;
    this.bytesIn = 0.5;
    this.bytesOut = 0.5;
    this.backBytesIn = 0.5;
    this.backBytesOut = 0.5;
    this.backRttUs = -1;
    this.next = null;
    // The halves above told the compiler that these fields hold fractions.
    this.#reset();
  }

  /** What a sticky cluster's response must set the client's cookie to; null when there is nothing to set. */
  get newStickyId(): string | null {
    const config = this.cluster?.config;
    if (config === undefined || config === null || !config.stickySession || this.backend === null) return null;
    const id = this.backend.stickyId ?? this.backend.id;
    return id === this.stickyId ? null : id;
  }

  /** What the route does to the fields of a backend's response; null: nothing. */
  get responseEdits(): HeaderEdits | null {
    const { route } = this;
    return route === null || route.policy === null ? null : route.policy.response;
  }

  /** What its response says of Strict-Transport-Security (spec 5.11); null: nothing of ours. */
  get hsts(): HstsPolicy | null {
    const { route, front } = this;
    if (front === null || route === null || front.listener.tls === null) return null;
    return route.hsts ?? front.listener.tls.hsts;
  }

  /** It may be sent a second time without harm, and the whole of it is in the slot (decisions 19). */
  get isReplayable(): boolean {
    return this.isIdempotent && !this.hasRequestBody;
  }

  /** A complete and well-formed request head. Ends in a linked back stream or in a local answer. */
  open(front: FrontStream, route: HttpRoute | null, message: RequestMessage, base: number, startUs: number): void {
    this.front = front;
    this.route = route;
    this.startUs = startUs;
    this.hasRequestBody = message.hasBody;
    this.isChunkedRequest = message.hasBody && message.contentLength < 0;
    this.requestDone = !message.hasBody;
    this.connectionAuth = message.connectionAuth;
    this.context.stats.values[METRIC_HTTP_REQUESTS]++;
    if (this.context.overloaded) {
      shed(this);
      return;
    }
    const policy = route === null ? null : route.policy;
    const refusal = policy === null ? 0 : this.context.rewritten.render(policy, message, base);
    if (!this.#pool.encoder.encode(this, message, base)) {
      answerLocally(this, 503);
      return;
    }
    if (this.context.isOutOfBuffers) {
      answerLocally(this, 503);
      return;
    }
    if (route === null) {
      answerLocally(this, 404);
      return;
    }
    const cluster = route.cluster;
    this.cluster = cluster;
    if (policy !== null) {
      this.cause = refusal;
      const status = refusal === 0 ? decide(this, policy, message, base) : statusOf(refusal, false);
      if (status !== 0) {
        answerLocally(this, status);
        return;
      }
    }
    if (cluster === null) {
      answerLocally(this, statusWithoutCluster(route));
      return;
    }
    if (cluster.config?.httpsRedirect && front.listener.tls === null) {
      this.location = httpsLocation(this, cluster);
      answerLocally(this, 301);
      return;
    }
    if (!this.context.ipLimits.admits(front, cluster)) {
      refuseAddress(this, cluster);
      return;
    }
    if (cluster.needsKey) this.affinityKey = affinityKeyOf(this.context, cluster, front, message, base);
    this.#link(null);
  }

  /** A request that is refused before it has facts: malformed, too large, too slow. */
  refuse(front: FrontStream, status: number, cause: number, startUs: number, note: number): void {
    this.front = front;
    this.cause = cause;
    this.startUs = startUs;
    this.note = note;
    if (this.slot.at === -1) this.slot.take(0);
    answerLocally(this, status);
  }

  // ---- from the front stream

  requestBody(offset: number, length: number): void {
    this.bodyHanded = true;
    if (this.back !== null) this.back.sendBody(offset, length);
  }

  requestTrailers(head: Head, base: number): void {
    if (this.back === null || this.front === null) return;
    this.front.listener.tolerance?.checkTrailers(head, this.context.bytes, base);
    this.front.listener.tls?.clientFields?.apply(head, this.context.bytes, base);
    this.back.sendTrailers(head, base);
  }

  /** The request's body (and trailers) are over. */
  requestEnd(): void {
    this.requestDone = true;
    if (this.back !== null && this.hasRequestBody) this.back.sendEnd();
  }

  flushRequest(): void {
    if (this.back !== null) this.back.flush();
  }

  /** No connection to a backend is up yet (spec 5.1: the stream is not linked). */
  get isConnecting(): boolean {
    return this.back?.isConnecting === true;
  }

  /** Bytes of the request that have arrived at the backend's host; asked for at timeouts. */
  takenBytes(): number {
    return this.back === null ? 0 : this.back.takenBytes();
  }

  canTakeRequestBody(): boolean {
    return this.back?.canSend() === true;
  }

  /** The client took everything that was queued for it. */
  frontDrained(): void {
    if (this.responseDone) this.finish();
    else if (this.back !== null) this.back.resumeResponse();
  }

  /** The client is gone, or nothing more can be sent to it. */
  frontGone(note: number): void {
    this.note = note;
    this.#dropBack();
    this.finish();
  }

  /** The front stream waits no longer: the backend is let go and the client gets this status. */
  giveUp(status: number, cause: number, note: number): void {
    this.note = note;
    this.cause = cause;
    this.#dropBack();
    answerLocally(this, status);
  }

  // ---- from the back stream

  /** The connection is up and the queued head was written: more of the request may follow. */
  backWritable(): void {
    if (!this.requestDone && this.front !== null) this.front.resumeRequest();
  }

  responseInterim(message: ResponseMessage, base: number): boolean {
    if (++this.interims > INTERIM_MAX) return false;
    if (this.front !== null) this.front.sendInterim(message, base);
    return true;
  }

  responseHead(message: ResponseMessage, base: number): void {
    this.responseStarted = true;
    this.status = message.status;
    if (this.front !== null) this.front.sendHead(message, base);
  }

  /** RFC 9110 7.8: a 101 may only switch to a protocol that the client offered. */
  mayUpgrade(message: ResponseMessage, base: number): boolean {
    const { upgradeAt, upgradeLength } = this.slot;
    if (upgradeAt === -1 || !message.upgrade || this.front?.canUpgrade() !== true) return false;
    const { head } = message;
    const index = head.indexOf(UPGRADE);
    const start = base + head.valueStart(index);
    const end = base + head.valueEnd(index);
    return acceptsProtocol(this.context.bytes, start, end, upgradeAt, upgradeAt + upgradeLength);
  }

  /** The 101 is written: it gets its access line, and the pipe begins with all counts at zero (spec 5.4). */
  beginTunnel(back: Connection): void {
    const front = this.front;
    if (front === null) return;
    this.#noteBack();
    this.responseDone = true;
    this.responseEndUs = this.context.loop.nowUs;
    this.note = NOTE_UPGRADE;
    recordExchange(this, front);
    this.isTunnel = true;
    this.note = NOTE_TUNNEL_END;
    this.startUs = this.context.loop.nowUs;
    this.connectUs = this.startUs;
    this.bytesIn = 0;
    this.bytesOut = 0;
    this.backBytesIn = 0;
    this.backBytesOut = 0;
    this.#pool.tunnels++;
    front.beginTunnel(back);
  }

  responseBody(offset: number, length: number): void {
    if (this.front !== null) this.front.sendBody(offset, length);
  }

  responseTrailers(head: Head, base: number): void {
    if (this.front !== null) this.front.sendTrailers(head, base);
  }

  /** The response is complete and the back stream has let go of this exchange. */
  responseEnd(): void {
    this.responseDone = true;
    this.#noteBack();
    this.back = null;
    this.responseEndUs = this.context.loop.nowUs;
    if (this.front !== null) this.front.sendEnd();
  }

  /** Writes the response bytes of this event; ends the exchange when that was the last of them. */
  flushResponse(): void {
    const front = this.front;
    if (front === null) return;
    front.flush();
    if (this.front === front && this.responseDone && front.canSend()) this.finish();
  }

  canTakeResponse(): boolean {
    return this.front?.canSend() === true;
  }

  /**
   * The back stream is gone and has let go of this exchange. `queued`: bytes of the request that it never sent, complete
   * from the first one on, or null.
   */
  backLost(reason: number, queued: Outbox | null): void {
    const back = this.back;
    this.#noteBack();
    this.back = null;
    // A head that was decoded but not yet written can still be taken back (spec 5.2).
    if (this.responseStarted && this.bytesOut === 0) {
      this.context.toFront.reset();
      this.responseStarted = false;
      reason = LOST_MALFORMED;
    }
    if (this.responseStarted) {
      if (queued !== null) this.context.outboxes.give(queued);
      this.note = reason === LOST_TIMEOUT ? NOTE_BACKEND_RESPONSE_TIMEOUT : NOTE_BACKEND_CLOSED;
      if (this.front !== null) this.front.abort();
      return;
    }
    if (back !== null && this.#mayTryAgain(reason, back, queued)) {
      this.#link(queued);
      this.flushRequest();
      return;
    }
    if (queued !== null) this.context.outboxes.give(queued);
    if (reason === LOST_TIMEOUT) this.note = NOTE_BACKEND_TIMEOUT;
    answerLocally(this, statusOfLoss(reason));
  }

  // ---- the end

  /** Access line, counters, and everything goes back to where it was taken from. */
  finish(): void {
    const front = this.front;
    if (front === null) return;
    if (this.isTunnel) {
      this.#pool.tunnels--;
      recordTunnel(this, front);
    } else recordExchange(this, front);
    const complete = this.requestDone;
    this.front = null;
    this.slot.release();
    this.#reset();
    this.#pool.give(this);
    front.exchangeDone(complete);
  }

  /** Finds a backend and a connection; answers 503 when there is none. Takes ownership of `queued`. */
  #link(queued: Outbox | null): void {
    const context = this.context;
    const cluster = this.cluster as Cluster;
    while (this.attempts < ATTEMPTS_MAX) {
      this.attempts++;
      const backend =
        this.#stickyBackend(cluster) ?? cluster.pick(context.loop.nowMs, context.random, this.affinityKey);
      if (cluster.failOpen !== FAIL_OPEN_NO) noteFailOpen(context, cluster);
      if (backend === null) break;
      const back = this.#pool.connector.acquire(backend, this);
      if (back === null) continue;
      this.backend = backend;
      this.back = back;
      this.connectUs = context.loop.nowUs;
      if (queued === null) back.begin(this);
      else back.beginQueued(this, queued);
      return;
    }
    if (queued !== null) context.outboxes.give(queued);
    countUnlinked(this);
    answerLocally(this, 503);
  }

  /** The backend that the client's cookie names, if the cluster is sticky and it can be opened (spec 5.5). */
  #stickyBackend(cluster: Cluster): Backend | null {
    if (this.stickyId === null || cluster.config === null || !cluster.config.stickySession) return null;
    return cluster.pickSticky(this.stickyId, this.context.loop.nowMs);
  }

  /** A request of which nothing was sent, or one that may be replayed whole, once (decisions 19). */
  #mayTryAgain(reason: number, back: BackStream, queued: Outbox | null): boolean {
    if (reason === LOST_CONNECT) return queued !== null;
    if (reason === LOST_UNPROCESSED) return !this.bodyHanded;
    if (reason !== LOST_CLOSED) return false;
    if (back.sentBytes === 0 && queued !== null) return true;
    if (!back.reused || this.retried || !this.isReplayable) return false;
    this.retried = true;
    this.attempts--;
    return true;
  }

  #dropBack(): void {
    const back = this.back;
    if (back === null) return;
    this.#noteBack();
    this.back = null;
    back.cancel();
  }

  #noteBack(): void {
    const back = this.back;
    if (back === null || this.isTunnel) return;
    this.backBytesIn += back.receivedBytes;
    this.backBytesOut += back.sentBytes;
    this.backRttUs = back.rtt();
  }

  #reset(): void {
    this.back = null;
    this.route = null;
    this.cluster = null;
    this.backend = null;
    this.isTunnel = false;
    this.isHead = false;
    this.isIdempotent = false;
    this.hasRequestBody = false;
    this.isChunkedRequest = false;
    this.connectionAuth = false;
    this.stickyId = null;
    this.retryAfter = -1;
    this.affinityKey = 0;
    this.requestDone = false;
    this.bodyHanded = false;
    this.responseStarted = false;
    this.responseDone = false;
    this.status = 0;
    this.isLocal = false;
    this.attempts = 0;
    this.retried = false;
    this.interims = 0;
    this.cause = 0;
    this.location = null;
    this.note = NOTE_COMPLETE;
    this.connectUs = 0;
    this.responseEndUs = 0;
    this.bytesIn = 0;
    this.bytesOut = 0;
    this.backBytesIn = 0;
    this.backBytesOut = 0;
    this.backRttUs = -1;
  }
}

function statusOfLoss(reason: number): number {
  if (reason === LOST_TIMEOUT) return 504;
  if (reason === LOST_CONNECT || reason === LOST_BUFFERS) return 503;
  return 502;
}
