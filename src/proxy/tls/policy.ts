// The TLS policy of a listener as the engine takes it: names that it does not know are left out and told, as in Sōzu (spec
// 8.3, 8.4); where nothing known is left, the built-in list counts.

import { createHash } from "node:crypto";
import { formatAddress } from "../../command/address-text.ts";
import { SIGNATURES_DEFAULT } from "../../command/convert-https.ts";
import type { HttpsListenerObject } from "../../command/objects-tls.ts";
import { findTlsGroup, findTlsSuite, TLS12, TLS13, type TlsContextOptions } from "../../os/tls.ts";

/** TlsVersion of the schema. */
const VERSION_12 = 4;
const VERSION_13 = 5;
/** OpenSSL sends no more tickets at once. */
const TICKETS_MAX = 64;

/** The options of a listener's context, and what of its configuration has no effect. */
export function tlsPolicy(config: HttpsListenerObject): { options: TlsContextOptions; notes: readonly string[] } {
  const { tls, clientAuth } = config;
  const notes: string[] = [];
  const suites = known("cipher_list", tls.cipherList, (name) => findTlsSuite(name) !== undefined, notes);
  const groups = known("groups_list", tls.groupsList, (name) => findTlsGroup(name) !== undefined, notes);
  const has12 = tls.versions.includes(VERSION_12);
  const has13 = tls.versions.includes(VERSION_13);
  if (!has12 && !has13) notes.push("tls_versions: only TLS 1.2 and 1.3 are spoken: nobody can connect");
  return {
    notes,
    options: {
      minVersion: has12 ? TLS12 : TLS13,
      maxVersion: has13 ? TLS13 : TLS12,
      ...(suites.length === 0 ? {} : { suites }),
      ...(groups.length === 0 ? {} : { groups }),
      signatureAlgorithms: signaturesOf(tls.signatureAlgorithms),
      tickets: Math.min(tls.sendTls13Tickets, TICKETS_MAX),
      sessionIdContext: contextId(config),
      verify: clientAuth === null ? "none" : clientAuth.required ? "required" : "optional",
      ...(clientAuth === null ? {} : { authorities: clientAuth.ca }),
    },
  };
}

function known(
  key: string,
  names: readonly string[],
  isKnown: (name: string) => boolean,
  notes: string[],
): readonly string[] {
  for (const name of names) if (!isKnown(name)) notes.push(`${key}: \`${name}\` is not known and left out`);
  return names.filter(isKnown);
}

/** The list that stands for "nothing was said" has no Ed25519, which a certificate may need. `?`: leave out unknown ones. */
function signaturesOf(names: readonly string[]): string {
  if (names.join() === SIGNATURES_DEFAULT.join()) return "";
  return names.map((name) => `?${name}`).join(":");
}

/** A session is never resumed on another listener, or under other authorities of clients. */
function contextId({ address, clientAuth }: HttpsListenerObject): Uint8Array {
  const hash = createHash("sha256").update(formatAddress(address));
  if (clientAuth !== null) hash.update(`\0${clientAuth.required}\0${clientAuth.ca}`);
  return hash.digest();
}
