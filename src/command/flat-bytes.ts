// The primitives of the flat encoding (flat.ts), written and read: unsigned little-endian numbers, texts, addresses. The
// cursor never throws and never reads outside [at, end): what is missing sets `bad` and reads as zero or empty.
//
//   text       u16: length, bit 15 set when not ASCII, 0xffff for null | UTF-8 bytes
//   long text  u32: length, bit 31 set when not ASCII, 0xffffffff for null | UTF-8 bytes

import type { SocketAddress } from "./objects.ts";
import { TextCache } from "./utf8.ts";

const TEXT_BYTES_MAX = 0x7ffe;
const LONG_TEXT_BYTES_MAX = 0xffffff;
const NULL_TEXT = 0xffff;
const NULL_LONG_TEXT = 0xffffffff;
const NOT_ASCII = 0x8000;
const LONG_NOT_ASCII = 0x80000000;

/** A growing buffer. Texts beyond what their length field can say are a bug of the caller and throw. */
export class FlatBytes {
  /** The buffer; valid up to `length`. Replaced when it grows. */
  bytes: Uint8Array;
  length: number;

  constructor(initialBytes: number) {
    this.bytes = new Uint8Array(initialBytes);
    this.length = 0;
  }

  u8(value: number): void {
    this.#ensure(1);
    this.bytes[this.length++] = value;
  }

  u16(value: number): void {
    this.#ensure(2);
    this.bytes[this.length++] = value & 0xff;
    this.bytes[this.length++] = value >>> 8;
  }

  u32(value: number): void {
    this.#ensure(4);
    writeU32(this.bytes, this.length, value);
    this.length += 4;
  }

  f64(value: number): void {
    DOUBLE[0] = value;
    for (let i = 0; i < 8; i++) this.u8(DOUBLE_BYTES[i]!);
  }

  address(address: SocketAddress): void {
    this.u16(address.port);
    this.text(address.ip);
  }

  text(text: string | null): void {
    if (text === null) {
      this.u16(NULL_TEXT);
      return;
    }
    const head = this.length;
    const flag = this.#characters(text, 2) ? NOT_ASCII : 0;
    const size = this.length - head - 2;
    if (size > TEXT_BYTES_MAX) throw new RangeError(`a text of ${size} bytes reached the flat encoding`);
    this.bytes[head] = size & 0xff;
    this.bytes[head + 1] = (size | flag) >>> 8;
  }

  longText(text: string | null): void {
    if (text === null) {
      this.u32(NULL_LONG_TEXT);
      return;
    }
    const head = this.length;
    const flag = this.#characters(text, 4) ? LONG_NOT_ASCII : 0;
    const size = this.length - head - 4;
    if (size > LONG_TEXT_BYTES_MAX) throw new RangeError(`a text of ${size} bytes reached the flat encoding`);
    writeU32(this.bytes, head, size | flag);
  }

  /** Appends the UTF-8 form behind `headBytes` that the caller fills in; true when it is not ASCII. */
  #characters(text: string, headBytes: number): boolean {
    const length = text.length;
    // Three bytes a unit is the worst case of UTF-8.
    this.#ensure(headBytes + length * 3);
    const bytes = this.bytes;
    const start = this.length + headBytes;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) {
        this.length = start + utf8.encodeInto(text, bytes.subarray(start)).written;
        return true;
      }
      bytes[start + i] = code;
    }
    this.length = start + length;
    return false;
  }

  #ensure(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}

/** Reads what FlatBytes wrote, between `at` and `end` of `bytes`. */
export class FlatCursor {
  bytes: Uint8Array;
  at: number;
  end: number;
  /** Something was missing or out of range since it was last cleared. */
  bad: boolean;
  /** The whole memory behind `bytes`, kept as long as bytes come from the same memory. */
  #buffer: SlicingBuffer | null;
  #memory: ArrayBufferLike | null;
  #base: number;

  constructor() {
    this.bytes = NO_BYTES;
    this.at = 0;
    this.end = 0;
    this.bad = false;
    this.#buffer = null;
    this.#memory = null;
    this.#base = 0;
  }

  /** Reads from other bytes. They must not change while they are read. */
  use(bytes: Uint8Array): void {
    this.bytes = bytes;
    if (this.#memory !== bytes.buffer) {
      this.#memory = bytes.buffer;
      this.#buffer = Buffer.from(bytes.buffer) as unknown as SlicingBuffer;
    }
    this.#base = bytes.byteOffset;
  }

  u8(): number {
    if (this.at >= this.end) return this.#missing();
    return this.bytes[this.at++]!;
  }

  u16(): number {
    if (this.at + 2 > this.end) return this.#missing();
    const at = this.at;
    this.at = at + 2;
    return this.bytes[at]! | (this.bytes[at + 1]! << 8);
  }

  u32(): number {
    if (this.at + 4 > this.end) return this.#missing();
    const at = this.at;
    this.at = at + 4;
    return readU32(this.bytes, at);
  }

  f64(): number {
    for (let i = 0; i < 8; i++) DOUBLE_BYTES[i] = this.u8();
    return DOUBLE[0]!;
  }

  address(): SocketAddress {
    const port = this.u16();
    if (port === 0) this.bad = true;
    return { ip: this.text(), port };
  }

  text(): string {
    return this.#present(this.optionalText());
  }

  optionalText(): string | null {
    const head = this.u16();
    if (head === NULL_TEXT) return null;
    return this.#slice(head & ~NOT_ASCII, (head & NOT_ASCII) === 0);
  }

  longText(): string {
    return this.#present(this.optionalLongText());
  }

  optionalLongText(): string | null {
    const head = this.u32();
    if (head === NULL_LONG_TEXT) return null;
    return this.#slice(head & ~LONG_NOT_ASCII, (head & LONG_NOT_ASCII) === 0);
  }

  #present(text: string | null): string {
    if (text !== null) return text;
    this.bad = true;
    return "";
  }

  #slice(length: number, ascii: boolean): string {
    const from = this.at;
    const to = from + length;
    if (to > this.end) {
      this.bad = true;
      return "";
    }
    this.at = to;
    const buffer = this.#buffer!;
    const base = this.#base;
    if (!ascii) return buffer.utf8Slice(base + from, base + to);
    let text = TEXTS.find(this.bytes, from, to);
    if (text === null) {
      text = buffer.latin1Slice(base + from, base + to);
      TEXTS.keep(text, this.bytes, from, to);
    }
    return text;
  }

  #missing(): number {
    this.bad = true;
    return 0;
  }
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/** Methods that Node documents for Buffer subclasses only; they skip the encoding lookup of toString(). */
interface SlicingBuffer {
  latin1Slice(from: number, to: number): string;
  utf8Slice(from: number, to: number): string;
}

const DOUBLE: Float64Array = new Float64Array(1);
const DOUBLE_BYTES: Uint8Array = new Uint8Array(DOUBLE.buffer);
const utf8: TextEncoder = new TextEncoder();
const TEXTS: TextCache = new TextCache();
/** No bytes at all; reading from them keeps no memory alive. */
export const NO_BYTES: Uint8Array = new Uint8Array(0);
