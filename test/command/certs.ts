// Makes certificates for tests (RFC 5280): just enough DER for a leaf with names, dates and an issuer.

import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

/** A certificate with its key. */
export interface MadeCertificate {
  readonly pem: string;
  readonly key: string;
  readonly fingerprint: string;
  readonly subject: string;
  readonly privateKey: KeyObject;
}

/** What a certificate is made from; `issuer` null: it signs itself. */
export interface CertificateRecipe {
  readonly names?: readonly string[];
  readonly commonName?: string;
  readonly issuer?: MadeCertificate | null;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly curve?: "P-256" | "P-384";
  /** Of the key, when it is not on `curve`. */
  readonly kind?: "ec" | "rsa" | "ed25519";
  readonly rsaBits?: number;
  /** May sign others. */
  readonly isAuthority?: boolean;
}

export function makeCertificate(recipe: CertificateRecipe = {}): MadeCertificate {
  const { names = ["a.test"], commonName = "common.test", issuer = null } = recipe;
  const { notBefore = new Date("2020-01-01"), notAfter = new Date("2120-01-01") } = recipe;
  const { privateKey, publicKey } = makeKey(recipe);
  const subjectAltName = sequence(...names.map((name) => tlv(0x82, Buffer.from(name, "latin1"))));
  const extensions = names.length === 0 ? [] : [sequence(oid("2.5.29.17"), tlv(0x04, subjectAltName))];
  if (recipe.isAuthority) {
    extensions.push(sequence(oid("2.5.29.19"), IS_TRUE, tlv(0x04, sequence(IS_TRUE))));
  }
  const signer = issuer?.privateKey ?? privateKey;
  const algorithm = SIGNATURES[signer.asymmetricKeyType as keyof typeof SIGNATURES];
  const serial = createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest();
  const tbs = sequence(
    tlv(0xa0, tlv(0x02, Buffer.of(2))),
    tlv(0x02, Buffer.concat([Buffer.of(1), serial.subarray(0, 8)])),
    algorithm,
    distinguishedName(issuer?.subject ?? commonName),
    sequence(time(notBefore), time(notAfter)),
    distinguishedName(commonName),
    publicKey.export({ type: "spki", format: "der" }),
    ...(extensions.length === 0 ? [] : [tlv(0xa3, sequence(...extensions))]),
  );
  const signature = sign(signer.asymmetricKeyType === "ed25519" ? null : "sha256", tbs, signer);
  const der = sequence(tbs, algorithm, tlv(0x03, Buffer.concat([Buffer.of(0), signature])));
  const lines = der.toString("base64").match(/.{1,64}/g)!;
  return {
    pem: `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
    fingerprint: createHash("sha256").update(der).digest("hex"),
    subject: commonName,
    privateKey,
  };
}

function makeKey(recipe: CertificateRecipe): { publicKey: KeyObject; privateKey: KeyObject } {
  if (recipe.kind === "rsa") return generateKeyPairSync("rsa", { modulusLength: recipe.rsaBits ?? 2048 });
  if (recipe.kind === "ed25519") return generateKeyPairSync("ed25519");
  return generateKeyPairSync("ec", { namedCurve: recipe.curve ?? "P-256" });
}

function tlv(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 128) return Buffer.concat([Buffer.of(tag, length), content]);
  const size = length < 256 ? Buffer.of(0x81, length) : Buffer.of(0x82, length >> 8, length & 255);
  return Buffer.concat([Buffer.of(tag), size, content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 127];
    for (let left = part >>> 7; left > 0; left >>>= 7) groups.unshift((left & 127) | 128);
    bytes.push(...groups);
  }
  return tlv(0x06, Buffer.from(bytes));
}

function distinguishedName(commonName: string): Buffer {
  return sequence(tlv(0x31, sequence(oid("2.5.4.3"), tlv(0x0c, Buffer.from(commonName)))));
}

function time(date: Date): Buffer {
  const text = date.toISOString().replace(/[-:T]/g, "").slice(0, 14);
  return tlv(0x18, Buffer.from(`${text}Z`));
}

const IS_TRUE: Buffer = tlv(0x01, Buffer.of(255));

const SIGNATURES = {
  ec: sequence(oid("1.2.840.10045.4.3.2")),
  rsa: sequence(oid("1.2.840.113549.1.1.11"), tlv(0x05, Buffer.alloc(0))),
  ed25519: sequence(oid("1.3.101.112")),
} as const;
