// A proxy inside the test process: real sockets, one event loop, no main and no worker process around it.
// The arena of a process is registered once, so a test file has one rig and as many listeners as it likes.

import { randomFillSync } from "node:crypto";
import type {
  BackendObject,
  ClusterObject,
  FrontendPolicyObject,
  HttpFrontendObject,
  HttpListenerObject,
  SocketAddress,
  WorkerEvent,
  WorkerSettings,
} from "../../src/command/objects.ts";
import { EventLoop } from "../../src/loop/event-loop.ts";
import { Memory } from "../../src/loop/memory.ts";
import { AccessLog } from "../../src/observe/access-log.ts";
import { Logger } from "../../src/observe/logger.ts";
import { BatchSink } from "../../src/observe/sink.ts";
import { Stats } from "../../src/observe/stats.ts";
import { statsPageBytes } from "../../src/observe/stats-layout.ts";
import type { LogTarget } from "../../src/observe/target.ts";
import { UlidSource } from "../../src/observe/ulid.ts";
import { clock, readClock } from "../../src/os/clock.ts";
import { getsockname, listenTcp } from "../../src/os/listeners.ts";
import { arenaBytesFor } from "../../src/proxy/context.ts";
import { ProxyServer } from "../../src/proxy/proxy-server.ts";

const SETTINGS: WorkerSettings = {
  workerId: 0,
  maxConnections: 1000,
  minBuffers: 1,
  maxBuffers: 100,
  bufferSize: 16393,
  acceptQueueTimeout: 60,
  zombieCheckInterval: 1800,
  logLevel: "info",
  logTarget: "stdout",
  logColored: false,
  evictOnQueueFull: false,
  slabEntriesPerConnection: 4,
  maxConnectionsPerIp: 0,
  retryAfter: 60,
  basicAuthMaxCredentialBytes: 4096,
  accessLogsTarget: null,
  accessLogsFormat: "ascii",
  accessLogsTls: false,
  sandbox: "off",
  memoryLimit: 0,
  metricDetail: 3,
};

export interface ListenerOptions {
  readonly frontTimeout?: number;
  readonly backTimeout?: number;
  readonly connectTimeout?: number;
  readonly requestTimeout?: number;
  readonly stickySession?: boolean;
  /** Anything else of the cluster. */
  readonly cluster?: Partial<ClusterObject>;
  readonly expectProxy?: boolean;
}

export class Rig {
  readonly memory: Memory;
  readonly loop: EventLoop;
  readonly proxy: ProxyServer;
  readonly stats: Stats;
  readonly sink: BatchSink;
  /** What subscribers of events would have heard. */
  readonly events: WorkerEvent[] = [];

  /** `extraBytes` of the arena are left for the caller (`memory.allocate`). */
  constructor(overrides: Partial<WorkerSettings> = {}, logTarget?: LogTarget, extraBytes = 0) {
    readClock();
    const settings = { ...SETTINGS, ...overrides };
    const memory = new Memory(arenaBytesFor(settings) + extraBytes);
    this.memory = memory;
    this.loop = new EventLoop(memory);
    const owner = { workerId: 0, pid: process.pid, nowUs: clock[0] };
    this.stats = new Stats(new ArrayBuffer(statsPageBytes(64)), owner);
    this.sink = new BatchSink(logTarget ?? ({ fd: -1, write: () => {} } as unknown as LogTarget));
    const logger = new Logger({ tag: "WRK-00", pid: process.pid, sink: this.sink, directives: "info", colored: false });
    const accessLog =
      logTarget === undefined
        ? null
        : new AccessLog({ sink: this.sink, memoryBytes: memory.bytes, tag: "WRK-00", pid: process.pid });
    this.proxy = new ProxyServer({
      loop: this.loop,
      memory,
      settings,
      logger,
      accessLog,
      stats: this.stats,
      ulids: new UlidSource(randomFillSync),
      random: Math.random,
      onEvent: (event) => this.events.push(event),
    });
    this.loop.start();
  }

  /** A listener on a free port with one cluster "app" for every host and these backends. Returns the port. */
  listen(backendPorts: readonly number[], options: ListenerOptions = {}): number {
    const fd = listenTcp({ ip: "127.0.0.1", port: 0 }, { reusePort: false });
    if (fd < 0) throw new Error(`cannot listen: ${fd}`);
    const bound = getsockname(fd);
    if (bound === null || typeof bound === "number") throw new Error("no name");
    const cluster = `app-${bound.port}`;
    this.must({
      kind: "add_http_listener",
      listener: this.listenerAt(bound, options),
    });
    this.must({
      kind: "add_cluster",
      cluster: { ...clusterOf(cluster), stickySession: options.stickySession ?? false, ...options.cluster },
    });
    this.must({ kind: "add_http_frontend", frontend: frontendOf(cluster, bound) });
    for (const port of backendPorts) this.must({ kind: "add_backend", backend: backendOf(cluster, port) });
    const refused = this.proxy.activate(bound, fd);
    if (refused !== null) throw new Error(refused);
    return bound.port;
  }

  /** The cluster that `listen` made, with its defaults. */
  clusterAt(port: number): ClusterObject {
    return clusterOf(`app-${port}`);
  }

  /** The frontend that `listen` made. */
  frontendAt(port: number): HttpFrontendObject {
    return frontendOf(`app-${port}`, { ip: "127.0.0.1", port });
  }

  /** A listener's configuration, active, with defaults for what `options` leaves out. */
  listenerAt(address: SocketAddress, options: ListenerOptions = {}): HttpListenerObject {
    return {
      address,
      publicAddress: null,
      expectProxy: options.expectProxy ?? false,
      stickyName: "SOZUBALANCEID",
      frontTimeout: options.frontTimeout ?? 60,
      backTimeout: options.backTimeout ?? 30,
      connectTimeout: options.connectTimeout ?? 3,
      requestTimeout: options.requestTimeout ?? 10,
      active: true,
      sozuIdHeader: "Sozu-Id",
      elideXRealIp: false,
      sendXRealIp: false,
      answers: [],
      trustedProxies: [],
      underscoreNames: 0,
      dotSegments: 0,
      encodedSlashes: 0,
    };
  }

  must(change: Parameters<ProxyServer["apply"]>[0]): void {
    const refused = this.proxy.apply(change);
    if (refused !== null) throw new Error(refused);
  }

  stop(): void {
    this.proxy.hardStop();
    this.loop.wheel.cancel(this.proxy);
    this.loop.stop();
  }
}

export function clusterOf(clusterId: string): ClusterObject {
  return {
    clusterId,
    stickySession: false,
    httpsRedirect: false,
    httpsRedirectPort: null,
    loadBalancing: 0,
    loadMetric: 0,
    sharedBackendConnections: true,
    policy: null,
    healthCheck: null,
    tuning: null,
    transport: null,
    tls: null,
  };
}

/** A policy that changes nothing, to be spread. */
export const FORWARD: FrontendPolicyObject = {
  redirect: 0,
  redirectScheme: 0,
  redirectTemplate: null,
  rewriteHost: null,
  rewritePath: null,
  rewritePort: null,
  requiredAuth: false,
  headers: [],
};

export function frontendOf(clusterId: string, address: { ip: string; port: number }): HttpFrontendObject {
  return {
    clusterId,
    address,
    hostname: "*",
    pathKind: 0,
    path: "",
    method: null,
    position: 2,
    tags: [],
    policy: null,
  };
}

export function backendOf(clusterId: string, port: number): BackendObject {
  return {
    clusterId,
    backendId: `b-${port}`,
    address: { ip: "127.0.0.1", port },
    weight: 100,
    stickyId: null,
    backup: false,
  };
}
