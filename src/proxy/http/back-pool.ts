// The connections to one backend: idle ones wait here for the next request of any client (decisions 19).
//
// Last in, first out: the connection used last is the least likely to have been closed by the backend. An idle connection
// stays registered, so a backend that closes it is noticed at once. A request that must not be sent twice only gets a
// connection that was used within the last second and shows no sign of an end.

import type { Backend } from "../../balancing/backend.ts";
import type { Cluster } from "../../balancing/cluster.ts";
import {
  METRIC_BACKEND_CONNECTIONS,
  METRIC_BACKEND_CONNECTIONS_ERROR,
  METRIC_BACKEND_POOL_HIT,
  METRIC_BACKEND_POOL_MISS,
  METRIC_BACKEND_POOL_SIZE,
  ROW_BACKEND_CONNECTIONS_ERROR,
  ROW_BACKEND_CONNECTIONS_OPENED,
  ROW_CONNECTIONS_PER_BACKEND,
} from "../../observe/metrics.ts";
import { EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "../../os/epoll.ts";
import { EINPROGRESS, EMFILE, ENFILE } from "../../os/errno.ts";
import {
  close,
  connect,
  encodeSockaddr,
  IPPROTO_TCP,
  setsockopt,
  socket,
  TCP_NODELAY,
  TCP4,
  TCP6,
} from "../../os/sockets.ts";
import { createResumption, destroyResumption } from "../../os/tls.ts";
import { noteBackendDown, noteBackendUp, noteDrained } from "../availability.ts";
import type { Exchange } from "../exchange.ts";
import { recordConnectionTime } from "../exchange-record.ts";
import type { FrontStream } from "../streams.ts";
import type { BackendTls } from "../tls/backend-tls.ts";
import { BackConnection } from "./back-connection.ts";
import type { HttpContext } from "./http-context.ts";

const IDLE_MAX = 512;
/** Node closes idle connections after 5 s, Gunicorn after 2 to 5 (decisions 19). */
const IDLE_MS_MAX = 4000;
/** A connection for a request that cannot be replayed was idle for less than this. */
const FRESH_MS = 1000;

export class BackPool {
  readonly backend: Backend;
  /** Connections of this pool that are not closed, idle or not. */
  open: number;
  /** The cluster lets clients share connections. */
  #shared: boolean;
  #cluster: Cluster | null;
  /** How the backend is spoken to now; null: plainly. */
  #tls: BackendTls | null;
  /** Place of its session tickets; -1: none yet. */
  #resumption: number;
  readonly #http: HttpContext;
  readonly #idle: BackConnection[];

  constructor(http: HttpContext, backend: Backend) {
    this.backend = backend;
    this.open = 0;
    this.#shared = true;
    this.#cluster = null;
    this.#tls = null;
    this.#resumption = -1;
    this.#http = http;
    this.#idle = [];
  }

  /** An idle connection or a new one; null when no socket could be had. */
  acquire(exchange: Exchange): BackConnection | null {
    const values = this.#http.context.stats.values;
    this.#cluster = exchange.cluster;
    this.#shared = exchange.cluster?.config?.sharedBackendConnections !== false;
    const tls = exchange.cluster?.config?.tls == null ? null : this.#http.context.backendTls.of(exchange.cluster);
    if (tls !== this.#tls) this.#useTls(tls);
    const wantsFresh = exchange.retried || exchange.attempts > 1;
    const idle = wantsFresh ? null : this.#takeIdle(exchange);
    if (idle !== null) {
      values[METRIC_BACKEND_POOL_HIT]++;
      idle.wake();
      return idle;
    }
    values[METRIC_BACKEND_POOL_MISS]++;
    return this.#connect();
  }

  /** What was connected under another policy serves nobody any more. */
  #useTls(tls: BackendTls | null): void {
    this.#tls = tls;
    this.retire();
  }

  /** Where sessions under this policy are kept to be resumed, or -1: it is not the policy of today. */
  resumptionOf(secure: BackendTls): number {
    if (secure !== this.#tls || this.backend.removed) return -1;
    if (this.#resumption === -1) this.#resumption = Math.max(-1, createResumption());
    return this.#resumption;
  }

  /** Keeps a connection whose response ended cleanly; closes it when there is a reason not to. */
  release(connection: BackConnection, front: FrontStream | null): void {
    const { context } = this.#http;
    const owner = connection.belongsToClient || !this.#shared ? front : null;
    if (this.backend.removed || connection.secure !== this.#tls || (owner === null && this.#idle.length >= IDLE_MAX)) {
      connection.discard();
      return;
    }
    const promised = connection.keepAliveTimeoutS;
    const idleMs = promised >= 0 ? Math.min(IDLE_MS_MAX, promised * 1000 - 500) : IDLE_MS_MAX;
    if (idleMs <= 0) {
      connection.discard();
      return;
    }
    connection.idleSinceMs = context.loop.nowMs;
    context.loop.wheel.arm(connection, idleMs);
    context.stats.values[METRIC_BACKEND_POOL_SIZE]++;
    if (owner === null) {
      this.#idle.push(connection);
      return;
    }
    connection.owner = owner;
    const connections = this.#http.owned.get(owner);
    if (connections === undefined) this.#http.owned.set(owner, [connection]);
    else connections.push(connection);
  }

  /** A connection of this pool has closed; it may have been idle. */
  closed(connection: BackConnection): void {
    const values = this.#http.context.stats.values;
    values[METRIC_BACKEND_CONNECTIONS]--;
    values[this.backend.row + ROW_CONNECTIONS_PER_BACKEND]--;
    this.open--;
    this.#forgetIdle(connection);
    if (this.backend.removed && this.open === 0) noteDrained(this.#http.context, this.backend);
  }

  #forgetIdle(connection: BackConnection): void {
    const values = this.#http.context.stats.values;
    if (this.#remove(this.#idle, connection)) {
      values[METRIC_BACKEND_POOL_SIZE]--;
      return;
    }
    const { owner } = connection;
    const connections = owner === null ? undefined : this.#http.owned.get(owner);
    if (owner === null || connections === undefined || !this.#remove(connections, connection)) return;
    values[METRIC_BACKEND_POOL_SIZE]--;
    if (connections.length === 0) this.#http.owned.delete(owner);
  }

  connected(microseconds: number): void {
    const { context } = this.#http;
    const { backend } = this;
    recordConnectionTime(context.stats, backend, microseconds);
    if (backend.onConnected(context.loop.nowMs, microseconds / 1000)) noteBackendUp(context, this.#cluster, backend);
  }

  /** `errno` of the socket, 0: it took too long. */
  connectFailed(errno: number): void {
    this.#countFailure(errno);
  }

  closeIdle(): void {
    for (const connection of this.#idle.slice()) connection.discard();
  }

  /** The backend was removed: idle connections close, those of single clients too. */
  retire(): void {
    if (this.#resumption !== -1) destroyResumption(this.#resumption);
    this.#resumption = -1;
    this.closeIdle();
    for (const connections of this.#http.owned.values()) {
      for (const connection of connections.slice()) if (connection.pool === this) connection.discard();
    }
  }

  #takeIdle(exchange: Exchange): BackConnection | null {
    const { context, owned } = this.#http;
    const values = context.stats.values;
    if (owned.size > 0) {
      const connections = owned.get(exchange.front as FrontStream);
      const mine = connections?.findLastIndex((connection) => connection.pool === this) ?? -1;
      if (connections !== undefined && mine !== -1) {
        const connection = connections[mine];
        connections.splice(mine, 1);
        values[METRIC_BACKEND_POOL_SIZE]--;
        return connection;
      }
    }
    if (!this.#shared) return null;
    const idle = this.#idle;
    if (idle.length === 0) return null;
    const connection = idle[idle.length - 1];
    if (!exchange.isReplayable) {
      if (context.loop.nowMs - connection.idleSinceMs >= FRESH_MS) return null;
      if (!connection.isQuiet()) {
        connection.discard();
        return null;
      }
    }
    idle.pop();
    values[METRIC_BACKEND_POOL_SIZE]--;
    return connection;
  }

  #connect(): BackConnection | null {
    const { context } = this.#http;
    const { address } = this.backend;
    const kind = address.ip.includes(":") ? TCP6 : TCP4;
    if (context.loop.registered >= context.slabCapacity) this.#http.closeIdle();
    if (context.loop.registered >= context.slabCapacity) return null;
    let fd = socket(kind);
    if (fd === -EMFILE || fd === -ENFILE) {
      // Idle connections are worth less than a request.
      this.#http.closeIdle();
      fd = socket(kind);
    }
    // No descriptor: that is our trouble and says nothing of the backend.
    if (fd < 0) return null;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    const length = encodeSockaddr(address, context.bytes, context.sockaddr);
    const result = connect(fd, context.sockaddr, length);
    if (result < 0 && result !== -EINPROGRESS) {
      close(fd);
      this.#countFailure(-result);
      return null;
    }
    const connection = new BackConnection(this.#http, this, fd, this.#tls);
    const token = context.loop.register(fd, connection, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    if (token < 0) {
      close(fd);
      return null;
    }
    connection.token = token;
    this.open++;
    const values = context.stats.values;
    values[METRIC_BACKEND_CONNECTIONS]++;
    values[this.backend.row + ROW_CONNECTIONS_PER_BACKEND]++;
    context.stats.countOfBackend(this.backend.row, ROW_BACKEND_CONNECTIONS_OPENED);
    return connection;
  }

  #countFailure(errno: number): void {
    const { context } = this.#http;
    const { backend } = this;
    context.stats.values[METRIC_BACKEND_CONNECTIONS_ERROR]++;
    context.stats.countOfBackend(backend.row, ROW_BACKEND_CONNECTIONS_ERROR);
    backend.lastErrno = errno;
    if (backend.onConnectFailed(context.loop.nowMs, context.random)) noteBackendDown(context, this.#cluster, backend);
  }

  #remove(connections: BackConnection[], connection: BackConnection): boolean {
    const index = connections.lastIndexOf(connection);
    if (index === -1) return false;
    connections.splice(index, 1);
    return true;
  }
}
