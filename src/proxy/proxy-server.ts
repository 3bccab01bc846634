// The traffic side of a worker: listeners, clusters and everything in flight, changed while it runs.
//
// `apply` takes one change of the state and either applies it whole or refuses it with the reason. Listening sockets come
// from main through `activate`; the proxy never opens one.

import { ClusterTable } from "../balancing/cluster-table.ts";
import { formatAddress } from "../command/address-text.ts";
import type {
  BackendHealth,
  BackendObject,
  Change,
  ClusterObject,
  HttpListenerObject,
  SocketAddress,
} from "../command/objects.ts";
import type { CertificateQuery, ServedCertificate } from "../command/worker-protocol.ts";
import { Timed } from "../loop/timer-wheel.ts";
import {
  METRIC_ACCEPT_QUEUE_CONNECTIONS,
  METRIC_BUFFER_CAPACITY,
  METRIC_BUFFER_IN_USE,
  METRIC_BUFFER_USAGE_PERCENT,
  METRIC_HTTP_ACTIVE_REQUESTS,
  METRIC_SERVER_LIVE,
  ROW_CONNECTIONS_PER_BACKEND,
} from "../observe/metrics.ts";
import { METRIC_TLS_CERT_MIN_EXPIRES_AT_SECONDS } from "../observe/metrics-tls.ts";
import { describeErrno } from "../os/errno.ts";
import { close } from "../os/sockets.ts";
import { Admission, type AdmissionOwner } from "./admission.ts";
import { backendHealth, noteAvailability, noteBackendAvailable } from "./availability.ts";
import { answersOf, checkChange, checkCluster, checkListener } from "./check-change.ts";
import { type ProxyOptions, TrafficContext } from "./context.ts";
import { readmitAll } from "./health/ejections.ts";
import { HealthMonitor } from "./health/health-monitor.ts";
import type { BackPool } from "./http/back-pool.ts";
import { HttpContext } from "./http/http-context.ts";
import { HttpListener } from "./http-listener.ts";
import { HttpsListeners } from "./https-listeners.ts";
import { LoadShedder, type Shedding } from "./load-shedder.ts";
import { Sessions } from "./sessions.ts";
import { checkTls } from "./tls/listener-tls.ts";
import type { UnsettledSet } from "./unsettled.ts";

const TICK_MS = 1000;
/** Pool pages above the floor go back to the kernel after this many ticks without pressure. */
const TRIM_TICKS = 10;
const DRAIN_CHECK_MS = 100;
const SLAB_FULL = "session list is full, cannot add a listener";

export class ProxyServer extends Timed implements AdmissionOwner, Shedding {
  readonly context: TrafficContext;
  readonly clusters: ClusterTable;
  readonly http: HttpContext;
  readonly health: HealthMonitor;
  readonly #listeners: Map<string, HttpListener>;
  readonly #https: HttpsListeners;
  /** Removed listeners whose connections are still there. */
  readonly #retired: Set<HttpListener>;
  readonly #admission: Admission;
  readonly #sessions: Sessions;
  /** What the event loop's lag asks for, and what memory asks for. */
  #late: boolean;
  #overloaded: boolean;
  #memoryShort: boolean;
  #onDrained: (() => void) | null;
  /** Set by leave(). */
  #onLeft: (() => void) | null;
  #ticks: number;

  constructor(options: ProxyOptions) {
    super();
    this.context = new TrafficContext(options);
    this.clusters = new ClusterTable();
    this.http = new HttpContext(this.context);
    this.health = new HealthMonitor(this.context);
    this.#listeners = new Map();
    this.#retired = new Set();
    this.#admission = new Admission(this.context, this);
    this.#https = new HttpsListeners(this.http, this.#admission, this.clusters);
    this.#sessions = new Sessions(this.context, (visit) =>
      this.#forEachListener((listener) => listener.forEachConnection(visit)),
    );
    const shedder = new LoadShedder(this, this.context.stats.values, options.logger);
    options.loop.onLag = (lagMs) => shedder.onLag(lagMs, options.loop.nowMs);
    this.#late = false;
    this.#overloaded = false;
    this.#memoryShort = false;
    this.#onDrained = null;
    this.#onLeft = null;
    this.#ticks = 0;
    this.context.stats.values[METRIC_SERVER_LIVE] = 1;
    this.context.stats.values[METRIC_BUFFER_CAPACITY] = options.settings.maxBuffers;
    options.loop.wheel.arm(this, TICK_MS);
  }

  /** Client connections now. */
  get sessions(): number {
    return this.#admission.connections;
  }

  /** What is known of the backends of a cluster, or of all clusters (null). */
  backendHealth(clusterId: string | null): BackendHealth[] {
    return backendHealth(this.context, this.clusters, clusterId);
  }

  /** The certificates of HTTPS listeners, as handshakes find them. */
  certificates(query: CertificateQuery): ServedCertificate[] {
    return this.#https.certificates(query);
  }

  /** Applies one change. Returns null, or the reason of its refusal; a refused change has changed nothing. */
  apply(change: Change): string | null {
    switch (change.kind) {
      case "add_http_listener":
        return this.#addListener(change.listener);
      case "remove_http_listener":
        return this.#removeListener(change.address);
      case "activate_http_listener":
        return this.#listeners.has(formatAddress(change.address)) ? null : noListener(change.address);
      case "deactivate_http_listener":
        return this.#deactivateListener(change.address);
      case "add_cluster":
        return this.#setCluster(change.cluster);
      case "remove_cluster":
        return this.#removeCluster(change.clusterId);
      case "add_backend":
        return this.#addBackend(change.backend);
      case "remove_backend":
        return this.#removeBackend(change.clusterId, change.backendId, change.address);
      case "add_http_frontend":
        return (
          this.#listener(change.frontend.address)?.addFrontend(change.frontend) ??
          this.#missing(change.frontend.address)
        );
      case "remove_http_frontend":
        return (
          this.#listener(change.frontend.address)?.removeFrontend(change.frontend) ??
          this.#missing(change.frontend.address)
        );
      default:
        return this.#https.apply(change);
    }
  }

  /** Why a change could never be applied, whatever else there is; null: it can be. Changes nothing. */
  check(change: Change): string | null {
    return checkChange(change) ?? (change.kind === "add_https_listener" ? checkTls(change.listener) : null);
  }

  /**
   * A set of changes is in force from now on: each host and each cluster asks it for its own before it is used. null: all of
   * it was applied.
   */
  follow(set: UnsettledSet | null): void {
    this.clusters.unsettled = set;
    this.#forEachListener((listener) => {
      const routes = set === null ? null : set.routesOf(listener.scheme, listener.name);
      if (routes === null) listener.router.settled();
      else listener.router.follow(routes);
    });
  }

  /** Accepts on a listening socket of this address; takes ownership of `fd` also when it refuses. `secure`: HTTPS. */
  activate(address: SocketAddress, fd: number, secure = false): string | null {
    if (secure) return this.#https.activate(address, fd);
    const listener = this.#listener(address);
    if (listener === null) {
      close(fd);
      return noListener(address);
    }
    const result = listener.listen(fd);
    return result < 0 ? `cannot listen on ${listener.name}: ${describeErrno(-result)}` : null;
  }

  /** Stops accepting on an address; its listening sockets are the caller's again. */
  deactivate(address: SocketAddress): readonly number[] {
    return [...(this.#listener(address)?.release() ?? []), ...this.#https.release(address)];
  }

  /** Connections of one source address to one cluster, for clusters without a limit of their own; 0: unlimited. */
  setMaxConnectionsPerIp(limit: number): void {
    this.context.ipLimits.setLimit(limit);
  }

  /** No new connections; idle ones close, others after their current request. `onDrained` is called once, at the end. */
  softStop(onDrained: () => void): void {
    const { context } = this;
    if (this.#onDrained !== null) return;
    this.#onDrained = onDrained;
    context.closing = true;
    context.leaving = true;
    context.stats.values[METRIC_SERVER_LIVE] = 0;
    this.#forEachListener((listener) => {
      listener.acceptWaiting();
      for (const fd of listener.release()) close(fd);
      listener.forEachConnection((connection) => connection.stopSoftly());
    });
    this.http.closeIdle();
    this.health.stop();
    context.loop.wheel.arm(this, DRAIN_CHECK_MS);
  }

  /**
   * A successor accepts on the same sockets: no new connections, and every response is the last of its connection. Idle
   * ones may send one more request, so that no client meets a close it could not foresee (decisions 28). `onDrained` is
   * called once, when nothing is left; softStop() may still follow, with its own.
   */
  leave(onDrained: () => void): void {
    const { context } = this;
    if (this.#onDrained !== null || context.leaving) return;
    this.#onLeft = onDrained;
    context.leaving = true;
    context.stats.values[METRIC_SERVER_LIVE] = 0;
    this.#forEachListener((listener) => {
      for (const fd of listener.release()) close(fd);
    });
  }

  /** Everything closes now. */
  hardStop(): void {
    this.context.closing = true;
    this.health.stop();
    this.#forEachListener((listener) => {
      for (const fd of listener.release()) close(fd);
      listener.forEachConnection((connection) => connection.stopNow());
    });
    this.http.closeIdle();
  }

  /** Gauges, once a second; while stopping, the question whether everything has ended. */
  override onTimeout(): void {
    const { context } = this;
    const { values } = context.stats;
    const { buffers } = context;
    values[METRIC_BUFFER_IN_USE] = buffers.inUse;
    values[METRIC_BUFFER_USAGE_PERCENT] = Math.floor((100 * buffers.inUse) / context.settings.maxBuffers);
    values[METRIC_HTTP_ACTIVE_REQUESTS] = this.http.exchanges.active - this.http.exchanges.tunnels;
    values[METRIC_TLS_CERT_MIN_EXPIRES_AT_SECONDS] = this.#https.earliestExpiry;
    this.#admission.tick();
    if (this.#onDrained !== null) {
      if (this.sessions === 0) {
        const onDrained = this.#onDrained;
        onDrained();
        return;
      }
      this.#forEachListener((listener) => listener.forEachConnection((connection) => connection.stopSoftly()));
    } else if (this.#onLeft !== null && this.sessions === 0) {
      const onLeft = this.#onLeft;
      onLeft();
      return;
    } else {
      this.#sessions.closeZombies();
      this.#countWaiting();
      if (++this.#ticks % TRIM_TICKS === 0) this.#trim();
    }
    context.loop.wheel.arm(this, context.leaving ? DRAIN_CHECK_MS : TICK_MS);
  }

  #trim(): void {
    this.context.buffers.trim();
    this.context.slots.trim();
    for (const listener of this.#retired) if (!listener.hasConnections) this.#retired.delete(listener);
    this.#https.trim();
  }

  #countWaiting(): void {
    let waiting = 0;
    if (this.#admission.isPaused) this.#forEachListener((listener) => (waiting += listener.waiting));
    this.context.stats.values[METRIC_ACCEPT_QUEUE_CONNECTIONS] = waiting;
  }

  // ---- what the load shedder asks for

  setLate(late: boolean): void {
    this.#late = late;
    this.#admission.setLate(late || this.#memoryShort);
  }

  setOverloaded(overloaded: boolean): void {
    this.#overloaded = overloaded;
    this.context.overloaded = overloaded || this.#memoryShort;
  }

  /** Memory runs short (true): nothing new is taken, as in overload, and what is idle goes. */
  setMemoryShort(short: boolean): void {
    this.#memoryShort = short;
    if (short) {
      this.closeIdle();
      this.#trim();
    }
    this.setLate(this.#late);
    this.setOverloaded(this.#overloaded);
  }

  // ---- what admission asks for

  onAccepting(accepting: boolean): void {
    this.#forEachListener((listener) => {
      if (accepting) listener.resume();
      else listener.pause();
    });
  }

  closeIdle(): void {
    this.http.closeIdle();
  }

  evict(max: number): void {
    this.#sessions.evict(max);
  }

  // ---- changes

  #listener(address: SocketAddress): HttpListener | null {
    return this.#listeners.get(formatAddress(address)) ?? null;
  }

  #missing(address: SocketAddress): string | null {
    return this.#listener(address) === null ? noListener(address) : null;
  }

  #addListener(config: HttpListenerObject): string | null {
    const name = formatAddress(config.address);
    const answers = answersOf(`listener ${name}`, config.answers);
    if (typeof answers === "string") return answers;
    const problem = checkListener(config);
    if (problem !== null) return problem;
    const known = this.#listeners.get(name);
    if (known === undefined) {
      if (this.context.loop.registered >= this.context.slabCapacity) return SLAB_FULL;
      this.#listeners.set(name, new HttpListener(this.http, this.#admission, this.clusters, config, answers));
    } else {
      known.update(config, answers);
    }
    return null;
  }

  #removeListener(address: SocketAddress): string | null {
    const listener = this.#listener(address);
    if (listener === null) return noListener(address);
    for (const fd of listener.release()) close(fd);
    listener.dropRoutes();
    this.#listeners.delete(formatAddress(address));
    if (listener.hasConnections) this.#retired.add(listener);
    return null;
  }

  #deactivateListener(address: SocketAddress): string | null {
    const listener = this.#listener(address);
    if (listener === null) return noListener(address);
    for (const fd of listener.release()) close(fd);
    return null;
  }

  #setCluster(object: ClusterObject): string | null {
    const { stats } = this.context;
    const answers = object.policy === null ? null : answersOf(`cluster ${object.clusterId}`, object.policy.answers);
    if (typeof answers === "string") return answers;
    const problem = checkCluster(object);
    if (problem !== null) return problem;
    const cluster = this.clusters.setCluster(object);
    cluster.answers = answers;
    cluster.row = stats.clusterRow(object.clusterId);
    for (const backend of cluster.backends) {
      if (backend.row !== stats.graveyardRow) continue;
      backend.row = stats.backendRow(object.clusterId, backend.id);
      const pool = backend.attachment as BackPool | null;
      if (pool !== null) stats.values[backend.row + ROW_CONNECTIONS_PER_BACKEND] += pool.open;
      noteBackendAvailable(this.context, backend);
    }
    this.health.configure(cluster);
    if (cluster.ejectAfter === 0) readmitAll(this.context, cluster);
    return null;
  }

  #removeCluster(clusterId: string): string | null {
    const { stats } = this.context;
    const cluster = this.clusters.removeCluster(clusterId);
    if (cluster === null) return `there is no cluster ${clusterId}`;
    cluster.answers = null;
    this.context.backendTls.drop(clusterId);
    cluster.row = stats.graveyardRow;
    for (const backend of cluster.backends) backend.row = stats.graveyardRow;
    stats.freeCluster(clusterId);
    this.health.configure(cluster);
    readmitAll(this.context, cluster);
    return null;
  }

  #addBackend(object: BackendObject): string | null {
    const { stats } = this.context;
    const backend = this.clusters.addBackend(object);
    if (backend.row === -1) {
      backend.row = stats.backendRow(object.clusterId, object.backendId);
      noteBackendAvailable(this.context, backend);
    }
    const cluster = this.clusters.get(object.clusterId);
    if (cluster === null) return null;
    if (cluster.row === -1) cluster.row = stats.clusterRow(object.clusterId);
    this.health.added(cluster, backend);
    noteAvailability(this.context, cluster);
    return null;
  }

  #removeBackend(clusterId: string, backendId: string, address: SocketAddress): string | null {
    const { stats } = this.context;
    const backend = this.clusters.removeBackend(clusterId, backendId, address);
    if (backend === null) return `cluster ${clusterId} has no backend ${backendId} at ${formatAddress(address)}`;
    this.http.forget(backend);
    this.health.removed(backend);
    const cluster = this.clusters.get(clusterId);
    if (cluster === null || !cluster.backends.some((other) => other.id === backendId)) {
      backend.row = stats.graveyardRow;
      stats.freeBackend(clusterId, backendId);
    }
    if (cluster !== null) noteAvailability(this.context, cluster);
    return null;
  }

  #forEachListener(visit: (listener: HttpListener) => void): void {
    for (const listener of this.#listeners.values()) visit(listener);
    for (const listener of this.#retired) visit(listener);
    this.#https.forEach(visit);
  }
}

function noListener(address: SocketAddress): string {
  return `there is no listener at ${formatAddress(address)}`;
}
