// What HTTPS listeners and frontends need from the file (spec 2.4, 2.6, 2.8): their certificate files, ALPN and HSTS.

import { create } from "@bufbuild/protobuf";
import { addressToMessage } from "../command/address.ts";
import { certificateNotes, coversHost } from "../command/certificate.ts";
import type { AddCertificate, HstsConfig } from "../command/gen/sozu_pb.ts";
import { AddCertificateSchema } from "../command/gen/sozu_pb.ts";
import type { SocketAddress } from "../command/objects.ts";
import type { CertificateObject } from "../command/objects-tls.ts";
import { CERTIFICATE, pemBlocks } from "../command/pem.ts";
import { type CheckContext, checkTable } from "./check.ts";
import type { ValuesOf } from "./keys.ts";
import { alpnOf, hstsMessage, tlsVersions } from "./objects.ts";
import { type ConfigPath, formatPath } from "./problems.ts";
import type { GlobalSettings } from "./settings.ts";
import type { FRONTEND_KEYS, LISTENER_KEYS } from "./tables.ts";
import { HSTS_KEYS } from "./tables-tls.ts";
import type { Templates } from "./templates.ts";

/** The texts of the three files, and the table that names them. */
export interface TlsFiles {
  readonly certificate: string;
  readonly chain: string;
  readonly key: string;
  readonly path: ConfigPath;
}

/** The certificate files of a listener or frontend; null when it names none, or when that is a problem. */
export function readTlsFiles(
  { problems }: CheckContext,
  templates: Templates,
  values: ValuesOf<typeof LISTENER_KEYS> | ValuesOf<typeof FRONTEND_KEYS>,
  path: ConfigPath,
): TlsFiles | null {
  const { certificate, certificate_chain: chain, key } = values;
  if (certificate === undefined && chain === undefined && key === undefined) return null;
  if (certificate === undefined || key === undefined) {
    const missing = certificate === undefined ? "certificate" : "key";
    problems.error([...path, missing], `missing key "${missing}" in ${formatPath(path)}: both belong together`);
    return null;
  }
  const files = {
    certificate: templates.file(certificate, [...path, "certificate"]),
    chain: chain === undefined ? "" : templates.file(chain, [...path, "certificate_chain"]),
    key: templates.file(key, [...path, "key"]),
    path,
  };
  return files.certificate === "" || files.key === "" ? null : files;
}

/** The request that adds the certificate; its names are those of the certificate. */
export function certificateMessage(
  address: SocketAddress,
  { certificate, chain, key }: TlsFiles,
  versions: readonly string[],
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
    },
  });
}

/** Where the parts of such a request stand in the file. */
export function certificatePlaces({ path }: TlsFiles): Map<string, ConfigPath> {
  const chain = [...path, "certificate_chain"];
  return new Map([
    ["certificate.certificate", [...path, "certificate"]],
    ["certificate.certificate_chain", chain],
    ["certificate.certificate_chain[0]", chain],
    ["certificate.key", [...path, "key"]],
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
