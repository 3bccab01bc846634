// OCSP responses that are stapled to a certificate (RFC 6960; addition). They are handed on as they are: clients check them.

import { type CommandError, commandError } from "./errors.ts";
import { OCSP_BYTES_MAX } from "./limits.ts";

/** Base64; null: none. `field` is where it stands. */
export function toOcspResponse(response: Uint8Array, field: string): string | null | CommandError {
  if (response.length === 0) return null;
  if (response.length > OCSP_BYTES_MAX) {
    return commandError("INVALID_VALUE", field, `it is longer than ${OCSP_BYTES_MAX} bytes`);
  }
  if (isSuccessfulOcsp(response)) return Buffer.from(response).toString("base64");
  return commandError("INVALID_VALUE", field, "it is no successful OCSP response in DER");
}

/** RFC 6960 4.2.1: a sequence that fills the bytes and begins with responseStatus successful. Clients check the rest. */
function isSuccessfulOcsp(bytes: Uint8Array): boolean {
  const lengthBytes = bytes[1]! < 0x80 ? 0 : bytes[1]! & 0x7f;
  if (bytes[0] !== 0x30 || lengthBytes > 2) return false;
  let length = lengthBytes === 0 ? bytes[1]! : 0;
  for (let i = 0; i < lengthBytes; i++) length = (length << 8) | bytes[2 + i]!;
  const at = 2 + lengthBytes;
  return at + length === bytes.length && bytes[at] === 0x0a && bytes[at + 1] === 1 && bytes[at + 2] === 0;
}
