// Certificates and ClientHellos for the tests of the room: what matters is what they say, not whether they are real.

import { helloBytes, pairs, versions } from "../../fuzz/lib/hello-bytes.ts";
import { type CertificateObject, KEY_P256 } from "../../src/command/objects-tls.ts";
import { ClientHello, decodeClientHello } from "../../src/wire/client-hello/decoder.ts";

export const NOW = 1_800_000_000;
const DAY = 86_400;

/** A certificate that is valid for a month around NOW. */
export function certificateOf(fingerprint: string, more: Partial<CertificateObject> = {}): CertificateObject {
  const notAfter = more.notAfter ?? NOW + 30 * DAY;
  return {
    address: { ip: "127.0.0.1", port: 8443 },
    fingerprint,
    names: ["a.test"],
    expiresAt: notAfter,
    notBefore: NOW - DAY,
    notAfter,
    versions: [],
    keyKind: KEY_P256,
    certificate: "",
    chain: [],
    key: "",
    isDefault: false,
    ocspResponse: null,
    ...more,
  };
}

/** A decoded ClientHello and its bytes. */
export function helloOf(
  signatures: readonly number[] | null,
  tls13 = true,
  groups: readonly number[] = [0x0017, 0x0018],
) {
  const extensions = [
    pairs(10, ...groups),
    ...(signatures === null ? [] : [pairs(13, ...signatures)]),
    ...(tls13 ? [versions(0x0304, 0x0303)] : []),
  ];
  const ciphers = tls13 ? [0x1301, 0xc02b, 0xc02f] : [0xc02b, 0xc02f];
  const bytes = helloBytes({ ciphers, extensions });
  const hello = new ClientHello();
  decodeClientHello(bytes, 0, bytes.length, hello);
  return { hello, bytes };
}
