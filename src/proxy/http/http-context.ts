// What all HTTP/1 connections of a worker share beside the traffic context: decoders, body readers, exchanges, and the
// connections to backends.
//
// One decoder of each kind reads every head that comes whole. A head that does not keeps the decoder it began with, and
// the shared place gets another one.

import type { Backend } from "../../balancing/backend.ts";
import { RequestDecoder } from "../../wire/http1/request-decoder.ts";
import { ResponseDecoder } from "../../wire/http1/response-decoder.ts";
import { ProxyHeader } from "../../wire/proxy-protocol/decoder.ts";
import { noteDrained } from "../availability.ts";
import type { TrafficContext } from "../context.ts";
import type { Exchange } from "../exchange.ts";
import { ExchangePool } from "../exchange-pool.ts";
import type { Countable } from "../ip-limits.ts";
import type { BackendConnector, BackStream } from "../streams.ts";
import { Handshakes } from "../tls/handshakes.ts";
import { Identities } from "../tls/identities.ts";
import type { BackConnection } from "./back-connection.ts";
import { BackPool } from "./back-pool.ts";
import { BodyReaders } from "./body-reader.ts";
import { Http1RequestEncoder } from "./request-head.ts";

export class HttpContext implements BackendConnector {
  readonly context: TrafficContext;
  readonly decoders: Decoders;
  readonly bodies: BodyReaders;
  /** Reads the header in front of a connection, within one event. */
  readonly proxyHeader: ProxyHeader;
  readonly exchanges: ExchangePool;
  /** TLS with clients. */
  readonly handshakes: Handshakes;
  readonly identities: Identities;
  /** Pools that may hold idle connections. */
  readonly pools: Set<BackPool>;
  /** Idle backend connections that only one client may use (decisions 19). */
  readonly owned: Map<Countable, BackConnection[]>;

  constructor(context: TrafficContext) {
    this.context = context;
    this.decoders = new Decoders();
    this.bodies = new BodyReaders(context.buffers);
    this.proxyHeader = new ProxyHeader();
    this.exchanges = new ExchangePool(context, this, new Http1RequestEncoder(context));
    this.handshakes = new Handshakes(context);
    this.identities = new Identities(context.stats.values, context.logger);
    this.pools = new Set();
    this.owned = new Map();
  }

  acquire(backend: Backend, exchange: Exchange): BackStream | null {
    return this.poolOf(backend).acquire(exchange);
  }

  poolOf(backend: Backend): BackPool {
    const known = backend.attachment as BackPool | null;
    if (known !== null) return known;
    const pool = new BackPool(this, backend);
    backend.attachment = pool;
    this.pools.add(pool);
    return pool;
  }

  /** The backend is gone from its cluster: what is idle closes, what is busy closes after its request. */
  forget(backend: Backend): void {
    const pool = backend.attachment as BackPool | null;
    if (pool === null || pool.open === 0) noteDrained(this.context, backend);
    if (pool === null) return;
    pool.retire();
    this.pools.delete(pool);
  }

  /** Closes every idle backend connection: descriptors are scarce, or the worker stops. */
  closeIdle(): void {
    for (const pool of this.pools) pool.closeIdle();
    for (const connections of this.owned.values()) for (const connection of connections.slice()) connection.discard();
  }

  /** The client is gone, and with it the backend connections that were only its own. */
  releaseOwned(front: Countable): void {
    if (this.owned.size === 0) return;
    const connections = this.owned.get(front);
    if (connections === undefined) return;
    // Each takes itself out of the list, and the list out of the map when it was the last.
    for (const connection of connections.slice()) connection.discard();
  }
}

/** Decoders of 4 kB that are kept: after a crowd of unfinished heads the rest is garbage. */
const SPARE_DECODERS_MAX = 64;

class Decoders {
  request: RequestDecoder;
  response: ResponseDecoder;
  readonly #freeRequests: RequestDecoder[];
  readonly #freeResponses: ResponseDecoder[];

  constructor() {
    this.request = new RequestDecoder();
    this.response = new ResponseDecoder();
    this.#freeRequests = [];
    this.#freeResponses = [];
  }

  /** The caller keeps the shared decoder with the head that it has begun. */
  keepRequest(): RequestDecoder {
    const kept = this.request;
    this.request = this.#freeRequests.pop() ?? new RequestDecoder();
    return kept;
  }

  giveRequest(decoder: RequestDecoder): void {
    if (this.#freeRequests.length < SPARE_DECODERS_MAX) this.#freeRequests.push(decoder);
  }

  keepResponse(): ResponseDecoder {
    const kept = this.response;
    this.response = this.#freeResponses.pop() ?? new ResponseDecoder();
    return kept;
  }

  giveResponse(decoder: ResponseDecoder): void {
    if (this.#freeResponses.length < SPARE_DECODERS_MAX) this.#freeResponses.push(decoder);
  }
}
