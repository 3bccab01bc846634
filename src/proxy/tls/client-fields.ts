// What backends hear of a client's certificate (an addition): its subject and its fingerprint, in request fields that the
// listener names. What clients send under these names is always dropped, so a backend may believe them.

import { HEADER_REQUEST } from "../../command/objects.ts";
import type { ClientAuthObject } from "../../command/objects-tls.ts";
import { PEER_FINGERPRINT, PEER_SUBJECT, peerCertificate } from "../../os/tls.ts";
import { compileHeaderEdits, type HeaderEdits } from "../../policies/header-edits.ts";
import { FIELD_CONTENT } from "../../wire/http1/bytes.ts";
import { Constant } from "../../wire/http1/encoder.ts";

/** Longest subject that is passed on; a longer one is left out. */
const SUBJECT_BYTES_MAX = 1024;
const FINGERPRINT_BYTES = 32;
/** Hyphens of a name whose other spellings are known, too. */
const HYPHENS_MAX = 6;

/** Drops the fields of a listener's client certificates from what a client sends; null: it asks for none. */
export function compileClientFields(auth: ClientAuthObject | null): HeaderEdits | null {
  if (auth === null) return null;
  const names = [auth.subjectHeader, auth.fingerprintHeader].filter((name) => name !== null).flatMap(spellings);
  const edits = names.map((name) => ({ position: HEADER_REQUEST, name, value: "", append: false }));
  return compileHeaderEdits(edits, HEADER_REQUEST);
}

/** Some backends take `_` for `-`: each spelling that becomes this name there. */
function spellings(name: string): string[] {
  const [first = "", ...rest] = name.split(/[-_]/);
  let spelt = [first];
  for (const part of rest.slice(0, HYPHENS_MAX))
    spelt = spelt.flatMap((head) => [`${head}-${part}`, `${head}_${part}`]);
  const tail = rest.slice(HYPHENS_MAX);
  return tail.length === 0 ? spelt : [name, ...spelt.map((head) => [head, ...tail].join("-"))];
}

/** The fields for a session whose handshake is done. `scratch`: room for 2 kB in `bytes`. */
export function renderClientFields(
  auth: ClientAuthObject,
  session: number,
  bytes: Uint8Array,
  scratch: number,
): Constant | null {
  let lines = "";
  if (auth.subjectHeader !== null) {
    const length = peerCertificate(session, PEER_SUBJECT, scratch, SUBJECT_BYTES_MAX);
    if (length > 0) lines += `${auth.subjectHeader}: ${contentOf(bytes, scratch, length)}\r\n`;
  }
  if (auth.fingerprintHeader !== null) {
    const length = peerCertificate(session, PEER_FINGERPRINT, scratch, FINGERPRINT_BYTES);
    if (length > 0) {
      lines += `${auth.fingerprintHeader}: ${Buffer.from(bytes.subarray(scratch, scratch + length)).toString("hex")}\r\n`;
    }
  }
  return lines === "" ? null : new Constant(lines);
}

/** A certificate may hold any byte: what no field may hold becomes `?` (RFC 9110 5.5). */
function contentOf(bytes: Uint8Array, at: number, length: number): string {
  let text = "";
  for (let i = at; i < at + length; i++) text += FIELD_CONTENT[bytes[i]] === 0 ? "?" : String.fromCharCode(bytes[i]);
  return text.trim();
}
