// The configuration objects as workers and the pure rooms see them: plain records with every default resolved.
// Main keeps the protobuf messages (src/command/gen); `toObject` functions in state.ts make these from them, and
// flat.ts carries them to workers. Field names follow the schema in camelCase; durations are seconds, as in the schema.

/** An IP address and port. `ip` is canonical text: dotted IPv4, or RFC 5952 IPv6 without brackets. */
export interface SocketAddress {
  readonly ip: string;
  /** 1 to 65535. */
  readonly port: number;
}

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
}

/** One change of the state, as main sends it to workers. */
export type Change =
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
  readonly zombieCheckInterval: number;
  /** Filter directives of spec 12.1. */
  readonly logLevel: string;
  /** `stdout` or `file://path`. */
  readonly logTarget: string;
  readonly logColored: boolean;
  /** null: access lines go to `logTarget`; "off" writes none. */
  readonly accessLogsTarget: string | null;
}
