// Certificates (spec 8.1, decisions 33): from PEM to a record. Refused are what cannot be read, a key of another
// certificate and a chain whose parts did not issue each other; dates and names that do not fit are notes, since operators
// prepare certificates ahead. A private key appears in no message.

import { createPrivateKey, hash, type KeyObject, X509Certificate } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { type Converted, checkField, checkUnknownEnums } from "./convert-checks.ts";
import { CommandError, commandError } from "./errors.ts";
import { type CertificateAndKey, CertificateAndKeySchema } from "./gen/sozu_pb.ts";
import { AUTHORITIES_BYTES_MAX, CERTIFICATE_BYTES_MAX, CERTIFICATE_NAMES_MAX, CHAIN_MAX } from "./limits.ts";
import type { SocketAddress } from "./objects.ts";
import {
  type CertificateObject,
  KEY_ED25519,
  KEY_P256,
  KEY_P384,
  KEY_P521,
  KEY_RSA,
  KEY_RSA_PSS,
} from "./objects-tls.ts";
import { toOcspResponse } from "./ocsp.ts";
import { CERTIFICATE, PRIVATE_KEYS, pemBlocks } from "./pem.ts";
import { checkLines, normalizeHost, utf8Length } from "./text.ts";

/** `expiredAt` null: when the certificate says. `field` is where the message stands, for refusals. */
export function toCertificate(
  address: SocketAddress,
  message: CertificateAndKey | undefined,
  expiredAt: bigint | null,
  field: string,
): Converted<CertificateObject> {
  if (message === undefined) return commandError("INVALID_VALUE", field, "it is missing");
  const pair = readPair(message, field);
  if (pair instanceof CommandError) return pair;
  const { leaf, key } = pair;
  const names = message.names.length === 0 ? namesOf(leaf) : givenNames(message.names, field);
  if (names instanceof CommandError) return names;
  const ocspResponse = toOcspResponse(message.ocspResponse, `${field}.ocsp_response`);
  if (ocspResponse instanceof CommandError) return ocspResponse;
  const notAfter = seconds(leaf.validToDate);
  return {
    address,
    fingerprint: fingerprintOf(leaf),
    names,
    expiresAt: expiredAt === null ? notAfter : Number(expiredAt),
    notBefore: seconds(leaf.validFromDate),
    notAfter,
    versions: message.versions,
    keyKind: kindOf(key)!,
    certificate: message.certificate,
    chain: message.certificateChain,
    key: message.key,
    isDefault: message.defaultCertificate,
    ocspResponse,
  };
}

/** Whether a certificate, what follows it in its text, and a key belong together. */
export function checkPair(certificate: string, key: string, field: string): CommandError | null {
  const pair = readPair(create(CertificateAndKeySchema, { certificate, key }), field);
  return pair instanceof CommandError ? pair : null;
}

/** Whether a text holds certificates and nothing of it is unreadable. */
export function checkAuthorities(text: string, field: string): CommandError | null {
  const bad = checkField(field, checkLines(text, AUTHORITIES_BYTES_MAX));
  if (bad !== null) return bad;
  const blocks = pemBlocks(text, CERTIFICATE);
  if (blocks.length === 0) return commandError("INVALID_VALUE", field, NO_CERTIFICATE);
  const broken = blocks.findIndex((block) => parseCertificate(block) === null);
  return broken < 0 ? null : commandError("INVALID_VALUE", field, `certificate ${broken + 1} of it cannot be read`);
}

/** Hexadecimal in lower case without colons, or null when the text is no fingerprint. */
export function normalizeFingerprint(text: string): string | null {
  const bare = text.replaceAll(":", "").toLowerCase();
  return /^[0-9a-f]{64}$/.test(bare) ? bare : null;
}

/** The fingerprint of the first certificate of a text, or null when there is none. Its inside is not looked at. */
export function fingerprintOfPem(text: string): string | null {
  const block = pemBlocks(text, CERTIFICATE)[0];
  if (block === undefined) return null;
  const der = Buffer.from(block.slice(block.indexOf("\n"), block.lastIndexOf("-----END")), "base64");
  const end = endOfSequence(der);
  if (end <= der.length) return hash("sha256", der.subarray(0, end), "hex");
  // Text that only OpenSSL can read, or none at all.
  const leaf = parseCertificate(block);
  return leaf === null ? null : fingerprintOf(leaf);
}

/** Where the outermost value of DER ends (X.690 8.1.3); more than there is: it is cut, or no SEQUENCE. */
function endOfSequence(der: Buffer): number {
  const first = der[1];
  if (der[0] !== 0x30 || first === undefined || first === 0x80 || first > 0x84) return Number.POSITIVE_INFINITY;
  if (first < 0x80) return 2 + first;
  const size = first - 0x80;
  return der.length < 2 + size ? Number.POSITIVE_INFINITY : 2 + size + der.readUIntBE(2, size);
}

/** Whether a certificate with these names is chosen for a host, which may be a wildcard itself (RFC 6125 6.4.3). */
export function coversHost(names: readonly string[], host: string): boolean {
  if (names.includes(host)) return true;
  const dot = host.indexOf(".");
  return dot > 0 && !host.startsWith("*") && names.includes(`*${host.slice(dot)}`);
}

/** What an operator should know about a certificate that was accepted; without a clock nothing of its dates. */
export function certificateNotes(certificate: CertificateObject, nowSeconds: number | null): string[] {
  const { fingerprint, names, notBefore, notAfter } = certificate;
  const which = `certificate ${fingerprint.slice(0, 16)}`;
  const notes: string[] = [];
  if (nowSeconds !== null && notAfter < nowSeconds) notes.push(`${which} expired on ${date(notAfter)}`);
  if (nowSeconds !== null && notBefore > nowSeconds) notes.push(`${which} is not valid before ${date(notBefore)}`);
  if (names.length === 0) notes.push(`${which} has no host name, so no client is served with it`);
  return notes;
}

function date(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString();
}

/** The leaf and its key. */
function readPair(message: CertificateAndKey, field: string): { leaf: X509Certificate; key: KeyObject } | CommandError {
  const certificates = readChain(message, field);
  if (certificates instanceof CommandError) return certificates;
  const leaf = certificates[0]!;
  const key = readKey(message.key);
  if (typeof key === "string") return commandError("INVALID_VALUE", `${field}.key`, key);
  if (leaf.checkPrivateKey(key)) return { leaf, key };
  return commandError("INVALID_VALUE", `${field}.key`, "it is not the key of this certificate");
}

/** The leaf and what follows it; each issued by the next. */
function readChain(message: CertificateAndKey, field: string): X509Certificate[] | CommandError {
  const bad = checkUnknownEnums(message) ?? checkSizes(message, field);
  if (bad !== null) return bad;
  const own = pemBlocks(message.certificate, CERTIFICATE);
  if (own.length === 0) return commandError("INVALID_VALUE", `${field}.certificate`, NO_CERTIFICATE);
  const rest = message.certificateChain.map((text) => pemBlocks(text, CERTIFICATE));
  const empty = rest.findIndex((blocks) => blocks.length === 0);
  if (empty >= 0) return commandError("INVALID_VALUE", `${field}.certificate_chain[${empty}]`, NO_CERTIFICATE);
  const certificates: X509Certificate[] = [];
  for (const block of [...own, ...rest.flat()]) {
    const certificate = certificates.length === 0 ? parseCertificate(block) : issuers.parse(block);
    if (certificate === null) {
      const part = certificates.length === 0 ? "certificate" : "certificate_chain";
      return commandError("INVALID_VALUE", `${field}.${part}`, "a certificate of it cannot be read");
    }
    // Many files have the leaf in the chain once more.
    if (certificates.length > 0 && certificate.raw.equals(certificates[0]!.raw)) continue;
    certificates.push(certificate);
  }
  if (certificates.length > CHAIN_MAX + 1) {
    return commandError("INVALID_VALUE", `${field}.certificate_chain`, `there are more than ${CHAIN_MAX}`);
  }
  for (let i = 1; i < certificates.length; i++) {
    if (isIssuedBy(certificates[i - 1]!, certificates[i]!)) continue;
    const reason = `certificate ${i} of the chain did not issue the one before it`;
    return commandError("INVALID_VALUE", `${field}.certificate_chain`, reason);
  }
  return certificates;
}

const NO_CERTIFICATE = "it holds no certificate in PEM";

function checkSizes(message: CertificateAndKey, field: string): CommandError | null {
  const { certificate, certificateChain, key } = message;
  if (certificateChain.length > CHAIN_MAX) {
    return commandError("INVALID_VALUE", `${field}.certificate_chain`, `there are more than ${CHAIN_MAX}`);
  }
  let bytes = 0;
  for (const text of certificateChain) bytes += utf8Length(text);
  if (bytes > CERTIFICATE_BYTES_MAX) {
    const reason = `all together are longer than ${CERTIFICATE_BYTES_MAX} bytes`;
    return commandError("INVALID_VALUE", `${field}.certificate_chain`, reason);
  }
  return (
    checkField(`${field}.certificate`, checkLines(certificate, CERTIFICATE_BYTES_MAX)) ??
    checkField(`${field}.key`, checkLines(key, CERTIFICATE_BYTES_MAX))
  );
}

function parseCertificate(pem: string): X509Certificate | null {
  try {
    return new X509Certificate(pem);
  } catch {
    // What OpenSSL says of broken bytes helps nobody.
    return null;
  }
}

/** Thousands of certificates have the same few issuers: the last ones stay parsed, with their keys. */
class Issuers {
  readonly #parsed: Map<string, X509Certificate>;
  readonly #keys: WeakMap<X509Certificate, KeyObject>;

  constructor() {
    this.#parsed = new Map();
    this.#keys = new WeakMap();
  }

  parse(pem: string): X509Certificate | null {
    const known = this.#parsed.get(pem);
    if (known !== undefined) return known;
    const parsed = parseCertificate(pem);
    if (parsed === null) return null;
    if (this.#parsed.size === ISSUERS_MAX) this.#parsed.clear();
    this.#parsed.set(pem, parsed);
    return parsed;
  }

  /** Its public key; throws when it is of an unknown kind. */
  keyOf(issuer: X509Certificate): KeyObject {
    let key = this.#keys.get(issuer);
    if (key === undefined) {
      key = issuer.publicKey;
      this.#keys.set(issuer, key);
    }
    return key;
  }
}

const ISSUERS_MAX = 32;
const issuers = new Issuers();

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuers.keyOf(issuer));
  } catch {
    // A public key of a kind that cannot verify anything.
    return false;
  }
}

/** The key, or why it cannot be used. */
function readKey(text: string): KeyObject | string {
  const block = pemBlocks(text, PRIVATE_KEYS)[0];
  if (block === undefined) {
    const encrypted = pemBlocks(text, ["ENCRYPTED PRIVATE KEY"]).length > 0;
    return encrypted ? "it is encrypted: a proxy that starts by itself needs one without" : NO_KEY;
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(block);
  } catch {
    // The message of OpenSSL is left out, so that nothing of a key can be in it.
    return NO_KEY;
  }
  if (kindOf(key) !== undefined) return key;
  return `keys of the kind ${key.asymmetricKeyType ?? "unknown"} ${curveOf(key)} cannot be used`;
}

/** KEY_*; undefined: nothing is signed with such a key here. */
function kindOf(key: KeyObject): number | undefined {
  const type = key.asymmetricKeyType ?? "unknown";
  return KEY_KINDS.get(type === "ec" ? curveOf(key) : type);
}

function curveOf(key: KeyObject): string {
  return key.asymmetricKeyDetails?.namedCurve ?? "";
}

const KEY_KINDS: ReadonlyMap<string, number> = new Map([
  ["rsa", KEY_RSA],
  ["rsa-pss", KEY_RSA_PSS],
  ["ed25519", KEY_ED25519],
  ["prime256v1", KEY_P256],
  ["secp384r1", KEY_P384],
  ["secp521r1", KEY_P521],
]);

const NO_KEY = "it holds no private key in PEM that can be read (PKCS#8, PKCS#1 or SEC1, without a passphrase)";

function givenNames(names: readonly string[], field: string): string[] | CommandError {
  if (names.length > CERTIFICATE_NAMES_MAX) {
    return commandError("INVALID_VALUE", `${field}.names`, `there are more than ${CERTIFICATE_NAMES_MAX}`);
  }
  const hosts: string[] = [];
  for (let i = 0; i < names.length; i++) {
    const host = normalizeHost(names[i]!);
    if ("reason" in host) return commandError("INVALID_VALUE", `${field}.names[${i}]`, host.reason);
    if (!isServerName(host.host)) {
      return commandError("INVALID_VALUE", `${field}.names[${i}]`, "expected example.com or *.example.com");
    }
    hosts.push(host.host);
  }
  return [...new Set(hosts)];
}

/** The DNS names of the certificate, else its common name; what is no host name is left out. */
function namesOf(certificate: X509Certificate): string[] {
  const found = subjectAltNames(certificate.subjectAltName ?? "");
  if (found.length === 0) {
    const common = certificate.toLegacyObject().subject?.["CN"];
    found.push(...(Array.isArray(common) ? common : common === undefined ? [] : [common]));
  }
  const hosts = new Set<string>();
  for (const name of found.slice(0, CERTIFICATE_NAMES_MAX)) {
    const host = normalizeHost(name);
    if (!("reason" in host) && isServerName(host.host)) hosts.add(host.host);
  }
  return [...hosts];
}

/** RFC 6066 3: what a client can ask for, and wildcards of that. */
function isServerName(host: string): boolean {
  return host !== "*" && !host.includes("/") && !host.startsWith("[");
}

/** Node prints `DNS:a.test, IP Address:1.2.3.4`, with values in JSON quotes when they hold anything odd. */
function subjectAltNames(text: string): string[] {
  const names: string[] = [];
  const entry = /([^:]*):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/y;
  for (let match = entry.exec(text); match !== null && match[0] !== ""; match = entry.exec(text)) {
    if (match[1] === "DNS" && !match[2]!.startsWith('"')) names.push(match[2]!);
  }
  return names;
}

function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(":", "").toLowerCase();
}

function seconds(when: Date): number {
  return Math.floor(when.getTime() / 1000);
}
