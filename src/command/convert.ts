// From protobuf messages to the records of objects.ts: every default resolved, every text checked, host names
// normalised. A message whose set fields ask for something that is not built yet is refused, never half obeyed; fields
// that are set to what "off" means pass, since stock clients send them. Each function returns the record or a
// CommandError.

import { type Converted, checkField, checkUnknownEnums, has, isError, toAddress } from "./convert-checks.ts";
import { toHealthCheck, toTuning } from "./convert-health.ts";
import { checkPort, toClusterPolicy, toFrontendPolicy } from "./convert-policies.ts";
import { toTags } from "./convert-tags.ts";
import { toBackendTls } from "./convert-tls.ts";
import { toTransport } from "./convert-transport.ts";
import { CommandError, commandError } from "./errors.ts";
import type { AddBackend, Cluster, RemoveBackend, RequestHttpFrontend } from "./gen/sozu_pb.ts";
import { ID_BYTES_MAX, METHOD_BYTES_MAX, PATH_BYTES_MAX, WEIGHT_MAX } from "./limits.ts";
import type { BackendObject, ClusterObject, HttpFrontendObject, SocketAddress } from "./objects.ts";
import { PATH_REGEX } from "./objects.ts";
import { compilePattern } from "./pattern.ts";
import { checkName, checkText, checkToken, normalizeHost } from "./text.ts";

/** What a missing weight and weight 0 mean (decisions 9). */
export const WEIGHT_DEFAULT = 100;

export function toCluster(message: Cluster): Converted<ClusterObject> {
  const portGiven = has(message, "httpsRedirectPort");
  const bad =
    checkField("cluster_id", checkName(message.clusterId, ID_BYTES_MAX)) ??
    checkUnknownEnums(message) ??
    (portGiven ? checkPort("https_redirect_port", message.httpsRedirectPort) : null);
  if (bad !== null) return bad;
  const policy = toClusterPolicy(message);
  if (policy instanceof CommandError) return policy;
  const healthCheck = message.healthCheck === undefined ? null : toHealthCheck(message.healthCheck, "health_check");
  if (healthCheck instanceof CommandError) return healthCheck;
  const tuning = toTuning(message);
  if (tuning instanceof CommandError) return tuning;
  const transport = toTransport(message);
  if (transport instanceof CommandError) return transport;
  const tls = toBackendTls(message.tls);
  if (tls instanceof CommandError) return tls;
  return {
    clusterId: message.clusterId,
    stickySession: message.stickySession,
    httpsRedirect: message.httpsRedirect,
    httpsRedirectPort: portGiven ? message.httpsRedirectPort : null,
    loadBalancing: message.loadBalancing,
    loadMetric: message.loadMetric,
    sharedBackendConnections: has(message, "sharedBackendConnections") ? message.sharedBackendConnections : true,
    policy,
    healthCheck,
    tuning,
    transport,
    tls,
  };
}

export function toBackend(message: AddBackend): Converted<BackendObject> {
  const address = toAddress("address", message.address);
  if (isError(address)) return address;
  const bad =
    checkField("cluster_id", checkName(message.clusterId, ID_BYTES_MAX)) ??
    checkField("backend_id", checkName(message.backendId, ID_BYTES_MAX)) ??
    (has(message, "stickyId") ? checkField("sticky_id", checkCookieValue(message.stickyId)) : null) ??
    checkUnknownEnums(message);
  if (bad !== null) return bad;
  const weight = message.loadBalancingParameters?.weight ?? 0;
  if (weight < 0 || weight > WEIGHT_MAX) {
    return commandError("INVALID_VALUE", "weight", `it must be from 0 to ${WEIGHT_MAX}, got ${weight}`);
  }
  return {
    clusterId: message.clusterId,
    backendId: message.backendId,
    address,
    weight: weight === 0 ? WEIGHT_DEFAULT : weight,
    stickyId: has(message, "stickyId") ? message.stickyId : null,
    backup: message.backup,
  };
}

/** What names a backend in RemoveBackend. */
export interface BackendIdentity {
  readonly clusterId: string;
  readonly backendId: string;
  readonly address: SocketAddress;
}

export function toBackendIdentity(message: RemoveBackend): Converted<BackendIdentity> {
  const address = toAddress("address", message.address);
  if (isError(address)) return address;
  return { clusterId: message.clusterId, backendId: message.backendId, address };
}

export function toHttpFrontend(message: RequestHttpFrontend): Converted<HttpFrontendObject> {
  // Spec 5.11: even a disabled one is refused.
  return message.hsts === undefined ? toFrontend(message) : commandError("INVALID_VALUE", "hsts", HSTS_ON_HTTP);
}

const HSTS_ON_HTTP = "a plain HTTP frontend cannot carry it (RFC 6797 7.2): it belongs to HTTPS frontends";

/** What HTTP and HTTPS frontends have in common. */
export function toFrontend(message: RequestHttpFrontend): Converted<HttpFrontendObject> {
  const address = toAddress("address", message.address);
  if (isError(address)) return address;
  const clusterId = has(message, "clusterId") ? message.clusterId : null;
  const method = has(message, "method") && message.method !== "" ? message.method : null;
  const path = message.path?.value ?? "";
  const pathKind = message.path?.kind ?? 0;
  const bad =
    (clusterId === null ? null : checkField("cluster_id", checkName(clusterId, ID_BYTES_MAX))) ??
    checkField("path", checkText(path, PATH_BYTES_MAX)) ??
    (method === null ? null : checkField("method", checkToken(method, METHOD_BYTES_MAX))) ??
    checkUnknownEnums(message) ??
    (message.path === undefined ? null : checkUnknownEnums(message.path));
  if (bad !== null) return bad;
  const pattern = pathKind === PATH_REGEX ? compilePattern(path) : null;
  if (pattern !== null && "reason" in pattern) return commandError("INVALID_VALUE", "path", pattern.reason);
  const host = normalizeHost(message.hostname);
  if ("reason" in host) return commandError("INVALID_VALUE", "hostname", host.reason);
  const tags = toTags(message.tags);
  if ("code" in tags) return tags;
  const policy = toFrontendPolicy(message, { hostname: host.host, pathKind, path });
  if (policy instanceof CommandError) return policy;
  return {
    clusterId,
    address,
    hostname: host.host,
    pathKind,
    path,
    method,
    position: message.position,
    tags,
    policy,
  };
}

function checkCookieValue(text: string): string | null {
  // RFC 6265 4.1.1: the value goes into a Set-Cookie field and comes back in Cookie.
  const bad = checkName(text, ID_BYTES_MAX);
  if (bad !== null) return bad;
  return /^[!#-+\--:<-[\]-~]+$/.test(text) ? null : "it has characters that a cookie cannot carry";
}
