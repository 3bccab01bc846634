// Basic authentication (RFC 7617, spec 5.10): does an Authorization field name one of these users?
//
// Entries are `user:<sha256 of the password in hexadecimal>`. What a client sent is compared with every entry, each padded
// to the same size, in constant time. Hashing costs more than a request does, so credentials that were accepted are
// remembered, few and in memory only: a repeat is found by a hash with a secret seed and compared without a shortcut.
// Nothing of a credential is ever logged; a new list of entries starts with an empty memory.

import { hash, randomInt, timingSafeEqual } from "node:crypto";

/** Bytes of a decoded credential when the setting is 0. */
export const CREDENTIAL_BYTES_DEFAULT = 4096;
/** Bytes of an entry and of what it is compared with. */
const ENTRY_BYTES = 256;
/** Entries of one list. */
export const HASHES_MAX = 1024;
/** Credentials that are remembered, and bytes of each as sent. */
const REMEMBERED = 64;
const REMEMBERED_BYTES_MAX = 256;

const SCHEME = "basic ";
const SPACE = 0x20;
const COLON = 0x3a;
const EQUALS = 0x3d;
const INVALID = 255;

/** The users of one cluster. */
export class Credentials {
  readonly #entries: readonly Buffer[];
  readonly #bytesMax: number;
  readonly #seed: number;
  readonly #remembered: (Uint8Array | null)[];

  /** `hashes`: as checkHash accepts them. `bytesMax`: of a decoded credential; 0 is the default of 4,096. */
  constructor(hashes: readonly string[], bytesMax: number) {
    this.#entries = hashes.map((text) => padded(canonical(text)));
    this.#bytesMax = bytesMax === 0 ? CREDENTIAL_BYTES_DEFAULT : bytesMax;
    this.#seed = randomInt(0x7fffffff);
    this.#remembered = new Array<Uint8Array | null>(REMEMBERED).fill(null);
  }

  /** Whether the value [start, end) of an Authorization field is `Basic` with credentials of one of the users. */
  accepts(bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    const slot = length > REMEMBERED_BYTES_MAX ? -1 : this.#slotOf(bytes, start, end);
    if (slot !== -1) {
      const known = this.#remembered[slot];
      if (known !== null && known.length === length && isSame(known, bytes, start)) return true;
    }
    if (!this.#check(bytes, start, end)) return false;
    if (slot !== -1) this.#remembered[slot] = bytes.slice(start, end);
    return true;
  }

  #slotOf(bytes: Uint8Array, start: number, end: number): number {
    let sum = this.#seed;
    for (let i = start; i < end; i++) sum = Math.imul(sum ^ bytes[i], 0x01000193);
    return ((sum ^ (sum >>> 15)) >>> 0) % REMEMBERED;
  }

  #check(bytes: Uint8Array, start: number, end: number): boolean {
    const decoded = decodeBasic(bytes, start, end, this.#bytesMax);
    if (decoded === null) return false;
    const colon = decoded.indexOf(COLON);
    if (colon === -1) return false;
    const digest = hash("sha256", decoded.subarray(colon + 1), "hex");
    const claimed = Buffer.concat([decoded.subarray(0, colon + 1), Buffer.from(digest)]);
    decoded.fill(0);
    if (claimed.length > ENTRY_BYTES) return false;
    const wanted = padded(claimed);
    let found = false;
    // Every entry, whatever was found before: the time says nothing about which one it was.
    for (const entry of this.#entries) found = timingSafeEqual(entry, wanted) || found;
    return found;
  }
}

/** Why a text cannot be one of `authorized_hashes`, or null. */
export function checkHash(text: string): string | null {
  const colon = text.indexOf(":");
  if (colon === -1) return 'it has no ":" between the user and the hash';
  // RFC 7617 2: a user's name holds no control characters.
  if (/[\x00-\x1f\x7f]/.test(text)) return "it holds a control character";
  if (!/^[0-9A-Fa-f]{64}$/.test(text.slice(colon + 1))) {
    return "what follows the user is not a SHA-256 of 64 hexadecimal digits";
  }
  return Buffer.byteLength(text) > ENTRY_BYTES ? `it is longer than ${ENTRY_BYTES} bytes` : null;
}

/** `user:password` of `Basic <base64>`, or null: another scheme, not base64 (RFC 4648 4, 3.5), or too long. */
function decodeBasic(bytes: Uint8Array, start: number, end: number, bytesMax: number): Buffer | null {
  let at = start + SCHEME.length;
  if (end <= at) return null;
  for (let i = 0; i < SCHEME.length; i++) {
    const c = bytes[start + i];
    if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== SCHEME.charCodeAt(i)) return null;
  }
  while (at < end && bytes[at] === SPACE) at++;
  const length = end - at;
  if (length === 0 || length % 4 !== 0) return null;
  const padding = bytes[end - 1] !== EQUALS ? 0 : bytes[end - 2] !== EQUALS ? 1 : 2;
  const size = (length / 4) * 3 - padding;
  if (size > bytesMax) return null;
  const decoded = Buffer.alloc(size);
  let bits = 0;
  let held = 0;
  let to = 0;
  for (let i = at; i < end - padding; i++) {
    const value = VALUES[bytes[i]];
    if (value === INVALID) return null;
    bits = ((bits << 6) | value) & 0xffff;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    decoded[to++] = bits >>> held;
  }
  // RFC 4648 3.5: bits that pad must be zero, or one credential would have several spellings.
  return (bits & ((1 << held) - 1)) === 0 ? decoded : null;
}

function canonical(text: string): Buffer {
  const colon = text.indexOf(":");
  return Buffer.from(text.slice(0, colon) + text.slice(colon).toLowerCase());
}

function padded(text: Buffer): Buffer {
  const bytes = Buffer.alloc(ENTRY_BYTES);
  text.copy(bytes);
  return bytes;
}

/** Without a shortcut at the first difference. */
function isSame(known: Uint8Array, bytes: Uint8Array, start: number): boolean {
  let differs = 0;
  for (let i = 0; i < known.length; i++) differs |= known[i] ^ bytes[start + i];
  return differs === 0;
}

const VALUES = base64Values();

function base64Values(): Uint8Array {
  const values = new Uint8Array(256).fill(INVALID);
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (let i = 0; i < 64; i++) values[alphabet.charCodeAt(i)] = i;
  return values;
}
