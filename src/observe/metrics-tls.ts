// The metrics of HTTPS (spec 12.5): their places follow the rules of metrics.ts, whose catalogue takes them in.
// Ciphers, groups and causes of failed handshakes stand in the order in which the proxy counts them (base + index).

import type { MetricInfo } from "./metrics.ts";

export const METRIC_LISTENER_ACCEPTED_HTTPS = 240;
export const METRIC_PROTOCOL_HTTPS = 241;
export const METRIC_PROTOCOL_TLS_HANDSHAKE = 242;
export const METRIC_PROTOCOL_WSS = 243;
export const METRIC_HTTP_SNI_AUTHORITY_MISMATCH = 244;
export const METRIC_HTTP_HSTS_FRONTEND_ADDED = 245;
export const METRIC_HTTP_HSTS_FRONTEND_REFRESHED = 246;
export const METRIC_HTTP_HSTS_LISTENER_DEFAULT_PATCHED = 247;
export const METRIC_HTTP_HSTS_SUPPRESSED_PLAINTEXT = 248;
export const METRIC_HTTP_HSTS_UNRENDERED = 249;
export const METRIC_HTTP_ALPN_H2 = 250;
export const METRIC_HTTP_ALPN_HTTP11 = 251;
export const METRIC_HTTPS_ALPN_REJECTED_HTTP11_DISABLED = 252;
export const METRIC_HTTPS_ALPN_REJECTED_UNSUPPORTED = 253;
export const METRIC_RUSTLS_READ_ERROR = 254;
export const METRIC_RUSTLS_WRITE_ERROR = 255;
export const METRIC_TLS_VERSION_TLSV1_2 = 256;
export const METRIC_TLS_VERSION_TLSV1_3 = 257;
export const METRIC_TLS_VERSION_UNKNOWN = 258;
export const METRIC_TLS_CIPHER_TLS13_AES_256_GCM_SHA384 = 259;
export const METRIC_TLS_CIPHER_TLS13_AES_128_GCM_SHA256 = 260;
export const METRIC_TLS_CIPHER_TLS13_CHACHA20_POLY1305_SHA256 = 261;
export const METRIC_TLS_CIPHER_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 = 262;
export const METRIC_TLS_CIPHER_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 = 263;
export const METRIC_TLS_CIPHER_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 = 264;
export const METRIC_TLS_CIPHER_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 = 265;
export const METRIC_TLS_CIPHER_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 = 266;
export const METRIC_TLS_CIPHER_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 = 267;
export const METRIC_TLS_CIPHER_UNSUPPORTED = 268;
export const METRIC_TLS_DEFAULT_CERT_USED = 269;
export const METRIC_TLS_CERT_MIN_EXPIRES_AT_SECONDS = 270;
export const METRIC_TLS_HANDSHAKE_FAILED_ALERT_RECEIVED = 271;
export const METRIC_TLS_HANDSHAKE_FAILED_PEER_INCOMPATIBLE = 272;
export const METRIC_TLS_HANDSHAKE_FAILED_PEER_MISBEHAVED = 273;
export const METRIC_TLS_HANDSHAKE_FAILED_INVALID_MESSAGE = 274;
export const METRIC_TLS_HANDSHAKE_FAILED_INAPPROPRIATE_MESSAGE = 275;
export const METRIC_TLS_HANDSHAKE_FAILED_INAPPROPRIATE_HANDSHAKE_MESSAGE = 276;
export const METRIC_TLS_HANDSHAKE_FAILED_OVERSIZED_RECORD = 277;
export const METRIC_TLS_HANDSHAKE_FAILED_NO_ALPN = 278;
export const METRIC_TLS_HANDSHAKE_FAILED_INVALID_CERTIFICATE = 279;
export const METRIC_TLS_HANDSHAKE_FAILED_DECRYPT_ERROR = 280;
export const METRIC_TLS_HANDSHAKE_FAILED_NO_CERTIFICATES_PRESENT = 281;
export const METRIC_TLS_HANDSHAKE_FAILED_OTHER = 282;
export const METRIC_TLS_RESUMED = 283;
export const METRIC_TLS_GROUP_X25519 = 284;
export const METRIC_TLS_GROUP_SECP256R1 = 285;
export const METRIC_TLS_GROUP_SECP384R1 = 286;
export const METRIC_TLS_GROUP_X25519MLKEM768 = 287;
export const METRIC_TLS_GROUP_OTHER = 288;
export const METRIC_TLS_HANDSHAKES_EVICTED = 289;
export const METRIC_TLS_CONTEXTS = 290;

/** KIND_COUNTER and KIND_GAUGE of metrics.ts, which imports this file. */
const COUNTER = 0;
const GAUGE = 1;

/** Every counter and gauge of HTTPS, in the order of the page. */
export const TLS_METRICS: readonly MetricInfo[] = [
  { name: "listener.accepted.https", kind: COUNTER, at: METRIC_LISTENER_ACCEPTED_HTTPS },
  { name: "protocol.https", kind: GAUGE, at: METRIC_PROTOCOL_HTTPS },
  { name: "protocol.tls.handshake", kind: GAUGE, at: METRIC_PROTOCOL_TLS_HANDSHAKE },
  { name: "protocol.wss", kind: GAUGE, at: METRIC_PROTOCOL_WSS },
  { name: "http.sni_authority_mismatch", kind: COUNTER, at: METRIC_HTTP_SNI_AUTHORITY_MISMATCH },
  { name: "http.hsts.frontend_added", kind: COUNTER, at: METRIC_HTTP_HSTS_FRONTEND_ADDED },
  { name: "http.hsts.frontend_refreshed", kind: COUNTER, at: METRIC_HTTP_HSTS_FRONTEND_REFRESHED },
  { name: "http.hsts.listener_default_patched", kind: COUNTER, at: METRIC_HTTP_HSTS_LISTENER_DEFAULT_PATCHED },
  { name: "http.hsts.suppressed_plaintext", kind: COUNTER, at: METRIC_HTTP_HSTS_SUPPRESSED_PLAINTEXT },
  { name: "http.hsts.unrendered", kind: COUNTER, at: METRIC_HTTP_HSTS_UNRENDERED },
  { name: "http.alpn.h2", kind: COUNTER, at: METRIC_HTTP_ALPN_H2 },
  { name: "http.alpn.http11", kind: COUNTER, at: METRIC_HTTP_ALPN_HTTP11 },
  { name: "https.alpn.rejected.http11_disabled", kind: COUNTER, at: METRIC_HTTPS_ALPN_REJECTED_HTTP11_DISABLED },
  { name: "https.alpn.rejected.unsupported", kind: COUNTER, at: METRIC_HTTPS_ALPN_REJECTED_UNSUPPORTED },
  { name: "rustls.read.error", kind: COUNTER, at: METRIC_RUSTLS_READ_ERROR },
  { name: "rustls.write.error", kind: COUNTER, at: METRIC_RUSTLS_WRITE_ERROR },
  { name: "tls.version.TLSv1_2", kind: COUNTER, at: METRIC_TLS_VERSION_TLSV1_2 },
  { name: "tls.version.TLSv1_3", kind: COUNTER, at: METRIC_TLS_VERSION_TLSV1_3 },
  { name: "tls.version.Unknown", kind: COUNTER, at: METRIC_TLS_VERSION_UNKNOWN },
  { name: "tls.cipher.TLS13_AES_256_GCM_SHA384", kind: COUNTER, at: METRIC_TLS_CIPHER_TLS13_AES_256_GCM_SHA384 },
  { name: "tls.cipher.TLS13_AES_128_GCM_SHA256", kind: COUNTER, at: METRIC_TLS_CIPHER_TLS13_AES_128_GCM_SHA256 },
  {
    name: "tls.cipher.TLS13_CHACHA20_POLY1305_SHA256",
    kind: COUNTER,
    at: METRIC_TLS_CIPHER_TLS13_CHACHA20_POLY1305_SHA256,
  },
  {
    name: "tls.cipher.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    kind: COUNTER,
    at: METRIC_TLS_CIPHER_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
  },
  {
    name: "tls.cipher.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    kind: COUNTER,
    at: METRIC_TLS_CIPHER_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
  },
  {
    name: "tls.cipher.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    kind: COUNTER,
    at: METRIC_TLS_CIPHER_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
  },
  {
    name: "tls.cipher.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    kind: COUNTER,
    at: METRIC_TLS_CIPHER_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
  },
  {
    name: "tls.cipher.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    kind: COUNTER,
    at: METRIC_TLS_CIPHER_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
  },
  {
    name: "tls.cipher.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    kind: COUNTER,
    at: METRIC_TLS_CIPHER_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
  },
  { name: "tls.cipher.Unsupported", kind: COUNTER, at: METRIC_TLS_CIPHER_UNSUPPORTED },
  { name: "tls.default_cert_used", kind: COUNTER, at: METRIC_TLS_DEFAULT_CERT_USED },
  { name: "tls.cert.min_expires_at_seconds", kind: GAUGE, at: METRIC_TLS_CERT_MIN_EXPIRES_AT_SECONDS },
  { name: "tls.handshake.failed.alert_received", kind: COUNTER, at: METRIC_TLS_HANDSHAKE_FAILED_ALERT_RECEIVED },
  {
    name: "tls.handshake.failed.peer_incompatible",
    kind: COUNTER,
    at: METRIC_TLS_HANDSHAKE_FAILED_PEER_INCOMPATIBLE,
  },
  { name: "tls.handshake.failed.peer_misbehaved", kind: COUNTER, at: METRIC_TLS_HANDSHAKE_FAILED_PEER_MISBEHAVED },
  { name: "tls.handshake.failed.invalid_message", kind: COUNTER, at: METRIC_TLS_HANDSHAKE_FAILED_INVALID_MESSAGE },
  {
    name: "tls.handshake.failed.inappropriate_message",
    kind: COUNTER,
    at: METRIC_TLS_HANDSHAKE_FAILED_INAPPROPRIATE_MESSAGE,
  },
  {
    name: "tls.handshake.failed.inappropriate_handshake_message",
    kind: COUNTER,
    at: METRIC_TLS_HANDSHAKE_FAILED_INAPPROPRIATE_HANDSHAKE_MESSAGE,
  },
  {
    name: "tls.handshake.failed.oversized_record",
    kind: COUNTER,
    at: METRIC_TLS_HANDSHAKE_FAILED_OVERSIZED_RECORD,
  },
  { name: "tls.handshake.failed.no_alpn", kind: COUNTER, at: METRIC_TLS_HANDSHAKE_FAILED_NO_ALPN },
  {
    name: "tls.handshake.failed.invalid_certificate",
    kind: COUNTER,
    at: METRIC_TLS_HANDSHAKE_FAILED_INVALID_CERTIFICATE,
  },
  { name: "tls.handshake.failed.decrypt_error", kind: COUNTER, at: METRIC_TLS_HANDSHAKE_FAILED_DECRYPT_ERROR },
  {
    name: "tls.handshake.failed.no_certificates_present",
    kind: COUNTER,
    at: METRIC_TLS_HANDSHAKE_FAILED_NO_CERTIFICATES_PRESENT,
  },
  { name: "tls.handshake.failed.other", kind: COUNTER, at: METRIC_TLS_HANDSHAKE_FAILED_OTHER },
  { name: "tls.resumed", kind: COUNTER, at: METRIC_TLS_RESUMED },
  { name: "tls.group.x25519", kind: COUNTER, at: METRIC_TLS_GROUP_X25519 },
  { name: "tls.group.secp256r1", kind: COUNTER, at: METRIC_TLS_GROUP_SECP256R1 },
  { name: "tls.group.secp384r1", kind: COUNTER, at: METRIC_TLS_GROUP_SECP384R1 },
  { name: "tls.group.X25519MLKEM768", kind: COUNTER, at: METRIC_TLS_GROUP_X25519MLKEM768 },
  { name: "tls.group.other", kind: COUNTER, at: METRIC_TLS_GROUP_OTHER },
  { name: "tls.handshakes_evicted", kind: COUNTER, at: METRIC_TLS_HANDSHAKES_EVICTED },
  { name: "tls.contexts", kind: GAUGE, at: METRIC_TLS_CONTEXTS },
];
