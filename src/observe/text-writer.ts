// Puts texts and numbers of a log line into bytes, eight bytes or three digits at a time.
// Copying byte by byte costs about ten instructions a byte, a line has 250 of them, and every request writes a line. So
// spans are copied in words of eight bytes, which may write up to seven bytes behind the end, and digits come from a
// table of 1,000 entries. Invariant: whoever uses this has SLACK bytes of room behind the line; what is written behind
// an end is overwritten by what follows, or is not part of the line.

/** Bytes that may be written behind the end of a text or number. */
export const SLACK = 8;

/** A place to render lines in: the same bytes as an array and as a view. */
export class TextWriter {
  readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Copies a span of `source` (whose array is `sourceBytes`); an offset of -1 is unknown: `-`. Returns the end. */
  span(at: number, source: DataView, offset: number, length: number): number {
    if (offset < 0) {
      this.bytes[at] = DASH;
      return at + 1;
    }
    const view = this.view;
    if (offset + length + SLACK > source.byteLength) {
      for (let i = 0; i < length; i++) {
        view.setUint8(at + i, source.getUint8(offset + i));
      }
      return at + length;
    }
    for (let i = 0; i < length; i += 8) {
      view.setBigUint64(at + i, source.getBigUint64(offset + i, true), true);
    }
    return at + length;
  }

  /** Copies a text; null is unknown: `-`. Returns the end. */
  text(at: number, text: Uint8Array | null): number {
    if (text === null) {
      this.bytes[at] = DASH;
      return at + 1;
    }
    const length = text.length;
    if (length > LOOP_MAX) {
      this.bytes.set(text, at);
    } else {
      const bytes = this.bytes;
      for (let i = 0; i < length; i++) {
        bytes[at + i] = text[i];
      }
    }
    return at + length;
  }

  /** Digits of an integer from 0 to 2^53. Returns the end. */
  decimal(at: number, value: number): number {
    if (value < 1000) {
      return this.upTo999(at, value | 0);
    }
    if (value < 1e6) {
      const thousands = ((value | 0) / 1000) | 0;
      at = this.upTo999(at, thousands);
      this.view.setUint32(at, DIGITS[(value | 0) - thousands * 1000], true);
      return at + 3;
    }
    const high = Math.floor(value / 1e6);
    at = this.decimal(at, high);
    this.sixDigits(at, (value - high * 1e6) | 0, 0);
    return at + 6;
  }

  /** Exactly six digits of a number below 1e6, and the byte that follows them. */
  sixDigits(at: number, value: number, following: number): void {
    const thousands = (value / 1000) | 0;
    this.view.setUint32(at, DIGITS[thousands], true);
    this.view.setUint32(at + 3, DIGITS[value - thousands * 1000] | (following << 24), true);
  }

  private upTo999(at: number, value: number): number {
    const digits = DIGITS[value];
    if (value >= 100) {
      this.view.setUint32(at, digits, true);
      return at + 3;
    }
    if (value >= 10) {
      this.view.setUint16(at, digits >>> 8, true);
      return at + 2;
    }
    this.bytes[at] = digits >>> 16;
    return at + 1;
  }
}

const DASH = 0x2d;
/** Up to here a loop is cheaper than a call of set(). */
const LOOP_MAX = 10;

/** The three digits of 0 to 999, first digit in the lowest byte. */
const DIGITS = new Uint32Array(1000);
for (let i = 0; i < 1000; i++) {
  const text = String(i).padStart(3, "0");
  DIGITS[i] = text.charCodeAt(0) | (text.charCodeAt(1) << 8) | (text.charCodeAt(2) << 16);
}
