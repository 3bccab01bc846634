// Lists of networks, such as `trusted_proxies`: CIDR blocks of IPv4 and IPv6, or single addresses.
//
// Addresses are compared as words, in the form in which a socket's peer is read; an IPv4-mapped IPv6 network is an IPv4
// network, as an IPv4-mapped peer is an IPv4 peer. Host bits that are set in a block are an error, not a wish: whoever
// writes 10.1.2.3/8 has mistaken one of the two.

import { parseIpv4, parseIpv6 } from "./ip.ts";

/** Networks of one list. */
export const NETWORKS_MAX = 256;

/** Row: family, four words of the address, four of the mask. */
const STRIDE = 9;

/** A compiled list. */
export class Networks {
  readonly #rows: Int32Array;

  constructor(rows: readonly Int32Array[]) {
    this.#rows = new Int32Array(rows.length * STRIDE);
    for (let i = 0; i < rows.length; i++) this.#rows.set(rows[i]!, i * STRIDE);
  }

  /** Whether `peer` = [family 0|4|6, port, w0, w1, w2, w3] is in one of the networks; IPv4 is in w0. */
  contains(peer: Int32Array): boolean {
    const rows = this.#rows;
    for (let row = 0; row < rows.length; row += STRIDE) {
      if (rows[row] !== peer[0]) continue;
      let differs = (peer[2] ^ rows[row + 1]) & rows[row + 5];
      if (peer[0] === 6) {
        for (let word = 1; word < 4; word++) differs |= (peer[2 + word] ^ rows[row + 1 + word]) & rows[row + 5 + word];
      }
      if (differs === 0) return true;
    }
    return false;
  }
}

/** Compiles a list such as `["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]`. */
export function parseNetworks(texts: readonly string[]): Networks | { readonly reason: string } {
  if (texts.length > NETWORKS_MAX) return { reason: `there are more than ${NETWORKS_MAX} networks` };
  const rows: Int32Array[] = [];
  for (const text of texts) {
    const row = parseNetwork(text);
    if (typeof row === "string") return { reason: `${JSON.stringify(text)} ${row}` };
    rows.push(row);
  }
  return new Networks(rows);
}

/** A row, or what is wrong. */
function parseNetwork(text: string): Int32Array | string {
  const match = /^([0-9a-fA-F:.]{2,45})(?:\/([0-9]{1,3}))?$/.exec(text);
  const words = match === null ? null : wordsOf(match[1]!);
  if (match === null || words === null) return "is not a network such as 10.0.0.0/8 or 2001:db8::/32";
  const bits = words.length * 32;
  const length = match[2] === undefined ? bits : Number(match[2]);
  if (length > bits) return `has a length above ${bits}`;
  // An IPv4-mapped network is the IPv4 network behind it, as an IPv4-mapped peer is an IPv4 peer.
  const mapped = words.length === 4 && length >= 96 && words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
  const first = mapped ? 3 : 0;
  const row = new Int32Array(STRIDE);
  row[0] = mapped || words.length === 1 ? 4 : 6;
  for (let i = first; i < words.length; i++) {
    const mask = maskOf(length - 32 * i);
    if ((words[i]! & ~mask) !== 0) return `has bits set behind its first ${length}`;
    row[1 + i - first] = words[i]!;
    row[5 + i - first] = mask;
  }
  return row;
}

/** One word of an IPv4 address, four of an IPv6 address. */
function wordsOf(text: string): number[] | null {
  if (!text.includes(":")) {
    const value = parseIpv4(text);
    return value < 0 ? null : [value | 0];
  }
  const groups = parseIpv6(text);
  return groups === null ? null : [0, 2, 4, 6].map((i) => (groups[i]! << 16) | groups[i + 1]!);
}

function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? -1 : ~(-1 >>> bits);
}
