// The authorities that this system believes, as PEM: the bundle that SSL_CERT_FILE names, else the one of the distribution,
// else those that come with Node.

import { readFileSync } from "node:fs";
import { rootCertificates } from "node:tls";

/** Debian, Fedora, openSUSE, Alpine. */
const BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];
const BEGIN = "-----BEGIN CERTIFICATE-----";

let known: Uint8Array | null = null;

/** Read at the first call: a worker makes it before it gives up the right to open files. */
export function systemAuthorities(): Uint8Array {
  known ??= read();
  return known;
}

function read(): Uint8Array {
  const named = process.env["SSL_CERT_FILE"];
  for (const path of named === undefined || named === "" ? BUNDLES : [named]) {
    try {
      const bytes = readFileSync(path);
      if (bytes.includes(BEGIN)) return bytes;
    } catch {
      // The next place may have it.
    }
  }
  return Buffer.from(rootCertificates.join("\n"));
}
