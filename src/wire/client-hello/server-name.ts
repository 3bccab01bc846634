// The host name of a ClientHello (RFC 6066 3): what may be looked up as one. A name that is none is not an error of the
// message: the connection is answered like one for a name that nobody knows.

import { SERVER_LABEL_BYTES_MAX, SERVER_NAME_BYTES_MAX } from "./limits.ts";

/** What a ClientHello says about the server's name. */
export const SERVER_NAME = {
  /** No extension. */
  ABSENT: 0,
  VALID: 1,
  /** Several names, a type that nobody knows, or bytes that no host name has. */
  INVALID: 2,
  /** Literal addresses are not permitted (RFC 6066 3). */
  IP_LITERAL: 3,
} as const;

const DOT = 0x2e;
const HYPHEN = 0x2d;
const UNDERSCORE = 0x5f;
const ZERO = 0x30;
const NINE = 0x39;
/** Sets the bit that tells small letters from capital ones. */
const SMALL = 0x20;

/** One of SERVER_NAME for the name at [start, end), which is not empty and has no trailing dot. */
export function judgeServerName(bytes: Uint8Array, start: number, end: number): number {
  if (end - start > SERVER_NAME_BYTES_MAX) return SERVER_NAME.INVALID;
  let label = start;
  let isNumber = true;
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (byte === DOT) {
      if (at === label || at - label > SERVER_LABEL_BYTES_MAX || at + 1 === end) return SERVER_NAME.INVALID;
      label = at + 1;
      isNumber = true;
    } else if (byte < ZERO || byte > NINE) {
      if (!isLetter(byte)) return byte === 0x3a ? SERVER_NAME.IP_LITERAL : SERVER_NAME.INVALID;
      isNumber = false;
    }
  }
  if (end - label > SERVER_LABEL_BYTES_MAX) return SERVER_NAME.INVALID;
  // A last label of digits alone belongs to an IPv4 address in one of its spellings: no top-level domain is a number.
  return isNumber ? SERVER_NAME.IP_LITERAL : SERVER_NAME.VALID;
}

/** The name as certificates are looked up by: small letters. Only for a ClientHello with a valid one. */
export function serverNameText(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    const capital = byte >= 0x41 && byte <= 0x5a;
    text += String.fromCharCode(capital ? byte | SMALL : byte);
  }
  return text;
}

/** Letters, and what host names have in practice (decisions 16). */
function isLetter(byte: number): boolean {
  const small = byte | SMALL;
  return (small >= 0x61 && small <= 0x7a) || byte === HYPHEN || byte === UNDERSCORE;
}
