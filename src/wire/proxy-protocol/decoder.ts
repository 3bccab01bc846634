// Decoder of the PROXY protocol header, versions 1 and 2 (proxy-protocol.txt 2.1 and 2.2), that a load balancer puts in
// front of a connection. Contract: decode() returns the length of the header (> 0), 0 for "need more", or MALFORMED; it
// never throws on input. It looks at the input from its start each time: a text header has at most 107 bytes, and of a
// binary one only 16 bytes are read before all of it is there.
//
// Strict by choice, because the header decides who the client is: exactly one space between words, decimal numbers without
// leading zeros, IPv6 groups of RFC 4291 2.2 without zone or dotted tail, TLVs that fill the block, a right CRC32C.

import { ascii } from "../http1/bytes.ts";
import { crc32c } from "./crc32c.ts";
import {
  FIXED_BYTES,
  HEADER_BYTES_MAX,
  IPV4_BLOCK_BYTES,
  IPV6_BLOCK_BYTES,
  TEXT_BYTES_MAX,
  UNIQUE_ID_BYTES_MAX,
  UNIX_BLOCK_BYTES,
} from "./limits.ts";

/** The bytes are no PROXY protocol header: the connection is to be closed without an answer. */
export const MALFORMED = -1;

const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const PREFIX = ascii("PROXY ");
const UNKNOWN = ascii("UNKNOWN");
const TCP = ascii("TCP");
const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const COLON = 0x3a;
const DOT = 0x2e;

const COMMAND_LOCAL = 0x20;
const COMMAND_PROXY = 0x21;
const TRANSPORT_MAX = 2;
const FAMILY_UNIX = 3;
/** By family: unspecified, IPv4, IPv6, unix. */
const BLOCK_BYTES = [0, IPV4_BLOCK_BYTES, IPV6_BLOCK_BYTES, UNIX_BLOCK_BYTES];
const TLV_CRC32C = 0x03;
const TLV_UNIQUE_ID = 0x05;
const TLV_HEAD_BYTES = 3;
const CRC_BYTES = 4;

/** The facts of one header. */
export class ProxyHeader {
  /** False: the header names no addresses (UNKNOWN, LOCAL, no IP family), and those of the socket count. */
  hasAddresses: boolean;
  /** [family 4|6, port, w0, w1, w2, w3], words big-endian and signed; IPv4-mapped IPv6 is given as IPv4. */
  readonly source: Int32Array;
  readonly destination: Int32Array;
  /** Where the word being read ends; -1: it was wrong. */
  private at: number;

  constructor() {
    this.hasAddresses = false;
    this.source = new Int32Array(6);
    this.destination = new Int32Array(6);
    this.at = 0;
  }

  /** Reads a header at [from, to). See the contract above. */
  decode(bytes: Uint8Array, from: number, to: number): number {
    this.hasAddresses = false;
    if (from === to) return 0;
    return bytes[from] === PREFIX[0] ? this.decodeText(bytes, from, to) : this.decodeBinary(bytes, from, to);
  }

  // ---- version 1

  private decodeText(bytes: Uint8Array, from: number, to: number): number {
    const limit = Math.min(to, from + TEXT_BYTES_MAX);
    let end = from;
    while (end < limit && bytes[end] !== CR) {
      // A lone LF must not be taken for the end (proxy-protocol.txt 2.1).
      if (bytes[end] === LF || (end - from < PREFIX.length && bytes[end] !== PREFIX[end - from])) return MALFORMED;
      end++;
    }
    if (end + 1 >= limit) return end + 1 >= from + TEXT_BYTES_MAX ? MALFORMED : 0;
    if (bytes[end + 1] !== LF || end - from < PREFIX.length) return MALFORMED;
    const words = from + PREFIX.length;
    const length = end + 2 - from;
    if (startsWith(bytes, words, end, UNKNOWN)) {
      const behind = words + UNKNOWN.length;
      return behind === end || bytes[behind] === SPACE ? length : MALFORMED;
    }
    if (!startsWith(bytes, words, end, TCP)) return MALFORMED;
    const family = bytes[words + TCP.length] - 0x30;
    if (family !== 4 && family !== 6) return MALFORMED;
    this.at = words + TCP.length + 1;
    this.address(bytes, end, family, this.source);
    this.address(bytes, end, family, this.destination);
    this.port(bytes, end, this.source);
    this.port(bytes, end, this.destination);
    if (this.at !== end) return MALFORMED;
    this.hasAddresses = true;
    unmap(this.source);
    unmap(this.destination);
    return length;
  }

  /** A space and an address. Once `at` is -1 nothing is read any more. */
  private address(bytes: Uint8Array, end: number, family: number, into: Int32Array): void {
    if (!this.space(bytes, end)) return;
    into.fill(0);
    into[0] = family;
    this.at = family === 4 ? readIpv4(bytes, this.at, end, into) : readIpv6(bytes, this.at, end, into);
  }

  private port(bytes: Uint8Array, end: number, into: Int32Array): void {
    if (!this.space(bytes, end)) return;
    const stop = decimalEnd(bytes, this.at, end, 5);
    const port = stop === -1 ? -1 : decimal(bytes, this.at, stop);
    this.at = port > 0xffff ? -1 : stop;
    into[1] = port;
  }

  private space(bytes: Uint8Array, end: number): boolean {
    if (this.at === -1) return false;
    if (this.at >= end || bytes[this.at] !== SPACE) {
      this.at = -1;
      return false;
    }
    this.at++;
    return true;
  }

  // ---- version 2

  private decodeBinary(bytes: Uint8Array, from: number, to: number): number {
    const known = Math.min(to - from, SIGNATURE.length);
    for (let i = 0; i < known; i++) if (bytes[from + i] !== SIGNATURE[i]) return MALFORMED;
    if (to - from < FIXED_BYTES) return 0;
    const command = bytes[from + 12];
    if (command !== COMMAND_LOCAL && command !== COMMAND_PROXY) return MALFORMED;
    const family = bytes[from + 13] >> 4;
    if (command === COMMAND_PROXY && (family > FAMILY_UNIX || (bytes[from + 13] & 15) > TRANSPORT_MAX))
      return MALFORMED;
    const length = FIXED_BYTES + ((bytes[from + 14] << 8) | bytes[from + 15]);
    if (length > HEADER_BYTES_MAX) return MALFORMED;
    if (to - from < length) return 0;
    // What a LOCAL header or an unspecified family carries has no meaning, only a length.
    if (command === COMMAND_LOCAL || family === 0) return length;
    const block = from + FIXED_BYTES;
    const tlvs = block + BLOCK_BYTES[family];
    if (tlvs > from + length || !tlvsAreSound(bytes, from, tlvs, from + length)) return MALFORMED;
    if (family === FAMILY_UNIX) return length;
    const words = family === 1 ? 1 : 4;
    readBinary(bytes, block, family, words, block + 8 * words, this.source);
    readBinary(bytes, block + 4 * words, family, words, block + 8 * words + 2, this.destination);
    this.hasAddresses = true;
    return length;
  }
}

function readBinary(
  bytes: Uint8Array,
  at: number,
  family: number,
  words: number,
  portAt: number,
  into: Int32Array,
): void {
  into.fill(0);
  into[0] = family === 1 ? 4 : 6;
  into[1] = (bytes[portAt] << 8) | bytes[portAt + 1];
  for (let i = 0; i < words; i++) into[2 + i] = word(bytes, at + 4 * i);
  unmap(into);
}

/** The TLVs in [at, end) fill it to the byte (2.2.4 and following), and the checksum, if there is one, is right. */
function tlvsAreSound(bytes: Uint8Array, start: number, at: number, end: number): boolean {
  while (at < end) {
    if (end - at < TLV_HEAD_BYTES) return false;
    const value = at + TLV_HEAD_BYTES;
    const length = (bytes[at + 1] << 8) | bytes[at + 2];
    if (value + length > end) return false;
    if (bytes[at] === TLV_UNIQUE_ID && length > UNIQUE_ID_BYTES_MAX) return false;
    if (bytes[at] === TLV_CRC32C) {
      if (length !== CRC_BYTES || crc32c(bytes, start, end, value) !== word(bytes, value)) return false;
    }
    at = value + length;
  }
  return true;
}

/** RFC 4291 2.5.5.2: `::ffff:a.b.c.d` is an IPv4 address, as `accept` gives it. */
function unmap(address: Int32Array): void {
  if (address[0] !== 6 || address[2] !== 0 || address[3] !== 0 || address[4] !== 0xffff) return;
  address[0] = 4;
  address[2] = address[5];
  address[4] = 0;
  address[5] = 0;
}

/** Four numbers with dots; returns where they end, or -1. */
function readIpv4(bytes: Uint8Array, from: number, end: number, into: Int32Array): number {
  let at = from;
  let value = 0;
  for (let octet = 0; octet < 4; octet++) {
    if (octet > 0 && bytes[at++] !== DOT) return -1;
    const stop = decimalEnd(bytes, at, end, 3);
    if (stop === -1) return -1;
    const number = decimal(bytes, at, stop);
    if (number > 255) return -1;
    value = (value << 8) | number;
    at = stop;
  }
  into[2] = value;
  return at;
}

/** Groups of hexadecimal digits (RFC 4291 2.2), at most one `::`; returns where they end, or -1. */
function readIpv6(bytes: Uint8Array, from: number, end: number, into: Int32Array): number {
  let at = from;
  let count = 0;
  /** Groups before the `::`, -1 without one. */
  let gap = -1;
  if (at + 1 < end && bytes[at] === COLON) {
    if (bytes[at + 1] !== COLON) return -1;
    gap = 0;
    at += 2;
  }
  while (at < end && bytes[at] !== SPACE) {
    if (count === 8) return -1;
    let value = 0;
    let digits = 0;
    for (; at < end && digits < 4; digits++) {
      const digit = hexDigit(bytes[at]);
      if (digit === -1) break;
      value = value * 16 + digit;
      at++;
    }
    if (digits === 0) return -1;
    setGroup(into, count++, value);
    if (at === end || bytes[at] === SPACE) break;
    if (bytes[at++] !== COLON || at === end) return -1;
    if (bytes[at] === COLON) {
      if (gap !== -1) return -1;
      gap = count;
      at++;
    } else if (bytes[at] === SPACE) return -1;
  }
  if (gap === -1) return count === 8 ? at : -1;
  if (count === 8) return -1;
  // What stands behind the gap moves to the end.
  for (let i = count - 1, to = 7; i >= gap; i--, to--) {
    setGroup(into, to, group(into, i));
    setGroup(into, i, 0);
  }
  return at;
}

function group(words: Int32Array, index: number): number {
  const value = words[2 + (index >> 1)];
  return (index & 1) === 0 ? value >>> 16 : value & 0xffff;
}

function setGroup(words: Int32Array, index: number, value: number): void {
  const at = 2 + (index >> 1);
  words[at] = (index & 1) === 0 ? (value << 16) | (words[at] & 0xffff) : (words[at] & 0xffff0000) | value;
}

function hexDigit(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const letter = c | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** Where a number of at most `digitsMax` digits without leading zeros ends, or -1. */
function decimalEnd(bytes: Uint8Array, from: number, end: number, digitsMax: number): number {
  let at = from;
  while (at < end && bytes[at] >= 0x30 && bytes[at] <= 0x39) at++;
  const digits = at - from;
  if (digits === 0 || digits > digitsMax || (digits > 1 && bytes[from] === 0x30)) return -1;
  return at;
}

function decimal(bytes: Uint8Array, from: number, to: number): number {
  let value = 0;
  for (let i = from; i < to; i++) value = value * 10 + bytes[i] - 0x30;
  return value;
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

function startsWith(bytes: Uint8Array, at: number, end: number, text: Uint8Array): boolean {
  if (end - at < text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text[i]) return false;
  return true;
}
