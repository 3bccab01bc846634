// The keys of TLS (spec 2.4, 2.6, 2.8): those of listeners and frontends are part of the tables in tables.ts.

import { PATH_BYTES_MAX } from "../command/limits.ts";
import { checkName } from "../command/text.ts";
import { TLS_VERSIONS } from "../command/words.ts";
import { bool, integer, type KeyTable, key, requiredKey, strings, table, text, words } from "./keys.ts";

const path = (): ReturnType<typeof text> => text((value) => checkName(value, PATH_BYTES_MAX), "path");
const BUILT_IN = "built in";

/** HTTPS keys of `[[listeners]]`. */
export const TLS_LISTENER_KEYS = {
  tls_versions: key(words(TLS_VERSIONS), '`["TLS_V12", "TLS_V13"]`', "HTTPS: others are never spoken."),
  cipher_list: key(strings(), BUILT_IN, "HTTPS: cipher suites of TLS 1.2 and 1.3."),
  cipher_suites: key(strings(), BUILT_IN, "HTTPS: stored and shown, without effect (as in Sōzu)."),
  groups_list: key(strings(), BUILT_IN, "HTTPS: groups of the key exchange."),
  certificate: key(
    path(),
    "none",
    "HTTPS: for frontends without their own, and for clients that ask for no known name.",
  ),
  certificate_chain: key(path(), "none", "HTTPS: the certificates behind it."),
  key: key(path(), "none", "HTTPS: its private key."),
  send_tls13_tickets: key(integer(0, 65_535), "`4`", "HTTPS: tickets for each handshake of TLS 1.3."),
  alpn_protocols: key(words(["h2", "http/1.1"]), '`["h2", "http/1.1"]`', "HTTPS: in order of preference."),
  disable_http11: key(bool(), "`false`", "HTTPS: refuse clients that do not speak HTTP/2."),
  strict_sni_binding: key(bool(), "`true`", "HTTPS: requests are for the host that the client asked for."),
  hsts: key(table(), "none", "HTTPS: for frontends without their own; see below."),
  ocsp_response: key(path(), "none", "HTTPS: DER file stapled to `certificate` (an addition)."),
  client_auth: key(table(), "none", "HTTPS: certificates of clients; see below (an addition)."),
} as const satisfies KeyTable;

/** HTTPS keys of a frontend. */
export const TLS_FRONTEND_KEYS = {
  certificate: key(path(), "the listener's", "PEM file; makes it an HTTPS frontend."),
  certificate_chain: key(path(), "none", "PEM file of the certificates behind it."),
  key: key(path(), "the listener's", "PEM file of its private key, without a passphrase."),
  tls_versions: key(words(TLS_VERSIONS), "none", "Stored with the certificate, without effect (as in Sōzu)."),
  hsts: key(table(), "the listener's", "HTTPS frontends only; see below."),
  ocsp_response: key(path(), "none", "DER file stapled to `certificate` (an addition)."),
} as const satisfies KeyTable;

/** Keys of `client_auth`. */
export const CLIENT_AUTH_KEYS = {
  ca: requiredKey(path(), "PEM file of the authorities that issue them."),
  required: key(bool(), "`true`", "False: clients without one are let in."),
  subject_header: key(text(), "none", "Request header for the subject (RFC 4514)."),
  fingerprint_header: key(text(), "none", "Request header for the SHA-256, in hexadecimal."),
} as const satisfies KeyTable;

/** Keys of `tls` of a cluster. */
export const BACKEND_TLS_KEYS = {
  verify: key(bool(), "`true`", "False: any certificate will do."),
  ca: key(path(), "the system's", "PEM file of the authorities that are believed."),
  server_name: key(text(), "none", "SNI, and the name to verify; without it the certificate is for the IP address."),
  certificate: key(path(), "none", "PEM file shown to backends that ask: the leaf and what follows it."),
  key: key(path(), "none", "PEM file of its private key, without a passphrase."),
} as const satisfies KeyTable;

/** Keys of `hsts`. */
export const HSTS_KEYS = {
  enabled: requiredKey(bool(), "False sends none, whatever the listener says."),
  max_age: key(integer(0, 0xffffffff, "seconds"), "`31536000`", "How long browsers keep to https."),
  include_subdomains: key(bool(), "`false`", "Names below, too."),
  preload: key(bool(), "`false`", "Agrees to lists of browsers."),
  force_replace_backend: key(bool(), "`false`", "Also where the backend sends its own."),
} as const satisfies KeyTable;
