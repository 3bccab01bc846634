// Text to bytes and back for short texts, without the calls into the runtime that TextEncoder and Buffer make: those cost
// 500 to 1,500 instructions each, more than all the rest of a small change. Ids, hosts, paths and addresses are short,
// ASCII, and come again and again.

/** The UTF-8 bytes of a text. */
export function utf8Bytes(text: string): Uint8Array {
  if (text.length > SHORT_MAX) return ENCODER.encode(text);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x80) return ENCODER.encode(text);
    bytes[i] = code;
  }
  return bytes;
}

/** Remembers the texts of byte sequences that were seen lately: the same bytes give the same string object. */
export class TextCache {
  readonly #texts: (string | null)[];
  readonly #lengths: Uint8Array;
  readonly #bytes: Uint8Array;
  /** Where the last find() looked. */
  #slot: number;

  constructor() {
    this.#texts = new Array<string | null>(SLOTS).fill(null);
    this.#lengths = new Uint8Array(SLOTS);
    this.#bytes = new Uint8Array(SLOTS * SHORT_MAX);
    this.#slot = 0;
  }

  /** The text of [from, to), or null: then make it, and keep() it if it is at most SHORT_MAX bytes long. */
  find(bytes: Uint8Array, from: number, to: number): string | null {
    const length = to - from;
    if (length > SHORT_MAX) return null;
    let hash = length;
    for (let i = from; i < to; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
    const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    this.#slot = slot;
    if (this.#lengths[slot] !== length) return null;
    const known = this.#bytes;
    const at = slot * SHORT_MAX;
    for (let i = 0; i < length; i++) if (known[at + i] !== bytes[from + i]) return null;
    return this.#texts[slot];
  }

  /** Remembers what the last find() did not find. */
  keep(text: string, bytes: Uint8Array, from: number, to: number): void {
    const length = to - from;
    if (length > SHORT_MAX) return;
    const at = this.#slot * SHORT_MAX;
    for (let i = 0; i < length; i++) this.#bytes[at + i] = bytes[from + i];
    this.#lengths[this.#slot] = length;
    this.#texts[this.#slot] = text;
  }
}

/** Longest text that is treated here; an array of up to 64 bytes needs no memory outside the heap. */
const SHORT_MAX = 48;
/** A power of two. */
const SLOTS = 512;
const ENCODER: TextEncoder = new TextEncoder();
