// The records of what belongs to HTTPS: listeners, frontends, certificates, TLS to backends. Like those of objects.ts every
// default is resolved. Private keys are in `key` members alone: those are in no list, log, hash or audit line.

import type { HttpFrontendObject, HttpListenerObject, SocketAddress } from "./objects.ts";

/** An HTTPS listener (spec 2.4): an HTTP listener with TLS and HTTP/2 on top. Identity: its address. */
export interface HttpsListenerObject extends HttpListenerObject {
  readonly tls: TlsObject;
  readonly http2: Http2Object;
  /** For frontends that say nothing of it; null: none. */
  readonly hsts: HstsObject | null;
  /** Addition: null: clients are not asked for a certificate. */
  readonly clientAuth: ClientAuthObject | null;
}

/** Certificates of clients (addition): whom a listener lets in, and what backends hear of it. */
export interface ClientAuthObject {
  /** False: a client without a certificate is let in; one with a bad certificate never is. */
  readonly required: boolean;
  /** PEM: the authorities one of which has to have issued the client's certificate. */
  readonly ca: string;
  /** Request fields for the subject (RFC 4514) and the SHA-256 fingerprint (lower-case hexadecimal); null: none. */
  readonly subjectHeader: string | null;
  readonly fingerprintHeader: string | null;
}

/** TLS to the backends of a cluster (addition). */
export interface BackendTlsObject {
  /** False: any certificate will do. */
  readonly verify: boolean;
  /** PEM: the authorities that are believed; null: those of the system. */
  readonly ca: string | null;
  /** Sent as SNI, and the name their certificate has to be for; null: no SNI, the certificate is for the IP address. */
  readonly serverName: string | null;
  /** PEM of what the proxy shows when it is asked: the leaf and what follows it; null: nothing. */
  readonly certificate: string | null;
  readonly key: string | null;
}

/** How a listener speaks TLS (spec 8). */
export interface TlsObject {
  /** TlsVersion of the schema; others than 4 (1.2) and 5 (1.3) are never spoken. Never empty. */
  readonly versions: readonly number[];
  /** As given; unknown names are skipped where they are used. Empty: the built-in ones. */
  readonly cipherList: readonly string[];
  readonly cipherSuites: readonly string[];
  readonly signatureAlgorithms: readonly string[];
  readonly groupsList: readonly string[];
  /** Of `h2` and `http/1.1`, in order of preference; never empty. */
  readonly alpnProtocols: readonly string[];
  readonly sendTls13Tickets: number;
  readonly strictSniBinding: boolean;
  readonly disableHttp11: boolean;
}

/** HTTP/2 limits of a listener (spec 2.4.1), each under its name in the schema without the prefix. */
export interface Http2Object {
  readonly maxRstStreamPerWindow: number;
  readonly maxPingPerWindow: number;
  readonly maxSettingsPerWindow: number;
  readonly maxEmptyDataPerWindow: number;
  readonly maxWindowUpdateStream0PerWindow: number;
  readonly maxContinuationFrames: number;
  readonly maxGlitchCount: number;
  /** Bytes, from 65535 to 2147483647. */
  readonly initialConnectionWindow: number;
  readonly maxConcurrentStreams: number;
  readonly streamShrinkRatio: number;
  readonly maxRstStreamLifetime: number;
  readonly maxRstStreamAbusiveLifetime: number;
  readonly maxRstStreamEmittedLifetime: number;
  readonly maxHeaderListSize: number;
  readonly maxHeaderTableSize: number;
  readonly maxHeaderFields: number;
  readonly streamIdleTimeoutSeconds: number;
  readonly gracefulShutdownDeadlineSeconds: number;
}

/** Strict-Transport-Security (RFC 6797; spec 2.8). */
export interface HstsObject {
  /** False: the field is not sent, whatever the listener says. */
  readonly enabled: boolean;
  /** Seconds. */
  readonly maxAge: number;
  readonly includeSubdomains: boolean;
  readonly preload: boolean;
  readonly forceReplaceBackend: boolean;
}

/** An HTTPS frontend. Identity: as of an HTTP frontend. */
export interface HttpsFrontendObject extends HttpFrontendObject {
  /** null: what the listener says. */
  readonly hsts: HstsObject | null;
}

/** What a private key is for: which signatures it can make decides which clients a certificate can be shown to. */
export const KEY_RSA = 0;
export const KEY_RSA_PSS = 1;
export const KEY_P256 = 2;
export const KEY_P384 = 3;
export const KEY_P521 = 4;
export const KEY_ED25519 = 5;

/** A certificate of an HTTPS listener (spec 8.1). Identity: address and fingerprint. Never shown: `key`. */
export interface CertificateObject {
  readonly address: SocketAddress;
  /** SHA-256 of the DER form, lower-case hexadecimal. */
  readonly fingerprint: string;
  /** Host names it is chosen for, normalised: those that were given, else its own. */
  readonly names: readonly string[];
  /** Seconds since 1970; of several certificates for a name the one with the latest is served. */
  readonly expiresAt: number;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly versions: readonly number[];
  /** KEY_*. */
  readonly keyKind: number;
  /** PEM: the leaf, what follows it, the private key. */
  readonly certificate: string;
  readonly chain: readonly string[];
  readonly key: string;
  /** Addition: clients that send no name, or one that no certificate is for, get it. */
  readonly isDefault: boolean;
  /** Addition: a response of the authority's OCSP server for the leaf, DER in base64; null: none is stapled. */
  readonly ocspResponse: string | null;
}

/** Changes of what belongs to HTTPS. Adding what is there replaces it. */
export type TlsChange =
  | { readonly kind: "add_https_listener"; readonly listener: HttpsListenerObject }
  | { readonly kind: "remove_https_listener"; readonly address: SocketAddress }
  | { readonly kind: "activate_https_listener"; readonly address: SocketAddress }
  | { readonly kind: "deactivate_https_listener"; readonly address: SocketAddress }
  | { readonly kind: "add_https_frontend"; readonly frontend: HttpsFrontendObject }
  | { readonly kind: "remove_https_frontend"; readonly frontend: HttpsFrontendObject }
  | { readonly kind: "add_certificate"; readonly certificate: CertificateObject }
  | { readonly kind: "remove_certificate"; readonly address: SocketAddress; readonly fingerprint: string };
