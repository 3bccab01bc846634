// Certificates of the state (spec 4.7, 8.1): identity is the address of the listener and the fingerprint. One that is there
// already is fine, removing one that is not is fine too; a replacement that cannot be used leaves the old one in place.

import { clone, create } from "@bufbuild/protobuf";
import { formatAddress } from "../address.ts";
import { fingerprintOfPem, normalizeFingerprint, toCertificate } from "../certificate.ts";
import { has, isError, toAddress } from "../convert-checks.ts";
import { commandError } from "../errors.ts";
import type { AddCertificate, RemoveCertificate, ReplaceCertificate } from "../gen/sozu_pb.ts";
import { AddCertificateSchema } from "../gen/sozu_pb.ts";
import type { Change } from "../objects.ts";
import type { CertificateObject } from "../objects-tls.ts";
import type { Outcome } from "./clusters.ts";
import { certificateKey } from "./keys.ts";
import { type Origin, Table } from "./table.ts";

export type CertificateTable = Table<AddCertificate, CertificateObject>;

export function certificateTable(): CertificateTable {
  return new Table("Certificate", (before, after): Change[] => {
    if (after !== undefined) return [{ kind: "add_certificate", certificate: after }];
    if (before === undefined) return [];
    return [{ kind: "remove_certificate", address: before.address, fingerprint: before.fingerprint }];
  });
}

export function addCertificate(
  table: CertificateTable,
  message: AddCertificate,
  origin: Origin,
  revision: number,
  field = "certificate",
): Outcome {
  const address = toAddress("address", message.address);
  if (isError(address)) return address;
  const expiredAt = has(message, "expiredAt") ? message.expiredAt : null;
  const known = fingerprintOfPem(message.certificate?.certificate ?? "");
  if (known !== null && table.get(certificateKey(address, known)) !== undefined) return [];
  const object = toCertificate(address, message.certificate, expiredAt, field);
  if (isError(object)) return object;
  const named = clone(AddCertificateSchema, message);
  named.certificate!.names = [...object.names];
  return [table.step(certificateKey(address, object.fingerprint), { message: named, object, origin, revision })];
}

export function removeCertificate(table: CertificateTable, message: RemoveCertificate): Outcome {
  const address = toAddress("address", message.address);
  if (isError(address)) return address;
  const fingerprint = normalizeFingerprint(message.fingerprint);
  if (fingerprint === null) return commandError("INVALID_VALUE", "fingerprint", "expected 64 hexadecimal digits");
  const key = certificateKey(address, fingerprint);
  return table.get(key) === undefined ? [] : [table.step(key, undefined)];
}

/** An old fingerprint that is unknown, or none at all, is fine (spec 8.1). */
export function replaceCertificate(
  table: CertificateTable,
  message: ReplaceCertificate,
  origin: Origin,
  revision: number,
): Outcome {
  const address = toAddress("address", message.address);
  if (isError(address)) return address;
  if (!hasAny(table, formatAddress(address))) return commandError("NOT_FOUND", table.kind, formatAddress(address));
  const addition = create(AddCertificateSchema);
  addition.address = message.address!;
  if (message.newCertificate !== undefined) addition.certificate = message.newCertificate;
  if (has(message, "newExpiredAt")) addition.expiredAt = message.newExpiredAt;
  const added = addCertificate(table, addition, origin, revision, "new_certificate");
  if (isError(added)) return added;
  const old = normalizeFingerprint(message.oldFingerprint);
  const fresh = fingerprintOfPem(message.newCertificate?.certificate ?? "");
  if (old === null || old === fresh) return added;
  const key = certificateKey(address, old);
  return table.get(key) === undefined ? added : [...added, table.step(key, undefined)];
}

function hasAny(table: CertificateTable, address: string): boolean {
  for (const { object } of table.entries.values()) if (formatAddress(object.address) === address) return true;
  return false;
}
