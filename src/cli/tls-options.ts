// The options of TLS that Sozu's command line does not have: certificates of clients, TLS to backends. Files are read here.

import { AUTHORITIES_BYTES_MAX } from "../command/limits.ts";
import { readPem } from "./certificate.ts";
import { UsageError } from "./errors.ts";
import { readWord } from "./values.ts";

/** What listeners were given about the certificates of clients. */
export interface ClientAuthOptions {
  readonly clientCa?: string;
  readonly clientAuth?: string;
  readonly clientSubjectHeader?: string;
  readonly clientFingerprintHeader?: string;
  readonly resetClientAuth?: boolean;
}

/** What clusters were given about TLS to their backends. */
export interface BackendTlsOptions {
  readonly backendTls?: boolean;
  readonly backendVerify?: boolean;
  readonly backendCa?: string;
  readonly backendServerName?: string;
  readonly backendCertificate?: string;
  readonly backendKey?: string;
}

/** The fields of a listener, or none. @throws UsageError */
export function readClientAuth(options: ClientAuthOptions) {
  const { clientCa, clientAuth, clientSubjectHeader, clientFingerprintHeader } = options;
  if (options.resetClientAuth === true) return { clientAuth: { required: false, ca: "" } };
  if (clientCa === undefined) {
    if (clientAuth === undefined && clientSubjectHeader === undefined && clientFingerprintHeader === undefined)
      return {};
    throw new UsageError(
      "certificates of clients need --client-ca",
      "name the file of the authorities that issue them",
    );
  }
  const words = ["optional", "required"];
  const required = readWord("way to ask for certificates", clientAuth ?? "required", words, "-", UsageError) === 1;
  return {
    clientAuth: {
      required,
      ca: readPem(clientCa, AUTHORITIES_BYTES_MAX),
      ...(clientSubjectHeader === undefined ? {} : { subjectHeader: clientSubjectHeader }),
      ...(clientFingerprintHeader === undefined ? {} : { fingerprintHeader: clientFingerprintHeader }),
    },
  };
}

/** The field of a cluster, or none. @throws UsageError */
export function readBackendTls(options: BackendTlsOptions) {
  const { backendCa, backendServerName, backendCertificate, backendKey } = options;
  if (options.backendTls !== true) {
    const given = [backendCa, backendServerName, backendCertificate, backendKey].some((value) => value !== undefined);
    if (!given && options.backendVerify !== false) return {};
    throw new UsageError("these options need --backend-tls", "give it to speak TLS to the backends");
  }
  return {
    tls: {
      verify: options.backendVerify !== false,
      ...(backendCa === undefined ? {} : { ca: readPem(backendCa, AUTHORITIES_BYTES_MAX) }),
      ...(backendServerName === undefined ? {} : { serverName: backendServerName }),
      ...(backendCertificate === undefined ? {} : { certificate: readPem(backendCertificate) }),
      ...(backendKey === undefined ? {} : { key: readPem(backendKey) }),
    },
  };
}
