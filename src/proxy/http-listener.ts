// One HTTP listener of a worker: its settings, its routes, its listening sockets, and the connections that came through.
//
// A listening socket is level-triggered and leaves the epoll set while accepting is paused (too many connections, no
// descriptors, soft stop), so that a full backlog does not spin the loop. What waits is queued by the kernel.

import type { AnswerSet } from "../answers/template.ts";
import type { Cluster } from "../balancing/cluster.ts";
import type { ClusterTable } from "../balancing/cluster-table.ts";
import { formatAddress } from "../command/address-text.ts";
import type { HttpFrontendObject, HttpListenerObject } from "../command/objects.ts";
import type { HstsObject } from "../command/objects-tls.ts";
import type { Handler } from "../loop/event-loop.ts";
import {
  METRIC_ACCEPT_QUEUE_TIMEOUT,
  METRIC_CLIENT_CONNECT_PER_SOURCE,
  METRIC_CLIENT_CONNECTIONS,
  METRIC_LISTENER_ACCEPTED_HTTP,
  METRIC_LISTENER_ACCEPTED_TOTAL,
} from "../observe/metrics.ts";
import { METRIC_HTTP_SNI_AUTHORITY_MISMATCH, METRIC_LISTENER_ACCEPTED_HTTPS } from "../observe/metrics-tls.ts";
import { EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "../os/epoll.ts";
import { EAGAIN, ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM } from "../os/errno.ts";
import { accept, close, peerAddress, quietMs, waitingConnections } from "../os/sockets.ts";
import { compileHsts, type HstsPolicy } from "../policies/hsts.ts";
import { Networks, parseNetworks } from "../policies/networks.ts";
import type { Scheme } from "../policies/redirect.ts";
import type { Tolerance } from "../policies/tolerance.ts";
import { compilePolicy, type RoutePolicy } from "../routing/route-policy.ts";
import { Router } from "../routing/router.ts";
import { toleranceOf } from "../routing/tolerance-of.ts";
import { ascii, latin1 } from "../wire/http1/bytes.ts";
import { Constant } from "../wire/http1/encoder.ts";
import type { Admission } from "./admission.ts";
import type { ClientConnection } from "./client-connection.ts";
import { Dropper } from "./dropper.ts";
import { FrontConnection } from "./http/front-connection.ts";
import type { HttpContext } from "./http/http-context.ts";
import type { RequestMessage } from "./messages.ts";
import { MISDIRECTED, PATH_TOO_LONG } from "./refused-routes.ts";
import { SCHEME_TEXTS, type SchemeTexts } from "./schemes.ts";
import type { ListenerTls } from "./tls/listener-tls.ts";

/** Connections accepted in one turn: then others are served first. */
const ACCEPTS_MAX = 64;
/** Such rounds for a full backlog of 1,024. */
const WAITING_ROUNDS = 16;

const NO_TEXT = new Constant("");

/** Where a frontend leads. */
export interface HttpRoute {
  readonly frontend: HttpFrontendObject;
  /** null: denied. */
  readonly cluster: Cluster | null;
  /** `k=v, k2=v2` for access lines, null without tags. */
  readonly tags: Uint8Array | null;
  /** null: its requests are forwarded as they are. */
  readonly policy: RoutePolicy | null;
  /** Its own word on Strict-Transport-Security; null: what the listener says. */
  readonly hsts: HstsPolicy | null;
}

export class HttpListener {
  readonly http: HttpContext;
  readonly admission: Admission;
  config: HttpListenerObject;
  readonly router: Router<HttpRoute>;
  /** Its templates of local answers. */
  answers: AnswerSet;
  frontTimeoutMs: number;
  backTimeoutMs: number;
  connectTimeoutMs: number;
  requestTimeoutMs: number;
  /** `Sozu-Id: `, by whatever name. */
  correlationName: Constant;
  /** What is refused although HTTP allows it; null: nothing is. */
  tolerance: Tolerance | null;
  /** The networks whose account of a client is believed (decisions 21); null: anybody's. */
  trusted: Networks | null;
  /** What clients speak: redirects lead back to it, forwarding fields name it. */
  readonly scheme: Scheme;
  readonly texts: SchemeTexts;
  /** null: its clients do not speak TLS. */
  readonly tls: ListenerTls | null;
  /** Name of the sticky cookie. */
  stickyName: Uint8Array;
  publicPort: Constant;
  /** The public address as `by=` wants it: IPv6 quoted and in brackets. */
  publicIpQuoted: Constant;
  /** First of the list of its connections. */
  #connections: ClientConnection | null;
  readonly #sockets: ListenSocket[];
  readonly #clusters: ClusterTable;
  /** Its routes, whose clusters it holds. */
  readonly #routes: Set<HttpRoute>;

  constructor(
    http: HttpContext,
    admission: Admission,
    clusters: ClusterTable,
    config: HttpListenerObject,
    answers: AnswerSet,
    tls: ListenerTls | null = null,
  ) {
    this.http = http;
    this.admission = admission;
    this.config = config;
    this.router = new Router();
    this.answers = answers;
    this.frontTimeoutMs = 0;
    this.backTimeoutMs = 0;
    this.connectTimeoutMs = 0;
    this.requestTimeoutMs = 0;
    this.correlationName = NO_TEXT;
    this.tolerance = null;
    this.trusted = null;
    this.scheme = tls === null ? "http" : "https";
    this.texts = SCHEME_TEXTS[this.scheme];
    this.tls = tls;
    this.stickyName = NO_TEXT.bytes;
    this.publicPort = NO_TEXT;
    this.publicIpQuoted = NO_TEXT;
    this.#connections = null;
    this.#sockets = [];
    this.#clusters = clusters;
    this.#routes = new Set();
    this.update(config, answers);
  }

  /**
   * Takes new settings and their compiled answers over. Connections stay: what they do from their next request on follows
   * the new settings, apart from forwarding fields, which are rendered once for a connection.
   */
  update(config: HttpListenerObject, answers: AnswerSet): void {
    this.config = config;
    this.answers = answers;
    this.frontTimeoutMs = config.frontTimeout * 1000;
    this.backTimeoutMs = config.backTimeout * 1000;
    this.connectTimeoutMs = config.connectTimeout * 1000;
    this.requestTimeoutMs = config.requestTimeout * 1000;
    this.correlationName = new Constant(`${config.sozuIdHeader}: `);
    this.stickyName = ascii(config.stickyName);
    this.tolerance = toleranceOf(config);
    const trusted = parseNetworks(config.trustedProxies);
    if (trusted instanceof Networks) this.trusted = config.trustedProxies.length === 0 ? null : trusted;
    const address = config.publicAddress ?? config.address;
    this.publicPort = new Constant(`${address.port}`);
    this.publicIpQuoted = new Constant(address.ip.includes(":") ? `"[${address.ip}]"` : address.ip);
  }

  get isActive(): boolean {
    return this.#sockets.length > 0;
  }

  get hasConnections(): boolean {
    return this.#connections !== null;
  }

  get name(): string {
    return formatAddress(this.config.address);
  }

  // ---- routes

  addFrontend(frontend: HttpFrontendObject, hsts: HstsObject | null = null): string | null {
    const policy = compilePolicy(frontend);
    if (typeof policy === "string") return policy;
    const cluster = frontend.clusterId === null ? null : this.#clusters.ensure(frontend.clusterId);
    const tags = this.http.context.accessLog?.tagBytes(frontend.tags) ?? null;
    const route = { frontend, cluster, tags, policy, hsts: compileHsts(hsts) };
    const refused = this.router.add(frontend, route);
    if (refused === null) this.#routes.add(route);
    else if (cluster !== null) this.#clusters.release(cluster);
    return refused;
  }

  removeFrontend(frontend: HttpFrontendObject): string | null {
    const route = this.router.get(frontend);
    const refused = this.router.remove(frontend);
    if (refused === null && route !== null) this.#letGo(route);
    return refused;
  }

  /** Routes for which the listener's Strict-Transport-Security counts. */
  get routesWithoutHsts(): number {
    let count = 0;
    for (const { hsts } of this.#routes) if (hsts === null) count++;
    return count;
  }

  /**
   * The listener is removed: its routes hold their clusters no longer. Requests in flight keep theirs. So many as it had may
   * be more than one turn is for.
   */
  dropRoutes(): void {
    new Dropper(this.http.context.loop, this.#routes, (route) => this.#letGo(route)).onReady();
  }

  #letGo(route: HttpRoute): void {
    this.#routes.delete(route);
    if (route.cluster !== null) this.#clusters.release(route.cluster);
  }

  /** The route of a request; the host leaf of the connection's previous request is used while it still applies. */
  routeFor(front: FrontConnection, message: RequestMessage, bytes: Uint8Array, base: number): HttpRoute | null {
    const { router } = this;
    const start = base + message.hostStart;
    const end = base + message.hostEnd;
    let leaf = front.leaf;
    if (leaf === null || front.leafGeneration !== router.generation || !sameBytes(leaf.hostBytes, bytes, start, end)) {
      front.leaf = null;
      if (this.tls !== null && !this.tls.isBound(front.secured, bytes, start, end)) return this.#misdirected();
      leaf = router.leafFor(latin1(bytes, start, end));
      front.leaf = leaf;
      front.leafGeneration = router.generation;
      if (leaf === null) return null;
    }
    const pathEnd = message.queryStart === -1 ? message.pathEnd : message.queryStart;
    if (leaf.patterns > 0 && !leaf.bears(pathEnd - message.pathStart)) return PATH_TOO_LONG;
    const route = leaf.match(
      bytes,
      base + message.pathStart,
      base + pathEnd,
      base + message.methodStart,
      base + message.methodEnd,
    );
    const { unsettled } = this.#clusters;
    if (unsettled !== null && route !== null && route.cluster !== null) unsettled.settleCluster(route.cluster.id);
    return route;
  }

  #misdirected(): HttpRoute {
    this.http.context.stats.values[METRIC_HTTP_SNI_AUTHORITY_MISMATCH]++;
    return MISDIRECTED;
  }

  // ---- listening

  /** Starts to accept on `fd`, of which it takes ownership. Returns 0 or -errno. */
  listen(fd: number): number {
    const socket = new ListenSocket(this, fd);
    const result = socket.resume();
    if (result < 0) {
      close(fd);
      return result;
    }
    if (this.admission.isPaused) socket.pause();
    this.#sockets.push(socket);
    return 0;
  }

  /** Stops accepting; returns the descriptors, which are the caller's again. */
  release(): number[] {
    return this.#sockets.splice(0).map((socket) => {
      socket.pause();
      return socket.fd;
    });
  }

  /** Accepts what the kernel has queued, before the sockets are closed. */
  acceptWaiting(): void {
    for (const socket of this.#sockets) {
      for (let round = 0; round < WAITING_ROUNDS && this.acceptFrom(socket); round++);
    }
  }

  pause(): void {
    for (const socket of this.#sockets) socket.pause();
  }

  resume(): void {
    for (const socket of this.#sockets) socket.resume();
  }

  /** Connections in the kernel's queues. */
  get waiting(): number {
    return this.#sockets.reduce((sum, socket) => sum + Math.max(0, waitingConnections(socket.fd)), 0);
  }

  /** Accepts what waits, up to a budget. True: the budget is spent, more may wait. */
  acceptFrom(listenSocket: ListenSocket): boolean {
    const { admission } = this;
    const { context } = this.http;
    const { values } = context.stats;
    for (let accepted = 0; accepted < ACCEPTS_MAX; accepted++) {
      if (!admission.mayAccept()) return false;
      const socket = accept(listenSocket.fd);
      if (socket < 0) {
        if (socket === -ECONNABORTED) continue;
        if (socket === -EMFILE || socket === -ENFILE || socket === -ENOBUFS || socket === -ENOMEM) {
          admission.outOfDescriptors();
        } else if (socket !== -EAGAIN) admission.acceptFailed(socket);
        return false;
      }
      values[METRIC_LISTENER_ACCEPTED_TOTAL]++;
      values[this.tls === null ? METRIC_LISTENER_ACCEPTED_HTTP : METRIC_LISTENER_ACCEPTED_HTTPS]++;
      values[METRIC_CLIENT_CONNECT_PER_SOURCE + sourceBucket(peerAddress)]++;
      if (listenSocket.mayBeStale && this.#isStale(listenSocket, socket)) continue;
      if (!admission.hasRoom()) {
        close(socket);
        return false;
      }
      this.#open(socket);
    }
    return true;
  }

  /**
   * The pause was longer than accept_queue_timeout. Who has sent nothing for so long is closed; the kernel's queue is first
   * in, first out, so behind the first one that is not stale nobody is.
   */
  #isStale(listenSocket: ListenSocket, fd: number): boolean {
    const { settings, stats } = this.http.context;
    if (quietMs(fd) < settings.acceptQueueTimeout * 1000) {
      listenSocket.mayBeStale = false;
      return false;
    }
    close(fd);
    stats.values[METRIC_ACCEPT_QUEUE_TIMEOUT]++;
    return true;
  }

  #open(fd: number): void {
    const { http } = this;
    const { context } = http;
    const record = context.records.take();
    if (record === -1) {
      close(fd);
      return;
    }
    context.ulids.next(context.loop.realtimeMs, context.bytes, context.records.ulidAt(record));
    this.nameClient(record, peerAddress);
    const connection = new FrontConnection(http, this, fd, record);
    const token = context.loop.register(fd, connection, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    if (token < 0) {
      context.records.give(record);
      close(fd);
      return;
    }
    connection.token = token;
    connection.following = this.#connections;
    if (this.#connections !== null) this.#connections.previous = connection;
    this.#connections = connection;
    connection.opened();
    context.stats.values[METRIC_CLIENT_CONNECTIONS]++;
    this.admission.opened();
  }

  /** Writes down who a client is, and whether it is believed. `peer`: as accept() gives it. */
  nameClient(record: number, peer: Int32Array): void {
    const { records } = this.http.context;
    records.setAddress(record, peer);
    if (this.trusted !== null) records.setTrusted(record, this.trusted.contains(peer));
  }

  /** A connection of this listener has closed. */
  closed(connection: ClientConnection): void {
    if (connection.previous !== null) connection.previous.following = connection.following;
    else this.#connections = connection.following;
    if (connection.following !== null) connection.following.previous = connection.previous;
    connection.previous = null;
    connection.following = null;
    const { context } = this.http;
    // Its bytes stay as they are until the next connection, so what ends now can still be logged.
    context.records.give(connection.record);
    this.http.releaseOwned(connection);
    if (connection.counted !== null) context.ipLimits.release(connection);
    const { values } = context.stats;
    values[METRIC_CLIENT_CONNECTIONS]--;
    values[connection.phase]--;
    this.admission.closed();
  }

  /** Calls `visit` for each connection; it may close the one it is called with. */
  forEachConnection(visit: (connection: ClientConnection) => void): void {
    let connection = this.#connections;
    while (connection !== null) {
      const following: ClientConnection | null = connection.following;
      visit(connection);
      connection = following;
    }
  }
}

/** A listening socket in the epoll set. */
class ListenSocket implements Handler {
  readonly fd: number;
  readonly #listener: HttpListener;
  /** Its first connections may have waited for longer than accept_queue_timeout. */
  mayBeStale: boolean;
  #token: number;
  /** When accepting paused, in milliseconds of CLOCK_MONOTONIC; -1: never. */
  #pausedAtMs: number;

  constructor(listener: HttpListener, fd: number) {
    this.fd = fd;
    this.mayBeStale = false;
    this.#pausedAtMs = -1;
    this.#listener = listener;
    this.#token = -1;
  }

  onReady(_events: number): void {
    this.#listener.acceptFrom(this);
  }

  resume(): number {
    if (this.#token !== -1) return 0;
    const { loop, settings } = this.#listener.http.context;
    const token = loop.register(this.fd, this, EPOLLIN);
    if (token < 0) return token;
    this.#token = token;
    const timeoutMs = settings.acceptQueueTimeout * 1000;
    if (timeoutMs > 0 && this.#pausedAtMs >= 0) this.mayBeStale ||= loop.nowMs - this.#pausedAtMs >= timeoutMs;
    return 0;
  }

  pause(): void {
    if (this.#token === -1) return;
    this.#listener.http.context.loop.unregister(this.#token, this.fd);
    this.#token = -1;
    this.#pausedAtMs = this.#listener.http.context.loop.nowMs;
  }
}

/** The bucket of a source, by a hash of its /24 or /48 (spec 13.2). `peer`: [family 0|4|6, port, w0, w1, w2, w3]. */
function sourceBucket(peer: Int32Array): number {
  const network = peer[0] === 6 ? peer[2] ^ Math.imul(peer[3] >>> 16, 0x85ebca6b) : peer[2] >>> 8;
  return Math.imul(network, 0x9e3779b1) >>> 24;
}

function sameBytes(wanted: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (wanted.length !== end - start) return false;
  for (let i = 0; i < wanted.length; i++) if (wanted[i] !== bytes[start + i]) return false;
  return true;
}
