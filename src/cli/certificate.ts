// `sozu certificate add`, `replace`, `remove` and `list`. Files are read here; what the proxy gets is their text. The
// private key goes to the proxy and nowhere else.

import { readFileSync, statSync } from "node:fs";
import { fingerprintOfPem, normalizeFingerprint } from "../command/certificate.ts";
import { TlsVersion } from "../command/gen/sozu_pb.ts";
import { CERTIFICATE_BYTES_MAX, OCSP_BYTES_MAX } from "../command/limits.ts";
import { CERTIFICATE, pemBlocks } from "../command/pem.ts";
import { control } from "./control.ts";
import { CliError } from "./errors.ts";
import type { GlobalOptions } from "./options.ts";
import { readAddress, readTlsVersions } from "./values.ts";

/** What `certificate add` was given; the files are paths. */
export interface CertificateOptions extends GlobalOptions {
  readonly address: string;
  readonly certificate: string;
  readonly certificateChain?: string;
  readonly key: string;
  readonly tlsVersions?: readonly string[];
  readonly default?: boolean;
  readonly ocspResponse?: string;
}

/** What `certificate replace` was given; exactly one of the last two. */
export interface ReplacementOptions extends GlobalOptions {
  readonly address: string;
  readonly newCertificate: string;
  readonly newCertificateChain?: string;
  readonly newKey: string;
  readonly tlsVersions?: readonly string[];
  readonly default?: boolean;
  readonly ocspResponse?: string;
  readonly oldCertificate?: string;
  readonly oldCert?: string;
  readonly fingerprint?: string;
}

/** What `certificate remove` was given; exactly one of certificate and fingerprint. */
export interface RemovalOptions extends GlobalOptions {
  readonly address: string;
  readonly certificate?: string;
  readonly cert?: string;
  readonly fingerprint?: string;
}

/** What `certificate list` was given. */
export interface CertificateListOptions extends GlobalOptions {
  readonly fingerprint?: string;
  readonly domain?: string;
  readonly workers?: boolean;
}

/** Adds a certificate to an HTTPS listener. @throws CliError for files that cannot be used */
export async function addCertificate(options: CertificateOptions): Promise<void> {
  const { certificate, certificateChain, key } = options;
  const value = certificateAndKey(certificate, certificateChain, key, options);
  const address = readAddress(options.address);
  await control(options, { case: "addCertificate", value: { address, certificate: value } });
}

/** Puts a certificate in the place of another. @throws CliError */
export async function replaceCertificate(options: ReplacementOptions): Promise<void> {
  const { newCertificate, newCertificateChain, newKey, fingerprint } = options;
  const old = oneFingerprint(options.oldCertificate ?? options.oldCert, fingerprint, "--old-certificate");
  const value = certificateAndKey(newCertificate, newCertificateChain, newKey, options);
  const address = readAddress(options.address);
  await control(options, {
    case: "replaceCertificate",
    value: { address, newCertificate: value, oldFingerprint: old },
  });
}

/** Removes a certificate; new handshakes no longer get it. @throws CliError */
export async function removeCertificate(options: RemovalOptions): Promise<void> {
  const fingerprint = oneFingerprint(options.certificate ?? options.cert, options.fingerprint, "--certificate");
  const address = readAddress(options.address);
  await control(options, { case: "removeCertificate", value: { address, fingerprint } });
}

/** Shows certificates, without their keys. */
export async function listCertificates(options: CertificateListOptions): Promise<void> {
  const filters = {
    ...(options.fingerprint === undefined ? {} : { fingerprint: options.fingerprint }),
    ...(options.domain === undefined ? {} : { domain: options.domain }),
  };
  const name = options.workers === true ? "queryCertificatesFromWorkers" : "queryCertificatesFromTheState";
  await control(options, { case: name, value: filters });
}

/** Options of `add` and of `replace`. */
type Extras = Pick<CertificateOptions, "tlsVersions" | "default" | "ocspResponse">;

/** Without a file of its own the chain is what follows the certificate in its file (an addition). */
function certificateAndKey(certificate: string, chain: string | undefined, key: string, extras: Extras) {
  const numbers: TlsVersion[] = readTlsVersions(extras.tlsVersions ?? []);
  if (numbers.some((number) => number < TlsVersion.TLS_V1_2)) {
    process.stderr.write("warning: only TLS 1.2 and 1.3 are spoken\n");
  }
  const text = readPem(certificate);
  const blocks = pemBlocks(chain === undefined ? text : readPem(chain), CERTIFICATE).map((block) => block.trimEnd());
  return {
    certificate: chain === undefined ? (blocks[0] ?? text) : text,
    certificateChain: chain === undefined ? blocks.slice(1) : blocks,
    key: readPem(key),
    versions: numbers,
    names: [],
    ...(extras.default === undefined ? {} : { defaultCertificate: extras.default }),
    ...(extras.ocspResponse === undefined ? {} : { ocspResponse: readBytes(extras.ocspResponse, OCSP_BYTES_MAX) }),
  };
}

function oneFingerprint(path: string | undefined, given: string | undefined, flag: string): string {
  if ((path === undefined) === (given === undefined)) {
    throw new CliError(`give exactly one of ${flag} and --fingerprint`, "sozu certificate list shows fingerprints");
  }
  const fingerprint = path === undefined ? normalizeFingerprint(given!) : fingerprintOfPem(readPem(path));
  if (fingerprint !== null) return fingerprint;
  if (path !== undefined) throw new CliError(`${path} holds no certificate in PEM`);
  throw new CliError(`"${given}" is not a fingerprint`, "write its 64 hexadecimal digits");
}

/** The text of a file of certificates or of a key. @throws CliError */
export function readPem(path: string, bytesMax: number = CERTIFICATE_BYTES_MAX): string {
  return readBytes(path, bytesMax).toString("utf8");
}

function readBytes(path: string, bytesMax: number): Buffer {
  try {
    const { size } = statSync(path);
    if (size > bytesMax) throw new CliError(`${path} is larger than ${bytesMax} bytes`);
    return readFileSync(path);
  } catch (error) {
    if (error instanceof CliError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CliError(code === "ENOENT" ? `there is no file ${path}` : `${path} cannot be read: ${message}`);
  }
}
