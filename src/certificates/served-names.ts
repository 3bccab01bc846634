// The names of a certificate, for the binding of a connection to hosts (spec 8.7): whether a request for a host may come
// over a connection on which this certificate was shown. Asked for each request, so hosts are compared as bytes and nothing
// is allocated; a hash table keeps the price of a certificate with a thousand names that of one.

import { ascii } from "../wire/http1/bytes.ts";

const DOT = 0x2e;
const STAR = 0x2a;
const COLON = 0x3a;
const CLOSING_BRACKET = 0x5d;

export class ServedNames {
  /** Names one behind the other. */
  readonly #bytes: Uint8Array;
  /** By slot: where a name begins and ends; -1: empty. The number of slots is a power of two, at least half are empty. */
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;

  /** `names` are normalised: small letters, no trailing dot, `*.` for one label (src/command/certificate.ts). */
  constructor(names: readonly string[]) {
    let slots = 2;
    while (slots < 2 * names.length) slots *= 2;
    this.#bytes = ascii(names.join(""));
    this.#starts = new Int32Array(slots).fill(-1);
    this.#ends = new Int32Array(slots).fill(-1);
    let at = 0;
    for (const name of names) {
      this.#put(at, at + name.length);
      at += name.length;
    }
  }

  /**
   * Whether the authority at [start, end) of `bytes` is one of the names, exactly or by the wildcard of its first label. Its
   * port and trailing dot do not count, and neither does the case of its letters.
   */
  covers(bytes: Uint8Array, start: number, end: number): boolean {
    const hostEnd = endOfHost(bytes, start, end);
    if (hostEnd === start) return false;
    if (this.#has(bytes, start, hostEnd, false)) return true;
    let dot = start;
    while (dot < hostEnd && bytes[dot] !== DOT) dot++;
    // RFC 6125 6.4.3: the wildcard stands for one whole label, which is not empty.
    return dot > start && dot < hostEnd && this.#has(bytes, dot, hostEnd, true);
  }

  #put(start: number, end: number): void {
    const mask = this.#starts.length - 1;
    let slot = hashOf(this.#bytes, start, end, HASH_SEED) & mask;
    while (this.#starts[slot] >= 0) slot = (slot + 1) & mask;
    this.#starts[slot] = start;
    this.#ends[slot] = end;
  }

  /** `wildcard`: a `*` stands before [start, end). */
  #has(bytes: Uint8Array, start: number, end: number, wildcard: boolean): boolean {
    const names = this.#bytes;
    const mask = this.#starts.length - 1;
    const seed = wildcard ? mix(HASH_SEED, STAR) : HASH_SEED;
    const ahead = wildcard ? 1 : 0;
    for (let slot = hashOf(bytes, start, end, seed) & mask; this.#starts[slot] >= 0; slot = (slot + 1) & mask) {
      const from = this.#starts[slot];
      if (this.#ends[slot] - from !== end - start + ahead || (wildcard && names[from] !== STAR)) continue;
      let i = start;
      while (i < end && names[from + ahead + i - start] === small(bytes[i])) i++;
      if (i === end) return true;
    }
    return false;
  }
}

/** Whether an authority is this host: what binds a connection whose certificate does not have the name it was asked for. */
export function isHost(bytes: Uint8Array, start: number, end: number, host: string): boolean {
  const hostEnd = endOfHost(bytes, start, end);
  if (hostEnd - start !== host.length) return false;
  for (let i = 0; i < host.length; i++) if (small(bytes[start + i]) !== host.charCodeAt(i)) return false;
  return true;
}

/** Where the host of an authority ends: before its port (RFC 3986 3.2.2, 3.2.3) and one trailing dot. */
function endOfHost(bytes: Uint8Array, start: number, end: number): number {
  let at = end;
  while (at > start && bytes[at - 1] !== COLON && bytes[at - 1] !== CLOSING_BRACKET) at--;
  const hostEnd = at > start && bytes[at - 1] === COLON ? at - 1 : end;
  return hostEnd > start && bytes[hostEnd - 1] === DOT ? hostEnd - 1 : hostEnd;
}

const HASH_SEED = 0x811c9dc5 | 0;

function hashOf(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let hash = seed;
  for (let i = start; i < end; i++) hash = mix(hash, small(bytes[i]));
  return hash ^ (hash >>> 15);
}

function mix(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, 0x01000193);
}

function small(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}
