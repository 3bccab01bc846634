// The field table of a message: spans over bytes that somebody else owns. HTTP/1 decoders fill it, HPACK fills the same.
// Positions are relative to the `base` that was given to decode(), so the bytes may be moved while a head is incomplete
// or kept. Known names are numbers (ids); a name is never a string here. Invariants: rows below `count` are complete,
// `present` has a bit for each id seen, `repeated` for each id seen more than once.

import { FIELDS_MAX } from "./limits.ts";

/** Known field names. 0 to 30 have a bit of their own in `present`; UNKNOWN (31) is everything else. */
export const HOST = 0;
export const CONNECTION = 1;
export const CONTENT_LENGTH = 2;
export const TRANSFER_ENCODING = 3;
export const TE = 4;
export const TRAILER = 5;
export const UPGRADE = 6;
export const KEEP_ALIVE = 7;
export const PROXY_CONNECTION = 8;
export const EXPECT = 9;
export const X_FORWARDED_FOR = 10;
export const FORWARDED = 11;
export const X_FORWARDED_PROTO = 12;
export const X_FORWARDED_PORT = 13;
export const X_FORWARDED_HOST = 14;
export const X_REAL_IP = 15;
export const X_REQUEST_ID = 16;
export const USER_AGENT = 17;
export const COOKIE = 18;
export const AUTHORIZATION = 19;
export const PROXY_AUTHORIZATION = 20;
export const SET_COOKIE = 21;
export const LOCATION = 22;
export const DATE = 23;
export const SERVER = 24;
export const WWW_AUTHENTICATE = 25;
export const PROXY_AUTHENTICATE = 26;
export const TRACEPARENT = 27;
export const TRACESTATE = 28;
export const STRICT_TRANSPORT_SECURITY = 29;
export const HTTP2_SETTINGS = 30;
export const UNKNOWN = 31;

/** Columns of a row of `fields`; FIELD_STRIDE is the width of a row. */
export const FIELD_STRIDE = 6;
export const NAME_START = 0;
export const NAME_END = 1;
export const VALUE_START = 2;
export const VALUE_END = 3;
export const FIELD_ID = 4;
export const FIELD_FLAGS = 5;

/** Flag: the encoder leaves this field out. */
export const DROP = 1;
/** Flag: the bytes from name to value are exactly `name: value\r\n`, so neighbours can be copied as one block. */
export const CANONICAL = 2;

/** The table. Created once per decoder (3 kB), reused for every message. */
export class Head {
  /** FIELDS_MAX rows of FIELD_STRIDE numbers: name start, name end, value start, value end, id, flags. */
  readonly fields: Int32Array;
  /** Index of the last field of each id; only valid where `present` has its bit. */
  readonly last: Uint8Array;
  /** Rows in use, 0 to FIELDS_MAX. */
  count: number;
  /** Bit `1 << id` for each id in the table (bit 31: some unknown name). Dropped fields count too. */
  present: number;
  /** Bit `1 << id` for each id that is there more than once. */
  repeated: number;

  constructor() {
    this.fields = new Int32Array(FIELDS_MAX * FIELD_STRIDE);
    this.last = new Uint8Array(32);
    this.count = 0;
    this.present = 0;
    this.repeated = 0;
  }

  /** Forgets everything. */
  reset(): void {
    this.count = 0;
    this.present = 0;
    this.repeated = 0;
  }

  /** Adds a row; false when the table is full. */
  add(nameStart: number, nameEnd: number, valueStart: number, valueEnd: number, id: number, flags: number): boolean {
    if (this.count === FIELDS_MAX) return false;
    const fields = this.fields;
    const row = this.count * FIELD_STRIDE;
    fields[row] = nameStart;
    fields[row + 1] = nameEnd;
    fields[row + 2] = valueStart;
    fields[row + 3] = valueEnd;
    fields[row + 4] = id;
    fields[row + 5] = flags;
    this.last[id] = this.count;
    this.count++;
    const bit = 1 << id;
    this.repeated |= this.present & bit;
    this.present |= bit;
    return true;
  }

  /** True when a field with this id (0 to 30) is in the table. */
  has(id: number): boolean {
    return (this.present & (1 << id)) !== 0;
  }

  /** Index (not row offset) of the first field with this id, or -1. Multiply by FIELD_STRIDE to read `fields`. */
  indexOf(id: number): number {
    const bit = 1 << id;
    if ((this.present & bit) === 0) return -1;
    return (this.repeated & bit) === 0 ? this.last[id] : this.nextIndexOf(id, 0);
  }

  /** Index of the first field with this id at or after `from`, or -1. */
  nextIndexOf(id: number, from: number): number {
    if ((this.present & (1 << id)) === 0 || from > this.last[id]) return -1;
    const fields = this.fields;
    const count = this.count;
    for (let index = from; index < count; index++) if (fields[index * FIELD_STRIDE + 4] === id) return index;
    return -1;
  }

  /** Index of the last field with this id, or -1. */
  lastIndexOf(id: number): number {
    return (this.present & (1 << id)) === 0 ? -1 : this.last[id];
  }

  /** Flags every field with this id so that the encoder leaves it out. */
  drop(id: number): void {
    const bit = 1 << id;
    if ((this.present & bit) === 0) return;
    const fields = this.fields;
    fields[this.last[id] * FIELD_STRIDE + 5] |= DROP;
    if ((this.repeated & bit) === 0) return;
    const count = this.last[id];
    for (let index = 0; index < count; index++) {
      const row = index * FIELD_STRIDE;
      if (fields[row + 4] === id) fields[row + 5] |= DROP;
    }
  }

  /** Start of the name of field `index`, relative to base. */
  nameStart(index: number): number {
    return this.fields[index * FIELD_STRIDE];
  }

  /** End (exclusive) of the name of field `index`. */
  nameEnd(index: number): number {
    return this.fields[index * FIELD_STRIDE + 1];
  }

  /** Start of the value of field `index`, without leading white space. */
  valueStart(index: number): number {
    return this.fields[index * FIELD_STRIDE + 2];
  }

  /** End (exclusive) of the value of field `index`, without trailing white space. Equal to its start: empty. */
  valueEnd(index: number): number {
    return this.fields[index * FIELD_STRIDE + 3];
  }

  /** Id of field `index`: one of the constants above. */
  id(index: number): number {
    return this.fields[index * FIELD_STRIDE + 4];
  }

  /** Flags of field `index`: DROP and CANONICAL. */
  flags(index: number): number {
    return this.fields[index * FIELD_STRIDE + 5];
  }

  /** Flags field `index` so that the encoder leaves it out. */
  dropIndex(index: number): void {
    this.fields[index * FIELD_STRIDE + 5] |= DROP;
  }

  /** True when the name of field `index` is `name` (lower-case ASCII bytes), whatever its case. */
  nameEquals(bytes: Uint8Array, base: number, index: number, name: Uint8Array): boolean {
    const start = this.fields[index * FIELD_STRIDE];
    if (this.fields[index * FIELD_STRIDE + 1] - start !== name.length) return false;
    return equalsLowerCase(bytes, base + start, name);
  }
}

/** True when the bytes at `at` are `text` (lower-case ASCII), letters compared without case. */
export function equalsLowerCase(bytes: Uint8Array, at: number, text: Uint8Array): boolean {
  const length = text.length;
  for (let i = 0; i < length; i++) {
    let c = bytes[at + i];
    if (c >= 0x41 && c <= 0x5a) c |= 0x20;
    if (c !== text[i]) return false;
  }
  return true;
}
