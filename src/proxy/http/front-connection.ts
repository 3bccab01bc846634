// The client's side of HTTP/1: one connection, one request at a time.
//
//   HEAD --head--> BODY --end--> WAIT --response over--> HEAD ...
//     |              |             |
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
} from "../../observe/metrics.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "../../os/epoll.ts";
import { EAGAIN } from "../../os/errno.ts";
import { recv, SHUT_WR, setLinger, shutdown, unsentBytes } from "../../os/sockets.ts";
import type { HostLeaf } from "../../routing/router.ts";
import { statusOf, WireError } from "../../wire/http1/errors.ts";
import type { Head } from "../../wire/http1/head.ts";
import type { RequestDecoder } from "../../wire/http1/request-decoder.ts";
import { Connection } from "../connection.ts";
import type { Exchange, FrontStream } from "../exchange.ts";
import {
  NOTE_CLIENT_TIMEOUT,
  NOTE_CLIENT_TIMEOUT_DURING_RESPONSE,
  NOTE_COMPLETE,
  NOTE_SESSION_CLOSE,
} from "../exchange.ts";
import type { HttpListener, HttpRoute } from "../http-listener.ts";
import type { Counted } from "../ip-limits.ts";
import type { ResponseMessage } from "../messages.ts";
import type { BodyReader } from "./body-reader.ts";
import { gatherChunk, gatherLastChunk } from "./chunks.ts";
import type { HttpContext } from "./http-context.ts";
import { encodeInterim, encodeResponseHead, encodeTrailers } from "./response-head.ts";

const HEAD = 0;
const BODY = 1;
const WAIT = 2;
const DRAIN = 3;
const CLOSING = 4;
const LINGER = 5;
const CLOSED = 6;

/** How a response body goes to this client. */
const FRAME_LENGTH = 0;
const FRAME_CHUNKED = 1;
const FRAME_UNTIL_CLOSE = 2;

/** Bytes of an unread body that are read and dropped to keep a connection after a local answer. */
const DRAIN_MAX = 64 * 1024;
/** After our side is shut: how long, and how many bytes, we wait for the client to read the answer and close. */
const LINGER_MS = 2000;
const LINGER_BYTES = 256 * 1024;
/** A body that moves fewer bytes than this in a whole timeout counts as stalled (slow-body clients). */
const PROGRESS_BYTES = 1024;
/** Reads of one event: then other connections get their turn. */
const READS_MAX = 16;
/** How long a connection without a request may still send one when the worker stops. */
const HURRY_MS = 500;

export class FrontConnection extends Connection implements FrontStream {
  readonly http: HttpContext;
  readonly listener: HttpListener;
  readonly record: number;
  counted: Counted | null;
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
  /** Held input: a pooled buffer (-1 none), filled up to `heldEnd`. */
  #held: number;
  #heldEnd: number;
  /** The decoder of an incomplete head; heads that come whole are read by a shared one. */
  #decoder: RequestDecoder | null;
  #served: boolean;
  /** Its time was cut short because the worker stops. */
  #hurried: boolean;
  #keepAlive: boolean;
  #isHttp10: boolean;
  #framing: number;
  #progress: number;
  /** Guards against `exchangeDone` re-entering the input loop. */
  #consuming: boolean;
  #lingered: number;
  /** Bytes that waited in the kernel at the last timeout, -1 when something was written since. */
  #unsent: number;

  constructor(http: HttpContext, listener: HttpListener, fd: number, record: number) {
    super(http.context, fd);
    this.http = http;
    this.listener = listener;
    this.record = record;
    this.counted = null;
    this.leaf = null;
    this.leafGeneration = -1;
    this.previous = null;
    this.following = null;
    this.#state = HEAD;
    this.#exchange = null;
    this.#body = null;
    this.#held = -1;
    this.#heldEnd = 0;
    this.#decoder = null;
    this.#served = false;
    this.#hurried = false;
    this.#keepAlive = true;
    this.#isHttp10 = false;
    this.#framing = FRAME_LENGTH;
    this.#progress = 0;
    this.#consuming = false;
    this.#lingered = 0;
    this.#unsent = -1;
  }

  /** No request is in flight and nothing was sent for one. */
  get isIdle(): boolean {
    return this.#state === HEAD && this.#exchange === null && this.outbox === null && this.#held === -1;
  }

  // ---- events

  override onReady(events: number): void {
    if (this.fd === -1) return;
    this.activeTick = this.context.loop.wheel.tick;
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
    const exchange = this.#exchange;
    switch (this.#state) {
      case HEAD:
        if (this.outbox !== null || this.#hurried || (this.#served && this.#decoder === null)) this.#close();
        else this.#refuse(408, 0, NOTE_CLIENT_TIMEOUT);
        return;
      case BODY:
      case WAIT:
        if (exchange === null || this.#takesBytes()) return;
        if (exchange.responseStarted || this.outbox !== null) this.#lost(NOTE_CLIENT_TIMEOUT_DURING_RESPONSE);
        else if (this.#state === BODY && exchange.canTakeRequestBody()) exchange.giveUp(408, 0, NOTE_CLIENT_TIMEOUT);
        else exchange.giveUp(504, 0, NOTE_CLIENT_TIMEOUT_DURING_RESPONSE);
        return;
      default:
        this.#close();
    }
  }

  /**
   * The socket becomes writable only when a third of its buffer is free, which a slow client may take long to drain. So
   * before it counts as stalled, the kernel is asked whether fewer bytes wait than at the last timeout.
   */
  #takesBytes(): boolean {
    if (this.outbox === null) return false;
    const unsent = unsentBytes(this.fd);
    const moves = this.#unsent === -1 || unsent < this.#unsent;
    this.#unsent = unsent;
    if (moves) this.context.loop.wheel.arm(this, this.listener.frontTimeoutMs);
    return moves;
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
    if (this.#held !== -1) {
      at = this.#held + this.#heldEnd;
      room = context.holdMax - this.#heldEnd;
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
    if (this.#held !== -1) {
      this.#heldEnd += n;
      this.#consumeHeld(n);
    } else {
      this.#consume(at, at, at + n);
    }
    return this.fd !== -1;
  }

  /** Bytes to read: what may be left of them, a request that came early, must fit into one buffer. */
  #roomFor(): number {
    const { readMax, holdMax } = this.context;
    if (this.#state === HEAD || this.#body === null) return holdMax;
    return Math.min(readMax, this.#body.remaining + holdMax);
  }

  #onEnd(isReset: boolean): void {
    this.readable = false;
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
    const end = this.#held + this.#heldEnd;
    this.#consume(this.#held, end - fresh, end);
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
      } else {
        next = end;
      }
      at = next;
      from = next;
    }
    this.#consuming = false;
    if (this.fd === -1) return;
    if (this.#state >= CLOSING) this.#releaseHeld();
    else this.#hold(at, end);
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
        this.context.loop.wheel.arm(this, this.listener.requestTimeoutMs);
      }
      return at;
    }
    this.#releaseDecoder();
    if (length <= 0 || length > limit) {
      const cause = length < 0 ? -length : WireError.HeadTooLarge;
      this.context.fault.note(true, at, end);
      this.#malformed(statusOf(cause, false), cause);
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
    this.#progress = 0;
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

  #hold(at: number, end: number): void {
    if (at === end) {
      this.#releaseHeld();
      return;
    }
    const { bytes, buffers } = this.context;
    if (this.#held === -1) {
      const buffer = end - at > this.context.holdMax ? -1 : buffers.take();
      if (buffer === -1) {
        this.#noBuffer();
        return;
      }
      bytes.copyWithin(buffer, at, end);
      this.#held = buffer;
    } else if (at > this.#held) {
      bytes.copyWithin(this.#held, at, end);
    }
    this.#heldEnd = end - at;
  }

  #releaseDecoder(): void {
    if (this.#decoder === null) return;
    this.http.decoders.giveRequest(this.#decoder);
    this.#decoder = null;
  }

  #releaseHeld(): void {
    if (this.#held === -1) return;
    this.context.buffers.give(this.#held);
    this.#held = -1;
    this.#heldEnd = 0;
  }

  /** The pool is at its ceiling (decisions 20): a new request gets 503, one in flight ends with a close. */
  #noBuffer(): void {
    this.#releaseDecoder();
    if (this.#exchange === null) this.#refuse(503, 0, NOTE_COMPLETE);
    else this.#keepAlive = false;
  }

  // ---- refusing

  #malformed(status: number, cause: number): void {
    const values = this.context.stats.values;
    values[METRIC_HTTP_FRONTEND_PARSE_ERRORS]++;
    values[METRIC_FRONTEND_PARSE_CAUSE + cause]++;
    this.#refuse(status, cause, NOTE_COMPLETE);
  }

  #refuse(status: number, cause: number, note: number): void {
    this.#keepAlive = false;
    this.#served = true;
    this.#releaseDecoder();
    this.#state = WAIT;
    const exchange = this.http.exchanges.take();
    this.#exchange = exchange;
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
    // RFC 9110 15.2: an HTTP/1.0 client knows no interim responses.
    if (!this.#isHttp10) encodeInterim(this.context, message, base);
  }

  sendHead(message: ResponseMessage, base: number): void {
    if (this.context.closing) this.#keepAlive = false;
    if (message.bodyKind === 0 || message.contentLength >= 0) {
      this.#framing = FRAME_LENGTH;
    } else if (this.#isHttp10) {
      this.#framing = FRAME_UNTIL_CLOSE;
      this.#keepAlive = false;
    } else {
      this.#framing = FRAME_CHUNKED;
    }
    const exchange = this.#exchange as Exchange;
    encodeResponseHead(this, exchange, message, base, this.#framing === FRAME_CHUNKED, this.#connectionOption());
  }

  /** What `Connection` must say: 0 nothing, 1 close, 2 keep-alive (HTTP/1.0, RFC 9112 9.3). */
  #connectionOption(): number {
    if (!this.#keepAlive) return 1;
    return this.#isHttp10 ? 2 : 0;
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
    return this.#body === null || this.#body.isShorterThan(DRAIN_MAX);
  }

  sendAnswer(end: number, close: boolean): void {
    if (close) this.#keepAlive = false;
    this.context.toFront.commit(end);
    this.flush();
  }

  resumeRequest(): void {
    if (this.readable && !this.#consuming) this.#read();
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
    if (this.context.closing && this.#held === -1) {
      this.#closeWhenWritten();
      return;
    }
    this.context.loop.wheel.arm(this, this.listener.frontTimeoutMs);
  }

  /** Goes on with input that came early. */
  #continue(): void {
    if (this.outbox !== null) return;
    if (this.#held !== -1) this.#consumeHeld(this.#heldEnd);
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
    this.#unsent = -1;
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
    if (!this.readable && this.#held === -1 && !this.#consuming) {
      this.#close();
      return;
    }
    this.#releaseHeldIfIdle();
    shutdown(this.fd, SHUT_WR);
    this.#state = LINGER;
    this.#lingered = 0;
    this.context.loop.wheel.arm(this, LINGER_MS);
    this.readable = true;
    this.context.loop.runLater(this);
  }

  #releaseHeldIfIdle(): void {
    if (!this.#consuming) this.#releaseHeld();
  }

  #lost(note: number = NOTE_SESSION_CLOSE): void {
    const exchange = this.#exchange;
    this.#close();
    if (exchange !== null) exchange.frontGone(note);
  }

  #close(): void {
    if (this.fd === -1) return;
    this.#releaseDecoder();
    this.#state = CLOSED;
    this.#endBody();
    this.#releaseHeld();
    this.closeSocket();
    this.listener.closed(this);
  }
}

/** Local answers after which the connection may live on (decisions 17). */
function keepsConnection(status: number): boolean {
  return (
    (status >= 300 && status < 400) ||
    status === 401 ||
    status === 404 ||
    status === 421 ||
    status === 429 ||
    status === 503
  );
}
