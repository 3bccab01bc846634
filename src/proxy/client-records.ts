// The few bytes that name a client connection for as long as it lives: its session ULID, its address as text, and the
// forwarding fields that its requests get.
//
// They are needed for each request, so they are rendered once, into a record of the arena instead of JavaScript strings:
// an idle connection costs 272 bytes here and nothing on the heap.

import type { Memory } from "../loop/memory.ts";

const RECORD_BYTES = 272;
const TEXT_AT = 32;
const ADDRESS_LENGTH_AT = 26;
const IP_LENGTH_AT = 27;
const IS_V6_AT = 28;
const BLOCK_LENGTH_AT = 29;
const BLOCK_AT = 80;
/** Room for the forwarding fields: enough for IPv4. Longer ones are rendered for each request. */
export const BLOCK_BYTES_MAX: number = RECORD_BYTES - BLOCK_AT;

export class ClientRecords {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #capacity: number;
  readonly #free: Int32Array;
  #freeCount: number;
  #used: number;

  static bytesFor(connections: number): number {
    return connections * RECORD_BYTES + 64;
  }

  constructor(memory: Memory, connections: number) {
    this.#bytes = memory.bytes;
    this.#start = memory.allocate(connections * RECORD_BYTES, 16);
    this.#capacity = connections;
    this.#free = new Int32Array(connections);
    this.#freeCount = 0;
    this.#used = 0;
  }

  /** A record's offset, or -1 when there are as many connections as allowed. */
  take(): number {
    if (this.#freeCount > 0) return this.#free[--this.#freeCount];
    if (this.#used === this.#capacity) return -1;
    return this.#start + this.#used++ * RECORD_BYTES;
  }

  /** Records lent out. */
  get inUse(): number {
    return this.#used - this.#freeCount;
  }

  give(record: number): void {
    this.#free[this.#freeCount++] = record;
  }

  /** Where the caller writes the session ULID (26 bytes). */
  ulidAt(record: number): number {
    return record;
  }

  /** Renders `peer` = [family 0|4|6, port, w0, w1, w2, w3] as `ip:port` or `[ip]:port`. */
  setAddress(record: number, peer: Int32Array): void {
    const bytes = this.#bytes;
    const isV6 = peer[0] === 6;
    let at = record + TEXT_AT;
    if (isV6) bytes[at++] = 0x5b;
    at = isV6 ? writeIpv6(bytes, at, peer) : writeIpv4(bytes, at, peer[2]);
    bytes[record + IP_LENGTH_AT] = at - record - TEXT_AT - (isV6 ? 1 : 0);
    if (isV6) bytes[at++] = 0x5d;
    bytes[at++] = 0x3a;
    at = writeDecimal(bytes, at, peer[1]);
    bytes[record + ADDRESS_LENGTH_AT] = at - record - TEXT_AT;
    bytes[record + IS_V6_AT] = isV6 ? 1 : 0;
    bytes[record + BLOCK_LENGTH_AT] = 0;
  }

  /** Where the connection's forwarding fields are kept; their length is 0 until they were rendered. */
  blockAt(record: number): number {
    return record + BLOCK_AT;
  }

  blockLength(record: number): number {
    return this.#bytes[record + BLOCK_LENGTH_AT];
  }

  setBlockLength(record: number, length: number): void {
    this.#bytes[record + BLOCK_LENGTH_AT] = length;
  }

  /** `ip:port`, IPv6 in brackets. */
  addressAt(record: number): number {
    return record + TEXT_AT;
  }

  addressLength(record: number): number {
    return this.#bytes[record + ADDRESS_LENGTH_AT];
  }

  /** The address without port and brackets. */
  ipAt(record: number): number {
    return record + TEXT_AT + this.#bytes[record + IS_V6_AT];
  }

  ipLength(record: number): number {
    return this.#bytes[record + IP_LENGTH_AT];
  }
}

function writeDecimal(bytes: Uint8Array, at: number, value: number): number {
  let divisor = 1;
  while (divisor * 10 <= value) divisor *= 10;
  for (; divisor >= 1; divisor = (divisor / 10) | 0) bytes[at++] = 0x30 + (((value / divisor) | 0) % 10);
  return at;
}

function writeIpv4(bytes: Uint8Array, at: number, word: number): number {
  for (let shift = 24; shift >= 0; shift -= 8) {
    if (shift !== 24) bytes[at++] = 0x2e;
    at = writeDecimal(bytes, at, (word >>> shift) & 255);
  }
  return at;
}

/** RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups as `::`. */
function writeIpv6(bytes: Uint8Array, at: number, peer: Int32Array): number {
  let runStart = -1;
  let runLength = 1;
  for (let i = 0; i < 8; ) {
    let end = i;
    while (end < 8 && group(peer, end) === 0) end++;
    if (end - i > runLength) {
      runStart = i;
      runLength = end - i;
    }
    i = end === i ? i + 1 : end;
  }
  for (let i = 0; i < 8; i++) {
    if (i === runStart) {
      bytes[at++] = 0x3a;
      bytes[at++] = 0x3a;
      i += runLength - 1;
      continue;
    }
    if (i > 0 && i !== runStart + runLength) bytes[at++] = 0x3a;
    at = writeHexGroup(bytes, at, group(peer, i));
  }
  return at;
}

function group(peer: Int32Array, index: number): number {
  return (peer[2 + (index >> 1)] >>> (index & 1 ? 0 : 16)) & 0xffff;
}

function writeHexGroup(bytes: Uint8Array, at: number, value: number): number {
  let shift = 12;
  while (shift > 0 && value >>> shift === 0) shift -= 4;
  for (; shift >= 0; shift -= 4) {
    const digit = (value >>> shift) & 15;
    bytes[at++] = digit < 10 ? 0x30 + digit : 0x57 + digit;
  }
  return at;
}
