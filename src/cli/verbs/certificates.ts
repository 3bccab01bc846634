// The verbs for the certificates of HTTPS listeners.

import { type Command, Option } from "commander";
import type { CertificateListOptions, CertificateOptions, RemovalOptions, ReplacementOptions } from "../certificate.ts";
import { given, repeated } from "../options.ts";

export function addCertificateVerbs(program: Command): void {
  const certificate = program.command("certificate").description("certificates of HTTPS listeners");
  at(certificate, "add", "add a certificate; it is chosen for the names it has")
    .requiredOption("--certificate <path>", "PEM file of the certificate")
    .option("--certificate-chain <path>", "PEM file of those behind it; default: they follow in the first file")
    .requiredOption("--key <path>", "PEM file of its private key, without a passphrase")
    .option("--tls-versions <version>", "TLS_V12 or TLS_V13; may be repeated", repeated)
    .option("--default", "also for clients that ask for no name, or for one that no certificate is for")
    .option("--ocsp-response <path>", "DER file of an OCSP response to staple")
    .addHelpText("after", HELP)
    .action(async (_own: object, command: Command) => {
      const { addCertificate } = await import("../certificate.ts");
      await addCertificate(given<CertificateOptions>(command));
    });
  at(certificate, "replace", "put a certificate in the place of another; the old one stays when the new one is refused")
    .requiredOption("--new-certificate <path>", "PEM file of the certificate")
    .option("--new-certificate-chain <path>", "PEM file of those behind it; default: they follow in the first file")
    .requiredOption("--new-key <path>", "PEM file of its private key, without a passphrase")
    .option("--old-certificate <path>", "PEM file of the one it replaces")
    .addOption(new Option("--old-cert <path>").hideHelp())
    .option("-f, --fingerprint <hex>", "or its SHA-256")
    .option("--tls-versions <version>", "TLS_V12 or TLS_V13; may be repeated", repeated)
    .option("--default", "also for clients that ask for no name, or for one that no certificate is for")
    .option("--ocsp-response <path>", "DER file of an OCSP response to staple")
    .action(async (_own: object, command: Command) => {
      const { replaceCertificate } = await import("../certificate.ts");
      await replaceCertificate(given<ReplacementOptions>(command));
    });
  at(certificate, "remove", "remove a certificate; one that is not there is fine")
    .option("--certificate <path>", "PEM file of the certificate")
    .addOption(new Option("--cert <path>").hideHelp())
    .option("-f, --fingerprint <hex>", "or its SHA-256")
    .action(async (_own: object, command: Command) => {
      const { removeCertificate } = await import("../certificate.ts");
      await removeCertificate(given<RemovalOptions>(command));
    });
  certificate
    .command("list")
    .description("show certificates, without their keys")
    .option("-f, --fingerprint <hex>", "this one")
    .option("-d, --domain <host>", "those that are chosen for a host")
    .option("-w, --workers", "as the workers have them")
    .action(async (_own: object, command: Command) => {
      const { listCertificates } = await import("../certificate.ts");
      await listCertificates(given<CertificateListOptions>(command));
    });
}

function at(parent: Command, verb: string, text: string): Command {
  return parent
    .command(verb)
    .description(text)
    .requiredOption("-a, --address <ip:port>", "address of the HTTPS listener");
}

const HELP = `
Example:
  sozu certificate add --address 0.0.0.0:8443 --certificate fullchain.pem --key key.pem`;
