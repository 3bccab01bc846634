// What makes an HTTP listener an HTTPS listener: its TLS policy, its certificates, and the answer to a ClientHello.
//
// A policy is one context of OpenSSL, made anew when the configuration changes; certificates are parsed when a handshake
// needs them (identities.ts). Both change in one step: a handshake finds the state before or after it, and connections keep
// what they have agreed on.

import { ALPN, AlpnPolicy } from "../../certificates/alpn.ts";
import { isHost } from "../../certificates/served-names.ts";
import { CertificateStore } from "../../certificates/store.ts";
import { formatAddress } from "../../command/address-text.ts";
import type { CertificateObject, HttpsListenerObject } from "../../command/objects-tls.ts";
import {
  METRIC_HTTPS_ALPN_REJECTED_HTTP11_DISABLED,
  METRIC_HTTPS_ALPN_REJECTED_UNSUPPORTED,
  METRIC_TLS_DEFAULT_CERT_USED,
} from "../../observe/metrics-tls.ts";
import {
  ALERT_HANDSHAKE_FAILURE,
  ALERT_INTERNAL_ERROR,
  ALERT_NO_APPLICATION_PROTOCOL,
  ALERT_UNRECOGNIZED_NAME,
  choose,
  createContext,
  destroyContext,
} from "../../os/tls.ts";
import type { HeaderEdits } from "../../policies/header-edits.ts";
import { compileHsts, type HstsPolicy } from "../../policies/hsts.ts";
import type { ClientHello } from "../../wire/client-hello/decoder.ts";
import { SERVER_NAME, serverNameText } from "../../wire/client-hello/server-name.ts";
import type { ClientConnection } from "../client-connection.ts";
import type { HttpContext } from "../http/http-context.ts";
import { compileClientFields, renderClientFields } from "./client-fields.ts";
import { tlsPolicy } from "./policy.ts";
import { Secured } from "./secured.ts";

const VERSION_TLS13 = 5;

export class ListenerTls {
  config: HttpsListenerObject;
  /** For frontends that say nothing of it; null: none. */
  hsts: HstsPolicy | null;
  /** Drops what clients themselves say of their certificates; null: they are not asked for one. */
  clientFields: HeaderEdits | null;
  /** Handle of the policy. */
  context: number;
  readonly certificates: CertificateStore;
  readonly #http: HttpContext;
  #alpn: AlpnPolicy;
  #speaksTls13: boolean;

  private constructor(http: HttpContext, config: HttpsListenerObject, context: number) {
    this.config = config;
    this.hsts = compileHsts(config.hsts);
    this.clientFields = compileClientFields(config.clientAuth);
    this.context = context;
    this.certificates = new CertificateStore();
    this.#http = http;
    this.#alpn = new AlpnPolicy(config.tls.alpnProtocols, config.tls.disableHttp11);
    this.#speaksTls13 = config.tls.versions.includes(VERSION_TLS13);
    this.#warn();
  }

  /** A string says why the policy cannot be used. */
  static create(http: HttpContext, config: HttpsListenerObject): ListenerTls | string {
    const context = createContext(tlsPolicy(config).options);
    return typeof context === "number" ? new ListenerTls(http, config, context) : reasonOf(config, context.reason);
  }

  /** Takes new settings over, for handshakes from now on; null, or why it keeps what it has. */
  update(config: HttpsListenerObject): string | null {
    const context = createContext(tlsPolicy(config).options);
    if (typeof context !== "number") return reasonOf(config, context.reason);
    destroyContext(this.context);
    this.context = context;
    this.config = config;
    this.hsts = compileHsts(config.hsts);
    this.clientFields = compileClientFields(config.clientAuth);
    this.#alpn = new AlpnPolicy(config.tls.alpnProtocols, config.tls.disableHttp11);
    this.#speaksTls13 = config.tls.versions.includes(VERSION_TLS13);
    this.#warn();
    return null;
  }

  /** The listener is removed; open connections go on. */
  dispose(): void {
    destroyContext(this.context);
    this.context = -1;
    for (const certificate of this.certificates.certificates()) this.#http.identities.drop(certificate);
  }

  addCertificate(object: CertificateObject): null {
    const earlier = this.certificates.add(object);
    if (earlier !== null) this.#http.identities.drop(earlier);
    return null;
  }

  removeCertificate(fingerprint: string): null {
    const earlier = this.certificates.remove(fingerprint);
    if (earlier !== null) this.#http.identities.drop(earlier);
    return null;
  }

  /**
   * Chooses certificate and protocol for a handshake that is paused at this ClientHello: 0, and the handshake can go on, or
   * the alert that ends it. What was chosen is in `connection.secured`.
   */
  answer(connection: ClientConnection, hello: ClientHello, bytes: Uint8Array): number {
    const { context: traffic, identities } = this.#http;
    const { values } = traffic.stats;
    const isNamed = hello.serverName === SERVER_NAME.VALID;
    const name = isNamed ? serverNameText(bytes, hello.sniStart, hello.sniEnd) : null;
    const alpn = this.#alpn.choose(bytes, hello.alpnStart, hello.alpnEnd);
    const choices = this.certificates.resolve(name);
    const isBound = this.config.tls.strictSniBinding;
    connection.secured = new Secured(name, alpn === ALPN.HTTP11 ? "http/1.1" : alpn === ALPN.H2 ? "h2" : null);
    if (choices === null) return ALERT_UNRECOGNIZED_NAME;
    if (alpn < 0) {
      const isDisabled = alpn === ALPN.HTTP11_DISABLED;
      values[isDisabled ? METRIC_HTTPS_ALPN_REJECTED_HTTP11_DISABLED : METRIC_HTTPS_ALPN_REJECTED_UNSUPPORTED]++;
      return ALERT_NO_APPLICATION_PROTOCOL;
    }
    const nowSeconds = Math.floor(traffic.realtimeUs / 1e6);
    const certificate = choices.choose(hello, bytes, this.#speaksTls13 && hello.isTls13, nowSeconds);
    if (choices.isDefault) values[METRIC_TLS_DEFAULT_CERT_USED]++;
    const identity = identities.of(certificate);
    if (identity === -1) return ALERT_INTERNAL_ERROR;
    if (isBound) connection.secured.bind(certificate.names);
    return choose(connection.tls, this.context, alpn, identity) === 0 ? 0 : ALERT_HANDSHAKE_FAILURE;
  }

  /** The handshake is done: what backends hear of the client. */
  agreed(connection: ClientConnection, secured: Secured): void {
    const { bytes, scratch } = this.#http.context;
    const { clientAuth } = this.config;
    if (clientAuth !== null) secured.clientFields = renderClientFields(clientAuth, connection.tls, bytes, scratch);
  }

  /** Whether a connection may ask for the host at [start, end) of `bytes` (spec 8.7). */
  isBound(secured: Secured | null, bytes: Uint8Array, start: number, end: number): boolean {
    if (secured === null || secured.names === null || secured.names.covers(bytes, start, end)) return true;
    // A default certificate may say nothing of the name that was asked for: then that name counts.
    return secured.serverName !== null && isHost(bytes, start, end, secured.serverName);
  }

  #warn(): void {
    const { logger } = this.#http.context;
    const { config } = this;
    for (const note of tlsPolicy(config).notes)
      logger.warn("https", `HTTPS listener ${formatAddress(config.address)}: ${note}`);
  }
}

/** Why the TLS policy of a listener cannot be used, or null. */
export function checkTls(config: HttpsListenerObject): string | null {
  const context = createContext(tlsPolicy(config).options);
  if (typeof context !== "number") return reasonOf(config, context.reason);
  destroyContext(context);
  return null;
}

function reasonOf(config: HttpsListenerObject, reason: string): string {
  return `the TLS policy of HTTPS listener ${formatAddress(config.address)} cannot be used: ${reason}`;
}
