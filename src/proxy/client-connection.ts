// A client's connection around its protocol: who the client is, how the connection begins and ends, and when it reads.
//
//   PREFACE --PROXY protocol header, where the listener expects one--> HANDSHAKE or OPEN
//   HANDSHAKE --TLS is agreed, where the listener speaks it (tls/handshakes.ts)--> OPEN
//   OPEN: the protocol's own states, or a tunnel
//   OPEN --> ENDING (what is queued is written) --> LINGER (our side is shut) --> CLOSED
//
// Reads land in the loop's scratch memory and are consumed at once. What the protocol cannot consume (a head that is not
// complete, a request that came too early) is held in one pooled buffer; an idle connection has none.

import {
  METRIC_BYTES_IN,
  METRIC_PROTOCOL_HTTP,
  METRIC_PROTOCOL_PROXY_EXPECT,
  METRIC_PROXY_PROTOCOL_ERRORS,
} from "../observe/metrics.ts";
import { METRIC_PROTOCOL_HTTPS, METRIC_PROTOCOL_TLS_HANDSHAKE } from "../observe/metrics-tls.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "../os/epoll.ts";
import { EAGAIN } from "../os/errno.ts";
import { MALFORMED } from "../wire/proxy-protocol/decoder.ts";
import { Connection } from "./connection.ts";
import type { HttpContext } from "./http/http-context.ts";
import type { HttpListener } from "./http-listener.ts";
import type { Countable, Counted } from "./ip-limits.ts";
import { NOTE_SESSION_CLOSE } from "./notes.ts";
import { type PublicPlace, placeOf } from "./public-place.ts";
import { FAILED_RESET, FAILED_TIMEOUT } from "./tls/failures.ts";
import type { Secured } from "./tls/secured.ts";

const PREFACE = 0;
const HANDSHAKE = 1;
const OPEN = 2;
const ENDING = 3;
const LINGER = 4;
const CLOSED = 5;

/** After our side is shut: how long, and how many bytes, we wait for the client to read the answer and close. */
const LINGER_MS = 2000;
const LINGER_BYTES = 256 * 1024;
/** Reads of one event: then other connections get their turn. */
const READS_MAX = 16;
/** How long a PROXY protocol header may take at most (proxy-protocol.txt 2: at least 3 s). */
const PROXY_HEADER_MS_MAX = 5000;
/** A load balancer that checks our health sends a header without addresses and nothing more: it is closed in silence. */
const HEALTH_CHECK_MS = 1000;

export abstract class ClientConnection extends Connection implements Countable {
  readonly http: HttpContext;
  readonly listener: HttpListener;
  readonly record: number;
  counted: Counted | null;
  /** The address that the client called: the listener's, or what its PROXY protocol header says. */
  place: PublicPlace;
  /** The gauge that counts it by protocol. */
  phase: number;
  /** What was agreed by TLS; null: nothing yet, or the listener speaks plainly. */
  secured: Secured | null;
  /** Intrusive list of a listener's connections. */
  previous: ClientConnection | null;
  following: ClientConnection | null;
  /** Its time was cut short: the worker stops, or it may be a health check. It ends without a 408. */
  protected hurried: boolean;
  /** Input is being consumed: what is held is in use, and the loop that consumes goes on by itself. */
  protected consuming: boolean;
  #stage: number;
  #lingered: number;

  constructor(http: HttpContext, listener: HttpListener, fd: number, record: number) {
    super(http.context, fd);
    this.http = http;
    this.listener = listener;
    this.record = record;
    this.counted = null;
    this.place = listener;
    this.phase = METRIC_PROTOCOL_HTTP;
    this.secured = null;
    this.previous = null;
    this.following = null;
    this.hurried = false;
    this.consuming = false;
    this.#stage = OPEN;
    this.#lingered = 0;
  }

  // ---- what a protocol adds

  /** No request is in flight and nothing was sent for one. */
  abstract get isIdle(): boolean;
  /** Soft stop: an idle connection closes now, another one after its current request. */
  abstract stopSoftly(): void;
  /** The connection failed or must not go on: closes it and lets go of what depends on it. */
  protected abstract lost(note: number): void;
  protected abstract wantsInput(): boolean;
  /** Bytes to read: what may be left of them must fit into one buffer. */
  protected abstract roomFor(): number;
  /** Consumes what it can of [at, end), of which [from, end) was not seen before. Returns where it stopped. */
  protected abstract consume(at: number, from: number, end: number): number;
  /** No buffer is free for the input that was left. */
  protected abstract noBuffer(): void;
  /** The client sends no more: a FIN, or a reset. */
  protected abstract inputEnded(isReset: boolean): void;
  /** What was queued is written. */
  protected abstract drained(): void;
  /** The timer has run out, and the client took nothing of what is queued for it. */
  protected abstract stalled(): void;
  /** Gives back what unfinished input holds beside the held buffer. */
  protected abstract dropInput(): void;

  // ---- the beginning

  /** It is registered: the first request is awaited, or the header in front of it. */
  opened(): void {
    const { listener } = this;
    let timeoutMs = listener.requestTimeoutMs;
    if (listener.config.expectProxy) {
      this.#stage = PREFACE;
      this.phase = METRIC_PROTOCOL_PROXY_EXPECT;
      timeoutMs = timeoutMs > 0 ? Math.min(timeoutMs, PROXY_HEADER_MS_MAX) : PROXY_HEADER_MS_MAX;
    } else if (listener.tls !== null) {
      this.#stage = HANDSHAKE;
      this.phase = METRIC_PROTOCOL_TLS_HANDSHAKE;
    }
    this.context.stats.values[this.phase]++;
    this.context.loop.wheel.arm(this, timeoutMs);
  }

  /** Spec 10.3. What stands behind the header is HTTP or TLS, whatever it looks like. */
  #consumePreface(at: number, end: number): number {
    const { context } = this;
    const header = this.http.proxyHeader;
    const length = header.decode(context.bytes, at, end);
    if (length === 0) return at;
    if (length === MALFORMED) {
      this.#prefaceFailed(true);
      return end;
    }
    const isSecure = this.listener.tls !== null;
    this.#stage = isSecure ? HANDSHAKE : OPEN;
    this.enter(isSecure ? METRIC_PROTOCOL_TLS_HANDSHAKE : METRIC_PROTOCOL_HTTP);
    if (header.hasAddresses) {
      this.listener.nameClient(this.record, header.source);
      this.place = placeOf(header.destination);
    } else if (at + length === end) {
      this.hurried = true;
    }
    context.loop.wheel.arm(this, this.hurried ? HEALTH_CHECK_MS : this.listener.requestTimeoutMs);
    if (!isSecure) return at + length;
    // The rest is the beginning of TLS: its session takes it over.
    if (at + length < end || this.peerClosed) this.http.handshakes.begin(this, at + length, end);
    return end;
  }

  // ---- TLS

  get isShakingHands(): boolean {
    return this.#stage === HANDSHAKE;
  }

  /** TLS is agreed: the protocol begins. */
  handshakeDone(): void {
    this.#stage = OPEN;
    this.enter(METRIC_PROTOCOL_HTTPS);
    this.readable = true;
    this.read();
  }

  /** It has failed; an alert was sent where one is due. */
  handshakeFailed(): void {
    this.close();
  }

  #onHandshake(events: number): void {
    if ((events & EPOLLRDHUP) !== 0) this.peerClosed = true;
    const { handshakes } = this.http;
    if ((events & (EPOLLERR | EPOLLHUP)) !== 0) handshakes.failed(this, FAILED_RESET);
    else if (this.tls !== -1) handshakes.goOn(this);
    else if ((events & (EPOLLIN | EPOLLRDHUP)) !== 0) handshakes.begin(this, 0, 0);
  }

  /** No answer: who sends no header is not a client of ours. */
  #prefaceFailed(isError: boolean): void {
    if (isError) this.context.stats.values[METRIC_PROXY_PROTOCOL_ERRORS]++;
    this.close();
  }

  /** From now on another gauge counts it. */
  protected enter(phase: number): void {
    const { values } = this.context.stats;
    values[this.phase]--;
    this.phase = phase;
    values[phase]++;
  }

  // ---- events

  override onReady(events: number): void {
    if (this.fd === -1) return;
    this.activeTick = this.context.loop.wheel.tick;
    if (this.tunnel !== null) {
      this.tunnel.ready(this, events);
      return;
    }
    if (this.#stage === HANDSHAKE) {
      this.#onHandshake(events);
      return;
    }
    if ((events & (EPOLLERR | EPOLLHUP)) !== 0) {
      this.lost(NOTE_SESSION_CLOSE);
      return;
    }
    if ((events & EPOLLOUT) !== 0 && this.outbox !== null && !this.#drainOutbox()) return;
    if ((events & (EPOLLIN | EPOLLRDHUP)) !== 0) {
      this.readable = true;
      if ((events & EPOLLRDHUP) !== 0) this.peerClosed = true;
    } else if (this.tls !== -1 && (events & EPOLLOUT) !== 0) this.readable = true;
    if (this.readable) this.read();
  }

  override onTimeout(): void {
    if (this.tunnel !== null) this.tunnel.onTimeout();
    else if (this.takesBytes()) this.context.loop.wheel.arm(this, this.listener.frontTimeoutMs);
    else if (this.#stage === PREFACE) this.#prefaceFailed(this.held !== -1);
    else if (this.#stage === HANDSHAKE) this.http.handshakes.failed(this, FAILED_TIMEOUT);
    else if (this.#stage === OPEN) this.stalled();
    else this.close();
  }

  stopNow(): void {
    this.lost(NOTE_SESSION_CLOSE);
  }

  // ---- reading

  /** Nothing is consumed any more. */
  protected get isEnding(): boolean {
    return this.#stage > OPEN;
  }

  protected read(): void {
    for (let reads = 0; this.readable && this.#mayRead(); reads++) {
      if (reads === READS_MAX) {
        this.context.loop.runLater(this);
        return;
      }
      if (!this.#readOnce()) return;
    }
  }

  #mayRead(): boolean {
    if (this.#stage === OPEN) return this.wantsInput();
    return this.#stage !== ENDING && this.#stage !== HANDSHAKE;
  }

  /** One read and what follows from it. False when the connection is gone or at its end. */
  #readOnce(): boolean {
    const context = this.context;
    let at = context.scratch;
    let room = this.#stage === OPEN ? this.roomFor() : context.holdMax;
    if (this.held !== -1) {
      at = this.held + this.heldEnd;
      room = context.holdMax - this.heldEnd;
    }
    const n = this.receive(at, room);
    if (n <= 0) {
      if (n !== -EAGAIN) this.#onEnd(n < 0);
      return false;
    }
    context.stats.values[METRIC_BYTES_IN] += n;
    if (this.#stage === LINGER) {
      this.#lingered += n;
      if (this.#lingered > LINGER_BYTES) this.close();
    } else if (this.held !== -1) {
      this.heldEnd += n;
      this.#consumeHeld(n);
    } else {
      this.#consume(at, at, at + n);
    }
    return this.fd !== -1;
  }

  #onEnd(isReset: boolean): void {
    if (this.#stage === OPEN) this.inputEnded(isReset);
    else if (this.#stage === PREFACE) this.#prefaceFailed(this.held !== -1);
    else this.close();
  }

  /** Goes on with input that came early. */
  protected goOn(): void {
    if (this.outbox !== null) return;
    if (this.held !== -1) this.#consumeHeld(this.heldEnd);
    if (this.readable && this.fd !== -1) this.read();
  }

  #consumeHeld(fresh: number): void {
    const end = this.held + this.heldEnd;
    this.#consume(this.held, end - fresh, end);
  }

  /** Consumes [at, end), of which [from, end) was not seen before, and holds what is left. */
  #consume(at: number, from: number, end: number): void {
    this.consuming = true;
    if (this.#stage === PREFACE) {
      at = this.#consumePreface(at, end);
      from = at;
    }
    if (this.#stage === OPEN) at = this.consume(at, from, end);
    this.consuming = false;
    if (this.fd === -1) return;
    if (this.isEnding || at === end) this.releaseHeld();
    else if (!this.hold(at, end)) this.noBuffer();
  }

  // ---- the end

  /** Writes what is queued. False when the connection is gone. */
  #drainOutbox(): boolean {
    const result = this.flushOutbox();
    if (result < 0) {
      this.lost(NOTE_SESSION_CLOSE);
      return false;
    }
    this.context.loop.wheel.arm(this, this.listener.frontTimeoutMs);
    if (result === 0) return true;
    if (this.#stage === OPEN) this.drained();
    else this.#shut();
    return this.fd !== -1;
  }

  protected closeWhenWritten(): void {
    this.#stage = ENDING;
    this.dropInput();
    if (this.outbox === null) this.#shut();
    else this.context.loop.wheel.arm(this, this.listener.frontTimeoutMs);
  }

  /**
   * RFC 9112 9.6: closing a socket with unread bytes resets it, and the reset may destroy the answer on its way. So unless
   * everything was read, only our side is shut and the rest is read for a while.
   */
  #shut(): void {
    if (!this.readable && this.held === -1 && !this.consuming) {
      this.endSealed();
      this.close();
      return;
    }
    if (!this.consuming) this.releaseHeld();
    this.endOutput();
    this.#stage = LINGER;
    this.context.loop.wheel.arm(this, LINGER_MS);
    this.readable = true;
    this.context.loop.runLater(this);
  }

  /** At once. Calling it again does nothing. */
  protected close(): void {
    if (this.fd === -1) return;
    if (this.#stage === HANDSHAKE) this.http.handshakes.forget(this);
    this.#stage = CLOSED;
    this.dropInput();
    this.releaseHeld();
    this.closeSocket();
    this.listener.closed(this);
  }
}
