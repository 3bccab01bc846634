// The table of certificates (spec 3.1). Pure.

import { X509Certificate } from "node:crypto";
import { addressFromMessage, formatAddress } from "../../command/address.ts";
import type { CertificateAndKey, CertificatesByAddress } from "../../command/gen/sozu_pb.ts";
import { shown } from "./objects.ts";
import { renderTable } from "./table.ts";

/** One row per certificate, by fingerprint. */
export function certificatesText(certificates: Readonly<Record<string, CertificateAndKey>>): string {
  const fingerprints = Object.keys(certificates).sort();
  if (fingerprints.length === 0) return "No certificates match your request.\n";
  return renderTable(
    ["fingeprint", "valid not before", "valide not after", "domain names"],
    fingerprints.map((fingerprint) => {
      const { certificate, names } = certificates[fingerprint]!;
      return [shown(fingerprint), ...dates(certificate), names.map(shown).join(", ")];
    }),
  );
}

/** Which certificate is shown for which name (spec 3.1). */
export function servedText(listeners: readonly CertificatesByAddress[]): string {
  if (listeners.length === 0) return "No certificates match your request.\n";
  return listeners
    .map(({ address, certificateSummaries }) => {
      const where = addressFromMessage(address);
      const lines = certificateSummaries.map((each) => `\t${shown(each.fingerprint)}:\t${shown(each.domain)}\n`);
      return `${typeof where === "string" ? where : formatAddress(where)}:\n${lines.join("")}`;
    })
    .join("");
}

function dates(pem: string): [string, string] {
  try {
    const { validFromDate, validToDate } = new X509Certificate(pem);
    return [validFromDate.toISOString(), validToDate.toISOString()];
  } catch {
    // A proxy of another version may hold what this one cannot read.
    return ["", ""];
  }
}
