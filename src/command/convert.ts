// From protobuf messages to the records of objects.ts: every default resolved, every text checked, host names
// normalised. A message whose set fields ask for something that is not built yet is refused, never half obeyed; fields
// that are set to what "off" means pass, since stock clients send them. Each function returns the record or a
// CommandError.

import type { Message } from "@bufbuild/protobuf";
import { addressFromMessage } from "./address.ts";
import { type CommandError, commandError } from "./errors.ts";
import type {
  AddBackend,
  SocketAddress as AddressMessage,
  Cluster,
  HttpListenerConfig,
  RemoveBackend,
  RequestHttpFrontend,
} from "./gen/sozu_pb.ts";
import { compareUtf8 } from "./json.ts";
import {
  HEADER_NAME_BYTES_MAX,
  ID_BYTES_MAX,
  METHOD_BYTES_MAX,
  PATH_BYTES_MAX,
  TAG_KEY_BYTES_MAX,
  TAG_VALUE_BYTES_MAX,
  TAGS_MAX,
  TIMEOUT_SECONDS_MAX,
  WEIGHT_MAX,
} from "./limits.ts";
import type { BackendObject, ClusterObject, HttpFrontendObject, HttpListenerObject, SocketAddress } from "./objects.ts";
import { PATH_REGEX } from "./objects.ts";
import { compilePattern } from "./pattern.ts";
import { checkName, checkText, checkToken, normalizeHost } from "./text.ts";

/** Default of `sticky_name`. */
export const STICKY_NAME_DEFAULT = "SOZUBALANCEID";
/** Default of `sozu_id_header`. */
export const SOZU_ID_HEADER_DEFAULT = "Sozu-Id";
/** What a missing weight and weight 0 mean (decisions 9). */
export const WEIGHT_DEFAULT = 100;

/** An error, or the record. */
export type Converted<T> = T | CommandError;

export function isError<T extends object>(value: T | CommandError): value is CommandError {
  return "code" in value;
}

export function toCluster(message: Cluster): Converted<ClusterObject> {
  const bad =
    checkField("cluster_id", checkName(message.clusterId, ID_BYTES_MAX)) ??
    checkUnsupported(message, CLUSTER_LATER) ??
    checkUnknownEnums(message);
  if (bad !== null) return bad;
  const port = message.httpsRedirectPort;
  const portGiven = has(message, "httpsRedirectPort");
  if (portGiven && (port < 1 || port > 65535)) {
    return commandError("INVALID_VALUE", "https_redirect_port", `it must be from 1 to 65535, got ${port}`);
  }
  return {
    clusterId: message.clusterId,
    stickySession: message.stickySession,
    httpsRedirect: message.httpsRedirect,
    httpsRedirectPort: portGiven ? port : null,
    loadBalancing: message.loadBalancing,
    loadMetric: message.loadMetric,
    sharedBackendConnections: has(message, "sharedBackendConnections") ? message.sharedBackendConnections : true,
    policy: null,
    healthCheck: null,
    tuning: null,
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
    checkUnsupported(message, FRONTEND_LATER) ??
    checkUnknownEnums(message) ??
    (message.path === undefined ? null : checkUnknownEnums(message.path));
  if (bad !== null) return bad;
  const pattern = pathKind === PATH_REGEX ? compilePattern(path) : null;
  if (pattern !== null && "reason" in pattern) return commandError("INVALID_VALUE", "path", pattern.reason);
  const host = normalizeHost(message.hostname);
  if ("reason" in host) return commandError("INVALID_VALUE", "hostname", host.reason);
  const tags = toTags(message.tags);
  if ("code" in tags) return tags;
  return {
    clusterId,
    address,
    hostname: host.host,
    pathKind,
    path,
    method,
    position: message.position,
    tags,
    policy: null,
  };
}

export function toHttpListener(message: HttpListenerConfig): Converted<HttpListenerObject> {
  const address = toAddress("address", message.address);
  if (isError(address)) return address;
  const publicAddress = message.publicAddress === undefined ? null : toAddress("public_address", message.publicAddress);
  if (publicAddress !== null && isError(publicAddress)) return publicAddress;
  const stickyName = message.stickyName === "" ? STICKY_NAME_DEFAULT : message.stickyName;
  const sozuIdHeader = message.sozuIdHeader === "" ? SOZU_ID_HEADER_DEFAULT : message.sozuIdHeader;
  const bad =
    checkField("sticky_name", checkToken(stickyName, HEADER_NAME_BYTES_MAX)) ??
    checkField("sozu_id_header", checkToken(sozuIdHeader, HEADER_NAME_BYTES_MAX)) ??
    checkTimeout("front_timeout", message.frontTimeout) ??
    checkTimeout("back_timeout", message.backTimeout) ??
    checkTimeout("connect_timeout", message.connectTimeout) ??
    checkTimeout("request_timeout", message.requestTimeout) ??
    checkUnsupported(message, HTTP_LISTENER_LATER) ??
    (message.httpAnswers === undefined ? null : checkUnsupported(message.httpAnswers, ANSWERS_LATER));
  if (bad !== null) return bad;
  return {
    address,
    publicAddress,
    expectProxy: message.expectProxy,
    stickyName,
    frontTimeout: message.frontTimeout,
    backTimeout: message.backTimeout,
    connectTimeout: message.connectTimeout,
    requestTimeout: message.requestTimeout,
    active: false,
    sozuIdHeader,
    elideXRealIp: message.elideXRealIp,
    sendXRealIp: message.sendXRealIp,
    answers: [],
    trustedProxies: [],
    underscoreNames: 0,
    dotSegments: 0,
    encodedSlashes: 0,
  };
}

export function toAddress(field: string, message: AddressMessage | undefined): Converted<SocketAddress> {
  const address = addressFromMessage(message);
  return typeof address === "string" ? commandError("INVALID_VALUE", field, address) : address;
}

/** Message fields, by local name, that ask for parts that are not built yet. */
const CLUSTER_LATER = {
  proxyProtocol: "proxy_protocol",
  answer503: "answer_503",
  http2: "http2",
  answers: "answers",
  authorizedHashes: "authorized_hashes",
  wwwAuthenticate: "www_authenticate",
  maxConnectionsPerIp: "max_connections_per_ip",
  retryAfter: "retry_after",
  healthCheck: "health_check",
  udp: "udp",
} as const;

const FRONTEND_LATER = {
  redirect: "redirect",
  requiredAuth: "required_auth",
  redirectScheme: "redirect_scheme",
  redirectTemplate: "redirect_template",
  rewriteHost: "rewrite_host",
  rewritePath: "rewrite_path",
  rewritePort: "rewrite_port",
  headers: "headers",
  hsts: "hsts",
} as const;

const HTTP_LISTENER_LATER = {
  expectProxy: "expect_proxy",
  answers: "answers",
  h2MaxRstStreamPerWindow: "h2_max_rst_stream_per_window",
  h2MaxPingPerWindow: "h2_max_ping_per_window",
  h2MaxSettingsPerWindow: "h2_max_settings_per_window",
  h2MaxEmptyDataPerWindow: "h2_max_empty_data_per_window",
  h2MaxContinuationFrames: "h2_max_continuation_frames",
  h2MaxGlitchCount: "h2_max_glitch_count",
  h2InitialConnectionWindow: "h2_initial_connection_window",
  h2MaxConcurrentStreams: "h2_max_concurrent_streams",
  h2StreamShrinkRatio: "h2_stream_shrink_ratio",
  h2MaxRstStreamLifetime: "h2_max_rst_stream_lifetime",
  h2MaxRstStreamAbusiveLifetime: "h2_max_rst_stream_abusive_lifetime",
  h2MaxRstStreamEmittedLifetime: "h2_max_rst_stream_emitted_lifetime",
  h2MaxHeaderListSize: "h2_max_header_list_size",
  h2StreamIdleTimeoutSeconds: "h2_stream_idle_timeout_seconds",
  h2MaxHeaderTableSize: "h2_max_header_table_size",
  h2GracefulShutdownDeadlineSeconds: "h2_graceful_shutdown_deadline_seconds",
  h2MaxWindowUpdateStream0PerWindow: "h2_max_window_update_stream0_per_window",
  h2MaxHeaderFields: "h2_max_header_fields",
} as const;

const ANSWERS_LATER = {
  answer301: "answer_301",
  answer400: "answer_400",
  answer401: "answer_401",
  answer404: "answer_404",
  answer408: "answer_408",
  answer413: "answer_413",
  answer421: "answer_421",
  answer429: "answer_429",
  answer502: "answer_502",
  answer503: "answer_503",
  answer504: "answer_504",
  answer507: "answer_507",
} as const;

function checkUnsupported<M extends Message>(
  message: M,
  later: Readonly<Partial<Record<keyof M & string, string>>>,
): CommandError | null {
  for (const name in later) {
    const key = name as keyof M & string;
    if (!Object.hasOwn(message, key) || isNeutral(message[key])) continue;
    return commandError("NOT_SUPPORTED", `the field '${later[key]}'`);
  }
  return null;
}

/** False, zero, an empty text, list or map: what stock clients send for "off". */
function isNeutral(value: unknown): boolean {
  if (typeof value === "object" && value !== null) {
    if ("$typeName" in value) return false;
    return Object.keys(value).length === 0;
  }
  return value === undefined || value === false || value === 0 || value === 0n || value === "";
}

/** Protobuf keeps enum numbers it does not know as unknown fields: here that is a refusal, not a default. */
function checkUnknownEnums(message: Message): CommandError | null {
  const unknown = message.$unknown?.find((field) => field.no < 1000 && field.wireType === 0);
  return unknown === undefined ? null : commandError("INVALID_VALUE", `#${unknown.no}`, "unknown number");
}

function has<M extends Message>(message: M, key: keyof M): boolean {
  return Object.hasOwn(message, key) && message[key] !== undefined;
}

function toTags(tags: Record<string, string>): (readonly [string, string])[] | CommandError {
  const keys = Object.keys(tags);
  if (keys.length > TAGS_MAX) return commandError("INVALID_VALUE", "tags", `there are more than ${TAGS_MAX}`);
  for (const key of keys) {
    const reason = checkName(key, TAG_KEY_BYTES_MAX) ?? checkText(tags[key]!, TAG_VALUE_BYTES_MAX);
    if (reason !== null) return commandError("INVALID_VALUE", "tags", reason);
  }
  return keys.sort(compareUtf8).map((key) => [key, tags[key]!] as const);
}

function checkCookieValue(text: string): string | null {
  // RFC 6265 4.1.1: the value goes into a Set-Cookie field and comes back in Cookie.
  const bad = checkName(text, ID_BYTES_MAX);
  if (bad !== null) return bad;
  return /^[!#-+\--:<-[\]-~]+$/.test(text) ? null : "it has characters that a cookie cannot carry";
}

function checkTimeout(field: string, seconds: number): CommandError | null {
  if (seconds <= TIMEOUT_SECONDS_MAX) return null;
  return commandError("INVALID_VALUE", field, `it must be at most ${TIMEOUT_SECONDS_MAX} seconds, got ${seconds}`);
}

function checkField(field: string, reason: string | null): CommandError | null {
  return reason === null ? null : commandError("INVALID_VALUE", field, reason);
}
