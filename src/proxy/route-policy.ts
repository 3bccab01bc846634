// The order in which a route with a policy is asked what to do with a request (spec 5.7): redirect, deny, cluster,
// credentials; https_redirect and the limit of the address follow in the exchange. `sozu explain` follows the same order.
//
// Edits of a response are for what backends answer; answers of the proxy itself stay as they are.

import type { Cluster } from "../balancing/cluster.ts";
import { Credentials } from "../policies/credentials.ts";
import { locationOf } from "../policies/redirect.ts";
import { DENIED, type RoutePolicy } from "../routing/route-policy.ts";
import { latin1 } from "../wire/http1/bytes.ts";
import { AUTHORIZATION } from "../wire/http1/head.ts";
import type { TrafficContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import type { RequestMessage } from "./messages.ts";
import type { FrontStream } from "./streams.ts";

/**
 * The status with which a request of a route with a policy is answered, or 0: it goes to its cluster. Called when the
 * request's head lies in the slot; `exchange.location` is set for redirects.
 */
export function decide(exchange: Exchange, policy: RoutePolicy, message: RequestMessage, base: number): number {
  const { cluster, context } = exchange;
  if (policy.status === DENIED) return DENIED;
  if (policy.status !== 0) {
    exchange.location = redirectLocation(exchange, policy);
    return policy.status;
  }
  if (cluster === null) return DENIED;
  if (policy.requiredAuth && !isAuthorized(context, cluster, message, base)) return DENIED;
  return 0;
}

/** Where `https_redirect` of a cluster leads (oddity 29: without a port the default one counts). */
export function httpsLocation(exchange: Exchange, cluster: Cluster): string {
  const port = cluster.config === null ? null : cluster.config.httpsRedirectPort;
  return locationOf("https", authorityOf(exchange), false, port, pathOf(exchange));
}

function redirectLocation(exchange: Exchange, policy: RoutePolicy): string {
  const { bytes, rewritten } = exchange.context;
  const scheme = policy.scheme ?? (exchange.front as FrontStream).listener.scheme;
  const hasHost = rewritten.hostLength >= 0;
  const authority = hasHost
    ? latin1(bytes, rewritten.hostAt, rewritten.hostAt + rewritten.hostLength)
    : authorityOf(exchange);
  const path =
    rewritten.pathLength >= 0
      ? latin1(bytes, rewritten.pathAt, rewritten.pathAt + rewritten.pathLength)
      : pathOf(exchange);
  const port = policy.rewritePort ?? exchange.cluster?.config?.httpsRedirectPort ?? null;
  return locationOf(scheme, authority, hasHost, port, path);
}

function authorityOf(exchange: Exchange): string {
  return exchange.slot.text(exchange.slot.authorityAt, exchange.slot.authorityLength);
}

/** The path that the client asked for; `*` (RFC 9112 3.2.4) is none. */
function pathOf(exchange: Exchange): string {
  const path = exchange.slot.text(exchange.slot.pathAt, exchange.slot.pathLength);
  return path === "*" ? "/" : path;
}

/** Spec 5.10. More than one Authorization field is none: readers differ in which of them counts. */
function isAuthorized(context: TrafficContext, cluster: Cluster, message: RequestMessage, base: number): boolean {
  const { head } = message;
  const index = head.indexOf(AUTHORIZATION);
  if (index === -1 || (head.repeated & (1 << AUTHORIZATION)) !== 0) return false;
  let { credentials } = cluster;
  if (credentials === null) {
    const hashes = cluster.config?.policy?.authorizedHashes ?? [];
    credentials = new Credentials(hashes, context.settings.basicAuthMaxCredentialBytes);
    cluster.credentials = credentials;
  }
  return credentials.accepts(context.bytes, base + head.valueStart(index), base + head.valueEnd(index));
}
