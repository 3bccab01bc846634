// The client's side of HTTP/1: one connection, one request at a time.
//
//   PROXY --PROXY protocol header, where the listener expects one--> HEAD
//   HEAD --head--> BODY --end--> WAIT --response over--> HEAD ...
//     |              |             |
//     |              |             `--101 that was asked for--> TUNNEL (tunnel.ts) --> CLOSED
//     |              `-------------+--local answer--> DRAIN (rest of the body is read and dropped) --> HEAD
//     `--malformed, close--> CLOSING (what is queued is written) --> LINGER (our side is shut) --> CLOSED
//
// Reads land in the loop's scratch memory and are consumed at once. What cannot be consumed (a head that is not complete,
// a request that came too early) is held in one pooled buffer; so is a decoder while a head or a body is incomplete. An
// idle connection has neither. While a response is awaited the client is not read: pipelined requests stay in the kernel
// apart from those that came with the last read.

import {
  METRIC_BYTES_IN,
  METRIC_FRONTEND_PARSE_CAUSE,
  METRIC_HTTP_EARLY_RESPONSE_CLOSE,
  METRIC_HTTP_FRONTEND_PARSE_ERRORS,
  METRIC_PROTOCOL_HTTP,
  METRIC_PROTOCOL_PROXY_EXPECT,
  METRIC_PROTOCOL_WS,
  METRIC_PROXY_PROTOCOL_ERRORS,
  METRIC_WEBSOCKET_ACTIVE_REQUESTS,
} from "../../observe/metrics.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "../../os/epoll.ts";
import { EAGAIN } from "../../os/errno.ts";
import { recv, SHUT_WR, setLinger, shutdown } from "../../os/sockets.ts";
import type { HostLeaf } from "../../routing/router.ts";
import { TARGET_MARKED } from "../../wire/http1/bytes.ts";
import { statusOf, WireError } from "../../wire/http1/errors.ts";
import type { Head } from "../../wire/http1/head.ts";
import { METHOD } from "../../wire/http1/methods.ts";
import type { RequestDecoder } from "../../wire/http1/request-decoder.ts";
import { MALFORMED } from "../../wire/proxy-protocol/decoder.ts";
import { Connection, PROGRESS_BYTES } from "../connection.ts";
import type { Exchange } from "../exchange.ts";
import type { HttpListener, HttpRoute } from "../http-listener.ts";
import type { Counted } from "../ip-limits.ts";
import { keepsConnection } from "../local-answer.ts";
import type { ResponseMessage } from "../messages.ts";
import {
  NOTE_CLIENT_TIMEOUT,
  NOTE_CLIENT_TIMEOUT_DURING_RESPONSE,
  NOTE_COMPLETE,
  NOTE_SESSION_CLOSE,
} from "../notes.ts";
import { type PublicPlace, placeOf } from "../public-place.ts";
import type { FrontStream } from "../streams.ts";
import type { BodyReader } from "./body-reader.ts";
import { gatherChunk, gatherLastChunk } from "./chunks.ts";
import type { HttpContext } from "./http-context.ts";
import {
  CONNECTION_CLOSES,
  CONNECTION_SILENT,
  CONNECTION_STAYS,
  CONNECTION_SWITCHES,
  encodeInterim,
  encodeResponseHead,
  encodeTrailers,
} from "./response-head.ts";
import { Tunnel } from "./tunnel.ts";

const PROXY = -1;
const HEAD = 0;
const BODY = 1;
const WAIT = 2;
const DRAIN = 3;
const CLOSING = 4;
const LINGER = 5;
const CLOSED = 6;
const TUNNEL = 7;

/** How a response body goes to this client. */
const FRAME_LENGTH = 0;
const FRAME_CHUNKED = 1;
const FRAME_UNTIL_CLOSE = 2;

/** Bytes of an unread body that are read and dropped to keep a connection after a local answer. */
const DRAIN_MAX = 64 * 1024;
/** After our side is shut: how long, and how many bytes, we wait for the client to read the answer and close. */
const LINGER_MS = 2000;
const LINGER_BYTES = 256 * 1024;
/** Reads of one event: then other connections get their turn. */
const READS_MAX = 16;
/** How long a connection without a request may still send one when the worker stops. */
const HURRY_MS = 500;
/** How long a PROXY protocol header may take at most (proxy-protocol.txt 2: at least 3 s). */
const PROXY_HEADER_MS_MAX = 5000;
/** A load balancer that checks our health sends a header without addresses and nothing more: it is closed in silence. */
const HEALTH_CHECK_MS = 1000;

export class FrontConnection extends Connection implements FrontStream {
  readonly http: HttpContext;
  readonly listener: HttpListener;
  readonly record: number;
  counted: Counted | null;
  /** The address that the client called: the listener's, or what its PROXY protocol header says. */
  place: PublicPlace;
  /** The gauge that counts it by protocol. */
  phase: number;
  /** Where the host of the last request led (valid for `leafGeneration`). */
  leaf: HostLeaf<HttpRoute> | null;
  leafGeneration: number;
  /** Intrusive list of all front connections, for soft stop. */
  previous: FrontConnection | null;
  following: FrontConnection | null;
  #state: number;
  #exchange: Exchange | null;
  /** Reads the body of the current request, or the trailers behind it; null when there is none. */
  #body: BodyReader | null;
  /** The decoder of an incomplete head; heads that come whole are read by a shared one. */
  #decoder: RequestDecoder | null;
  #served: boolean;
  /** Its time was cut short: the worker stops, or it may be a health check. It ends without a 408. */
  #hurried: boolean;
  /** The client waits for a 100 before it sends its body, and may never send it once it has a final answer. */
  #expects: boolean;
  #keepAlive: boolean;
  #isHttp10: boolean;
  #framing: number;
  #progress: number;
  /** Guards against `exchangeDone` re-entering the input loop. */
  #consuming: boolean;
  #lingered: number;
  /** Bytes of the request that had arrived at the backend at the last timeout. */
  #taken: number;

  constructor(http: HttpContext, listener: HttpListener, fd: number, record: number) {
    super(http.context, fd);
    this.http = http;
    this.listener = listener;
    this.record = record;
    this.counted = null;
    this.place = listener;
    this.phase = METRIC_PROTOCOL_HTTP;
    this.leaf = null;
    this.leafGeneration = -1;
    this.previous = null;
    this.following = null;
    this.#state = HEAD;
    this.#exchange = null;
    this.#body = null;
    this.#decoder = null;
    this.#served = false;
    this.#hurried = false;
    this.#expects = false;
    this.#keepAlive = true;
    this.#isHttp10 = false;
    this.#framing = FRAME_LENGTH;
    this.#progress = 0;
    this.#consuming = false;
    this.#lingered = 0;
    this.#taken = 0;
  }

  /** It is registered: the first request is awaited, or the header in front of it. */
  opened(): void {
    const { listener } = this;
    let timeoutMs = listener.requestTimeoutMs;
    if (listener.config.expectProxy) {
      this.#state = PROXY;
      this.phase = METRIC_PROTOCOL_PROXY_EXPECT;
      timeoutMs = timeoutMs > 0 ? Math.min(timeoutMs, PROXY_HEADER_MS_MAX) : PROXY_HEADER_MS_MAX;
    }
    this.context.stats.values[this.phase]++;
    this.context.loop.wheel.arm(this, timeoutMs);
  }

  /** No request is in flight and nothing was sent for one. */
  get isIdle(): boolean {
    return this.#state <= HEAD && this.#exchange === null && this.outbox === null && this.held === -1;
  }

  // ---- events

  override onReady(events: number): void {
    if (this.fd === -1) return;
    this.activeTick = this.context.loop.wheel.tick;
    if (this.tunnel !== null) {
      this.tunnel.ready(this, events);
      return;
    }
    if ((events & (EPOLLERR | EPOLLHUP)) !== 0) {
      this.#lost();
      return;
    }
    if ((events & EPOLLOUT) !== 0 && this.outbox !== null && !this.#drainOutbox()) return;
    if ((events & (EPOLLIN | EPOLLRDHUP)) !== 0) {
      this.readable = true;
      if ((events & EPOLLRDHUP) !== 0) this.peerClosed = true;
    }
    if (this.readable) this.#read();
  }

  override onTimeout(): void {
    if (this.tunnel !== null) {
      this.tunnel.onTimeout();
      return;
    }
    if (this.takesBytes()) {
      this.context.loop.wheel.arm(this, this.listener.frontTimeoutMs);
      return;
    }
    switch (this.#state) {
      case PROXY:
        this.#proxyFailed(this.held !== -1);
        return;
      case HEAD:
        if (this.outbox !== null || this.#hurried || (this.#served && this.#decoder === null)) this.#close();
        else this.#refuse(408, 0, NOTE_CLIENT_TIMEOUT, this.#decoder?.method === METHOD.HEAD);
        return;
      case BODY:
      case WAIT:
        if (this.#exchange !== null) this.#onStall(this.#exchange);
        return;
      default:
        this.#close();
    }
  }

  /** The request or its response has not moved for the whole timeout (spec 5.6). */
  #onStall(exchange: Exchange): void {
    if (exchange.responseStarted || this.outbox !== null) this.#lost(NOTE_CLIENT_TIMEOUT_DURING_RESPONSE);
    else if (exchange.isConnecting) exchange.giveUp(503, 0, NOTE_COMPLETE);
    else if (this.#backendTakes(exchange)) this.context.loop.wheel.arm(this, this.listener.frontTimeoutMs);
    else if (this.#state === BODY && exchange.canTakeRequestBody()) exchange.giveUp(408, 0, NOTE_CLIENT_TIMEOUT);
    else exchange.giveUp(504, 0, NOTE_CLIENT_TIMEOUT_DURING_RESPONSE);
  }

  /** The client cannot send because the backend takes the body slowly: that is the backend's time, as long as it moves. */
  #backendTakes(exchange: Exchange): boolean {
    if (exchange.canTakeRequestBody()) return false;
    const before = this.#taken;
    this.#taken = exchange.takenBytes();
    return this.#taken - before >= PROGRESS_BYTES;
  }

  /**
   * Soft stop: idle connections close now, others after their current request. A request that lies in the socket already
   * is still served, and a connection that was only just accepted gets a moment to send one.
   */
  stopSoftly(): void {
    if (!this.isIdle) return;
    this.readable = true;
    this.#read();
    if (!this.isIdle || this.readable || this.fd === -1) return;
    if (this.#served) {
      this.#close();
    } else if (!this.#hurried) {
      this.#hurried = true;
      this.context.loop.wheel.arm(this, HURRY_MS);
    }
  }

  stopNow(): void {
    this.#lost();
  }

  // ---- reading

  #read(): void {
    for (let reads = 0; this.readable && this.#wantsInput(); reads++) {
      if (reads === READS_MAX) {
        this.context.loop.runLater(this);
        return;
      }
      if (this.#state === BODY && !this.context.mayRead(this)) return;
      if (!this.#readOnce()) return;
    }
  }

  #wantsInput(): boolean {
    switch (this.#state) {
      case PROXY:
        return true;
      case HEAD:
        return this.outbox === null;
      case BODY:
        return this.#exchange?.canTakeRequestBody() === true;
      case DRAIN:
      case LINGER:
        return true;
      default:
        return false;
    }
  }

  /** One read and what follows from it. False when the connection is gone or at its end. */
  #readOnce(): boolean {
    const context = this.context;
    let at = context.scratch;
    let room = this.#roomFor();
    if (this.held !== -1) {
      at = this.held + this.heldEnd;
      room = context.holdMax - this.heldEnd;
    }
    const n = recv(this.fd, at, room);
    if (n <= 0) {
      if (n === -EAGAIN) {
        this.readable = false;
        return false;
      }
      this.#onEnd(n < 0);
      return false;
    }
    // A short read has emptied the socket: the next byte brings a new event. A FIN that is already known does not.
    if (n < room && !this.peerClosed) this.readable = false;
    context.stats.values[METRIC_BYTES_IN] += n;
    if (this.#state === LINGER) {
      this.#lingered += n;
      if (this.#lingered > LINGER_BYTES) this.#close();
      return this.fd !== -1;
    }
    if (this.held !== -1) {
      this.heldEnd += n;
      this.#consumeHeld(n);
    } else {
      this.#consume(at, at, at + n);
    }
    return this.fd !== -1;
  }

  /** Bytes to read: what may be left of them, a request that came early, must fit into one buffer. */
  #roomFor(): number {
    const { readMax, holdMax } = this.context;
    if (this.#state <= HEAD || this.#body === null) return holdMax;
    return Math.min(readMax, this.#body.remaining + holdMax);
  }

  #onEnd(isReset: boolean): void {
    this.readable = false;
    if (this.#state === PROXY) {
      this.#proxyFailed(this.held !== -1);
      return;
    }
    if (isReset || this.#state === HEAD || this.#state === BODY || this.#state >= DRAIN) {
      if (this.#state === CLOSING || (this.#state === HEAD && this.outbox !== null && !isReset)) {
        this.#state = CLOSING;
        return;
      }
      this.#lost();
      return;
    }
    // Half-closed while the response is awaited: it is still delivered (RFC 9112 9.6).
    this.#keepAlive = false;
  }

  #consumeHeld(fresh: number): void {
    const end = this.held + this.heldEnd;
    this.#consume(this.held, end - fresh, end);
  }

  /** Consumes [at, end), of which [from, end) was not seen before, and holds what is left. */
  #consume(at: number, from: number, end: number): void {
    this.#consuming = true;
    while (at < end && this.fd !== -1) {
      const state = this.#state;
      let next = at;
      if (state === HEAD) {
        if (this.outbox !== null) break;
        next = this.#consumeHead(at, from, end);
        if (next === at && this.#state === HEAD) break;
      } else if (state === BODY || state === DRAIN) {
        next = this.#consumeBody(at, end);
        if (next === at) break;
      } else if (state === WAIT) {
        break;
      } else if (state === PROXY) {
        next = this.#consumeProxy(at, end);
        if (next === at) break;
      } else {
        next = end;
      }
      at = next;
      from = next;
    }
    this.#consuming = false;
    if (this.fd === -1) return;
    if (this.#state >= CLOSING || at === end) this.releaseHeld();
    else if (!this.hold(at, end)) this.#noBuffer();
  }

  /** Spec 10.3. What stands behind the header is HTTP, whatever it looks like. */
  #consumeProxy(at: number, end: number): number {
    const { context } = this;
    const header = this.http.proxyHeader;
    const length = header.decode(context.bytes, at, end);
    if (length === 0) return at;
    if (length === MALFORMED) {
      this.#proxyFailed(true);
      return end;
    }
    this.#state = HEAD;
    context.stats.values[this.phase]--;
    this.phase = METRIC_PROTOCOL_HTTP;
    context.stats.values[this.phase]++;
    if (header.hasAddresses) {
      this.listener.nameClient(this.record, header.source);
      this.place = placeOf(header.destination);
    } else if (at + length === end) {
      this.#hurried = true;
    }
    context.loop.wheel.arm(this, this.#hurried ? HEALTH_CHECK_MS : this.listener.requestTimeoutMs);
    return at + length;
  }

  /** No answer: who sends no header is not a client of ours. */
  #proxyFailed(isError: boolean): void {
    if (isError) this.context.stats.values[METRIC_PROXY_PROTOCOL_ERRORS]++;
    this.#close();
  }

  #consumeHead(at: number, from: number, end: number): number {
    const { http } = this;
    const kept = this.#decoder;
    const decoder = kept ?? http.decoders.request;
    if (kept === null) decoder.reset();
    const length = decoder.decode(this.context.bytes, at, from, end);
    const limit = this.context.buffers.bufferSize;
    if (length === 0 && end - at < limit) {
      if (kept === null) {
        this.#decoder = http.decoders.keepRequest();
        // The time of the first head began with the connection.
        if (this.#served || this.#hurried) this.context.loop.wheel.arm(this, this.listener.requestTimeoutMs);
      }
      return at;
    }
    this.#releaseDecoder();
    const cause = this.#causeOf(length, decoder, at);
    if (cause !== 0) {
      this.context.fault.note(true, at, end);
      this.#malformed(statusOf(cause, false), cause, decoder.method === METHOD.HEAD);
      this.context.fault.forget();
      return end;
    }
    this.#served = true;
    this.#isHttp10 = decoder.versionMinor === 0;
    this.#keepAlive = decoder.keepAlive && !this.context.closing;
    if (decoder.hasBody) {
      this.#body = http.bodies.take();
      this.#body.begin(decoder.chunked, decoder.contentLength, true);
      this.#state = BODY;
    } else {
      this.#state = WAIT;
    }
    this.#expects = decoder.expectContinue && decoder.hasBody;
    this.#progress = 0;
    this.#taken = 0;
    this.context.loop.wheel.arm(this, this.listener.frontTimeoutMs);
    const exchange = http.exchanges.take();
    this.#exchange = exchange;
    exchange.bytesIn += length;
    const route = this.listener.routeFor(this, decoder, this.context.bytes, at);
    exchange.open(this, route, decoder, at, this.context.loop.nowUs);
    if (this.#state === WAIT) exchange.flushRequest();
    else if (at + length === end && this.#exchange === exchange) exchange.flushRequest();
    return at + length;
  }

  /** Why a head is refused: the decoder's error, its size, or what this listener does not tolerate; 0: it is not. */
  #causeOf(length: number, decoder: RequestDecoder, base: number): number {
    if (length < 0) return -length;
    if (length === 0 || length > this.context.buffers.bufferSize) return WireError.HeadTooLarge;
    const { tolerance } = this.listener;
    // Most paths hold neither a dot nor an escape: the decoder has seen that on its way.
    if (tolerance === null || (decoder.pathClasses < TARGET_MARKED && !tolerance.concernsNames)) return 0;
    const { bytes } = this.context;
    const pathEnd = decoder.queryStart === -1 ? decoder.pathEnd : decoder.queryStart;
    return tolerance.check(decoder.head, bytes, base, base + decoder.pathStart, base + pathEnd);
  }

  /** Forwards, or in DRAIN drops, what belongs to the body. Returns where it stopped. */
  #consumeBody(at: number, end: number): number {
    const exchange = this.#state === BODY ? this.#exchange : null;
    const body = this.#body as BodyReader;
    const result = body.read(this.context.bytes, at, end, exchange);
    if (result < 0) {
      if (exchange === null) this.#lost();
      else this.#badBody(exchange, -result);
      return end;
    }
    // Read now: the reader may serve another body before this method returns.
    const next = body.position;
    if (exchange !== null) {
      exchange.bytesIn += next - at;
      this.#expects = false;
      this.#made(next - at);
    }
    if (body.isDone) {
      this.#endBody();
      if (exchange !== null) {
        this.#state = WAIT;
        exchange.requestEnd();
      } else {
        this.#becomeIdle();
      }
    }
    if (exchange !== null && this.#exchange === exchange) exchange.flushRequest();
    return next;
  }

  #endBody(): void {
    if (this.#body === null) return;
    this.http.bodies.give(this.#body);
    this.#body = null;
  }

  /** Progress resets the timer, but only by the kilobyte: a byte now and then does not keep a connection. */
  #made(bytes: number): void {
    this.#progress += bytes;
    if (this.#progress < PROGRESS_BYTES) return;
    this.#progress = 0;
    this.context.loop.wheel.arm(this, this.listener.frontTimeoutMs);
  }

  #releaseDecoder(): void {
    if (this.#decoder === null) return;
    this.http.decoders.giveRequest(this.#decoder);
    this.#decoder = null;
  }

  /** The pool is at its ceiling (decisions 20): a new request gets 503, one in flight ends with a close. */
  #noBuffer(): void {
    this.#releaseDecoder();
    if (this.#exchange === null) this.#refuse(503, 0, NOTE_COMPLETE, false);
    else this.#keepAlive = false;
  }

  // ---- refusing

  #malformed(status: number, cause: number, isHead: boolean): void {
    const values = this.context.stats.values;
    values[METRIC_HTTP_FRONTEND_PARSE_ERRORS]++;
    values[METRIC_FRONTEND_PARSE_CAUSE + cause]++;
    this.#refuse(status, cause, NOTE_COMPLETE, isHead);
  }

  /** `isHead`: as far as the request was read it is a HEAD, whose answer has no body (RFC 9110 9.3.2). */
  #refuse(status: number, cause: number, note: number, isHead: boolean): void {
    this.#keepAlive = false;
    this.#served = true;
    this.#releaseDecoder();
    this.#state = WAIT;
    const exchange = this.http.exchanges.take();
    this.#exchange = exchange;
    exchange.isHead = isHead;
    exchange.refuse(this, status, cause, this.context.loop.nowUs, note);
  }

  #badBody(exchange: Exchange, cause: number): void {
    const values = this.context.stats.values;
    values[METRIC_HTTP_FRONTEND_PARSE_ERRORS]++;
    values[METRIC_FRONTEND_PARSE_CAUSE + cause]++;
    this.context.toBack.reset();
    this.#keepAlive = false;
    if (exchange.responseStarted) this.#lost(NOTE_SESSION_CLOSE);
    else exchange.giveUp(statusOf(cause, false), cause, NOTE_COMPLETE);
  }

  // ---- FrontStream

  canSend(): boolean {
    return this.outbox === null;
  }

  sendInterim(message: ResponseMessage, base: number): void {
    if (message.status === 100) this.#expects = false;
    // RFC 9110 15.2: an HTTP/1.0 client knows no interim responses.
    if (!this.#isHttp10) encodeInterim(this.context, message, base);
  }

  sendHead(message: ResponseMessage, base: number): void {
    if (this.context.closing || this.#willNotDrain()) this.#keepAlive = false;
    if (message.bodyKind === 0 || message.contentLength >= 0) {
      this.#framing = FRAME_LENGTH;
    } else if (this.#isHttp10) {
      this.#framing = FRAME_UNTIL_CLOSE;
      this.#keepAlive = false;
    } else {
      this.#framing = FRAME_CHUNKED;
    }
    const exchange = this.#exchange as Exchange;
    const option = message.status === 101 ? CONNECTION_SWITCHES : this.#connectionOption();
    encodeResponseHead(this, exchange, message, base, this.#framing === FRAME_CHUNKED, option);
  }

  /** What `Connection` must say; HTTP/1.0 clients are told that it stays (RFC 9112 9.3). */
  #connectionOption(): number {
    if (!this.#keepAlive) return CONNECTION_CLOSES;
    return this.#isHttp10 ? CONNECTION_STAYS : CONNECTION_SILENT;
  }

  /**
   * The answer comes before the end of a request whose rest is too long to be read and dropped, or may never come: who
   * expected a 100 and gets a final answer may send the next request instead of the body (RFC 9110 10.1.1).
   */
  #willNotDrain(): boolean {
    return this.#body !== null && (this.#expects || !this.#body.isShorterThan(DRAIN_MAX));
  }

  sendBody(offset: number, length: number): void {
    const gather = this.context.toFront;
    if (this.#framing === FRAME_CHUNKED) gatherChunk(gather, this.context.bytes, offset, length);
    else gather.add(offset, length);
  }

  sendTrailers(head: Head, base: number): void {
    if (this.#framing !== FRAME_CHUNKED) return;
    encodeTrailers(this.context.toFront, this.context.bytes, head, base);
    this.#framing = FRAME_LENGTH;
  }

  sendEnd(): void {
    if (this.#framing === FRAME_CHUNKED) gatherLastChunk(this.context.toFront, this.context.bytes);
  }

  flush(): void {
    const gather = this.context.toFront;
    if (gather.total === 0) return;
    const total = gather.total;
    const exchange = this.#exchange as Exchange;
    const written = this.writeGather(gather, true);
    if (written < 0) {
      this.#lost();
      return;
    }
    exchange.bytesOut += total;
    this.activeTick = this.context.loop.wheel.tick;
    // What the client took at once is progress, however little: an event stream may be slow.
    // (At the end of a response the connection becomes idle, which arms it anew.)
    if (this.outbox === null && !exchange.responseDone) this.context.loop.wheel.arm(this, this.listener.frontTimeoutMs);
  }

  mayKeepAlive(status: number): boolean {
    if (!this.#keepAlive || this.context.closing || !keepsConnection(status)) return false;
    return !this.#willNotDrain();
  }

  sendAnswer(end: number, close: boolean): void {
    if (close) this.#keepAlive = false;
    this.context.toFront.commit(end);
    this.flush();
  }

  resumeRequest(): void {
    if (this.readable && !this.#consuming) this.#read();
  }

  canUpgrade(): boolean {
    return this.#state === WAIT && !this.#consuming && this.fd !== -1;
  }

  beginTunnel(back: Connection): void {
    const { context, listener } = this;
    const { values } = context.stats;
    values[this.phase]--;
    this.phase = METRIC_PROTOCOL_WS;
    values[this.phase]++;
    values[METRIC_WEBSOCKET_ACTIVE_REQUESTS]++;
    this.#state = TUNNEL;
    const { frontTimeoutMs, backTimeoutMs } = listener;
    const shorter = Math.min(frontTimeoutMs, backTimeoutMs);
    const tunnel = new Tunnel(
      this.#exchange as Exchange,
      this,
      back,
      shorter > 0 ? shorter : frontTimeoutMs + backTimeoutMs,
    );
    const early = this.held;
    const length = early === -1 ? 0 : this.heldEnd;
    this.held = -1;
    this.heldEnd = 0;
    tunnel.start(early, length);
    if (early !== -1) context.buffers.give(early);
  }

  /** The tunnel is over, for whatever reason. */
  endTunnel(note: number): void {
    this.#lost(note);
  }

  /** The same, but what the kernel holds for the client is still delivered. */
  endTunnelGently(note: number): void {
    this.tunnel = null;
    this.context.stats.values[METRIC_WEBSOCKET_ACTIVE_REQUESTS]--;
    this.#state = WAIT;
    this.#keepAlive = false;
    (this.#exchange as Exchange).frontGone(note);
  }

  abort(): void {
    this.#keepAlive = false;
    const exchange = this.#exchange;
    this.flush();
    if (this.#exchange !== exchange || exchange === null) return;
    // Where the end of the connection ends the body, only a reset shows that it was cut (RFC 9112 8).
    if (this.#framing === FRAME_UNTIL_CLOSE) {
      setLinger(this.fd, 0);
      this.#lost(exchange.note);
    } else exchange.finish();
  }

  exchangeDone(complete: boolean): void {
    this.#exchange = null;
    if (this.fd === -1) return;
    if (!complete && this.#keepAlive && this.#body?.isShorterThan(DRAIN_MAX)) {
      this.#state = DRAIN;
    } else if (!this.#keepAlive || !complete) {
      if (!complete && this.#state === BODY) this.context.stats.values[METRIC_HTTP_EARLY_RESPONSE_CLOSE]++;
      this.#closeWhenWritten();
      return;
    } else {
      this.#becomeIdle();
    }
    if (!this.#consuming) this.#continue();
  }

  #becomeIdle(): void {
    this.#state = HEAD;
    if (this.context.closing && this.held === -1) {
      this.#closeWhenWritten();
      return;
    }
    this.context.loop.wheel.arm(this, this.listener.frontTimeoutMs);
  }

  /** Goes on with input that came early. */
  #continue(): void {
    if (this.outbox !== null) return;
    if (this.held !== -1) this.#consumeHeld(this.heldEnd);
    if (this.readable && this.fd !== -1) this.#read();
  }

  // ---- writing and closing

  /** Writes what is queued. False when the connection is gone. */
  #drainOutbox(): boolean {
    const result = this.flushOutbox();
    if (result < 0) {
      this.#lost();
      return false;
    }
    this.context.loop.wheel.arm(this, this.listener.frontTimeoutMs);
    if (result === 0) return true;
    if (this.#state === CLOSING) {
      this.#shut();
      return this.fd !== -1;
    }
    if (this.#exchange !== null) this.#exchange.frontDrained();
    else this.#continue();
    return this.fd !== -1;
  }

  #closeWhenWritten(): void {
    this.#state = CLOSING;
    this.#endBody();
    if (this.outbox === null) this.#shut();
    else this.context.loop.wheel.arm(this, this.listener.frontTimeoutMs);
  }

  /**
   * RFC 9112 9.6: closing a socket with unread bytes resets it, and the reset may destroy the answer on its way. So unless
   * everything was read, only our side is shut and the rest is read for a while.
   */
  #shut(): void {
    if (!this.readable && this.held === -1 && !this.#consuming) {
      this.#close();
      return;
    }
    if (!this.#consuming) this.releaseHeld();
    shutdown(this.fd, SHUT_WR);
    this.#state = LINGER;
    this.#lingered = 0;
    this.context.loop.wheel.arm(this, LINGER_MS);
    this.readable = true;
    this.context.loop.runLater(this);
  }

  #lost(note: number = NOTE_SESSION_CLOSE): void {
    const exchange = this.#exchange;
    this.#close();
    if (exchange !== null) exchange.frontGone(note);
  }

  #close(): void {
    if (this.fd === -1) return;
    this.#releaseDecoder();
    if (this.#state === TUNNEL) this.context.stats.values[METRIC_WEBSOCKET_ACTIVE_REQUESTS]--;
    this.#state = CLOSED;
    this.#endBody();
    this.releaseHeld();
    this.closeSocket();
    this.listener.closed(this);
  }
}
