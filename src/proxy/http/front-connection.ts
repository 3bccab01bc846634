// HTTP/1 with a client: one request at a time.
//
//   HEAD --head--> BODY --end--> WAIT --response over--> HEAD ...
//     |              |             |
//     |              |             `--101 that was asked for--> a tunnel (tunnel.ts), until the end
//     |              `-------------+--local answer--> DRAIN (rest of the body is read and dropped) --> HEAD
//     `--malformed, close--> the end (client-connection.ts)
//
// A decoder is kept while a head is incomplete, a body reader while a body is; an idle connection has neither. While a
// response is awaited the client is not read: pipelined requests stay in the kernel apart from those that came with the
// last read.

import {
  METRIC_FRONTEND_PARSE_CAUSE,
  METRIC_HTTP_EARLY_RESPONSE_CLOSE,
  METRIC_HTTP_FRONTEND_PARSE_ERRORS,
  METRIC_PROTOCOL_WS,
  METRIC_WEBSOCKET_ACTIVE_REQUESTS,
} from "../../observe/metrics.ts";
import { METRIC_PROTOCOL_WSS } from "../../observe/metrics-tls.ts";
import { setLinger } from "../../os/sockets.ts";
import type { HostLeaf } from "../../routing/router.ts";
import { statusOf, WireError } from "../../wire/http1/errors.ts";
import type { Head } from "../../wire/http1/head.ts";
import { METHOD } from "../../wire/http1/methods.ts";
import type { RequestDecoder } from "../../wire/http1/request-decoder.ts";
import { ClientConnection } from "../client-connection.ts";
import { type Connection, PROGRESS_BYTES } from "../connection.ts";
import type { Exchange } from "../exchange.ts";
import type { HttpListener, HttpRoute } from "../http-listener.ts";
import { keepsConnection } from "../local-answer.ts";
import type { ResponseMessage } from "../messages.ts";
import {
  NOTE_CLIENT_TIMEOUT,
  NOTE_CLIENT_TIMEOUT_DURING_RESPONSE,
  NOTE_COMPLETE,
  NOTE_SESSION_CLOSE,
} from "../notes.ts";
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

const HEAD = 0;
const BODY = 1;
const WAIT = 2;
const DRAIN = 3;

/** How a response body goes to this client. */
const FRAME_LENGTH = 0;
const FRAME_CHUNKED = 1;
const FRAME_UNTIL_CLOSE = 2;

/** Bytes of an unread body that are read and dropped to keep a connection after a local answer. */
const DRAIN_MAX = 64 * 1024;
/** How long a connection without a request may still send one when the worker stops. */
const HURRY_MS = 500;

export class FrontConnection extends ClientConnection implements FrontStream {
  /** Where the host of the last request led (valid for `leafGeneration`). */
  leaf: HostLeaf<HttpRoute> | null;
  leafGeneration: number;
  #state: number;
  #exchange: Exchange | null;
  /** Reads the body of the current request, or the trailers behind it; null when there is none. */
  #body: BodyReader | null;
  /** The decoder of an incomplete head; heads that come whole are read by a shared one. */
  #decoder: RequestDecoder | null;
  #served: boolean;
  /** The client waits for a 100 before it sends its body, and may never send it once it has a final answer. */
  #expects: boolean;
  #keepAlive: boolean;
  #isHttp10: boolean;
  #framing: number;
  #progress: number;
  /** Bytes of the request that had arrived at the backend at the last timeout. */
  #taken: number;

  constructor(http: HttpContext, listener: HttpListener, fd: number, record: number) {
    super(http, listener, fd, record);
    this.leaf = null;
    this.leafGeneration = -1;
    this.#state = HEAD;
    this.#exchange = null;
    this.#body = null;
    this.#decoder = null;
    this.#served = false;
    this.#expects = false;
    this.#keepAlive = true;
    this.#isHttp10 = false;
    this.#framing = FRAME_LENGTH;
    this.#progress = 0;
    this.#taken = 0;
  }

  override get isIdle(): boolean {
    return (
      this.#state === HEAD && !this.isEnding && this.#exchange === null && this.outbox === null && this.held === -1
    );
  }

  // ---- time

  protected override stalled(): void {
    if (this.#exchange !== null) this.#onStall(this.#exchange);
    else if (this.#state !== HEAD || this.outbox !== null || this.hurried || (this.#served && this.#decoder === null)) {
      this.close();
    } else this.#refuse(408, 0, NOTE_CLIENT_TIMEOUT, this.#decoder?.method === METHOD.HEAD);
  }

  /** The request or its response has not moved for the whole timeout (spec 5.6). */
  #onStall(exchange: Exchange): void {
    if (exchange.responseStarted || this.outbox !== null) this.lost(NOTE_CLIENT_TIMEOUT_DURING_RESPONSE);
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
   * A request that lies in the socket already is still served, and a connection that was only just accepted gets a moment
   * to send one.
   */
  override stopSoftly(): void {
    if (!this.isIdle) return;
    this.readable = true;
    this.read();
    if (!this.isIdle || this.readable || this.fd === -1) return;
    if (this.#served) {
      this.close();
    } else if (!this.hurried) {
      this.hurried = true;
      this.context.loop.wheel.arm(this, HURRY_MS);
    }
  }

  // ---- reading

  protected override wantsInput(): boolean {
    switch (this.#state) {
      case HEAD:
        return this.outbox === null;
      case BODY:
        return this.#exchange?.canTakeRequestBody() === true && this.context.mayRead(this);
      case DRAIN:
        return true;
      default:
        return false;
    }
  }

  /** What may be left of a read is a request that came early. */
  protected override roomFor(): number {
    const { readMax, holdMax } = this.context;
    if (this.#state === HEAD || this.#body === null) return holdMax;
    return Math.min(readMax, this.#body.remaining + holdMax);
  }

  protected override inputEnded(isReset: boolean): void {
    // Half-closed while the response is awaited: it is still delivered (RFC 9112 9.6).
    if (this.#state === WAIT && !isReset) this.#keepAlive = false;
    else if (this.#state === HEAD && this.outbox !== null && !isReset) this.closeWhenWritten();
    else this.lost();
  }

  protected override consume(at: number, from: number, end: number): number {
    while (at < end && !this.isEnding) {
      const state = this.#state;
      let next = at;
      if (state === HEAD) {
        if (this.outbox === null) next = this.#consumeHead(at, from, end);
      } else if (state !== WAIT) {
        next = this.#consumeBody(at, end);
      }
      if (next === at) break;
      at = next;
      from = next;
    }
    return at;
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
        if (this.#served || this.hurried) this.context.loop.wheel.arm(this, this.listener.requestTimeoutMs);
      }
      return at;
    }
    this.#releaseDecoder();
    const cause = this.#causeOf(length, decoder, at);
    if (cause !== 0) {
      this.context.fault.note(true, at, end);
      this.#count(cause);
      this.#refuse(statusOf(cause, false), cause, NOTE_COMPLETE, decoder.method === METHOD.HEAD);
      this.context.fault.forget();
      return end;
    }
    this.#served = true;
    this.#isHttp10 = decoder.versionMinor === 0;
    this.#keepAlive = decoder.keepAlive && !this.context.leaving;
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
    return tolerance === null ? 0 : tolerance.check(decoder, this.context.bytes, base);
  }

  /** Forwards, or in DRAIN drops, what belongs to the body. Returns where it stopped. */
  #consumeBody(at: number, end: number): number {
    const exchange = this.#state === BODY ? this.#exchange : null;
    const body = this.#body as BodyReader;
    const result = body.read(this.context.bytes, at, end, exchange);
    if (result < 0) {
      if (exchange === null) this.lost();
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

  protected override dropInput(): void {
    this.#releaseDecoder();
    this.#endBody();
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
  protected override noBuffer(): void {
    this.#releaseDecoder();
    if (this.#exchange === null) this.#refuse(503, 0, NOTE_COMPLETE, false);
    else this.#keepAlive = false;
  }

  // ---- refusing

  #count(cause: number): void {
    const { values } = this.context.stats;
    values[METRIC_HTTP_FRONTEND_PARSE_ERRORS]++;
    values[METRIC_FRONTEND_PARSE_CAUSE + cause]++;
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
    this.#count(cause);
    this.context.toBack.reset();
    this.#keepAlive = false;
    if (exchange.responseStarted) this.lost(NOTE_SESSION_CLOSE);
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
    if (this.context.leaving || this.#willNotDrain()) this.#keepAlive = false;
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
    const written = this.writeGather(gather, true, exchange.responseDone && !this.#keepAlive);
    if (written < 0) {
      this.lost();
      return;
    }
    exchange.bytesOut += total;
    this.activeTick = this.context.loop.wheel.tick;
    // What the client took at once is progress, however little: an event stream may be slow.
    // (At the end of a response the connection becomes idle, which arms it anew.)
    if (this.outbox === null && !exchange.responseDone) this.context.loop.wheel.arm(this, this.listener.frontTimeoutMs);
  }

  mayKeepAlive(status: number): boolean {
    if (!this.#keepAlive || this.context.leaving || !keepsConnection(status)) return false;
    return !this.#willNotDrain();
  }

  sendAnswer(end: number, close: boolean): void {
    if (close) this.#keepAlive = false;
    this.context.toFront.commit(end);
    this.flush();
  }

  resumeRequest(): void {
    if (this.readable && !this.consuming) this.read();
  }

  canUpgrade(): boolean {
    return this.#state === WAIT && !this.consuming && this.fd !== -1;
  }

  beginTunnel(back: Connection): void {
    this.enter(this.tls === -1 ? METRIC_PROTOCOL_WS : METRIC_PROTOCOL_WSS);
    this.context.stats.values[METRIC_WEBSOCKET_ACTIVE_REQUESTS]++;
    new Tunnel(this.#exchange as Exchange, this, back).start();
  }

  /** The tunnel is over, for whatever reason. */
  endTunnel(note: number): void {
    this.lost(note);
  }

  /** The same, but what the kernel holds for the client is still delivered. */
  endTunnelGently(note: number): void {
    this.#leaveTunnel();
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
      this.lost(exchange.note);
    } else exchange.finish();
  }

  exchangeDone(complete: boolean): void {
    this.#exchange = null;
    if (this.fd === -1) return;
    if (!complete && this.#keepAlive && this.#body?.isShorterThan(DRAIN_MAX)) {
      this.#state = DRAIN;
    } else if (!this.#keepAlive || !complete) {
      if (!complete && this.#state === BODY) this.context.stats.values[METRIC_HTTP_EARLY_RESPONSE_CLOSE]++;
      this.closeWhenWritten();
      return;
    } else {
      this.#becomeIdle();
    }
    if (!this.consuming) this.goOn();
  }

  #becomeIdle(): void {
    this.#state = HEAD;
    if (this.context.closing && this.held === -1) {
      this.closeWhenWritten();
      return;
    }
    this.context.loop.wheel.arm(this, this.listener.frontTimeoutMs);
  }

  protected override drained(): void {
    if (this.#exchange !== null) this.#exchange.frontDrained();
    else this.goOn();
  }

  protected override lost(note: number = NOTE_SESSION_CLOSE): void {
    const exchange = this.#exchange;
    this.#leaveTunnel();
    this.close();
    if (exchange !== null) exchange.frontGone(note);
  }

  #leaveTunnel(): void {
    if (this.tunnel === null) return;
    this.tunnel = null;
    this.context.stats.values[METRIC_WEBSOCKET_ACTIVE_REQUESTS]--;
  }
}
