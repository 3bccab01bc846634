// What an operator should know about a change that was accepted (decisions 33): certificates that are out of their time,
// HTTPS frontends that no certificate covers. Pure; the clock is an argument.

import { addressFromMessage, formatAddress } from "./address.ts";
import { certificateNotes, coversHost, fingerprintOfPem } from "./certificate.ts";
import type { CertificateAndKey, Request, SocketAddress } from "./gen/sozu_pb.ts";
import { certificateKey } from "./state/keys.ts";
import type { ConfigState } from "./state.ts";
import { normalizeHost } from "./text.ts";

/** Notes about a request that the state has taken; usually none. */
export function storedNotes(state: ConfigState, { requestType }: Request, nowSeconds: number): string[] {
  switch (requestType.case) {
    case "addCertificate":
      return ofCertificate(state, requestType.value.address, requestType.value.certificate, nowSeconds);
    case "replaceCertificate":
      return ofCertificate(state, requestType.value.address, requestType.value.newCertificate, nowSeconds);
    case "addHttpsFrontend":
      return ofFrontend(state, requestType.value.address, requestType.value.hostname);
    default:
      return [];
  }
}

function ofCertificate(
  state: ConfigState,
  message: SocketAddress | undefined,
  certificate: CertificateAndKey | undefined,
  nowSeconds: number,
): string[] {
  const address = addressFromMessage(message);
  const fingerprint = fingerprintOfPem(certificate?.certificate ?? "");
  if (typeof address === "string" || fingerprint === null) return [];
  const object = state.certificates.get(certificateKey(address, fingerprint))?.object;
  return object === undefined ? [] : certificateNotes(object, nowSeconds);
}

function ofFrontend(state: ConfigState, message: SocketAddress | undefined, hostname: string): string[] {
  const address = addressFromMessage(message);
  const host = normalizeHost(hostname);
  // A pattern is not a name that clients ask for.
  if (typeof address === "string" || "reason" in host || host.host === "*" || host.host.includes("/")) return [];
  const listener = formatAddress(address);
  for (const { object } of state.certificates.entries.values()) {
    if (formatAddress(object.address) === listener && coversHost(object.names, host.host)) return [];
  }
  return [`no certificate of ${listener} covers ${host.host}`];
}
