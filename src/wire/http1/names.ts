// Recognises field names without strings: four bytes at a time, case folded, through a hash of the first word, the last
// word and the length that has no collisions among the known names. Names that only occur often (id UNKNOWN) are in the
// dictionary too: a hit proves that the name is a token, which saves looking at each byte.
// Words are little-endian; the fold mask is 0x20 on letters only, so no control byte can pass for `-` or a digit.

import * as head from "./head.ts";

/** Longest name in the dictionary, in bytes. Longer names are UNKNOWN without a look. */
export const KNOWN_NAME_BYTES_MAX = 32;

const WORDS_PER_NAME = KNOWN_NAME_BYTES_MAX / 4;
const FOLD = 0x20202020;
const SLOT_BITS = 11;

const knownNames: readonly (readonly [id: number, name: string])[] = [
  [head.HOST, "host"],
  [head.CONNECTION, "connection"],
  [head.CONTENT_LENGTH, "content-length"],
  [head.TRANSFER_ENCODING, "transfer-encoding"],
  [head.TE, "te"],
  [head.TRAILER, "trailer"],
  [head.UPGRADE, "upgrade"],
  [head.KEEP_ALIVE, "keep-alive"],
  [head.PROXY_CONNECTION, "proxy-connection"],
  [head.EXPECT, "expect"],
  [head.X_FORWARDED_FOR, "x-forwarded-for"],
  [head.FORWARDED, "forwarded"],
  [head.X_FORWARDED_PROTO, "x-forwarded-proto"],
  [head.X_FORWARDED_PORT, "x-forwarded-port"],
  [head.X_FORWARDED_HOST, "x-forwarded-host"],
  [head.X_REAL_IP, "x-real-ip"],
  [head.X_REQUEST_ID, "x-request-id"],
  [head.USER_AGENT, "user-agent"],
  [head.COOKIE, "cookie"],
  [head.AUTHORIZATION, "authorization"],
  [head.PROXY_AUTHORIZATION, "proxy-authorization"],
  [head.SET_COOKIE, "set-cookie"],
  [head.LOCATION, "location"],
  [head.DATE, "date"],
  [head.SERVER, "server"],
  [head.WWW_AUTHENTICATE, "www-authenticate"],
  [head.PROXY_AUTHENTICATE, "proxy-authenticate"],
  [head.TRACEPARENT, "traceparent"],
  [head.TRACESTATE, "tracestate"],
  [head.STRICT_TRANSPORT_SECURITY, "strict-transport-security"],
  [head.HTTP2_SETTINGS, "http2-settings"],
];

const commonNames =
  "accept accept-encoding accept-language accept-ranges access-control-allow-credentials " +
  "access-control-allow-headers " +
  "access-control-allow-methods access-control-allow-origin access-control-expose-headers access-control-max-age age " +
  "alt-svc cache-control cdn-loop content-disposition content-encoding content-language content-range " +
  "content-security-policy content-type dnt etag expires if-match if-modified-since if-none-match " +
  "if-range if-unmodified-since last-modified link " +
  "origin permissions-policy pragma priority range referer referrer-policy retry-after sec-ch-ua sec-ch-ua-mobile " +
  "sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc sec-websocket-accept " +
  "sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version server-timing " +
  "upgrade-insecure-requests vary via x-cache x-content-type-options x-correlation-id x-frame-options x-powered-by " +
  "x-requested-with x-xss-protection";

const nameCount = knownNames.length + commonNames.split(" ").length;
/** Index into the tables below for each hash, 255 for none. */
const slots = new Uint8Array(1 << SLOT_BITS).fill(255);
const ids = new Uint8Array(nameCount);
const lengths = new Uint8Array(nameCount);
const words = new Int32Array(nameCount * WORDS_PER_NAME);
const masks = new Int32Array(nameCount * WORDS_PER_NAME);
const multiplier = buildDictionary();

/**
 * The id of the name of `length` bytes at `at`, or -1 when it is not in the dictionary (then the caller checks that it is a
 * token). UNKNOWN: in the dictionary, without an id of its own. Reads nothing outside the name.
 */
export function lookupName(view: DataView, at: number, length: number): number {
  if (length < 4) return length < 2 ? -1 : lookupShort(view, at, length);
  const first = view.getInt32(at, true);
  return lookupWords(view, at, length, first, view.getInt32(at + length - 4, true));
}

/** As lookupName for names of at least 4 bytes whose first and last four bytes the caller has already loaded. */
export function lookupWords(view: DataView, at: number, length: number, first: number, last: number): number {
  const index = slots[hash(first | FOLD, last | FOLD, length, multiplier)];
  if (index === 255 || lengths[index] !== length) return -1;
  let row = index * WORDS_PER_NAME;
  if ((last | masks[row + WORDS_PER_NAME - 1]) !== words[row + WORDS_PER_NAME - 1]) return -1;
  if ((first | masks[row]) !== words[row]) return -1;
  row++;
  const lastWord = at + length - 4;
  for (let position = at + 4; position < lastWord; position += 4, row++) {
    if ((view.getInt32(position, true) | masks[row]) !== words[row]) return -1;
  }
  return ids[index];
}

function lookupShort(view: DataView, at: number, length: number): number {
  let word = view.getUint16(at, true);
  if (length === 3) word |= view.getUint8(at + 2) << 16;
  const index = slots[hash(word | FOLD, word | FOLD, length, multiplier)];
  if (index === 255 || lengths[index] !== length) return -1;
  const row = index * WORDS_PER_NAME;
  return (word | masks[row]) === words[row] ? ids[index] : -1;
}

function hash(first: number, last: number, length: number, factor: number): number {
  return Math.imul(Math.imul(first, factor) ^ (last + length), 0x9e3779b1) >>> (32 - SLOT_BITS);
}

/** Fills the tables and returns the first factor that gives each name a slot of its own. */
function buildDictionary(): number {
  let index = 0;
  for (const [id, name] of knownNames) enter(index++, id, name);
  for (const name of commonNames.split(" ")) enter(index++, head.UNKNOWN, name);
  let factor = 0x01000193;
  while (!placeAll(factor)) factor = (factor + 0x61c88646) | 1;
  return factor;
}

function enter(index: number, id: number, name: string): void {
  const length = name.length;
  const row = index * WORDS_PER_NAME;
  ids[index] = id;
  lengths[index] = length;
  for (let k = 0; k * 4 < length - 4 || k === 0; k++) setWord(row + k, name, k * 4);
  setWord(row + WORDS_PER_NAME - 1, name, length < 4 ? 0 : length - 4);
}

function setWord(at: number, name: string, from: number): void {
  let word = 0;
  let mask = 0;
  for (let k = 3; k >= 0; k--) {
    const c = from + k < name.length ? name.charCodeAt(from + k) : 0;
    word = (word << 8) | c;
    mask = (mask << 8) | (c >= 0x61 && c <= 0x7a ? 0x20 : 0);
  }
  words[at] = word;
  masks[at] = mask;
}

function placeAll(factor: number): boolean {
  slots.fill(255);
  for (let index = 0; index < nameCount; index++) {
    const row = index * WORDS_PER_NAME;
    const slot = hash(words[row] | FOLD, words[row + WORDS_PER_NAME - 1] | FOLD, lengths[index], factor);
    if (slots[slot] !== 255) return false;
    slots[slot] = index;
  }
  return true;
}
