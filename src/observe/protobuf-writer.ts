// Fields of protobuf messages, written into bytes without strings and without objects; what is written once per
// configuration or connection may be made of strings. Keys are given as varints of one byte (fields 1 to 15) or as numbers
// of fields (`field`). Each function returns the end of what it wrote.

import { ULID_LENGTH } from "./ulid.ts";

/** Wire types. */
const VARINT = 0;
const BYTES = 2;
/** A key, a length. */
export const FIELD_OVERHEAD = 12;

/** An unsigned integer up to 2^53. */
export function varint(bytes: Uint8Array, at: number, value: number): number {
  while (value >= 0x80000000) {
    bytes[at++] = (value % 128) | 0x80;
    value = Math.floor(value / 128);
  }
  let rest = value | 0;
  while (rest >= 128) {
    bytes[at++] = (rest & 127) | 0x80;
    rest >>>= 7;
  }
  bytes[at] = rest;
  return at + 1;
}

/** 64 bits, as two unsigned words. */
function long(bytes: Uint8Array, at: number, high: number, low: number): number {
  while (high !== 0) {
    bytes[at++] = (low & 127) | 0x80;
    low = ((low >>> 7) | (high << 25)) >>> 0;
    high >>>= 7;
  }
  return varint(bytes, at, low);
}

/** Bytes that the varint of a length takes. */
export function varintLength(value: number): number {
  return value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4;
}

export function numberField(bytes: Uint8Array, at: number, field: number, value: number): number {
  return varint(bytes, varint(bytes, at, (field << 3) | VARINT), value);
}

/** Ready UTF-8; null: nothing is written. */
export function textField(bytes: Uint8Array, at: number, field: number, text: Uint8Array | null): number {
  if (text === null) return at;
  const from = varint(bytes, varint(bytes, at, (field << 3) | BYTES), text.length);
  bytes.set(text, from);
  return from + text.length;
}

/** A span of what a client sent; offset -1: nothing is written. Bytes that are not ASCII become `?`. */
export function spanField(
  bytes: Uint8Array,
  at: number,
  field: number,
  source: Uint8Array,
  offset: number,
  length: number,
): number {
  if (offset < 0) return at;
  const from = varint(bytes, varint(bytes, at, (field << 3) | BYTES), length);
  for (let i = 0; i < length; i++) {
    const byte = source[offset + i];
    bytes[from + i] = byte < 0x80 ? byte : QUESTION_MARK;
  }
  return from + length;
}

/** Bytes that spanField() writes. */
export function spanFieldLength(field: number, offset: number, length: number): number {
  return offset < 0 ? 0 : varintLength(field << 3) + varintLength(length) + length;
}

/** The key and length of a message that takes `length` bytes. */
export function messageField(bytes: Uint8Array, at: number, field: number, length: number): number {
  return varint(bytes, varint(bytes, at, (field << 3) | BYTES), length);
}

/** Uint128 of the ULID at `offset`; -1: zero, as the field may be required. */
export function ulidField(bytes: Uint8Array, at: number, field: number, source: Uint8Array, offset: number): number {
  const length = varint(bytes, at, (field << 3) | BYTES);
  if (offset < 0) return uint128(bytes, length, 0, 0, 0, 0);
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let i = 0; i < ULID_LENGTH; i++) {
    a = (a << 5) | (b >>> 27);
    b = (b << 5) | (c >>> 27);
    c = (c << 5) | (d >>> 27);
    d = (d << 5) | ULID_DIGITS[source[offset + i]];
  }
  return uint128(bytes, length, a, b, c, d);
}

/** Uint128 of a time in microseconds since 1970, as nanoseconds. */
export function nanosecondsField(bytes: Uint8Array, at: number, field: number, microseconds: number): number {
  const length = varint(bytes, at, (field << 3) | BYTES);
  // The product does not fit into 53 bits: two parts.
  const low = (microseconds % 0x40000000) * 1000;
  const high = Math.floor(microseconds / 0x40000000) * 1000 + Math.floor(low / 0x40000000);
  return uint128(bytes, length, 0, 0, Math.floor(high / 4), (low % 0x40000000) + (high % 4) * 0x40000000);
}

/** `{ low, high }` behind its key; four words, the highest first. It takes at most 22 bytes: one byte of length. */
function uint128(bytes: Uint8Array, length: number, a: number, b: number, c: number, d: number): number {
  bytes[length + 1] = LOW_KEY;
  let at = long(bytes, length + 2, c >>> 0, d >>> 0);
  bytes[at] = HIGH_KEY;
  at = long(bytes, at + 1, a >>> 0, b >>> 0);
  bytes[length] = at - length - 1;
  return at;
}

/** SocketAddress of `1.2.3.4:80` or `[2001:db8::1]:80` at `offset`. It takes at most 32 bytes: one byte of length. */
export function addressField(
  bytes: Uint8Array,
  at: number,
  field: number,
  source: Uint8Array,
  offset: number,
  length: number,
): number {
  const end = offset + length;
  const outer = varint(bytes, at, (field << 3) | BYTES);
  bytes[outer + 1] = IP_KEY;
  const isV6 = source[offset] === OPENING_BRACKET;
  const colon = isV6 ? parseIpv6(source, offset + 1, end) + 1 : parseIpv4(source, offset, end);
  const inner = outer + 2;
  let to = 0;
  if (isV6) {
    bytes[inner + 1] = V6_KEY;
    to = uint128(bytes, inner + 2, pair(0), pair(2), pair(4), pair(6));
  } else {
    bytes[inner + 1] = V4_KEY;
    for (let i = 0; i < 4; i++) bytes[inner + 2 + i] = octets[3 - i];
    to = inner + 6;
  }
  bytes[inner] = to - inner - 1;
  let port = 0;
  for (let i = colon + 1; i < end; i++) port = port * 10 + source[i] - ZERO;
  to = numberField(bytes, to, 2, port);
  bytes[outer] = to - outer - 1;
  return to;
}

/** Into `octets`; the position behind it. */
function parseIpv4(source: Uint8Array, at: number, end: number): number {
  let octet = 0;
  octets.fill(0);
  for (; at < end && source[at] !== COLON; at++) {
    if (source[at] === DOT) octet++;
    else octets[octet] = octets[octet] * 10 + source[at] - ZERO;
  }
  return at;
}

/** Into `groups`; the position of the closing bracket. */
function parseIpv6(source: Uint8Array, at: number, end: number): number {
  let group = 0;
  let gap = -1;
  groups.fill(0);
  for (; at < end && source[at] !== CLOSING_BRACKET; at++) {
    const byte = source[at];
    if (byte === DOT) at = embedIpv4(source, at, end, group++) - 1;
    else if (byte !== COLON) groups[group] = (groups[group] << 4) | hexDigit(byte);
    else if (source[at + 1] === COLON) {
      gap = group + (source[at - 1] === OPENING_BRACKET ? 0 : 1);
      group = gap;
      at++;
    } else group++;
  }
  if (gap < 0) return at;
  // "::" at the end leaves no group behind it.
  const behind = source[at - 1] === COLON ? 0 : group + 1 - gap;
  groups.copyWithin(8 - behind, gap, gap + behind);
  groups.fill(0, gap, 8 - behind);
  return at;
}

/** The last 32 bits were written as IPv4: `at` is its first dot, the digits before it were taken for a group. */
function embedIpv4(source: Uint8Array, at: number, end: number, group: number): number {
  let from = at;
  while (source[from - 1] !== COLON) from--;
  let to = at;
  while (to < end && source[to] !== CLOSING_BRACKET) to++;
  parseIpv4(source, from, to);
  groups[group] = (octets[0] << 8) | octets[1];
  groups[group + 1] = (octets[2] << 8) | octets[3];
  return to;
}

function pair(group: number): number {
  return (groups[group] << 16) | groups[group + 1];
}

function hexDigit(byte: number): number {
  return byte >= 0x61 ? byte - 0x57 : byte >= 0x41 ? byte - 0x37 : byte - ZERO;
}

// ---- once per configuration or connection

export function stringBytes(field: number, text: string): Uint8Array {
  const content = Buffer.from(text);
  const bytes = new Uint8Array(content.length + FIELD_OVERHEAD);
  return bytes.slice(0, textField(bytes, 0, field, content));
}

const QUESTION_MARK = 0x3f;
const ZERO = 0x30;
const DOT = 0x2e;
const COLON = 0x3a;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;
/** Uint128 { low = 1, high = 2 }, SocketAddress { ip = 1 }, IpAddress { fixed32 v4 = 1, v6 = 2 }. */
const LOW_KEY = 0x08;
const HIGH_KEY = 0x10;
const IP_KEY = 0x0a;
const V4_KEY = 0x0d;
const V6_KEY = 0x12;

const octets = new Uint8Array(4);
/** One more than an address has, for what is no address. */
const groups = new Int32Array(10);
const ULID_DIGITS = new Uint8Array(256);
for (let i = 0; i < 32; i++) ULID_DIGITS["0123456789ABCDEFGHJKMNPQRSTVWXYZ".charCodeAt(i)] = i;
