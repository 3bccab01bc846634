// The hash behind affinity: FNV-1a over bytes, then a finaliser that makes every bit of the result depend on every bit
// of the input. 32 bits, as a signed integer. Not for secrets: who can choose keys can choose a backend, which is
// what affinity to a header or cookie means anyway. Results are stable: all workers and all releases agree.

import { utf8Bytes } from "../command/utf8.ts";

/** Hash of bytes [start, end). */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = FNV_OFFSET;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i], FNV_PRIME);
  return mix(hash);
}

/** Hash of a text's UTF-8 bytes. */
export function hashText(text: string): number {
  const bytes = utf8Bytes(text);
  return hashBytes(bytes, 0, bytes.length);
}

/** A finaliser (the one of MurmurHash3, fmix32): a permutation of the 32-bit integers without visible structure. */
export function mix(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

const FNV_OFFSET = 0x811c9dc5 | 0;
const FNV_PRIME = 0x01000193;
