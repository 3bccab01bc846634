// Readers of the field values that decide framing and connection handling. Each takes a span (absolute positions) and
// returns a number; none allocates. Strict by choice: whatever two parsers might read in two ways is an error.

import { ascii, HTAB, littleEndianWord, SP, TOKEN, viewOf } from "./bytes.ts";
import { WireError } from "./errors.ts";
import { DROP, equalsLowerCase, FIELD_STRIDE, type Head, KEEP_ALIVE, UNKNOWN, UPGRADE } from "./head.ts";
import { BODY_BYTES_MAX, FIELDS_MAX, KEEP_ALIVE_DIGITS_MAX } from "./limits.ts";

const CHUNKED = ascii("chunked");
const TRAILERS = ascii("trailers");
const H2C = ascii("h2c");
const TIMEOUT = ascii("timeout=");
const NEGOTIATE = ascii("negotiate");
const NTLM = ascii("ntlm");
const COMMA = 0x2c;
const SLASH = 0x2f;

// Connection options as little-endian words of four bytes, the last of which overlaps the one before it.
const KEEP_WORD = littleEndianWord("keep");
const DASH_ALI_WORD = littleEndianWord("-ali");
const LIVE_WORD = littleEndianWord("live");
const CLOS_WORD = littleEndianWord("clos");
const LOSE_WORD = littleEndianWord("lose");
const UPGR_WORD = littleEndianWord("upgr");
const RADE_WORD = littleEndianWord("rade");
/** Sets the case bit of four letters, and of the letters behind a `-`. */
const FOLD = 0x20202020;
const FOLD_BEHIND_DASH = 0x20202000;

/** Bits returned by readConnection. */
export const OPTION_CLOSE = 1;
export const OPTION_KEEP_ALIVE = 2;
export const OPTION_UPGRADE = 4;

/**
 * The number of a Content-Length (RFC 9110 8.6): decimal digits only, no leading zero (some parsers read octal), at most
 * 2^53 - 1. Lists are refused even when all members are equal (RFC 9112 6.3 allows that choice).
 */
export function readContentLength(bytes: Uint8Array, from: number, to: number): number {
  if (from === to) return -WireError.InvalidContentLength;
  if (bytes[from] === 0x30 && to - from > 1) return -WireError.InvalidContentLength;
  let value = 0;
  for (let i = from; i < to; i++) {
    const digit = bytes[i] - 0x30;
    if (digit < 0 || digit > 9)
      return bytes[i] === COMMA ? -WireError.DuplicateContentLength : -WireError.InvalidContentLength;
    // Stays above the limit once it is there, as a double, so later digits cannot bring it back.
    value = value * 10 + digit;
  }
  return value > BODY_BYTES_MAX ? -WireError.ContentLengthTooLarge : value;
}

/** True when the value is exactly `chunked` in any case (RFC 9112 6.1, 7). Anything around it is an obfuscation. */
export function isChunked(bytes: Uint8Array, from: number, to: number): boolean {
  return equals(bytes, from, to, CHUNKED);
}

/** True when the span is exactly `text` (lower-case ASCII), letters compared without case. */
export function equals(bytes: Uint8Array, from: number, to: number, text: Uint8Array): boolean {
  return to - from === text.length && equalsLowerCase(bytes, from, text);
}

/**
 * Reads all Connection fields (RFC 9110 7.6.1): returns OPTION_ bits, and flags DROP on every field that they name, unless
 * it is a known one: those of the connection are dropped anyway, and the others (Host, framing, X-Forwarded-For, Cookie)
 * are for the receiver, so naming them is only an attempt to make them disappear between two parties that rely on them
 * (hardening H1-17). Members that are not tokens are ignored. Naming more fields than a head can have is TooManyFields:
 * each name is looked for among all fields (RX-24).
 */
export function readConnection(bytes: Uint8Array, base: number, head: Head, connectionId: number): number {
  let options = 0;
  let named = 0;
  for (let index = head.indexOf(connectionId); index >= 0; index = head.nextIndexOf(connectionId, index + 1)) {
    const end = base + head.valueEnd(index);
    let i = base + head.valueStart(index);
    // One option alone, as nearly always: no need to look for commas.
    const single = readKnownOption(bytes, i, end);
    options |= single;
    while (single === 0 && i < end) {
      const memberEnd = nextComma(bytes, i, end);
      const start = skipSpaces(bytes, i, memberEnd);
      const stop = trimSpaces(bytes, start, memberEnd);
      const option = readKnownOption(bytes, start, stop);
      options |= option;
      if (option === 0 && stop > start) {
        if (++named > FIELDS_MAX) return -WireError.TooManyFields;
        dropNamed(bytes, base, head, start, stop);
      }
      i = memberEnd + 1;
    }
  }
  return options;
}

/** The options that mean something here; the fields that they name are dropped by id. */
function readKnownOption(bytes: Uint8Array, from: number, to: number): number {
  const view = viewOf(bytes);
  switch (to - from) {
    case 5:
      return isWord(view, from, CLOS_WORD) && isWord(view, from + 1, LOSE_WORD) ? OPTION_CLOSE : 0;
    case 7:
      return isWord(view, from, UPGR_WORD) && isWord(view, from + 3, RADE_WORD) ? OPTION_UPGRADE : 0;
    case 10: {
      const dashed = (view.getInt32(from + 4, true) | FOLD_BEHIND_DASH) === DASH_ALI_WORD;
      return dashed && isWord(view, from, KEEP_WORD) && isWord(view, from + 6, LIVE_WORD) ? OPTION_KEEP_ALIVE : 0;
    }
    default:
      return 0;
  }
}

/** Four letters, compared without case. */
function isWord(view: DataView, at: number, word: number): boolean {
  return (view.getInt32(at, true) | FOLD) === word;
}

function dropNamed(bytes: Uint8Array, base: number, head: Head, from: number, to: number): void {
  const fields = head.fields;
  const count = head.count;
  const length = to - from;
  for (let index = 0; index < count; index++) {
    const row = index * FIELD_STRIDE;
    const start = fields[row];
    if (fields[row + 4] !== UNKNOWN || fields[row + 1] - start !== length) continue;
    if (sameToken(bytes, base + start, from, length)) fields[row + 5] |= DROP;
  }
}

function sameToken(bytes: Uint8Array, name: number, option: number, length: number): boolean {
  for (let i = 0; i < length; i++) {
    const a = bytes[name + i];
    const b = bytes[option + i];
    // Equal, or the same letter in two cases.
    if (a !== b && ((a ^ b) !== 0x20 || (a | 0x20) < 0x61 || (a | 0x20) > 0x7a)) return false;
  }
  return true;
}

/** True when a TE field (any of them) lists `trailers` (RFC 9110 10.1.4). Its parameters and weights do not matter. */
export function acceptsTrailers(bytes: Uint8Array, base: number, head: Head, teId: number): boolean {
  return listHolds(bytes, base, head, teId, TRAILERS);
}

/**
 * True when the Upgrade field is there once and lists protocols, `name` or `name/version` (RFC 9110 7.8). Never with
 * `h2c` among them: a backend that switched to it would carry requests that nobody here sees (RFC 9113 3.1 withdrew it).
 */
export function offersProtocols(bytes: Uint8Array, base: number, head: Head): boolean {
  if ((head.repeated & (1 << UPGRADE)) !== 0 || listHolds(bytes, base, head, UPGRADE, H2C)) return false;
  const index = head.indexOf(UPGRADE);
  const end = base + head.valueEnd(index);
  let i = base + head.valueStart(index);
  let count = 0;
  while (i < end) {
    const memberEnd = nextComma(bytes, i, end);
    const start = skipSpaces(bytes, i, memberEnd);
    const stop = trimSpaces(bytes, start, memberEnd);
    if (!isProtocol(bytes, start, stop)) return false;
    count++;
    i = memberEnd + 1;
  }
  return count > 0;
}

/** True when [from, to) is one protocol, and one of those that the list [listFrom, listTo) offers. */
export function acceptsProtocol(
  bytes: Uint8Array,
  from: number,
  to: number,
  listFrom: number,
  listTo: number,
): boolean {
  if (!isProtocol(bytes, from, to)) return false;
  let i = listFrom;
  while (i < listTo) {
    const memberEnd = nextComma(bytes, i, listTo);
    const start = skipSpaces(bytes, i, memberEnd);
    const stop = trimSpaces(bytes, start, memberEnd);
    if (stop - start === to - from && sameToken(bytes, start, from, to - from)) return true;
    i = memberEnd + 1;
  }
  return false;
}

function isProtocol(bytes: Uint8Array, from: number, to: number): boolean {
  let slash = -1;
  for (let i = from; i < to; i++) {
    if (bytes[i] === SLASH && slash === -1) slash = i;
    else if (TOKEN[bytes[i]] === 0) return false;
  }
  return from < to && slash !== from && slash !== to - 1;
}

function listHolds(bytes: Uint8Array, base: number, head: Head, id: number, member: Uint8Array): boolean {
  for (let index = head.indexOf(id); index >= 0; index = head.nextIndexOf(id, index + 1)) {
    const end = base + head.valueEnd(index);
    let i = base + head.valueStart(index);
    while (i < end) {
      const memberEnd = nextComma(bytes, i, end);
      const start = skipSpaces(bytes, i, memberEnd);
      let stop = start;
      while (stop < memberEnd && TOKEN[bytes[stop]] === 1) stop++;
      if (equals(bytes, start, stop, member)) return true;
      i = memberEnd + 1;
    }
  }
  return false;
}

/** Seconds of `Keep-Alive: timeout=N` (RFC 2068 19.7.1), or -1 when there is none that can be read. */
export function readKeepAliveTimeout(bytes: Uint8Array, base: number, head: Head): number {
  const index = head.indexOf(KEEP_ALIVE);
  if (index < 0) return -1;
  const end = base + head.valueEnd(index);
  let i = base + head.valueStart(index);
  while (i < end) {
    const memberEnd = nextComma(bytes, i, end);
    const start = skipSpaces(bytes, i, memberEnd);
    if (memberEnd - start > TIMEOUT.length && equalsLowerCase(bytes, start, TIMEOUT)) {
      return readSeconds(bytes, start + TIMEOUT.length, trimSpaces(bytes, start, memberEnd));
    }
    i = memberEnd + 1;
  }
  return -1;
}

function readSeconds(bytes: Uint8Array, from: number, to: number): number {
  if (from === to || to - from > KEEP_ALIVE_DIGITS_MAX) return -1;
  let value = 0;
  for (let i = from; i < to; i++) {
    const digit = bytes[i] - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/**
 * True when a field with this id (Authorization, WWW-Authenticate and their Proxy- sisters) uses NTLM or Negotiate: these
 * authenticate the connection, not the request, so the backend connection belongs to this client (decisions 19).
 */
export function authenticatesConnection(bytes: Uint8Array, base: number, head: Head, id: number): boolean {
  for (let index = head.indexOf(id); index >= 0; index = head.nextIndexOf(id, index + 1)) {
    const end = base + head.valueEnd(index);
    let i = base + head.valueStart(index);
    // A challenge list may hold several schemes; a scheme is the first token of a member.
    while (i < end) {
      const memberEnd = nextComma(bytes, i, end);
      const start = skipSpaces(bytes, i, memberEnd);
      let stop = start;
      while (stop < memberEnd && TOKEN[bytes[stop]] === 1) stop++;
      if (equals(bytes, start, stop, NEGOTIATE) || equals(bytes, start, stop, NTLM)) return true;
      i = memberEnd + 1;
    }
  }
  return false;
}

function nextComma(bytes: Uint8Array, from: number, to: number): number {
  let i = from;
  while (i < to && bytes[i] !== COMMA) i++;
  return i;
}

function skipSpaces(bytes: Uint8Array, from: number, to: number): number {
  let i = from;
  while (i < to && (bytes[i] === SP || bytes[i] === HTAB)) i++;
  return i;
}

function trimSpaces(bytes: Uint8Array, from: number, to: number): number {
  let i = to;
  while (i > from && (bytes[i - 1] === SP || bytes[i - 1] === HTAB)) i--;
  return i;
}
