// Certificates of the state (spec 4.7, 8.1): identity is the address of the listener and the fingerprint. One that is there
// already is fine, removing one that is not is fine too; a replacement that cannot be used leaves the old one in place.

import { clone, create } from "@bufbuild/protobuf";
import { formatAddress } from "../address.ts";
import { fingerprintOfPem, normalizeFingerprint, toCertificate } from "../certificate.ts";
import { has, isError, toAddress } from "../convert-checks.ts";
import { CommandError, commandError } from "../errors.ts";
import type { AddCertificate, CertificateAndKey, RemoveCertificate, ReplaceCertificate } from "../gen/sozu_pb.ts";
import { AddCertificateSchema, CertificateAndKeySchema } from "../gen/sozu_pb.ts";
import type { Change } from "../objects.ts";
import type { CertificateObject } from "../objects-tls.ts";
import { toOcspResponse } from "../ocsp.ts";
import type { Outcome } from "./clusters.ts";
import { certificateKey } from "./keys.ts";
import { type Entry, type Origin, Table } from "./table.ts";

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
  const entry = known === null ? undefined : table.get(certificateKey(address, known));
  if (entry !== undefined) return amendCertificate(table, entry, message.certificate!, origin, revision, field);
  const object = toCertificate(address, message.certificate, expiredAt, field);
  if (isError(object)) return object;
  const named = clone(AddCertificateSchema, message);
  named.certificate!.names = [...object.names];
  return [table.step(certificateKey(address, object.fingerprint), { message: named, object, origin, revision })];
}

/** One that is there stays as it is (spec 8.1), but for what stock clients cannot say. */
function amendCertificate(
  table: CertificateTable,
  { message, object }: Entry<AddCertificate, CertificateObject>,
  given: CertificateAndKey,
  origin: Origin,
  revision: number,
  field: string,
): Outcome {
  const isDefault = has(given, "defaultCertificate") ? given.defaultCertificate : object.isDefault;
  const response = has(given, "ocspResponse") ? given.ocspResponse : message.certificate!.ocspResponse;
  const ocspResponse = toOcspResponse(response, `${field}.ocsp_response`);
  if (ocspResponse instanceof CommandError) return ocspResponse;
  if (isDefault === object.isDefault && ocspResponse === object.ocspResponse) return [];
  const amended = clone(AddCertificateSchema, message);
  amended.certificate!.defaultCertificate = isDefault;
  amended.certificate!.ocspResponse = response;
  const after = { message: amended, object: { ...object, isDefault, ocspResponse }, origin, revision };
  return [table.step(certificateKey(object.address, object.fingerprint), after)];
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
  const old = normalizeFingerprint(message.oldFingerprint);
  const replaced = old === null ? undefined : table.get(certificateKey(address, old))?.object;
  if (message.newCertificate !== undefined) addition.certificate = heir(message.newCertificate, replaced);
  if (has(message, "newExpiredAt")) addition.expiredAt = message.newExpiredAt;
  const added = addCertificate(table, addition, origin, revision, "new_certificate");
  if (isError(added)) return added;
  const fresh = fingerprintOfPem(message.newCertificate?.certificate ?? "");
  if (old === null || old === fresh) return added;
  const key = certificateKey(address, old);
  return table.get(key) === undefined ? added : [...added, table.step(key, undefined)];
}

/** What replaces the default certificate is the default one, unless it says otherwise. */
function heir(message: CertificateAndKey, replaced: CertificateObject | undefined): CertificateAndKey {
  if (replaced?.isDefault !== true || has(message, "defaultCertificate")) return message;
  const made = clone(CertificateAndKeySchema, message);
  made.defaultCertificate = true;
  return made;
}

function hasAny(table: CertificateTable, address: string): boolean {
  for (const { object } of table.entries.values()) if (formatAddress(object.address) === address) return true;
  return false;
}
