// Which clients a certificate can be shown to: the signatures that its key makes, against those that a ClientHello accepts
// (RFC 8446 4.2.3, 4.4.2.2; RFC 5246 7.4.2, RFC 8422 5.1).

import { KEY_RSA, KEY_RSA_PSS } from "../command/objects-tls.ts";
import { type ClientHello, hasValue } from "../wire/client-hello/decoder.ts";

/** SignatureScheme values by KEY_*: with TLS 1.3 a curve belongs to its hash, and PKCS#1 is gone. */
const SCHEMES_13: readonly (readonly number[])[] = [
  [0x0804, 0x0805, 0x0806],
  [0x0809, 0x080a, 0x080b],
  [0x0403],
  [0x0503],
  [0x0603],
  [0x0807],
];
const ECDSA_12: readonly number[] = [0x0403, 0x0503, 0x0603];
const SCHEMES_12: readonly (readonly number[])[] = [
  [0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601],
  [0x0809, 0x080a, 0x080b],
  ECDSA_12,
  ECDSA_12,
  ECDSA_12,
  [0x0807],
];
/** Suites of TLS 1.2 that are spoken (spec 8.4): the key has to fit. */
const ECDSA_SUITES: readonly number[] = [0xc02b, 0xc02c, 0xcca9];
const RSA_SUITES: readonly number[] = [0xc02f, 0xc030, 0xcca8];
/** NamedGroup of the curve of a key, which TLS 1.2 clients name among their groups; -1: none. */
const CURVES: readonly number[] = [-1, -1, 0x0017, 0x0018, 0x0019, -1];

/** Whether a client that sent this ClientHello accepts signatures of a key (KEY_*). `tls13`: that will be spoken. */
export function accepts(kind: number, hello: ClientHello, bytes: Uint8Array, tls13: boolean): boolean {
  const schemes = (tls13 ? SCHEMES_13 : SCHEMES_12)[kind];
  // RFC 5246 7.4.1.4.1: a client of TLS 1.2 without the extension is old, not picky; the library has the last word.
  const schemesFit =
    hello.signaturesStart < 0 ? !tls13 : hasAny(bytes, hello.signaturesStart, hello.signaturesEnd, schemes);
  if (!schemesFit || tls13) return schemesFit;
  const suites = kind === KEY_RSA || kind === KEY_RSA_PSS ? RSA_SUITES : ECDSA_SUITES;
  if (!hasAny(bytes, hello.ciphersStart, hello.ciphersEnd, suites)) return false;
  const curve = CURVES[kind];
  return curve < 0 || hello.groupsStart < 0 || hasValue(bytes, hello.groupsStart, hello.groupsEnd, curve);
}

function hasAny(bytes: Uint8Array, start: number, end: number, wanted: readonly number[]): boolean {
  for (let i = 0; i < wanted.length; i++) if (hasValue(bytes, start, end, wanted[i])) return true;
  return false;
}
