// What HTTPS listeners and frontends need from the file (spec 2.4, 2.6, 2.8): their certificate files, ALPN and HSTS.

import { create } from "@bufbuild/protobuf";
import { addressToMessage } from "../command/address.ts";
import { certificateNotes, coversHost } from "../command/certificate.ts";
import type { AddCertificate, BackendTls, ClientAuth, HstsConfig } from "../command/gen/sozu_pb.ts";
import { AddCertificateSchema, BackendTlsSchema, ClientAuthSchema } from "../command/gen/sozu_pb.ts";
import { AUTHORITIES_BYTES_MAX, OCSP_BYTES_MAX } from "../command/limits.ts";
import type { SocketAddress } from "../command/objects.ts";
import type { CertificateObject } from "../command/objects-tls.ts";
import { CERTIFICATE, pemBlocks } from "../command/pem.ts";
import { type CheckContext, checkTable } from "./check.ts";
import type { ValuesOf } from "./keys.ts";
import { alpnOf, hstsMessage, tlsVersions } from "./objects.ts";
import { type ConfigPath, formatPath } from "./problems.ts";
import type { GlobalSettings } from "./settings.ts";
import type { FRONTEND_KEYS, LISTENER_KEYS } from "./tables.ts";
import { BACKEND_TLS_KEYS, CLIENT_AUTH_KEYS, HSTS_KEYS } from "./tables-tls.ts";
import type { FileForm, Templates } from "./templates.ts";

/** The texts of the three files, and the table that names them. */
export interface TlsFiles {
  readonly certificate: string;
  readonly chain: string;
  readonly key: string;
  /** DER in base64; empty: none. */
  readonly ocsp: string;
  readonly path: ConfigPath;
}

/** The certificate files of a listener or frontend; null when it names none, or when that is a problem. */
export function readTlsFiles(
  { problems }: CheckContext,
  templates: Templates,
  values: ValuesOf<typeof LISTENER_KEYS> | ValuesOf<typeof FRONTEND_KEYS>,
  path: ConfigPath,
): TlsFiles | null {
  const { certificate, certificate_chain: chain, key, ocsp_response: ocsp } = values;
  if (certificate === undefined && chain === undefined && key === undefined && ocsp === undefined) return null;
  if (certificate === undefined || key === undefined) {
    const missing = certificate === undefined ? "certificate" : "key";
    problems.error([...path, missing], `missing key "${missing}" in ${formatPath(path)}: both belong together`);
    return null;
  }
  const files = {
    certificate: templates.file(certificate, [...path, "certificate"]),
    chain: chain === undefined ? "" : templates.file(chain, [...path, "certificate_chain"]),
    key: templates.file(key, [...path, "key"]),
    ocsp: ocsp === undefined ? "" : templates.file(ocsp, [...path, "ocsp_response"], OCSP_FILE),
    path,
  };
  return files.certificate === "" || files.key === "" ? null : files;
}

const OCSP_FILE: FileForm = { bytesMax: OCSP_BYTES_MAX, binary: true };
const AUTHORITIES_FILE: FileForm = { bytesMax: AUTHORITIES_BYTES_MAX, binary: false };

/** The request that adds the certificate; its names are those of the certificate. */
export function certificateMessage(
  address: SocketAddress,
  { certificate, chain, key, ocsp }: TlsFiles,
  versions: readonly string[],
  isDefault: boolean,
): AddCertificate {
  const blocks = pemBlocks(chain, CERTIFICATE);
  return create(AddCertificateSchema, {
    address: addressToMessage(address),
    certificate: {
      certificate,
      certificateChain: chain !== "" && blocks.length === 0 ? [chain] : blocks,
      key,
      versions: tlsVersions(versions),
      names: [],
      ...(isDefault ? { defaultCertificate: true } : {}),
      ...(ocsp === "" ? {} : { ocspResponse: Buffer.from(ocsp, "base64") }),
    },
  });
}

/** `client_auth` of a listener; null: there is none, or what is wrong with it has been said. */
export function readClientAuth(
  context: CheckContext,
  templates: Templates,
  raw: Record<string, unknown> | undefined,
  path: ConfigPath,
): ClientAuth | null {
  const values = raw === undefined ? null : checkTable(context, CLIENT_AUTH_KEYS, raw, path);
  if (values?.ca === undefined) return null;
  const ca = templates.file(values.ca, [...path, "ca"], AUTHORITIES_FILE);
  if (ca === "") return null;
  const message: ClientAuth = create(ClientAuthSchema, { required: values.required ?? true, ca });
  if (values.subject_header !== undefined) message.subjectHeader = values.subject_header;
  if (values.fingerprint_header !== undefined) message.fingerprintHeader = values.fingerprint_header;
  return message;
}

/** `tls` of a cluster; null: there is none, or what is wrong with it has been said. */
export function readBackendTls(
  context: CheckContext,
  templates: Templates,
  raw: Record<string, unknown> | undefined,
  path: ConfigPath,
): BackendTls | null {
  const values = raw === undefined ? null : checkTable(context, BACKEND_TLS_KEYS, raw, path);
  if (values === null) return null;
  const message: BackendTls = create(BackendTlsSchema, { verify: values.verify ?? true });
  if (values.ca !== undefined) message.ca = templates.file(values.ca, [...path, "ca"], AUTHORITIES_FILE);
  if (values.server_name !== undefined) message.serverName = values.server_name;
  if (values.certificate !== undefined)
    message.certificate = templates.file(values.certificate, [...path, "certificate"]);
  if (values.key !== undefined) message.key = templates.file(values.key, [...path, "key"]);
  return message;
}

/** Where the parts of such a request stand in the file. */
export function certificatePlaces({ path }: TlsFiles): Map<string, ConfigPath> {
  const chain = [...path, "certificate_chain"];
  return new Map([
    ["certificate.certificate", [...path, "certificate"]],
    ["certificate.certificate_chain", chain],
    ["certificate.certificate_chain[0]", chain],
    ["certificate.key", [...path, "key"]],
    ["certificate.ocsp_response", [...path, "ocsp_response"]],
  ]);
}

/** Decisions 33: what does not fit is said, not refused. */
export function warnCertificate(
  { problems }: CheckContext,
  certificate: CertificateObject,
  hostname: string,
  place: ConfigPath,
  nowSeconds: number | null,
): void {
  const notes = certificateNotes(certificate, nowSeconds);
  const plain = hostname !== "*" && !hostname.includes("/");
  if (plain && !coversHost(certificate.names, hostname)) notes.push(`it does not cover ${hostname}`);
  for (const note of notes) problems.warning(place, `certificate: ${note}`);
}

/** What of an HTTPS listener the messages alone would not show to be wrong. */
export function checkHttps(
  { problems }: CheckContext,
  values: ValuesOf<typeof LISTENER_KEYS>,
  settings: GlobalSettings,
  path: ConfigPath,
): void {
  const alpn = alpnOf(values);
  if (!alpn.includes("http/1.1")) {
    problems.warning([...path, "alpn_protocols"], "alpn_protocols: clients that do not speak HTTP/2 are refused");
  } else if (values.disable_http11 === true) {
    const reason = 'alpn_protocols has "http/1.1", also when it is left out';
    problems.error([...path, "disable_http11"], `disable_http11: ${reason}`);
  }
  if (alpn.includes("h2") && settings.bufferSizeBytes < HTTP2_BUFFER_BYTES_MIN) {
    const least = `HTTP/2 needs a buffer_size of at least ${HTTP2_BUFFER_BYTES_MIN}, it is ${settings.bufferSizeBytes}`;
    problems.error(values.alpn_protocols === undefined ? path : [...path, "alpn_protocols"], least);
  }
}

/** A frame of the size that cannot be refused, with its head (RFC 9113 4.1, 4.2). */
const HTTP2_BUFFER_BYTES_MIN = 16_393;

/** null: there is none, or what is wrong with it has been said. */
export function readHsts(
  context: CheckContext,
  raw: Record<string, unknown> | undefined,
  path: ConfigPath,
): HstsConfig | null {
  const values = raw === undefined ? null : checkTable(context, HSTS_KEYS, raw, path);
  if (values?.enabled === undefined) return null;
  const message = hstsMessage(values);
  const { max_age: maxAge = message.maxAge } = values;
  if (message.enabled && maxAge > 0 && maxAge < 86_400) {
    context.problems.warning([...path, "max_age"], `max_age: ${maxAge} seconds are less than a day`);
  }
  if (message.preload && (maxAge < 31_536_000 || !message.includeSubdomains)) {
    const wanted = "lists of browsers want a max_age of a year and include_subdomains";
    context.problems.warning([...path, "preload"], `preload: ${wanted}`);
  }
  return message;
}

/** Why HTTP cannot have it. */
export const HSTS_ON_HTTP = "plain HTTP cannot carry it (RFC 6797 7.2): it belongs to HTTPS";
