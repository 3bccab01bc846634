// The backend's side of HTTP/1: one connection, one request at a time, pooled in between.
//
//   CONNECTING --up, with TLS where the cluster wants it--> HEAD --head--> BODY --end--> IDLE (pooled) --begin--> HEAD ...
//        |               |  `-- interim -'|            `-- any event --> CLOSED
//        |               `-- 101 that was asked for --> TUNNEL, which never comes back
//        `---- failed, closed, malformed, timeout: the exchange hears `backLost`, the connection is CLOSED
//
// Until the connection is up, what is written goes to the outbox, so a failed attempt still has the whole request.
// A backend is as hostile as a client: its answer is decoded as strictly, and after any doubt (surplus bytes, a body cut
// short, an early answer) the connection is not used again.

import type { Backend } from "../../balancing/backend.ts";
import {
  METRIC_BACK_BYTES_IN,
  METRIC_BACK_BYTES_OUT,
  METRIC_BACKEND_FLOW_CONTROL_PAUSED,
  METRIC_BACKEND_PARSE_CAUSE,
  METRIC_H1_BACKEND_EOF_BEFORE_MESSAGE_COMPLETE,
  METRIC_HTTP_BACKEND_PARSE_ERRORS,
} from "../../observe/metrics.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "../../os/epoll.ts";
import { EAGAIN, ENOBUFS, EPROTO } from "../../os/errno.ts";
import { takeSocketError, unsentBytes } from "../../os/sockets.ts";
import { HANDSHAKE_DONE, HANDSHAKE_READ, HANDSHAKE_WRITE, handshake } from "../../os/tls.ts";
import { WireError } from "../../wire/http1/errors.ts";
import type { Head } from "../../wire/http1/head.ts";
import { BODY as BODY_KIND, type ResponseDecoder } from "../../wire/http1/response-decoder.ts";
import { Connection } from "../connection.ts";
import type { Exchange } from "../exchange.ts";
import type { HttpListener } from "../http-listener.ts";
import type { Outbox } from "../outbox.ts";
import {
  type BackStream,
  type FrontStream,
  LOST_BUFFERS,
  LOST_CLOSED,
  LOST_CONNECT,
  LOST_MALFORMED,
  LOST_TIMEOUT,
  LOST_TRUNCATED,
} from "../streams.ts";
import type { BackendTls } from "../tls/backend-tls.ts";
import type { BackPool } from "./back-pool.ts";
import type { BodyReader } from "./body-reader.ts";
import { gatherChunk, gatherLastChunk } from "./chunks.ts";
import type { HttpContext } from "./http-context.ts";
import { encodeTrailers } from "./response-head.ts";

const CONNECTING = 0;
const HEAD = 1;
const BODY = 2;
const IDLE = 3;
const CLOSED = 4;
const TUNNEL = 5;

const READS_MAX = 16;

export class BackConnection extends Connection implements BackStream {
  readonly http: HttpContext;
  readonly pool: BackPool;
  readonly backend: Backend;
  /** How the backend is spoken to; null: plainly. */
  readonly secure: BackendTls | null;
  reused: boolean;
  sentBytes: number;
  receivedBytes: number;
  /** Milliseconds of CLOCK_MONOTONIC when it was pooled. */
  idleSinceMs: number;
  /** NTLM or Negotiate was seen: it serves this client only (decisions 19). */
  belongsToClient: boolean;
  /** The client in whose list it waits, or last waited. */
  owner: FrontStream | null;
  /** Seconds that the backend promised to keep an idle connection, -1 none. */
  keepAliveTimeoutS: number;
  #state: number;
  #exchange: Exchange | null;
  #listener: HttpListener | null;
  #decoder: ResponseDecoder | null;
  #body: BodyReader | null;
  #keepAlive: boolean;
  #chunked: boolean;
  #connectStartUs: number;

  constructor(http: HttpContext, pool: BackPool, fd: number, secure: BackendTls | null) {
    super(http.context, fd);
    this.http = http;
    this.pool = pool;
    this.backend = pool.backend;
    this.secure = secure;
    this.reused = false;
    this.sentBytes = 0;
    this.receivedBytes = 0;
    this.idleSinceMs = 0;
    this.belongsToClient = false;
    this.owner = null;
    this.keepAliveTimeoutS = -1;
    this.#state = CONNECTING;
    this.#exchange = null;
    this.#listener = null;
    this.#decoder = null;
    this.#body = null;
    this.#keepAlive = true;
    this.#chunked = false;
    this.#connectStartUs = http.context.loop.nowUs;
  }

  // ---- events

  override onReady(events: number): void {
    if (this.fd === -1) return;
    if (this.tunnel !== null) {
      this.tunnel.ready(this, events);
      return;
    }
    switch (this.#state) {
      case CONNECTING:
        this.#onConnecting(events);
        return;
      case IDLE:
        // RFC 9112 9.2: nothing may come from an idle server but its end; anything else desynchronises. TLS has tickets.
        if (this.tls !== -1 && (events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) === 0 && this.isQuiet()) return;
        if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) !== 0) this.discard();
        return;
      default:
    }
    if ((events & EPOLLOUT) !== 0 && this.outbox !== null && !this.#drainOutbox()) return;
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) !== 0) {
      this.readable = true;
      if ((events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) !== 0) this.peerClosed = true;
    }
    if (this.readable) this.#read();
  }

  override onTimeout(): void {
    switch (this.#state) {
      case CONNECTING:
        this.#connectFailed(0);
        return;
      case IDLE:
        this.discard();
        return;
      case CLOSED:
      case TUNNEL:
        return;
      default: {
        const exchange = this.#exchange as Exchange;
        // The client's turn: it has not sent all of its body, or not taken what it got. Its own timer watches that.
        const owesBody = !exchange.requestDone && this.outbox === null && !exchange.responseStarted;
        if (owesBody || !exchange.canTakeResponse() || this.takesBytes()) this.#armResponse();
        else this.#lose(LOST_TIMEOUT);
      }
    }
  }

  // ---- BackStream

  begin(exchange: Exchange): void {
    this.#adopt(exchange);
    this.context.toBack.refer(exchange.slot.headAt, exchange.slot.headLength);
  }

  beginQueued(exchange: Exchange, queued: Outbox): void {
    this.#adopt(exchange);
    this.outbox = queued;
    if (this.#state !== CONNECTING && !this.#drainOutbox()) return;
  }

  #adopt(exchange: Exchange): void {
    const listener = (exchange.front as FrontStream).listener;
    this.#exchange = exchange;
    this.#listener = listener;
    this.#chunked = exchange.isChunkedRequest;
    this.sentBytes = 0;
    this.receivedBytes = 0;
    this.#keepAlive = true;
    this.backend.activeRequests++;
    this.backend.activeConnections++;
    if (exchange.connectionAuth) this.belongsToClient = true;
    if (this.#state === CONNECTING) {
      this.context.loop.wheel.arm(this, listener.connectTimeoutMs);
      return;
    }
    this.#state = HEAD;
    this.#armResponse();
  }

  canSend(): boolean {
    return this.outbox === null && this.#state !== CONNECTING;
  }

  sendBody(offset: number, length: number): void {
    const gather = this.context.toBack;
    if (this.#chunked) gatherChunk(gather, this.context.bytes, offset, length);
    else gather.add(offset, length);
  }

  sendTrailers(head: Head, base: number): void {
    if (!this.#chunked) return;
    encodeTrailers(this.context.toBack, this.context.bytes, head, base);
    this.#chunked = false;
  }

  sendEnd(): void {
    if (this.#chunked) gatherLastChunk(this.context.toBack, this.context.bytes);
  }

  flush(): void {
    const gather = this.context.toBack;
    if (gather.total === 0) return;
    const written = this.writeGather(gather, this.#state !== CONNECTING);
    if (written >= 0) {
      this.sentBytes += written;
      this.context.stats.values[METRIC_BACK_BYTES_OUT] += written;
      return;
    }
    if (written === -ENOBUFS) {
      this.#lose(LOST_BUFFERS);
      return;
    }
    // A backend that answers and closes may have reset the connection behind its answer: read it first.
    this.readable = true;
    this.peerClosed = true;
    this.#read();
  }

  resumeResponse(): void {
    if (this.readable) this.#read();
  }

  cancel(): void {
    this.#letGo();
    this.discard();
  }

  get isConnecting(): boolean {
    return this.#state === CONNECTING;
  }

  takenBytes(): number {
    return this.fd === -1 ? this.sentBytes : this.sentBytes - unsentBytes(this.fd);
  }

  // ---- pool

  /** Leaves the pool for a request. */
  wake(): void {
    this.reused = true;
    this.#state = HEAD;
  }

  /** Closes an idle connection, or one that nobody waits for. */
  discard(): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#releaseDecoding();
    this.closeSocket();
    this.pool.closed(this);
  }

  // ---- connecting

  #onConnecting(events: number): void {
    if (this.tls !== -1) {
      this.#shakeHands(events);
      return;
    }
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) === 0) return;
    const failed = takeSocketError(this.fd);
    if (failed !== 0) {
      this.#connectFailed(-failed);
      return;
    }
    if (this.secure === null) this.#up(events);
    else this.#secureWith(this.secure);
  }

  /** The connection is up: TLS comes first, within the time of connecting. */
  #secureWith(secure: BackendTls): void {
    const session = secure.connect(this.fd, this.backend, this.pool.resumptionOf(secure));
    if (session < 0) {
      this.#connectFailed(EPROTO);
      return;
    }
    this.tls = session;
    this.#shakeHands(0);
  }

  #shakeHands(events: number): void {
    const { scratch, scratchBytes, backendTls, loop } = this.context;
    const result = handshake(this.tls, scratch, scratchBytes);
    if (result === HANDSHAKE_READ || result === HANDSHAKE_WRITE) return;
    if (result === HANDSHAKE_DONE) {
      this.#up(events | EPOLLIN);
      return;
    }
    backendTls.noteFailure(this.tls, this.backend, loop.nowMs);
    this.#connectFailed(EPROTO);
  }

  #up(events: number): void {
    this.#state = HEAD;
    this.pool.connected(this.context.loop.nowUs - this.#connectStartUs);
    this.#armResponse();
    if (!this.#drainOutbox()) return;
    if ((events & (EPOLLIN | EPOLLRDHUP)) !== 0) {
      this.readable = true;
      if ((events & EPOLLRDHUP) !== 0) this.peerClosed = true;
      this.#read();
    }
  }

  #connectFailed(errno: number): void {
    this.pool.connectFailed(errno);
    this.#lose(LOST_CONNECT);
  }

  // ---- writing

  /** Writes what is queued. False when the connection is gone. */
  #drainOutbox(): boolean {
    const before = this.queuedBytes;
    const result = this.flushOutbox();
    const sent = before - this.queuedBytes;
    this.sentBytes += sent;
    this.context.stats.values[METRIC_BACK_BYTES_OUT] += sent;
    if (result < 0) {
      this.readable = true;
      this.peerClosed = true;
      this.#read();
      return this.fd !== -1;
    }
    this.#armResponse();
    if (result === 1 && this.#exchange !== null) this.#exchange.backWritable();
    return this.fd !== -1;
  }

  #armResponse(): void {
    if (this.#listener !== null) this.context.loop.wheel.arm(this, this.#listener.backTimeoutMs);
  }

  // ---- reading

  #read(): void {
    for (let reads = 0; this.readable && this.#exchange !== null; reads++) {
      if (!this.#exchange.canTakeResponse()) {
        this.context.stats.values[METRIC_BACKEND_FLOW_CONTROL_PAUSED]++;
        return;
      }
      if (reads === READS_MAX) {
        this.context.loop.runLater(this);
        return;
      }
      if (!this.context.mayRead(this)) return;
      if (!this.#readOnce()) return;
    }
  }

  #readOnce(): boolean {
    const context = this.context;
    let at = context.scratch;
    let room = context.readMax;
    // A head that grows on its way must still fit into an outbox, together with what is read behind it.
    if (this.#state === HEAD && this.#exchange?.responseEdits != null) room = Math.min(room, context.holdMax);
    if (this.held !== -1) {
      at = this.held + this.heldEnd;
      room = context.buffers.bufferSize - this.heldEnd;
    }
    const n = this.receive(at, room);
    if (n <= 0) {
      if (n !== -EAGAIN) this.#onEnd(n < 0);
      return false;
    }
    context.stats.values[METRIC_BACK_BYTES_IN] += n;
    this.receivedBytes += n;
    if (this.held !== -1) {
      const from = at;
      this.heldEnd += n;
      this.#consume(this.held, from, from + n);
    } else {
      this.#consume(at, at, at + n);
    }
    // Not when that was the end of it: a pooled connection has its own timeout.
    if (this.tunnel !== null) return false;
    if (this.#exchange !== null) this.#armResponse();
    return this.fd !== -1;
  }

  /** The end of what the backend sends: FIN, or a reset. */
  #onEnd(isReset: boolean): void {
    this.readable = false;
    if (this.#state === BODY && this.#body !== null && this.#body.isUntilClose && !isReset) {
      this.#keepAlive = false;
      this.#complete();
      return;
    }
    if (this.#state === BODY || this.held !== -1) {
      this.context.stats.values[METRIC_H1_BACKEND_EOF_BEFORE_MESSAGE_COMPLETE]++;
      this.#lose(LOST_TRUNCATED);
      return;
    }
    this.#lose(LOST_CLOSED);
  }

  /** Consumes [at, end), of which [from, end) was not seen before. */
  #consume(at: number, from: number, end: number): void {
    const exchange = this.#exchange as Exchange;
    while (at < end && this.#state === HEAD) {
      const next = this.#consumeHead(exchange, at, from, end);
      if (next === -1) return;
      if (next === at) {
        if (!this.hold(at, end)) {
          this.#lose(LOST_BUFFERS);
          return;
        }
        exchange.flushResponse();
        return;
      }
      at = next;
      from = next;
    }
    // The held buffer backs spans that are written below, so it is given back after that.
    const held = this.held;
    this.held = -1;
    this.heldEnd = 0;
    if (this.#state === TUNNEL) this.#beginTunnel(exchange, at, end);
    else this.#consumeBody(exchange, at, end);
    if (held !== -1) this.context.buffers.give(held);
  }

  /** The 101 and what came behind it go to the client; from then on nothing is read here. */
  #beginTunnel(exchange: Exchange, at: number, end: number): void {
    this.context.toFront.add(at, end - at);
    exchange.flushResponse();
    if (this.fd !== -1) exchange.beginTunnel(this);
  }

  #consumeBody(exchange: Exchange, at: number, end: number): void {
    if (this.#state === BODY && this.#body !== null && at < end) {
      const result = this.#body.read(this.context.bytes, at, end, exchange);
      if (result < 0) {
        this.#malformed(-result);
        return;
      }
      at = this.#body.position;
    }
    if (this.#state === BODY && (this.#body === null || this.#body.isDone)) {
      // RFC 9112 9.2: bytes behind the end belong to nobody.
      if (at < end) this.#keepAlive = false;
      this.#complete();
      return;
    }
    exchange.flushResponse();
  }

  /** Returns the place behind the head, `at` when it is incomplete, -1 when it ended the connection. */
  #consumeHead(exchange: Exchange, at: number, from: number, end: number): number {
    const { decoders } = this.http;
    const kept = this.#decoder;
    const decoder = kept ?? decoders.response;
    if (kept === null) decoder.begin(exchange.isHead);
    const length = decoder.decode(this.context.bytes, at, from, end);
    const limit = this.context.buffers.bufferSize;
    if (length === 0 && end - at < limit) {
      if (kept === null) this.#decoder = decoders.keepResponse();
      return at;
    }
    if (kept !== null) {
      decoders.giveResponse(kept);
      this.#decoder = null;
    }
    if (length <= 0 || length > limit) {
      this.context.fault.note(false, at, end);
      this.#malformed(length < 0 ? -length : WireError.HeadTooLarge);
      this.context.fault.forget();
      return -1;
    }
    if (decoder.interim) {
      if (exchange.responseInterim(decoder, at)) return at + length;
      this.#malformed(WireError.EndlessInterimAnswers);
      return -1;
    }
    if (decoder.status === 101) {
      if (!exchange.mayUpgrade(decoder, at)) {
        this.#malformed(WireError.UnexpectedUpgrade);
        return -1;
      }
      this.#state = TUNNEL;
      exchange.responseHead(decoder, at);
      return at + length;
    }
    this.#keepAlive = decoder.keepAlive;
    this.keepAliveTimeoutS = decoder.keepAliveTimeoutS;
    if (decoder.connectionAuth) this.belongsToClient = true;
    this.#state = BODY;
    if (decoder.bodyKind !== BODY_KIND.NONE) {
      this.#body = this.http.bodies.take();
      this.#body.begin(decoder.chunked, decoder.contentLength, false);
    }
    exchange.responseHead(decoder, at);
    return at + length;
  }

  #releaseDecoding(): void {
    this.releaseHeld();
    if (this.#decoder !== null) {
      this.http.decoders.giveResponse(this.#decoder);
      this.#decoder = null;
    }
    if (this.#body !== null) {
      this.http.bodies.give(this.#body);
      this.#body = null;
    }
  }

  #malformed(cause: number): void {
    const values = this.context.stats.values;
    values[METRIC_HTTP_BACKEND_PARSE_ERRORS]++;
    values[METRIC_BACKEND_PARSE_CAUSE + cause]++;
    if (this.#exchange !== null) this.#exchange.cause = cause;
    this.#lose(LOST_MALFORMED);
  }

  // ---- ends

  /** The response is complete: back to the pool if nothing speaks against it. */
  #complete(): void {
    const exchange = this.#exchange as Exchange;
    // A read that filled its room may have left bytes behind; no event will tell.
    if (this.readable && this.#keepAlive && !this.peerClosed) {
      this.readable = false;
      if (!this.isQuiet()) this.#keepAlive = false;
    }
    const reusable =
      this.#keepAlive && exchange.requestDone && this.outbox === null && !this.peerClosed && !this.context.closing;
    if (this.#body !== null) {
      this.http.bodies.give(this.#body);
      this.#body = null;
    }
    const front = exchange.front;
    exchange.responseEnd();
    this.#letGo();
    if (reusable) {
      this.#state = IDLE;
      this.pool.release(this, front);
    } else {
      this.discard();
    }
    exchange.flushResponse();
  }

  #letGo(): void {
    if (this.#exchange === null) return;
    this.#exchange = null;
    this.backend.activeRequests--;
    this.backend.activeConnections--;
  }

  /** Closes, then tells the exchange, which may go on with another connection. */
  #lose(reason: number): void {
    const exchange = this.#exchange;
    let queued: Outbox | null = null;
    if (this.sentBytes === 0 && reason !== LOST_TIMEOUT && reason !== LOST_BUFFERS) {
      queued = this.outbox;
      this.outbox = null;
    }
    this.#letGo();
    this.discard();
    if (exchange !== null) exchange.backLost(reason, queued);
    else if (queued !== null) this.context.outboxes.give(queued);
  }
}
