// Puts texts and numbers of a log line into bytes, eight bytes or three digits at a time.
// Copying byte by byte costs about ten instructions a byte, a line has 250 of them, and every request writes a line. So
// spans are copied in words of eight bytes, which may write up to seven bytes behind the end, and digits come from tables
// of 1,000 entries. Invariant: whoever uses this has SLACK bytes of room behind the line; what is written behind an end is
// overwritten by what follows, or is not part of the line.

/** Bytes that may be written behind the end of a text or number. */
export const SLACK = 8;

/** Texts up to this long are kept for copying in words. */
const KEPT_BYTES = 64;
/** Texts kept; a power of two. */
const KEPT_TEXTS = 64;

/** A place to render lines in: the same bytes as an array and as a view. */
export class TextWriter {
  readonly bytes: Uint8Array;
  private readonly view: DataView;
  /** What span() copies from, and the last position there from which eight bytes may be read. */
  private readonly source: DataView;
  private readonly sourceLimit: number;
  /** By slot: a text that was written before, and a copy of it that can be read in words. Its bytes never change. */
  private readonly kept: (Uint8Array | null)[];
  private readonly keptBytes: Uint8Array;
  private readonly keptView: DataView;

  /** `source`: the memory that span() copies from. */
  constructor(bytes: Uint8Array, source: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.source = new DataView(source.buffer, source.byteOffset, source.byteLength);
    this.sourceLimit = source.byteLength - SLACK;
    this.kept = new Array(KEPT_TEXTS).fill(null);
    this.keptBytes = new Uint8Array(KEPT_TEXTS * KEPT_BYTES + SLACK);
    this.keptView = new DataView(this.keptBytes.buffer);
  }

  /** Copies a span of the source; an offset of -1 is unknown: `-`. Returns the end. */
  span(at: number, offset: number, length: number): number {
    if (offset < 0) {
      this.bytes[at] = DASH;
      return at + 1;
    }
    if (((offset + length) | 0) > this.sourceLimit) {
      for (let i = 0; i < length; i++) {
        this.bytes[at + i] = this.source.getUint8(offset + i);
      }
      return at + length;
    }
    return this.words(at, this.source, offset, length);
  }

  /** Copies a text; null is unknown: `-`. Returns the end. The same array must always hold the same bytes. */
  text(at: number, text: Uint8Array | null): number {
    if (text === null) {
      this.bytes[at] = DASH;
      return at + 1;
    }
    const length = text.length;
    if (length === 0) {
      return at;
    }
    // Few texts are written again and again: names of clusters, addresses of backends.
    const slot = (Math.imul(length, 7) + text[length - 1]) & (KEPT_TEXTS - 1);
    if (this.kept[slot] !== text) {
      if (length > KEPT_BYTES) {
        this.bytes.set(text, at);
        return at + length;
      }
      this.kept[slot] = text;
      this.keptBytes.set(text, slot * KEPT_BYTES);
    }
    return this.words(at, this.keptView, Math.imul(slot, KEPT_BYTES), length);
  }

  /** Copies `length` bytes, and up to seven more, from a view that has them. Returns the end. */
  words(at: number, source: DataView, offset: number, length: number): number {
    const view = this.view;
    const end = (at + length) | 0;
    const shift = (offset - at) | 0;
    for (let i = at; i < end; i = (i + 8) | 0) {
      view.setBigUint64(i, source.getBigUint64((i + shift) | 0, true), true);
    }
    return end;
  }

  /** Up to four bytes as a little-endian word. */
  word(at: number, word: number): void {
    this.view.setInt32(at, word, true);
  }

  /** Digits of an integer from 0 to 2^53. Returns the end. */
  decimal(at: number, value: number): number {
    if (value < 1000) {
      return this.upTo999(at, value | 0);
    }
    if (value < 1e6) {
      const whole = value | 0;
      const thousands = (whole / 1000) | 0;
      const end = this.upTo999(at, thousands);
      this.view.setInt32(end, DIGITS[whole - Math.imul(thousands, 1000)], true);
      return (end + 3) | 0;
    }
    const high = Math.floor(value / 1e6);
    at = this.decimal(at, high);
    this.sixDigits(at, (value - high * 1e6) | 0, 0);
    return at + 6;
  }

  /** Exactly six digits of a number below 1e6, and the byte that follows them. */
  sixDigits(at: number, value: number, following: number): void {
    const thousands = (value / 1000) | 0;
    this.view.setInt32(at, DIGITS[thousands], true);
    this.view.setInt32(at + 3, DIGITS[value - Math.imul(thousands, 1000)] | (following << 24), true);
  }

  private upTo999(at: number, value: number): number {
    const digits = SHORT_DIGITS[value];
    this.view.setInt32(at, digits, true);
    return (at + (digits >> 24)) | 0;
  }
}

const DASH = 0x2d;

/** The three digits of 0 to 999, first digit in the lowest byte. */
const DIGITS = new Int32Array(1000);
/** The same without leading zeros; the highest byte says how many there are. */
const SHORT_DIGITS = new Int32Array(1000);
for (let i = 0; i < 1000; i++) {
  const text = String(i).padStart(3, "0");
  DIGITS[i] = text.charCodeAt(0) | (text.charCodeAt(1) << 8) | (text.charCodeAt(2) << 16);
  const length = String(i).length;
  SHORT_DIGITS[i] = (DIGITS[i] >> (8 * (3 - length))) | (length << 24);
}
