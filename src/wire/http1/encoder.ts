// Writers of HTTP/1 messages: each writes into `target` at an offset and returns the new offset. `source` and `target` may
// be one array (the arena), but the ranges must not overlap. Nothing here checks room: the caller reserves
// encodedFieldsMax(head) and the *_BYTES_MAX of what else it writes. Nothing allocates.

import { ascii, littleEndianWord, viewOf } from "./bytes.ts";
import { CANONICAL, DROP, FIELD_STRIDE, type Head } from "./head.ts";
import { METHOD } from "./methods.ts";

/** Ready-made pieces, to be written with encodeBytes. */
export const CRLF = ascii("\r\n");
export const TRANSFER_ENCODING_CHUNKED = ascii("Transfer-Encoding: chunked\r\n");
export const CONNECTION_CLOSE = ascii("Connection: close\r\n");
export const CONNECTION_KEEP_ALIVE = ascii("Connection: keep-alive\r\n");
export const CONNECTION_UPGRADE = ascii("Connection: Upgrade\r\n");
export const TE_TRAILERS = ascii("TE: trailers\r\n");
/** The last chunk of a body without trailers. */
export const LAST_CHUNK = ascii("0\r\n\r\n");
/** The last chunk of a body whose trailer section follows (encodeFields, then CRLF). */
export const LAST_CHUNK_BEFORE_TRAILERS = ascii("0\r\n");

/** The most bytes of `Content-Length: N CRLF`, of a chunk's size line, of a status line without its reason. */
export const CONTENT_LENGTH_BYTES_MAX = 34;
export const CHUNK_HEAD_BYTES_MAX = 16;
export const STATUS_LINE_BYTES_MAX = 15;
/** What a request line needs beyond method and target. */
export const REQUEST_LINE_EXTRA_BYTES_MAX = 13;

// Constants as little-endian words: a store for four bytes.
const CONTENT_LENGTH_1 = littleEndianWord("Cont");
const CONTENT_LENGTH_2 = littleEndianWord("ent-");
const CONTENT_LENGTH_3 = littleEndianWord("Leng");
const CONTENT_LENGTH_4 = littleEndianWord("th: ");
const REQUEST_LINE_END_1 = littleEndianWord(" HTT");
const REQUEST_LINE_END_2 = littleEndianWord("P/1.");
const REQUEST_LINE_END_3 = littleEndianWord(".1\r\n");
const HTTP = littleEndianWord("HTTP");
const VERSION_11 = littleEndianWord("/1.1");
const SLASH = 0x2f;
const ASTERISK = 0x2a;

/**
 * Runs of at least this many bytes are moved by copyWithin, shorter ones by a loop. Measured: the call costs 21 ns at any
 * length up to 512; the loop 6 ns for 8 bytes, 10 for 64, 16 for 128, 22 for 192 (a loop over single bytes: 30 ns for 32).
 */
export const COPY_CALL_BYTES_MIN = 192;

/**
 * `METHOD path HTTP/1.1 CRLF`; positions are absolute. A path that does not begin with `/` gets one: it is what an
 * absolute-form target without a path leaves (RFC 9112 3.2.1), or `*` for OPTIONS (RFC 9112 3.2.4).
 */
export function encodeRequestLine(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  method: number,
  methodStart: number,
  methodEnd: number,
  pathStart: number,
  pathEnd: number,
): number {
  let i = encodeSpan(target, at, source, methodStart, methodEnd);
  target[i++] = 0x20;
  if (pathStart === pathEnd) target[i++] = method === METHOD.OPTIONS ? ASTERISK : SLASH;
  else {
    const first = source[pathStart];
    if (first !== SLASH && first !== ASTERISK) target[i++] = SLASH;
    i = encodeSpan(target, i, source, pathStart, pathEnd);
  }
  const words = viewOf(target);
  words.setInt32(i, REQUEST_LINE_END_1, true);
  words.setInt32(i + 4, REQUEST_LINE_END_2, true);
  words.setInt32(i + 7, REQUEST_LINE_END_3, true);
  return i + 11;
}

/** `HTTP/1.1 SSS reason CRLF`; the reason is [reasonStart, reasonEnd) of `source` and may be empty. */
export function encodeStatusLine(
  target: Uint8Array,
  at: number,
  status: number,
  source: Uint8Array,
  reasonStart: number,
  reasonEnd: number,
): number {
  const words = viewOf(target);
  words.setInt32(at, HTTP, true);
  words.setInt32(at + 4, VERSION_11, true);
  target[at + 8] = 0x20;
  let i = at + 9;
  const hundreds = (status / 100) | 0;
  const tens = ((status - hundreds * 100) / 10) | 0;
  target[i] = 0x30 + hundreds;
  target[i + 1] = 0x30 + tens;
  target[i + 2] = 0x30 + (status - hundreds * 100 - tens * 10);
  target[i + 3] = 0x20;
  i = encodeSpan(target, i + 4, source, reasonStart, reasonEnd);
  target[i] = 0x0d;
  target[i + 1] = 0x0a;
  return i + 2;
}

/** The most bytes that encodeFields writes for this table. */
export function encodedFieldsMax(head: Head): number {
  const fields = head.fields;
  const end = head.count * FIELD_STRIDE;
  let bytes = 0;
  for (let row = 0; row < end; row += FIELD_STRIDE) {
    if ((fields[row + 5] & DROP) !== 0) continue;
    bytes += fields[row + 1] - fields[row] + fields[row + 3] - fields[row + 2] + 4;
  }
  return bytes;
}

/**
 * Every field without DROP as `name: value CRLF`, in order, names as they came. Neighbouring CANONICAL lines are copied as
 * one block. `base` is where the head's positions start in `source`.
 */
export function encodeFields(target: Uint8Array, at: number, source: Uint8Array, base: number, head: Head): number {
  const fields = head.fields;
  const end = head.count * FIELD_STRIDE;
  let runStart = 0;
  let runEnd = 0;
  for (let row = 0; row < end; row += FIELD_STRIDE) {
    const flags = fields[row + 5];
    if (flags === CANONICAL) {
      const start = fields[row];
      if (start !== runEnd) {
        if (runEnd !== runStart) at = encodeSpan(target, at, source, base + runStart, base + runEnd);
        runStart = start;
      }
      runEnd = fields[row + 3] + 2;
    } else if ((flags & DROP) === 0) {
      if (runEnd !== runStart) at = encodeSpan(target, at, source, base + runStart, base + runEnd);
      runStart = runEnd = 0;
      at = encodeLine(target, at, source, base, fields, row);
    }
  }
  if (runEnd !== runStart) at = encodeSpan(target, at, source, base + runStart, base + runEnd);
  return at;
}

function encodeLine(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  base: number,
  fields: Int32Array,
  row: number,
): number {
  let i = encodeSpan(target, at, source, base + fields[row], base + fields[row + 1]);
  target[i] = 0x3a;
  target[i + 1] = 0x20;
  i = encodeSpan(target, i + 2, source, base + fields[row + 2], base + fields[row + 3]);
  target[i] = 0x0d;
  target[i + 1] = 0x0a;
  return i + 2;
}

/** `name: value CRLF` with the value from a span of `source` (absolute positions). */
export function encodeField(
  target: Uint8Array,
  at: number,
  name: Uint8Array,
  source: Uint8Array,
  valueStart: number,
  valueEnd: number,
): number {
  let i = encodeBytes(target, at, name);
  target[i] = 0x3a;
  target[i + 1] = 0x20;
  i = encodeSpan(target, i + 2, source, valueStart, valueEnd);
  target[i] = 0x0d;
  target[i + 1] = 0x0a;
  return i + 2;
}

/** `Content-Length: N CRLF`. */
export function encodeContentLength(target: Uint8Array, at: number, length: number): number {
  const words = viewOf(target);
  words.setInt32(at, CONTENT_LENGTH_1, true);
  words.setInt32(at + 4, CONTENT_LENGTH_2, true);
  words.setInt32(at + 8, CONTENT_LENGTH_3, true);
  words.setInt32(at + 12, CONTENT_LENGTH_4, true);
  const i = encodeDecimal(target, at + 16, length);
  target[i] = 0x0d;
  target[i + 1] = 0x0a;
  return i + 2;
}

/** The size line of a chunk: `HEX CRLF`. The data and another CRLF follow. Size 1 to 2^53 - 1. */
export function encodeChunkHead(target: Uint8Array, at: number, size: number): number {
  const i = encodeHex(target, at, size);
  target[i] = 0x0d;
  target[i + 1] = 0x0a;
  return i + 2;
}

/** A whole number from 0 to 2^53 - 1 in decimal, without leading zeros. */
export function encodeDecimal(target: Uint8Array, at: number, value: number): number {
  let digits = 1;
  for (let power = 10; power <= value; power *= 10) digits++;
  const end = at + digits;
  let i = end;
  let rest = value;
  // Doubles only above 2^31: small numbers stay integers in compiled code.
  while (rest > 0x7fffffff) {
    const next = Math.floor(rest / 10);
    target[--i] = 0x30 + (rest - next * 10);
    rest = next;
  }
  let small = rest | 0;
  do {
    const next = (small / 10) | 0;
    target[--i] = 0x30 + (small - next * 10);
    small = next;
  } while (i > at);
  return end;
}

/** A whole number from 0 to 2^53 - 1 in lower-case hexadecimal, without leading zeros. */
export function encodeHex(target: Uint8Array, at: number, value: number): number {
  let digits = 1;
  for (let power = 16; power <= value; power *= 16) digits++;
  const end = at + digits;
  let rest = value;
  for (let i = end - 1; i >= at; i--) {
    const next = Math.floor(rest / 16);
    const digit = rest - next * 16;
    target[i] = digit < 10 ? 0x30 + digit : 0x57 + digit;
    rest = next;
  }
  return end;
}

/** A text that is written often, made once when a module loads. Written by encodeConstant. */
export class Constant {
  /** The bytes, for comparing and for joining. */
  readonly bytes: Uint8Array;
  /** How many. */
  readonly length: number;
  /** Word access to the bytes. */
  readonly view: DataView;

  /** ASCII, or bytes that stay as they are. */
  constructor(text: string | Uint8Array) {
    const bytes = typeof text === "string" ? ascii(text) : text;
    this.bytes = bytes;
    this.length = bytes.length;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
}

/** A constant, eight bytes at a time: 6 ns for 17 bytes, where encodeBytes takes 17. Best in the arena (see viewOf). */
export function encodeConstant(target: Uint8Array, at: number, constant: Constant): number {
  const length = constant.length;
  const from = constant.view;
  const to = viewOf(target);
  if (length < 8) {
    const bytes = constant.bytes;
    for (let i = 0; i < length; i++) target[at + i] = bytes[i];
    return at + length;
  }
  const last = length - 8;
  for (let i = 0; i < last; i += 8) to.setBigInt64(at + i, from.getBigInt64(i, true), true);
  to.setBigInt64(at + last, from.getBigInt64(last, true), true);
  return at + length;
}

/** CRLF. */
export function encodeLineEnd(target: Uint8Array, at: number): number {
  target[at] = 0x0d;
  target[at + 1] = 0x0a;
  return at + 2;
}

/** A short constant: a few bytes of another array, copied one by one. */
export function encodeBytes(target: Uint8Array, at: number, bytes: Uint8Array): number {
  const length = bytes.length;
  for (let i = 0; i < length; i++) target[(at + i) | 0] = bytes[i];
  return (at + length) | 0;
}

/** Bytes [from, to) of `source`, which may be `target` itself as long as the ranges do not overlap. */
export function encodeSpan(target: Uint8Array, at: number, source: Uint8Array, from: number, to: number): number {
  const length = (to - from) | 0;
  if (source !== target) {
    for (let i = 0; i < length; i++) target[at + i] = source[from + i];
  } else if (length < 4) {
    for (let i = 0; i < length; i++) target[at + i] = target[from + i];
  } else if (length < COPY_CALL_BYTES_MIN) {
    copyWords(viewOf(target), at, from, length);
  } else {
    target.copyWithin(at, from, to);
  }
  return (at + length) | 0;
}

/** `length` bytes from another place of the same array; the ranges do not overlap. */
export function copySpan(bytes: Uint8Array, at: number, from: number, length: number): number {
  return encodeSpan(bytes, at, bytes, from, from + length);
}

/** Copies at least 4 bytes inside one array, eight at a time; the last word overlaps the one before it. */
function copyWords(view: DataView, at: number, from: number, length: number): void {
  if (length < 8) {
    const last = length - 4;
    const word = view.getInt32(from + last, true);
    view.setInt32(at, view.getInt32(from, true), true);
    view.setInt32(at + last, word, true);
    return;
  }
  // Compiled code moves these through a register: no BigInt is made. `| 0` spares it the check for overflow.
  const last = (from + length - 8) | 0;
  const shift = (at - from) | 0;
  let i = from;
  for (; i < last - 24; i = (i + 32) | 0) {
    const to = (i + shift) | 0;
    view.setBigInt64(to, view.getBigInt64(i, true), true);
    view.setBigInt64((to + 8) | 0, view.getBigInt64((i + 8) | 0, true), true);
    view.setBigInt64((to + 16) | 0, view.getBigInt64((i + 16) | 0, true), true);
    view.setBigInt64((to + 24) | 0, view.getBigInt64((i + 24) | 0, true), true);
  }
  for (; i < last; i = (i + 8) | 0) view.setBigInt64((i + shift) | 0, view.getBigInt64(i, true), true);
  view.setBigInt64((last + shift) | 0, view.getBigInt64(last, true), true);
}
