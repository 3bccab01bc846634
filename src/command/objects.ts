// The configuration objects as workers and the pure rooms see them: plain records with every default resolved.
// Main keeps the protobuf messages (src/command/gen); `toObject` functions in state.ts make these from them, and
// flat.ts carries them to workers. Field names follow the schema in camelCase; durations are seconds, as in the schema.

import type { BackendTlsObject, TlsChange } from "./objects-tls.ts";

/** An IP address and port. `ip` is canonical text: dotted IPv4, or RFC 5952 IPv6 without brackets. */
export interface SocketAddress {
  readonly ip: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** Custom answers: a status such as `404` and the text of its template, sorted by status. */
export type AnswerTexts = readonly (readonly [status: string, text: string])[];

/** What a listener does with a field name that has an underscore, or with an ambiguous path (additions). */
export const TOLERANCE_PASS = 0;
export const TOLERANCE_DROP = 1;
export const TOLERANCE_REFUSE = 2;

/** An HTTP listener (spec 2.4). Identity: its address. */
export interface HttpListenerObject {
  readonly address: SocketAddress;
  /** What forwarding headers and logs call "our" address; null: `address`. */
  readonly publicAddress: SocketAddress | null;
  readonly expectProxy: boolean;
  readonly stickyName: string;
  /** Seconds; 0 is off (decisions 8). */
  readonly frontTimeout: number;
  readonly backTimeout: number;
  readonly connectTimeout: number;
  readonly requestTimeout: number;
  readonly active: boolean;
  /** Name of the correlation header, default `Sozu-Id`. */
  readonly sozuIdHeader: string;
  readonly elideXRealIp: boolean;
  readonly sendXRealIp: boolean;
  /** Templates of local answers; the deprecated `http_answers` are merged in. */
  readonly answers: AnswerTexts;
  /** Addition: `X-Forwarded-*` of clients outside these networks is dropped; empty: trusted from anyone, as in Sozu. */
  readonly trustedProxies: readonly string[];
  /** Addition: field names with `_`. TOLERANCE_PASS, _DROP or _REFUSE. */
  readonly underscoreNames: number;
  /** Addition: paths with `.` and `..` segments, also encoded. TOLERANCE_PASS or _REFUSE. */
  readonly dotSegments: number;
  /** Addition: paths with `%2f` or `%5c`. TOLERANCE_PASS or _REFUSE. */
  readonly encodedSlashes: number;
}

/** A cluster (spec 2.5). Identity: its id. Enum values are those of the schema. */
export interface ClusterObject {
  readonly clusterId: string;
  readonly stickySession: boolean;
  readonly httpsRedirect: boolean;
  readonly httpsRedirectPort: number | null;
  /** LoadBalancingAlgorithms: 0 ROUND_ROBIN, 1 RANDOM, 2 LEAST_LOADED, 3 POWER_OF_TWO, 4 HRW, 5 MAGLEV. */
  readonly loadBalancing: number;
  /** LoadMetric: 0 CONNECTIONS, 1 REQUESTS, 2 CONNECTION_TIME. */
  readonly loadMetric: number;
  /** Addition: false keeps backend connections to one client (decisions 19). */
  readonly sharedBackendConnections: boolean;
  /** null: none of them. */
  readonly policy: ClusterPolicyObject | null;
  /** null: backends are not probed. */
  readonly healthCheck: HealthCheckObject | null;
  /** null: all of them at their defaults. */
  readonly tuning: BalancingTuningObject | null;
  /** null: backends speak HTTP/1.1, or whatever TCP clients speak, without a PROXY header. */
  readonly transport: ClusterTransportObject | null;
  /** Addition: null: backends are spoken to without TLS. */
  readonly tls: BackendTlsObject | null;
}

/** ProxyProtocolConfig of the schema. */
export const PROXY_EXPECT = 0;
export const PROXY_SEND = 1;
export const PROXY_RELAY = 2;

/** How a cluster speaks to its backends (spec 2.5, 10.2). */
export interface ClusterTransportObject {
  /** PROXY_*, TCP only; null: none. */
  readonly proxyProtocol: number | null;
  /** Backends speak HTTP/2 without TLS, with prior knowledge; as long as that is not built, none of them is used. */
  readonly http2: boolean;
  /** null: all of it at its defaults. */
  readonly udp: UdpClusterObject | null;
}

/** UdpHealthMode of the schema. */
export const UDP_HEALTH_OFF = 0;
export const UDP_HEALTH_TCP = 1;
export const UDP_HEALTH_UDP = 2;

/** UDP flows of a cluster (spec 11). */
export interface UdpClusterObject {
  /** UdpAffinityKey: 0 the client's address, 1 address and port. */
  readonly affinityKey: number;
  /** Datagrams after which a flow ends; 0: any number. */
  readonly responses: number;
  readonly requests: number;
  readonly sendProxyProtocol: boolean;
  readonly proxyProtocolEveryDatagram: boolean;
  /** null: backends are not probed. */
  readonly health: UdpHealthObject | null;
}

/** Probes of the backends of UDP clusters (spec 11.7). */
export interface UdpHealthObject {
  /** UDP_HEALTH_*. */
  readonly mode: number;
  /** null: the port of the backend. */
  readonly tcpPort: number | null;
  /** Results in a row, each at least 1. */
  readonly rise: number;
  readonly fall: number;
  readonly failOpen: boolean;
  /** Bytes of the datagram; empty: none is sent. */
  readonly udpProbePayload: readonly number[];
  /** Seconds, each at least 1. */
  readonly probeInterval: number;
  readonly probeTimeout: number;
}

/** A TCP listener (spec 2.4). Identity: its address. Stored only: workers do not get it yet. */
export interface TcpListenerObject {
  readonly address: SocketAddress;
  readonly publicAddress: SocketAddress | null;
  readonly expectProxy: boolean;
  /** Seconds; 0 is off. */
  readonly frontTimeout: number;
  readonly backTimeout: number;
  readonly connectTimeout: number;
  readonly active: boolean;
}

/** A UDP listener (spec 2.4). Identity: its address. Stored only. */
export interface UdpListenerObject {
  readonly address: SocketAddress;
  readonly publicAddress: SocketAddress | null;
  /** Seconds; 0 is off. */
  readonly frontTimeout: number;
  readonly backTimeout: number;
  /** Bytes; longer datagrams are dropped. */
  readonly maxRxDatagramSize: number;
  /** 0: as many as descriptors allow. */
  readonly maxFlows: number;
  readonly active: boolean;
}

/** A TCP or UDP frontend. Identity: cluster and address; a listener serves the cluster that came last. Stored only. */
export interface StreamFrontendObject {
  readonly clusterId: string;
  readonly address: SocketAddress;
  /** Sorted by key. */
  readonly tags: readonly (readonly [key: string, value: string])[];
}

/** What a cluster adds to the answers given in its name. */
export interface ClusterPolicyObject {
  /** `answer_503` is merged in. */
  readonly answers: AnswerTexts;
  /** `user:<sha256 of the password in lower-case hexadecimal>`. */
  readonly authorizedHashes: readonly string[];
  /** The whole value of `WWW-Authenticate` on 401. */
  readonly wwwAuthenticate: string | null;
  /** Connections of one source address; 0: unlimited, null: the global limit. */
  readonly maxConnectionsPerIp: number | null;
  /** Seconds of `Retry-After` on 429; 0 leaves it out, null: the global value. */
  readonly retryAfter: number | null;
}

/** Active probes of a cluster's backends (spec 7.5). */
export interface HealthCheckObject {
  /** Path of the probe, e.g. `/health`. */
  readonly uri: string;
  /** Seconds, each at least 1. */
  readonly interval: number;
  readonly timeout: number;
  /** Results in a row that change the verdict, each at least 1. */
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
  /** 0: any 2xx. Not used when `acceptedStatuses` is not empty. */
  readonly expectedStatus: number;
  /** Addition: the probe is a TCP connect, nothing is sent. */
  readonly tcp: boolean;
  /** Addition: inclusive ranges of statuses that mean healthy. */
  readonly acceptedStatuses: readonly (readonly [from: number, to: number])[];
}

/** Where HRW and MAGLEV get their key from (addition). */
export const AFFINITY_SOURCE_IP = 0;
export const AFFINITY_HEADER = 1;
export const AFFINITY_COOKIE = 2;

/** Additions to a cluster's balancing. */
export interface BalancingTuningObject {
  /** AFFINITY_*; HRW and MAGLEV only. */
  readonly affinity: number;
  /** Name of the header or cookie, lower case for headers; empty for the source address. */
  readonly affinityName: string;
  /** Seconds in which a backend that came back reaches its full weight; 0: at once. */
  readonly slowStart: number;
  /** Answers 5xx or timeouts in a row after which a backend is left out; 0: never. */
  readonly ejectAfter: number;
  /** Seconds it is left out the first time, doubled each time up to ten times this. */
  readonly ejectionTime: number;
}

/** A backend (spec 2.7). Identity inside its cluster: (backendId, address). */
export interface BackendObject {
  readonly clusterId: string;
  readonly backendId: string;
  readonly address: SocketAddress;
  /** 1 to 255 as configured; a missing weight and weight 0 arrive here as 100 (decisions 9). */
  readonly weight: number;
  readonly stickyId: string | null;
  readonly backup: boolean;
}

/** PathRuleKind of the schema. */
export const PATH_PREFIX = 0;
export const PATH_REGEX = 1;
export const PATH_EQUALS = 2;

/** RulePosition of the schema. */
export const POSITION_PRE = 0;
export const POSITION_POST = 1;
export const POSITION_TREE = 2;

/** An HTTP frontend (spec 2.6). Identity: `address;hostname;<P|R|=><path>[;method]` (spec 4.7). */
export interface HttpFrontendObject {
  /** null: the route denies (401). */
  readonly clusterId: string | null;
  readonly address: SocketAddress;
  /** ASCII, lower case, without a trailing dot. */
  readonly hostname: string;
  readonly pathKind: number;
  readonly path: string;
  /** null: any. */
  readonly method: string | null;
  readonly position: number;
  /** Sorted by key. */
  readonly tags: readonly (readonly [key: string, value: string])[];
  /** null: requests are forwarded as they are. */
  readonly policy: FrontendPolicyObject | null;
}

/** RedirectPolicy of the schema. */
export const REDIRECT_FORWARD = 0;
export const REDIRECT_PERMANENT = 1;
export const REDIRECT_UNAUTHORIZED = 2;
export const REDIRECT_FOUND = 3;
export const REDIRECT_PERMANENT_REDIRECT = 4;

/** RedirectScheme of the schema. */
export const SCHEME_SAME = 0;
export const SCHEME_HTTP = 1;
export const SCHEME_HTTPS = 2;

/** HeaderPosition of the schema. */
export const HEADER_REQUEST = 1;
export const HEADER_RESPONSE = 2;
export const HEADER_BOTH = 3;

/** What a frontend does with its requests besides forwarding them (spec 5.7, 5.8). */
export interface FrontendPolicyObject {
  /** REDIRECT_*. */
  readonly redirect: number;
  /** SCHEME_*. */
  readonly redirectScheme: number;
  /** Template of the redirect's answer. */
  readonly redirectTemplate: string | null;
  /** Templates with `$HOST[n]` and `$PATH[n]` (spec 6.6). */
  readonly rewriteHost: string | null;
  readonly rewritePath: string | null;
  /** 1 to 65535; redirects only. */
  readonly rewritePort: number | null;
  readonly requiredAuth: boolean;
  /** In the configured order. */
  readonly headers: readonly HeaderEditObject[];
}

/** One edit of header fields. An empty value removes all fields of the name, any other replaces them. */
export interface HeaderEditObject {
  /** HEADER_*. */
  readonly position: number;
  readonly name: string;
  readonly value: string;
  /** Addition: existing fields stay and this one is added. */
  readonly append: boolean;
}

/** One change of the state, as main sends it to workers. */
export type Change =
  | TlsChange
  | { readonly kind: "add_http_listener"; readonly listener: HttpListenerObject }
  | { readonly kind: "remove_http_listener"; readonly address: SocketAddress }
  | { readonly kind: "activate_http_listener"; readonly address: SocketAddress }
  | { readonly kind: "deactivate_http_listener"; readonly address: SocketAddress }
  | { readonly kind: "add_cluster"; readonly cluster: ClusterObject }
  | { readonly kind: "remove_cluster"; readonly clusterId: string }
  | { readonly kind: "add_backend"; readonly backend: BackendObject }
  | {
      readonly kind: "remove_backend";
      readonly clusterId: string;
      readonly backendId: string;
      readonly address: SocketAddress;
    }
  | { readonly kind: "add_http_frontend"; readonly frontend: HttpFrontendObject }
  | { readonly kind: "remove_http_frontend"; readonly frontend: HttpFrontendObject };

/** EventKind of the schema, as far as workers produce them (spec 7.6). */
export const EVENT_BACKEND_DOWN = 0;
export const EVENT_BACKEND_UP = 1;
export const EVENT_NO_AVAILABLE_BACKENDS = 2;
export const EVENT_REMOVED_BACKEND_HAS_NO_CONNECTIONS = 3;
export const EVENT_CLUSTER_RECOVERED = 29;
export const EVENT_HEALTH_CHECK_HEALTHY = 27;
export const EVENT_HEALTH_CHECK_UNHEALTHY = 28;

/** Something that happened in a worker and that subscribers of events hear of. */
export interface WorkerEvent {
  /** EVENT_*. */
  readonly kind: number;
  readonly clusterId: string | null;
  readonly backendId: string | null;
  readonly address: SocketAddress | null;
}

/** What one worker knows of a backend's health (addition). */
export interface BackendHealth {
  readonly clusterId: string;
  readonly backendId: string;
  readonly address: SocketAddress;
  /** Requests may go there now. */
  readonly available: boolean;
  /** Verdict of the active check; true without one. */
  readonly healthy: boolean;
  /** Why it is left out, for people: `connection refused, next attempt in 3 s`; empty when it is not. */
  readonly reason: string;
  readonly activeRequests: number;
}

/** `required`: a worker that cannot have it does not start. `log`: nothing is refused, the kernel logs what would be. */
export type SandboxMode = "on" | "off" | "required" | "log";

/** Limits and settings of one worker (the resolved global keys of spec 2.2 that concern traffic). */
export interface WorkerSettings {
  /** Printed as `WRK-NN`. */
  readonly workerId: number;
  readonly maxConnections: number;
  readonly minBuffers: number;
  readonly maxBuffers: number;
  /** Bytes per buffer, 16393 by default. */
  readonly bufferSize: number;
  /** Seconds. */
  readonly acceptQueueTimeout: number;
  /** Seconds without a main after which the worker finishes and ends; 0 or none: for ever. */
  readonly orphanTimeout?: number;
  readonly zombieCheckInterval: number;
  /** Filter directives of spec 12.1. */
  readonly logLevel: string;
  /** `stdout` or `file://path`. */
  readonly logTarget: string;
  readonly logColored: boolean;
  /** At the connection limit, the connections idle for longest make room for new ones (spec 13.4). */
  readonly evictOnQueueFull: boolean;
  /** 2 to 32; the slab has 10 + this times `maxConnections` entries. */
  readonly slabEntriesPerConnection: number;
  /** Connections of one source address to one cluster; 0: unlimited. Changeable at runtime. */
  readonly maxConnectionsPerIp: number;
  /** Seconds of `Retry-After` on 429; 0 leaves it out. */
  readonly retryAfter: number;
  /** Largest decoded Basic credential. */
  readonly basicAuthMaxCredentialBytes: number;
  /** null: access lines go to `logTarget`; "off" writes none. */
  readonly accessLogsTarget: string | null;
  readonly accessLogsFormat: "ascii" | "protobuf";
  /** Text lines tell of TLS, too. */
  readonly accessLogsTls: boolean;
  readonly sandbox: SandboxMode;
  /** Bytes of resident memory above which new work is refused; 0: any. */
  readonly memoryLimit: number;
  /** What rows of the stats page record: 0 process, 2 cluster, 3 backend (spec 12.6). Changeable at runtime. */
  readonly metricDetail: number;
}
