// `sozu/config`: a configuration as TypeScript. The types come from the key tables, so an editor knows every key, word and
// range the parser knows; the object becomes TOML before it is read, so it means exactly what that file would.

import type { SocketAddress } from "../command/objects.ts";
import type { KeyTable, ValuesOf } from "./keys.ts";
import type {
  BACKEND_KEYS,
  CLUSTER_KEYS,
  FRONTEND_KEYS,
  GLOBAL_KEYS,
  HEADER_KEYS,
  HEALTH_CHECK_KEYS,
  LISTENER_KEYS,
  METRICS_KEYS,
  STREAM_FRONTEND_KEYS,
  UDP_HEALTH_KEYS,
  UDP_KEYS,
} from "./tables.ts";
import type { BACKEND_TLS_KEYS, CLIENT_AUTH_KEYS, HSTS_KEYS } from "./tables-tls.ts";

/** What is written for a value that was read. */
type Written<V> = V extends SocketAddress
  ? string
  : V extends ReadonlyMap<string, string>
    ? Readonly<Record<string, string>>
    : V;

/** The keys of a table as they are written; those of `N` are tables themselves. */
type Table<T extends KeyTable, N = unknown> = {
  readonly [K in Exclude<keyof T, keyof N>]?: Written<NonNullable<ValuesOf<T>[K]>>;
} & N;

/** A header edit of a frontend. */
export type HeaderInput = Table<typeof HEADER_KEYS>;
/** A frontend of a cluster. */
export type FrontendInput =
  | Table<typeof FRONTEND_KEYS, { readonly headers?: readonly HeaderInput[] }>
  | Table<typeof STREAM_FRONTEND_KEYS>;
/** A backend of a cluster. */
export type BackendInput = Table<typeof BACKEND_KEYS>;
/** `[clusters.<id>]` */
export type ClusterInput = Table<
  typeof CLUSTER_KEYS,
  {
    readonly frontends: readonly FrontendInput[];
    readonly backends: readonly BackendInput[];
    readonly health_check?: Table<typeof HEALTH_CHECK_KEYS>;
    readonly tls?: Table<typeof BACKEND_TLS_KEYS>;
    readonly udp?: Table<typeof UDP_KEYS, { readonly health?: Table<typeof UDP_HEALTH_KEYS> }>;
  }
>;
/** `[[listeners]]` */
export type ListenerInput = Table<
  typeof LISTENER_KEYS,
  { readonly hsts?: Table<typeof HSTS_KEYS>; readonly client_auth?: Table<typeof CLIENT_AUTH_KEYS> }
>;
/** A whole configuration. */
export type ConfigInput = Table<
  typeof GLOBAL_KEYS,
  {
    readonly listeners?: readonly ListenerInput[];
    readonly clusters?: Readonly<Record<string, ClusterInput>>;
    readonly metrics?: Table<typeof METRICS_KEYS>;
  }
>;

/** Returns its argument; an editor and `tsc` check it. The default export of a `sozu.config.ts`. */
export function defineConfig(config: ConfigInput): ConfigInput {
  return config;
}
