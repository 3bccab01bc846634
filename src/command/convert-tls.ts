// Additions of TLS from messages to records: certificates of clients, TLS to backends. What could never work
// is refused where it is set.

import { checkHeaderEdit } from "../policies/header-edits.ts";
import { checkAuthorities, checkPair } from "./certificate.ts";
import { checkField, has } from "./convert-checks.ts";
import { CommandError, commandError } from "./errors.ts";
import type { BackendTls, ClientAuth } from "./gen/sozu_pb.ts";
import { HEADER_NAME_BYTES_MAX } from "./limits.ts";
import { HEADER_REQUEST } from "./objects.ts";
import type { BackendTlsObject, ClientAuthObject } from "./objects-tls.ts";
import { checkToken, normalizeHost } from "./text.ts";

/** null: clients are not asked. */
export function toClientAuth(message: ClientAuth | undefined): ClientAuthObject | null | CommandError {
  if (message === undefined || message.ca === "") return null;
  const subjectHeader = message.subjectHeader === "" ? null : message.subjectHeader;
  const fingerprintHeader = message.fingerprintHeader === "" ? null : message.fingerprintHeader;
  const bad =
    checkAuthorities(message.ca, "client_auth.ca") ??
    checkHeaderName("client_auth.subject_header", subjectHeader) ??
    checkHeaderName("client_auth.fingerprint_header", fingerprintHeader);
  if (bad !== null) return bad;
  if (subjectHeader !== null && subjectHeader.toLowerCase() === fingerprintHeader?.toLowerCase()) {
    return commandError("INVALID_VALUE", "client_auth.fingerprint_header", "it is the header of the subject");
  }
  return { required: message.required, ca: message.ca, subjectHeader, fingerprintHeader };
}

/** null: backends are spoken to without TLS. */
export function toBackendTls(message: BackendTls | undefined): BackendTlsObject | null | CommandError {
  if (message === undefined) return null;
  const { ca, certificate, key } = message;
  const bad =
    (ca === "" ? null : checkAuthorities(ca, "tls.ca")) ??
    (certificate === "" && key === "" ? null : checkPair(certificate, key, "tls"));
  if (bad !== null) return bad;
  const serverName = message.serverName === "" ? null : toServerName(message.serverName);
  if (serverName instanceof CommandError) return serverName;
  return {
    verify: has(message, "verify") ? message.verify : true,
    ca: ca === "" ? null : ca,
    serverName,
    certificate: certificate === "" ? null : certificate,
    key: key === "" ? null : key,
  };
}

function checkHeaderName(field: string, name: string | null): CommandError | null {
  if (name === null) return null;
  const bad = checkField(field, checkToken(name, HEADER_NAME_BYTES_MAX));
  if (bad !== null) return bad;
  const isHost = name.toLowerCase() === "host";
  const reserved = isHost
    ? "it routes"
    : checkHeaderEdit({ position: HEADER_REQUEST, name, value: "x", append: false });
  return reserved === null ? null : commandError("INVALID_VALUE", field, reserved);
}

/** RFC 6066 3: neither a wildcard nor an address. */
function toServerName(text: string): string | CommandError {
  const host = normalizeHost(text);
  if ("reason" in host) return commandError("INVALID_VALUE", "tls.server_name", host.reason);
  const isName = !/[*/[]/.test(host.host) && !/^[0-9.]+$/.test(host.host);
  return isName ? host.host : commandError("INVALID_VALUE", "tls.server_name", "expected a host name");
}
