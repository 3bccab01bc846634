// From the checked values of a table to the message of one object: what was not given keeps its default. The messages
// are what a client would send for the same object, so the state judges both alike.

import { create, ScalarType } from "@bufbuild/protobuf";
import { addressToMessage } from "../command/address.ts";
import {
  ALPN_PROTOCOLS,
  CIPHERS_DEFAULT,
  GROUPS_DEFAULT,
  HSTS_MAX_AGE_DEFAULT,
  SIGNATURES_DEFAULT,
  TLS13_TICKETS_DEFAULT,
} from "../command/convert-https.ts";
import { HTTP2_FIELDS, SOZU_ID_HEADER_DEFAULT, STICKY_NAME_DEFAULT } from "../command/convert-listener.ts";
import type {
  SocketAddress as AddressMessage,
  Cluster,
  Header,
  HealthCheckConfig,
  HstsConfig,
  HttpListenerConfig,
  HttpsListenerConfig,
  RequestHttpFrontend,
  TcpListenerConfig,
  TlsVersion,
  UdpClusterConfig,
  UdpHealthConfig,
  UdpListenerConfig,
} from "../command/gen/sozu_pb.ts";
import {
  ClusterSchema,
  HeaderSchema,
  HealthCheckConfigSchema,
  HstsConfigSchema,
  HttpListenerConfigSchema,
  HttpsListenerConfigSchema,
  RequestHttpFrontendSchema,
  TcpListenerConfigSchema,
  UdpClusterConfigSchema,
  UdpHealthConfigSchema,
  UdpListenerConfigSchema,
} from "../command/gen/sozu_pb.ts";
import { setEntry } from "../command/map-entry.ts";
import type { SocketAddress } from "../command/objects.ts";
import { HEADER_POSITIONS, REDIRECT_SCHEMES, REDIRECTS, TLS_VERSIONS } from "../command/words.ts";
import type { ValuesOf } from "./keys.ts";
import type { GlobalSettings } from "./settings.ts";
import {
  type CLUSTER_KEYS,
  type FRONTEND_KEYS,
  type HEADER_KEYS,
  type HEALTH_CHECK_KEYS,
  type LISTENER_KEYS,
  LOAD_BALANCING,
  LOAD_METRICS,
  PATH_TYPES,
  POSITIONS,
  type STREAM_FRONTEND_KEYS,
  UDP_AFFINITIES,
  type UDP_HEALTH_KEYS,
  UDP_HEALTH_MODES,
  type UDP_KEYS,
} from "./tables.ts";
import type { HSTS_KEYS } from "./tables-tls.ts";

export function listenerMessage(
  address: SocketAddress,
  values: ValuesOf<typeof LISTENER_KEYS>,
  settings: GlobalSettings,
): HttpListenerConfig {
  return fillHttpListener(create(HttpListenerConfigSchema), address, values, settings);
}

/** Every list is written out, since a stock proxy has no defaults of its own for these messages. */
export function httpsListenerMessage(
  address: SocketAddress,
  values: ValuesOf<typeof LISTENER_KEYS>,
  settings: GlobalSettings,
): HttpsListenerConfig {
  const message = fillHttpListener(create(HttpsListenerConfigSchema), address, values, settings);
  message.versions = tlsVersions(values.tls_versions ?? ["TLS_V12", "TLS_V13"]);
  message.cipherList = [...(values.cipher_list ?? CIPHERS_DEFAULT)];
  message.cipherSuites = [...(values.cipher_suites ?? CIPHERS_DEFAULT)];
  message.groupsList = [...(values.groups_list ?? GROUPS_DEFAULT)];
  message.signatureAlgorithms = [...SIGNATURES_DEFAULT];
  message.sendTls13Tickets = BigInt(values.send_tls13_tickets ?? TLS13_TICKETS_DEFAULT);
  message.alpnProtocols = alpnOf(values);
  if (values.disable_http11 !== undefined) message.disableHttp11 = values.disable_http11;
  if (values.strict_sni_binding !== undefined) message.strictSniBinding = values.strict_sni_binding;
  return message;
}

/** What a listener of the file negotiates: without doubles, the default for none. */
export function alpnOf(values: ValuesOf<typeof LISTENER_KEYS>): string[] {
  const given = [...new Set(values.alpn_protocols ?? [])];
  return given.length === 0 ? [...ALPN_PROTOCOLS] : given;
}

export function tlsVersions(words: readonly string[]): TlsVersion[] {
  return words.map((word) => (TLS_VERSIONS as readonly string[]).indexOf(word) as TlsVersion);
}

export function hstsMessage(values: ValuesOf<typeof HSTS_KEYS>): HstsConfig {
  const message: HstsConfig = create(HstsConfigSchema);
  message.enabled = values.enabled ?? false;
  if (values.max_age !== undefined) message.maxAge = values.max_age;
  else if (message.enabled) message.maxAge = HSTS_MAX_AGE_DEFAULT;
  if (values.include_subdomains !== undefined) message.includeSubdomains = values.include_subdomains;
  if (values.preload !== undefined) message.preload = values.preload;
  if (values.force_replace_backend !== undefined) message.forceReplaceBackend = values.force_replace_backend;
  return message;
}

function fillHttpListener<M extends HttpListenerConfig | HttpsListenerConfig>(
  message: M,
  address: SocketAddress,
  values: ValuesOf<typeof LISTENER_KEYS>,
  settings: GlobalSettings,
): M {
  message.address = addressToMessage(address);
  if (values.public_address !== undefined) message.publicAddress = addressToMessage(values.public_address);
  message.expectProxy = values.expect_proxy ?? false;
  message.stickyName = values.sticky_name ?? STICKY_NAME_DEFAULT;
  message.frontTimeout = values.front_timeout ?? settings.frontTimeoutSeconds;
  message.backTimeout = values.back_timeout ?? settings.backTimeoutSeconds;
  message.connectTimeout = values.connect_timeout ?? settings.connectTimeoutSeconds;
  message.requestTimeout = values.request_timeout ?? settings.requestTimeoutSeconds;
  message.active = false;
  message.sozuIdHeader = values.sozu_id_header ?? SOZU_ID_HEADER_DEFAULT;
  message.elideXRealIp = values.elide_x_real_ip ?? false;
  message.sendXRealIp = values.send_x_real_ip ?? false;
  message.trustedProxies = [...(values.trusted_proxies ?? [])];
  if (values.underscore_names !== undefined) message.underscoreNames = values.underscore_names;
  if (values.dot_segments !== undefined) message.dotSegments = values.dot_segments;
  if (values.encoded_slashes !== undefined) message.encodedSlashes = values.encoded_slashes;
  const numbers = values as Readonly<Record<string, unknown>>;
  for (const field of HTTP2_FIELDS[message.$typeName]) {
    const value = numbers[field.name];
    if (typeof value !== "number") continue;
    const wide = field.scalar === ScalarType.UINT64;
    (message as unknown as Record<string, unknown>)[field.localName] = wide ? BigInt(value) : value;
  }
  return message;
}

export function tcpListenerMessage(
  address: SocketAddress,
  values: ValuesOf<typeof LISTENER_KEYS>,
  settings: GlobalSettings,
): TcpListenerConfig {
  const message: TcpListenerConfig = create(TcpListenerConfigSchema);
  message.address = addressToMessage(address);
  if (values.public_address !== undefined) message.publicAddress = addressToMessage(values.public_address);
  message.expectProxy = values.expect_proxy ?? false;
  message.frontTimeout = values.front_timeout ?? settings.frontTimeoutSeconds;
  message.backTimeout = values.back_timeout ?? settings.backTimeoutSeconds;
  message.connectTimeout = values.connect_timeout ?? settings.connectTimeoutSeconds;
  message.active = false;
  return message;
}

/** UDP never takes the global timeouts; a datagram has to fit into a buffer. */
export function udpListenerMessage(
  address: SocketAddress,
  values: ValuesOf<typeof LISTENER_KEYS>,
  settings: GlobalSettings,
): UdpListenerConfig {
  const message: UdpListenerConfig = create(UdpListenerConfigSchema);
  message.address = addressToMessage(address);
  if (values.public_address !== undefined) message.publicAddress = addressToMessage(values.public_address);
  message.frontTimeout = values.front_timeout ?? 30;
  message.backTimeout = values.back_timeout ?? 30;
  message.maxRxDatagramSize = Math.min(values.max_rx_datagram_size ?? 1500, settings.bufferSizeBytes);
  message.maxFlows = values.max_flows ?? 0;
  message.active = false;
  return message;
}

export function udpMessage(
  values: ValuesOf<typeof UDP_KEYS>,
  health: ValuesOf<typeof UDP_HEALTH_KEYS> | null,
): UdpClusterConfig {
  const message: UdpClusterConfig = create(UdpClusterConfigSchema);
  message.affinityKey = numberOf(UDP_AFFINITIES, values.affinity_key, 0);
  message.responses = values.responses ?? 0;
  message.requests = values.requests ?? 0;
  message.sendProxyProtocol = values.send_proxy_protocol ?? false;
  message.proxyProtocolEveryDatagram = values.proxy_protocol_every_datagram ?? false;
  if (health === null) return message;
  const probes: UdpHealthConfig = create(UdpHealthConfigSchema);
  probes.mode = numberOf(UDP_HEALTH_MODES, health.mode, 1);
  if (health.tcp_port !== undefined) probes.tcpPort = health.tcp_port;
  probes.rise = health.rise ?? 2;
  probes.fall = health.fall ?? 3;
  probes.failOpen = health.fail_open ?? true;
  if (health.udp_probe_payload !== undefined) {
    probes.udpProbePayload = new TextEncoder().encode(health.udp_probe_payload);
  }
  probes.probeIntervalSeconds = health.probe_interval_seconds ?? 5;
  probes.probeTimeoutSeconds = health.probe_timeout_seconds ?? 2;
  message.health = probes;
  return message;
}

export function streamFrontendMessage(
  clusterId: string,
  address: SocketAddress,
  values: ValuesOf<typeof STREAM_FRONTEND_KEYS>,
): { clusterId: string; address: AddressMessage; tags: Record<string, string> } {
  const tags: Record<string, string> = {};
  for (const [name, value] of values.tags ?? []) setEntry(tags, name, value);
  return { clusterId, address: addressToMessage(address), tags };
}

export function clusterMessage(id: string, values: ValuesOf<typeof CLUSTER_KEYS>): Cluster {
  const message = create(ClusterSchema);
  message.clusterId = id;
  message.stickySession = values.sticky_session ?? false;
  message.httpsRedirect = values.https_redirect ?? false;
  message.loadBalancing = numberOf(LOAD_BALANCING, values.load_balancing, 0);
  if (values.load_metric !== undefined) message.loadMetric = numberOf(LOAD_METRICS, values.load_metric, 0);
  if (values.https_redirect_port !== undefined) message.httpsRedirectPort = values.https_redirect_port;
  if (values.shared_backend_connections !== undefined) {
    message.sharedBackendConnections = values.shared_backend_connections;
  }
  if (values.http2 !== undefined) message.http2 = values.http2;
  message.authorizedHashes = [...(values.authorized_hashes ?? [])];
  if (values.www_authenticate !== undefined) message.wwwAuthenticate = values.www_authenticate;
  if (values.max_connections_per_ip !== undefined) message.maxConnectionsPerIp = BigInt(values.max_connections_per_ip);
  if (values.retry_after !== undefined) message.retryAfter = values.retry_after;
  if (values.affinity !== undefined) message.affinity = values.affinity;
  if (values.slow_start !== undefined) message.slowStart = values.slow_start;
  if (values.eject_after !== undefined) message.ejectAfter = values.eject_after;
  if (values.ejection_time !== undefined) message.ejectionTime = values.ejection_time;
  return message;
}

export function healthCheckMessage(values: ValuesOf<typeof HEALTH_CHECK_KEYS>): HealthCheckConfig {
  const message = create(HealthCheckConfigSchema);
  message.uri = values.uri ?? "";
  message.interval = values.interval ?? 10;
  message.timeout = values.timeout ?? 5;
  message.healthyThreshold = values.healthy_threshold ?? 3;
  message.unhealthyThreshold = values.unhealthy_threshold ?? 3;
  message.expectedStatus = values.expected_status ?? 0;
  if (values.tcp !== undefined) message.tcp = values.tcp;
  message.acceptedStatuses = [...(values.accepted_statuses ?? [])];
  return message;
}

export function frontendMessage(
  clusterId: string,
  address: SocketAddress,
  hostname: string,
  values: ValuesOf<typeof FRONTEND_KEYS>,
): RequestHttpFrontend {
  const message = create(RequestHttpFrontendSchema);
  message.clusterId = clusterId;
  message.address = addressToMessage(address);
  message.hostname = hostname;
  message.path = {
    $typeName: "command.PathRule",
    kind: numberOf(PATH_TYPES, values.path_type, 0),
    value: values.path ?? "",
  };
  if (values.method !== undefined) message.method = values.method;
  // Oddity 1: the documented default, TREE, not the first of the enum.
  message.position = numberOf(POSITIONS, values.position, 2);
  for (const [name, value] of values.tags ?? []) setEntry(message.tags, name, value);
  if (values.redirect !== undefined) message.redirect = numberOf(REDIRECTS, values.redirect, 0);
  if (values.redirect_scheme !== undefined) {
    message.redirectScheme = numberOf(REDIRECT_SCHEMES, values.redirect_scheme, 0);
  }
  if (values.rewrite_host !== undefined) message.rewriteHost = values.rewrite_host;
  if (values.rewrite_path !== undefined) message.rewritePath = values.rewrite_path;
  if (values.rewrite_port !== undefined) message.rewritePort = values.rewrite_port;
  if (values.required_auth !== undefined) message.requiredAuth = values.required_auth;
  return message;
}

export function headerMessage(values: ValuesOf<typeof HEADER_KEYS>): Header {
  const message = create(HeaderSchema);
  message.position = (HEADER_POSITIONS.indexOf(values.position ?? "both") + 1) as Header["position"];
  message.key = values.key ?? "";
  message.val = values.value ?? "";
  if (values.append !== undefined) message.append = values.append;
  return message;
}

/** The enum number of a word that was validated against the same list. */
function numberOf<T extends number>(words: readonly string[], given: string | undefined, fallback: T): T {
  return given === undefined ? fallback : (words.indexOf(given) as T);
}
