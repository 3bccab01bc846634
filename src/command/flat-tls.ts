// What only HTTPS has in the flat encoding (flat.ts): how a listener speaks TLS, limits of HTTP/2, HSTS, certificates of
// clients, certificates of the listener, TLS to backends. Written and read side by side. Private keys are not here: they
// come last in their object (flat.ts).

import type { FlatBytes, FlatCursor } from "./flat-bytes.ts";
import { readTexts, writeTexts } from "./flat-policies.ts";
import type { SocketAddress } from "./objects.ts";
import type {
  BackendTlsObject,
  CertificateObject,
  ClientAuthObject,
  HstsObject,
  Http2Object,
  TlsObject,
} from "./objects-tls.ts";

export function writeTls(out: FlatBytes, tls: TlsObject): void {
  writeNumbers(out, tls.versions);
  writeTexts(out, tls.cipherList);
  writeTexts(out, tls.cipherSuites);
  writeTexts(out, tls.signatureAlgorithms);
  writeTexts(out, tls.groupsList);
  writeTexts(out, tls.alpnProtocols);
  out.u16(tls.sendTls13Tickets);
  out.u8((tls.strictSniBinding ? 1 : 0) | (tls.disableHttp11 ? 2 : 0));
}

export function readTls(from: FlatCursor): TlsObject {
  const versions = readNumbers(from);
  const cipherList = readTexts(from);
  const cipherSuites = readTexts(from);
  const signatureAlgorithms = readTexts(from);
  const groupsList = readTexts(from);
  const alpnProtocols = readTexts(from);
  const sendTls13Tickets = from.u16();
  const flags = from.u8();
  return {
    versions,
    cipherList,
    cipherSuites,
    signatureAlgorithms,
    groupsList,
    alpnProtocols,
    sendTls13Tickets,
    strictSniBinding: (flags & 1) !== 0,
    disableHttp11: (flags & 2) !== 0,
  };
}

export function writeHttp2(out: FlatBytes, http2: Http2Object): void {
  for (let i = 0; i < HTTP2_MEMBERS.length; i++) out.f64(http2[HTTP2_MEMBERS[i]!]);
}

export function readHttp2(from: FlatCursor): Http2Object {
  const http2: Partial<Record<keyof Http2Object, number>> = {};
  for (let i = 0; i < HTTP2_MEMBERS.length; i++) http2[HTTP2_MEMBERS[i]!] = from.f64();
  return http2 as Http2Object;
}

/** In their order here; every member once, which the type checks. */
const HTTP2_ORDER: Readonly<Record<keyof Http2Object, null>> = {
  maxRstStreamPerWindow: null,
  maxPingPerWindow: null,
  maxSettingsPerWindow: null,
  maxEmptyDataPerWindow: null,
  maxWindowUpdateStream0PerWindow: null,
  maxContinuationFrames: null,
  maxGlitchCount: null,
  initialConnectionWindow: null,
  maxConcurrentStreams: null,
  streamShrinkRatio: null,
  maxRstStreamLifetime: null,
  maxRstStreamAbusiveLifetime: null,
  maxRstStreamEmittedLifetime: null,
  maxHeaderListSize: null,
  maxHeaderTableSize: null,
  maxHeaderFields: null,
  streamIdleTimeoutSeconds: null,
  gracefulShutdownDeadlineSeconds: null,
};
const HTTP2_MEMBERS: readonly (keyof Http2Object)[] = Object.keys(HTTP2_ORDER) as (keyof Http2Object)[];

export function writeHsts(out: FlatBytes, hsts: HstsObject): void {
  out.u8(
    (hsts.enabled ? 1 : 0) |
      (hsts.includeSubdomains ? 2 : 0) |
      (hsts.preload ? 4 : 0) |
      (hsts.forceReplaceBackend ? 8 : 0),
  );
  out.u32(hsts.maxAge);
}

export function readHsts(from: FlatCursor): HstsObject {
  const flags = from.u8();
  return {
    enabled: (flags & 1) !== 0,
    maxAge: from.u32(),
    includeSubdomains: (flags & 2) !== 0,
    preload: (flags & 4) !== 0,
    forceReplaceBackend: (flags & 8) !== 0,
  };
}

export function writeClientAuth(out: FlatBytes, auth: ClientAuthObject): void {
  out.u8(auth.required ? 1 : 0);
  out.longText(auth.ca);
  out.text(auth.subjectHeader);
  out.text(auth.fingerprintHeader);
}

export function readClientAuth(from: FlatCursor): ClientAuthObject {
  return {
    required: from.u8() !== 0,
    ca: from.longText(),
    subjectHeader: from.optionalText(),
    fingerprintHeader: from.optionalText(),
  };
}

export function writeBackendTls(out: FlatBytes, tls: BackendTlsObject): void {
  out.u8(tls.verify ? 1 : 0);
  out.longText(tls.ca);
  out.text(tls.serverName);
  out.longText(tls.certificate);
}

/** The key follows. */
export function readBackendTls(from: FlatCursor): Omit<BackendTlsObject, "key"> {
  return {
    verify: from.u8() !== 0,
    ca: from.optionalLongText(),
    serverName: from.optionalText(),
    certificate: from.optionalLongText(),
  };
}

/** All of it behind the identity. */
export function writeCertificate(out: FlatBytes, certificate: CertificateObject): void {
  writeTexts(out, certificate.names);
  out.f64(certificate.expiresAt);
  out.f64(certificate.notBefore);
  out.f64(certificate.notAfter);
  writeNumbers(out, certificate.versions);
  out.u8(certificate.keyKind);
  out.longText(certificate.certificate);
  out.u16(certificate.chain.length);
  for (let i = 0; i < certificate.chain.length; i++) out.longText(certificate.chain[i]!);
  out.u8(certificate.isDefault ? 1 : 0);
  out.longText(certificate.ocspResponse);
}

/** The key follows. */
export function readCertificate(
  from: FlatCursor,
  address: SocketAddress,
  fingerprint: string,
): Omit<CertificateObject, "key"> {
  const names = readTexts(from);
  const expiresAt = from.f64();
  const notBefore = from.f64();
  const notAfter = from.f64();
  const versions = readNumbers(from);
  const keyKind = from.u8();
  const certificate = from.longText();
  const chain: string[] = [];
  for (let left = from.u16(); left > 0 && !from.bad; left--) chain.push(from.longText());
  const isDefault = from.u8() !== 0;
  const ocspResponse = from.optionalLongText();
  return {
    address,
    fingerprint,
    names,
    expiresAt,
    notBefore,
    notAfter,
    versions,
    keyKind,
    certificate,
    chain,
    isDefault,
    ocspResponse,
  };
}

function writeNumbers(out: FlatBytes, numbers: readonly number[]): void {
  out.u16(numbers.length);
  for (let i = 0; i < numbers.length; i++) out.u8(numbers[i]!);
}

function readNumbers(from: FlatCursor): number[] {
  const numbers: number[] = [];
  for (let left = from.u16(); left > 0 && !from.bad; left--) numbers.push(from.u8());
  return numbers;
}
