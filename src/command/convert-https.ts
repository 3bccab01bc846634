// Messages of HTTPS listeners and frontends to their records (spec 2.4, 2.8, 8). Names of ciphers, groups and signature
// algorithms are kept as they are: those that TLS does not know are skipped where they are used (spec 8.4).

import { isFieldSet } from "@bufbuild/protobuf";
import { toFrontend } from "./convert.ts";
import { type Converted, checkField, checkUnknownEnums, has, isError } from "./convert-checks.ts";
import { HTTP2_FIELDS, type Http2Field, toHttpListener } from "./convert-listener.ts";
import { toClientAuth } from "./convert-tls.ts";
import { CommandError, commandError } from "./errors.ts";
import type { HstsConfig, HttpsListenerConfig, RequestHttpFrontend } from "./gen/sozu_pb.ts";
import { CERTIFICATE_BYTES_MAX, CHAIN_MAX, TLS_NAME_BYTES_MAX, TLS_NAMES_MAX } from "./limits.ts";
import type { HstsObject, Http2Object, HttpsFrontendObject, HttpsListenerObject, TlsObject } from "./objects-tls.ts";
import { checkLines, checkName } from "./text.ts";

/** What is spoken when a listener says nothing: TLS 1.2 and 1.3. */
export const TLS_VERSIONS_DEFAULT: readonly number[] = [4, 5];
/** What may be negotiated, in the order that is the default. */
export const ALPN_PROTOCOLS: readonly string[] = ["h2", "http/1.1"];
/** `max_age` of HSTS where it is enabled without one, in seconds: a year. */
export const HSTS_MAX_AGE_DEFAULT = 31_536_000;
/** Defaults of the lists of an HTTPS listener (spec 8.4): what a listener that says nothing is written down with. */
export const CIPHERS_DEFAULT: readonly string[] = [
  "TLS13_AES_256_GCM_SHA384",
  "TLS13_AES_128_GCM_SHA256",
  "TLS13_CHACHA20_POLY1305_SHA256",
  "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
  "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
  "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
  "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
  "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
  "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];
export const GROUPS_DEFAULT: readonly string[] = ["X25519MLKEM768", "x25519", "P-256", "P-384"];
export const SIGNATURES_DEFAULT: readonly string[] = ["ECDSA", "RSA", "RSA-PSS"].flatMap((kind) =>
  ["SHA256", "SHA384", "SHA512"].map((hash) => `${kind}+${hash}`),
);
/** Default of `send_tls13_tickets`. */
export const TLS13_TICKETS_DEFAULT = 4;

export function toHttpsListener(message: HttpsListenerConfig): Converted<HttpsListenerObject> {
  const listener = toHttpListener(message);
  if (isError(listener)) return listener;
  const tls = toTls(message);
  if (isError(tls)) return tls;
  const hsts = message.hsts === undefined ? null : toHsts(message.hsts);
  if (hsts instanceof CommandError) return hsts;
  const clientAuth = toClientAuth(message.clientAuth);
  if (clientAuth instanceof CommandError) return clientAuth;
  return { ...listener, tls, http2: toHttp2(message), hsts, clientAuth };
}

export function toHttpsFrontend(message: RequestHttpFrontend): Converted<HttpsFrontendObject> {
  const frontend = toFrontend(message);
  if (isError(frontend)) return frontend;
  const hsts = message.hsts === undefined ? null : toHsts(message.hsts);
  return hsts instanceof CommandError ? hsts : { ...frontend, hsts };
}

function toTls(message: HttpsListenerConfig): Converted<TlsObject> {
  const bad =
    checkUnknownEnums(message) ??
    checkNames("cipher_list", message.cipherList) ??
    checkNames("cipher_suites", message.cipherSuites) ??
    checkNames("signature_algorithms", message.signatureAlgorithms) ??
    checkNames("groups_list", message.groupsList) ??
    checkAlpn(message.alpnProtocols) ??
    checkTickets(message.sendTls13Tickets) ??
    checkFiles(message);
  if (bad !== null) return bad;
  const alpn = [...new Set(message.alpnProtocols)];
  return {
    versions: message.versions.length === 0 ? TLS_VERSIONS_DEFAULT : message.versions,
    cipherList: message.cipherList,
    cipherSuites: message.cipherSuites,
    signatureAlgorithms: message.signatureAlgorithms,
    groupsList: message.groupsList,
    alpnProtocols: alpn.length === 0 ? ALPN_PROTOCOLS : alpn,
    sendTls13Tickets: Number(message.sendTls13Tickets),
    strictSniBinding: has(message, "strictSniBinding") ? message.strictSniBinding : true,
    disableHttp11: message.disableHttp11,
  };
}

const HTTP2_DEFAULTS: Http2Object = {
  maxRstStreamPerWindow: 100,
  maxPingPerWindow: 100,
  maxSettingsPerWindow: 50,
  maxEmptyDataPerWindow: 100,
  maxWindowUpdateStream0PerWindow: 100,
  maxContinuationFrames: 20,
  maxGlitchCount: 100,
  initialConnectionWindow: 1_048_576,
  maxConcurrentStreams: 100,
  streamShrinkRatio: 2,
  maxRstStreamLifetime: 10_000,
  maxRstStreamAbusiveLifetime: 50,
  maxRstStreamEmittedLifetime: 500,
  maxHeaderListSize: 65_536,
  maxHeaderTableSize: 65_536,
  maxHeaderFields: 128,
  streamIdleTimeoutSeconds: 30,
  gracefulShutdownDeadlineSeconds: 5,
};

function toHttp2(message: HttpsListenerConfig): Http2Object {
  const values: Record<string, number> = { ...HTTP2_DEFAULTS };
  values["streamIdleTimeoutSeconds"] = Math.max(30, message.backTimeout);
  for (const field of HTTP2_FIELDS["command.HttpsListenerConfig"]) {
    if (!isFieldSet(message, field)) continue;
    const name = field.localName.charAt(2).toLowerCase() + field.localName.slice(3);
    values[name] = Math.min(Number(message[field.localName as Http2Field]), Number.MAX_SAFE_INTEGER);
  }
  const window = values["initialConnectionWindow"]!;
  // RFC 9113 6.9.2: no smaller than the protocol's own window, no larger than flow control can count.
  values["initialConnectionWindow"] = Math.min(Math.max(window, 65_535), 0x7fffffff);
  return values as unknown as Http2Object;
}

/** RFC 6797; what is not said is inherited only as a whole, so `enabled` has to be there. */
export function toHsts(message: HstsConfig): Converted<HstsObject> {
  if (!has(message, "enabled")) return commandError("INVALID_VALUE", "hsts.enabled", "it is missing");
  return {
    enabled: message.enabled,
    maxAge: has(message, "maxAge") ? message.maxAge : HSTS_MAX_AGE_DEFAULT,
    includeSubdomains: message.includeSubdomains,
    preload: message.preload,
    forceReplaceBackend: message.forceReplaceBackend,
  };
}

function checkNames(field: string, names: readonly string[]): CommandError | null {
  if (names.length > TLS_NAMES_MAX) return commandError("INVALID_VALUE", field, `there are more than ${TLS_NAMES_MAX}`);
  for (let i = 0; i < names.length; i++) {
    const bad = checkField(`${field}[${i}]`, checkName(names[i]!, TLS_NAME_BYTES_MAX));
    if (bad !== null) return bad;
  }
  return null;
}

function checkAlpn(protocols: readonly string[]): CommandError | null {
  const wrong = protocols.find((protocol) => !ALPN_PROTOCOLS.includes(protocol));
  if (wrong === undefined) return null;
  return commandError("INVALID_VALUE", "alpn_protocols", `expected h2 and http/1.1, got ${JSON.stringify(wrong)}`);
}

function checkTickets(count: bigint): CommandError | null {
  if (count <= 0xffffn) return null;
  return commandError("INVALID_VALUE", "send_tls13_tickets", `it must be at most 65535, got ${count}`);
}

/** These only complete frontends of the configuration file (spec 2.4), so they are bounded and not looked into. */
function checkFiles({ certificate, certificateChain, key }: HttpsListenerConfig): CommandError | null {
  if (certificateChain.length > CHAIN_MAX) {
    return commandError("INVALID_VALUE", "certificate_chain", `there are more than ${CHAIN_MAX}`);
  }
  for (const text of certificateChain) {
    const bad = checkField("certificate_chain", checkLines(text, CERTIFICATE_BYTES_MAX));
    if (bad !== null) return bad;
  }
  return (
    checkField("certificate", checkLines(certificate, CERTIFICATE_BYTES_MAX)) ??
    checkField("key", checkLines(key, CERTIFICATE_BYTES_MAX))
  );
}
