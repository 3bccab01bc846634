// The few bytes that name a client connection for as long as it lives: its session ULID, its address as text, and the
// forwarding fields that its requests get.
//
// They are needed for each request, so they are rendered once, into a record of the arena instead of JavaScript strings:
// an idle connection costs 272 bytes here and nothing on the heap.

import type { Memory } from "../loop/memory.ts";
import { formatPeer } from "../os/sockets.ts";
import { ascii } from "../wire/http1/bytes.ts";
import { encodeBytes, encodeDecimal } from "../wire/http1/encoder.ts";

const RECORD_BYTES = 272;
const TEXT_AT = 32;
const ADDRESS_LENGTH_AT = 26;
const IP_LENGTH_AT = 27;
const IS_V6_AT = 28;
const BLOCK_LENGTH_AT = 29;
const TRUSTED_AT = 30;
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
    const start = record + TEXT_AT;
    const isV6 = peer[0] === 6;
    let ipLength = 0;
    let at = start;
    if (isV6) {
      const text = formatPeer(peer);
      ipLength = text.lastIndexOf("]") - 1;
      at = encodeBytes(bytes, start, ascii(text));
    } else {
      at = writeIpv4(bytes, start, peer[2]);
      ipLength = at - start;
      bytes[at++] = 0x3a;
      at = encodeDecimal(bytes, at, peer[1]);
    }
    bytes[record + ADDRESS_LENGTH_AT] = at - start;
    bytes[record + IP_LENGTH_AT] = ipLength;
    bytes[record + IS_V6_AT] = isV6 ? 1 : 0;
    bytes[record + BLOCK_LENGTH_AT] = 0;
  }

  /** Whether the client is in one of the listener's trusted networks; only set where there are some. */
  isTrusted(record: number): boolean {
    return this.#bytes[record + TRUSTED_AT] === 1;
  }

  setTrusted(record: number, trusted: boolean): void {
    this.#bytes[record + TRUSTED_AT] = trusted ? 1 : 0;
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

function writeIpv4(bytes: Uint8Array, at: number, word: number): number {
  for (let shift = 24; shift >= 0; shift -= 8) {
    if (shift !== 24) bytes[at++] = 0x2e;
    at = encodeDecimal(bytes, at, (word >>> shift) & 255);
  }
  return at;
}
