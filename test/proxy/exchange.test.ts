// The exchange against a protocol that is not HTTP/1: numbered streams over one imaginary connection, each with a window,
// resets and a GOAWAY. What holds here holds for any pair of protocols.

import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { AnswerSet } from "../../src/answers/template.ts";
import type { Backend } from "../../src/balancing/backend.ts";
import { Cluster } from "../../src/balancing/cluster.ts";
import type { Exchange } from "../../src/proxy/exchange.ts";
import { ExchangePool } from "../../src/proxy/exchange-pool.ts";
import type { HttpListener } from "../../src/proxy/http-listener.ts";
import type { RequestMessage, ResponseMessage } from "../../src/proxy/messages.ts";
import {
  type BackendConnector,
  type BackStream,
  type FrontStream,
  LOST_CLOSED,
  LOST_MALFORMED,
  LOST_TIMEOUT,
  LOST_TRUNCATED,
  LOST_UNPROCESSED,
  type RequestEncoder,
} from "../../src/proxy/streams.ts";
import { Head } from "../../src/wire/http1/head.ts";
import { backendOf, clusterOf, Rig } from "./rig.ts";

const rig = new Rig();
const { context } = rig.proxy;
after(() => rig.stop());

/** A stream towards the client with a window in bytes; what does not fit waits in it. */
class MuxFront implements FrontStream {
  readonly listener = { answers: new AnswerSet(), tls: null } as unknown as HttpListener;
  readonly secured = null;
  readonly place = this.listener;
  readonly record = context.records.take();
  counted = null;
  window = Number.POSITIVE_INFINITY;
  exchange: Exchange | null = null;
  readonly events: string[] = [];
  waiting = 0;
  wantsRequest = 0;
  #fresh = 0;

  rtt(): number {
    return -1;
  }
  canSend(): boolean {
    return this.waiting === 0;
  }
  sendInterim(message: ResponseMessage): void {
    this.events.push(`interim ${message.status}`);
  }
  sendHead(message: ResponseMessage): void {
    this.events.push(`head ${message.status}`);
  }
  sendBody(_offset: number, length: number): void {
    this.#fresh += length;
  }
  sendTrailers(head: Head): void {
    this.events.push(`trailers ${head.count}`);
  }
  sendEnd(): void {
    this.events.push("end");
  }
  flush(): void {
    const exchange = this.exchange as Exchange;
    const taken = Math.min(this.window, this.#fresh);
    if (this.#fresh > 0) this.events.push(`body ${taken} of ${this.#fresh}`);
    this.window -= taken;
    this.waiting += this.#fresh - taken;
    exchange.bytesOut += this.#fresh + 1;
    this.#fresh = 0;
  }
  /** WINDOW_UPDATE. */
  open(bytes: number): void {
    this.window += bytes;
    const taken = Math.min(this.window, this.waiting);
    this.waiting -= taken;
    this.window -= taken;
    this.events.push(`late ${taken}`);
    if (this.waiting === 0 && taken > 0) this.exchange?.frontDrained();
  }
  mayKeepAlive(): boolean {
    return true;
  }
  sendAnswer(_end: number, close: boolean): void {
    this.events.push(`answer ${this.exchange?.status} ${close ? "close" : "stay"}`);
    context.toFront.reset();
  }
  resumeRequest(): void {
    this.wantsRequest++;
  }
  abort(): void {
    this.events.push("reset");
    this.exchange?.finish();
  }
  canUpgrade(): boolean {
    return false;
  }
  beginTunnel(): void {}
  exchangeDone(complete: boolean): void {
    this.events.push(complete ? "done" : "done early");
    this.exchange = null;
  }
}

class MuxBack implements BackStream {
  readonly backend: Backend;
  reused = false;
  readonly isConnecting = false;
  sentBytes = 0;
  receivedBytes = 0;
  writable = true;
  exchange: Exchange | null = null;
  readonly events: string[] = [];

  constructor(backend: Backend) {
    this.backend = backend;
  }
  rtt(): number {
    return -1;
  }
  takenBytes(): number {
    return this.sentBytes;
  }
  begin(exchange: Exchange): void {
    this.exchange = exchange;
    this.events.push("begin");
  }
  beginQueued(): void {
    throw new Error("this protocol queues nothing");
  }
  canSend(): boolean {
    return this.writable;
  }
  sendBody(_offset: number, length: number): void {
    this.events.push(`body ${length}`);
  }
  sendTrailers(head: Head): void {
    this.events.push(`trailers ${head.count}`);
  }
  sendEnd(): void {
    this.events.push("end");
  }
  flush(): void {
    this.events.push("flush");
    this.sentBytes += 100;
  }
  resumeResponse(): void {
    this.events.push("resume");
  }
  cancel(): void {
    this.events.push("cancel");
    this.exchange = null;
  }
}

class MuxConnector implements BackendConnector {
  readonly streams: MuxBack[] = [];
  refuse = 0;
  acquire(backend: Backend): BackStream | null {
    if (this.refuse > 0) {
      this.refuse--;
      return null;
    }
    const stream = new MuxBack(backend);
    this.streams.push(stream);
    return stream;
  }
}

const encoder: RequestEncoder = {
  encode: (exchange) => {
    exchange.isIdempotent = true;
    return exchange.slot.take(64);
  },
};

let connector: MuxConnector;
let pool: ExchangePool;
let front: MuxFront;
let cluster: Cluster;

beforeEach(() => {
  connector = new MuxConnector();
  pool = new ExchangePool(context, connector, encoder);
  front = new MuxFront();
  cluster = new Cluster("app");
  cluster.configure(clusterOf("app"));
  cluster.addBackend(backendOf("app", 1));
});

function open(hasBody = false): Exchange {
  const exchange = pool.take();
  front.exchange = exchange;
  const message = { hasBody, contentLength: -1, connectionAuth: false } as unknown as RequestMessage;
  const route = { cluster, tags: null, policy: null } as unknown as Parameters<Exchange["open"]>[1];
  exchange.open(front, route, message, 0, context.loop.nowUs);
  return exchange;
}

const head = (status: number): ResponseMessage => ({
  head: new Head(),
  status,
  reasonStart: 0,
  reasonEnd: 0,
  contentLength: -1,
  bodyKind: 1,
  upgrade: false,
});

function respond(exchange: Exchange, length: number): void {
  exchange.responseHead(head(200), 0);
  exchange.responseBody(0, length);
  exchange.responseEnd();
  exchange.flushResponse();
}

test("a request and its response pass, and everything is given back", () => {
  const slots = context.slots.inUse;
  const exchange = open();
  exchange.flushRequest();
  respond(exchange, 5);
  assert.deepEqual(connector.streams[0].events, ["begin", "flush"]);
  assert.deepEqual(front.events, ["head 200", "end", "body 5 of 5", "done"]);
  assert.equal(pool.active, 0);
  assert.equal(context.slots.inUse, slots);
});

test("interim heads and trailers pass in both directions", () => {
  const exchange = open(true);
  assert.equal(exchange.responseInterim(head(103), 0), true);
  const trailers = new Head();
  trailers.add(0, 1, 2, 3, 31, 0);
  exchange.requestBody(0, 7);
  exchange.requestTrailers(trailers, 0);
  exchange.requestEnd();
  exchange.flushRequest();
  exchange.responseHead(head(200), 0);
  exchange.responseTrailers(trailers, 0);
  exchange.responseEnd();
  exchange.flushResponse();
  assert.deepEqual(connector.streams[0].events, ["begin", "body 7", "trailers 1", "end", "flush"]);
  assert.deepEqual(front.events, ["interim 103", "head 200", "trailers 1", "end", "done"]);
});

test("a shut window holds the exchange open and the backend back until it opens", () => {
  const exchange = open();
  front.window = 10;
  exchange.responseHead(head(200), 0);
  exchange.responseBody(0, 25);
  exchange.flushResponse();
  assert.equal(exchange.canTakeResponse(), false);
  front.open(5);
  assert.deepEqual(connector.streams[0].events, ["begin"]);
  front.open(100);
  assert.deepEqual(connector.streams[0].events, ["begin", "resume"]);
  exchange.responseEnd();
  exchange.flushResponse();
  assert.equal(front.events.at(-1), "done");
});

test("an exchange whose last bytes wait for a window ends when they have gone", () => {
  const exchange = open();
  front.window = 0;
  respond(exchange, 25);
  assert.equal(pool.active, 1);
  front.open(25);
  assert.equal(front.events.at(-1), "done");
  assert.equal(pool.active, 0);
});

test("a backend that takes no more body stops the client, and starts it again", () => {
  const exchange = open(true);
  exchange.requestBody(0, 10);
  exchange.flushRequest();
  connector.streams[0].writable = false;
  assert.equal(exchange.canTakeRequestBody(), false);
  connector.streams[0].writable = true;
  exchange.backWritable();
  assert.equal(front.wantsRequest, 1);
});

test("GOAWAY below the stream: the request goes to another stream, whatever its method", () => {
  const exchange = open();
  exchange.isIdempotent = false;
  exchange.flushRequest();
  exchange.backLost(LOST_UNPROCESSED, null);
  assert.equal(connector.streams.length, 2);
  respond(exchange, 1);
  assert.equal(front.events.at(-1), "done");
});

test("GOAWAY after body bytes were handed over is a 502", () => {
  const exchange = open(true);
  exchange.requestBody(0, 3);
  exchange.flushRequest();
  exchange.backLost(LOST_UNPROCESSED, null);
  assert.deepEqual(front.events, ["answer 502 stay", "done early"]);
});

test("a reused stream that closes before its answer is replayed once and only once", () => {
  const exchange = open();
  connector.streams[0].reused = true;
  exchange.flushRequest();
  exchange.backLost(LOST_CLOSED, null);
  assert.equal(connector.streams.length, 2);
  connector.streams[1].reused = true;
  exchange.flushRequest();
  exchange.backLost(LOST_CLOSED, null);
  assert.deepEqual(front.events, ["answer 502 stay", "done"]);
});

test("a request that is not idempotent is not replayed", () => {
  const exchange = open();
  exchange.isIdempotent = false;
  connector.streams[0].reused = true;
  exchange.flushRequest();
  exchange.backLost(LOST_CLOSED, null);
  assert.equal(connector.streams.length, 1);
  assert.deepEqual(front.events, ["answer 502 stay", "done"]);
});

test("three failed attempts end in 503", () => {
  connector.refuse = 3;
  open();
  assert.deepEqual(front.events, ["answer 503 stay", "done"]);
  assert.equal(pool.active, 0);
});

test("a silent backend is 504, a malformed answer 502", () => {
  open().backLost(LOST_TIMEOUT, null);
  open().backLost(LOST_MALFORMED, null);
  assert.deepEqual(front.events, ["answer 504 stay", "done", "answer 502 stay", "done"]);
});

test("a response cut short resets the client's stream", () => {
  const exchange = open();
  exchange.responseHead(head(200), 0);
  exchange.responseBody(0, 5);
  exchange.flushResponse();
  exchange.backLost(LOST_TRUNCATED, null);
  assert.deepEqual(front.events.slice(-2), ["reset", "done"]);
});

test("a response that turns out malformed before a byte of it was written becomes a 502", () => {
  const exchange = open();
  exchange.responseHead(head(200), 0);
  exchange.backLost(LOST_MALFORMED, null);
  assert.deepEqual(front.events.slice(-2), ["answer 502 stay", "done"]);
});

test("a client that resets its stream cancels the backend's", () => {
  const exchange = open();
  exchange.flushRequest();
  exchange.frontGone(5);
  assert.deepEqual(connector.streams[0].events, ["begin", "flush", "cancel"]);
  assert.equal(pool.active, 0);
});

test("a flood of interim responses is refused", () => {
  const exchange = open();
  let accepted = 0;
  while (exchange.responseInterim(head(103), 0)) accepted++;
  assert.equal(accepted, 64);
});

test("denied and unknown routes are answered without a backend", () => {
  const message = { hasBody: false, connectionAuth: false } as unknown as RequestMessage;
  const denied = pool.take();
  front.exchange = denied;
  denied.open(
    front,
    { cluster: null, tags: null, policy: null } as unknown as Parameters<Exchange["open"]>[1],
    message,
    0,
    0,
  );
  const unknown = pool.take();
  front.exchange = unknown;
  unknown.open(front, null, message, 0, 0);
  assert.deepEqual(front.events, ["answer 401 stay", "done", "answer 404 stay", "done"]);
});
