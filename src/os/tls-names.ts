// Names of what the TLS engine reports and takes as numbers: versions, cipher suites, groups, alerts, causes of failure.
// Sōzu's names of cipher suites are those of the IANA registry; OpenSSL has its own.

interface Suite {
  /** Number in the IANA registry. */
  readonly id: number;
  /** Name in configuration, metrics and access logs. */
  readonly name: string;
  readonly openssl: string;
  readonly isTls13: boolean;
}

/** What a listener may offer, in the default order. */
export const TLS_SUITES: readonly Suite[] = [
  { id: 0x1302, name: "TLS13_AES_256_GCM_SHA384", openssl: "TLS_AES_256_GCM_SHA384", isTls13: true },
  { id: 0x1301, name: "TLS13_AES_128_GCM_SHA256", openssl: "TLS_AES_128_GCM_SHA256", isTls13: true },
  { id: 0x1303, name: "TLS13_CHACHA20_POLY1305_SHA256", openssl: "TLS_CHACHA20_POLY1305_SHA256", isTls13: true },
  tls12(0xc02c, "ECDSA_WITH_AES_256_GCM_SHA384", "ECDSA-AES256-GCM-SHA384"),
  tls12(0xc02b, "ECDSA_WITH_AES_128_GCM_SHA256", "ECDSA-AES128-GCM-SHA256"),
  tls12(0xcca9, "ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDSA-CHACHA20-POLY1305"),
  tls12(0xc030, "RSA_WITH_AES_256_GCM_SHA384", "RSA-AES256-GCM-SHA384"),
  tls12(0xc02f, "RSA_WITH_AES_128_GCM_SHA256", "RSA-AES128-GCM-SHA256"),
  tls12(0xcca8, "RSA_WITH_CHACHA20_POLY1305_SHA256", "RSA-CHACHA20-POLY1305"),
];

interface Group {
  readonly id: number;
  readonly name: string;
  /** Other names that configurations use. */
  readonly aliases: readonly string[];
  readonly openssl: string;
}

/** What a listener may offer, in the default order: the first is hybrid, safe against a later quantum computer. */
export const TLS_GROUPS: readonly Group[] = [
  { id: 4588, name: "X25519MLKEM768", aliases: [], openssl: "X25519MLKEM768" },
  { id: 29, name: "X25519", aliases: ["x25519"], openssl: "X25519" },
  { id: 23, name: "secp256r1", aliases: ["P-256"], openssl: "P-256" },
  { id: 24, name: "secp384r1", aliases: ["P-384"], openssl: "P-384" },
];

export const TLS12 = 0x0303;
export const TLS13 = 0x0304;

/** `TLSv1.3` for 0x0304. */
export function tlsVersionName(version: number): string {
  return version === TLS13 ? "TLSv1.3" : version === TLS12 ? "TLSv1.2" : "unknown";
}

/** `TLS13_AES_256_GCM_SHA384` for 0x1302. */
export function tlsCipherName(id: number): string {
  return TLS_SUITES.find((suite) => suite.id === id)?.name ?? "unknown";
}

/** `X25519MLKEM768` for 4588; `none` for 0, a resumption without a key exchange. */
export function tlsGroupName(id: number): string {
  if (id === 0) return "none";
  return TLS_GROUPS.find((group) => group.id === id)?.name ?? "unknown";
}

export function findTlsSuite(name: string): Suite | undefined {
  return TLS_SUITES.find((suite) => suite.name === name);
}

export function findTlsGroup(name: string): Group | undefined {
  return TLS_GROUPS.find((group) => group.name === name || group.aliases.includes(name));
}

/** Causes of a failed session by their number: the reasons of `tls.handshake.failed.<reason>`, then our own. */
export const TLS_CAUSES = [
  "none",
  "alert_received",
  "peer_incompatible",
  "peer_misbehaved",
  "invalid_message",
  "inappropriate_message",
  "inappropriate_handshake_message",
  "oversized_record",
  "no_alpn",
  "invalid_certificate",
  "decrypt_error",
  "no_certificates_present",
  "other",
  "closed",
  "socket",
  "refused",
  "flood",
] as const;

export type TlsCause = (typeof TLS_CAUSES)[number];

/** Alerts that a choice at the ClientHello may send (RFC 8446 6, RFC 7301 3.2, RFC 6066 3). */
export const ALERT_HANDSHAKE_FAILURE = 40;
export const ALERT_ILLEGAL_PARAMETER = 47;
export const ALERT_ACCESS_DENIED = 49;
export const ALERT_DECODE_ERROR = 50;
export const ALERT_PROTOCOL_VERSION = 70;
export const ALERT_INTERNAL_ERROR = 80;
export const ALERT_UNRECOGNIZED_NAME = 112;
export const ALERT_NO_APPLICATION_PROTOCOL = 120;

const ALERTS = new Map<number, string>([
  [0, "close_notify"],
  [10, "unexpected_message"],
  [20, "bad_record_mac"],
  [22, "record_overflow"],
  [40, "handshake_failure"],
  [42, "bad_certificate"],
  [43, "unsupported_certificate"],
  [44, "certificate_revoked"],
  [45, "certificate_expired"],
  [46, "certificate_unknown"],
  [47, "illegal_parameter"],
  [48, "unknown_ca"],
  [49, "access_denied"],
  [50, "decode_error"],
  [51, "decrypt_error"],
  [70, "protocol_version"],
  [71, "insufficient_security"],
  [80, "internal_error"],
  [86, "inappropriate_fallback"],
  [90, "user_canceled"],
  [100, "no_renegotiation"],
  [109, "missing_extension"],
  [110, "unsupported_extension"],
  [112, "unrecognized_name"],
  [113, "bad_certificate_status_response"],
  [115, "unknown_psk_identity"],
  [116, "certificate_required"],
  [120, "no_application_protocol"],
]);

/** `unrecognized_name` for 112, `alert 200` for one without a name here. */
export function tlsAlertName(alert: number): string {
  return ALERTS.get(alert) ?? `alert ${alert}`;
}

function tls12(id: number, name: string, openssl: string): Suite {
  return { id, name: `TLS_ECDHE_${name}`, openssl: `ECDHE-${openssl}`, isTls13: false };
}
