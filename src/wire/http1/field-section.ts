// Decoder of a field section: the lines after a start line, and the trailers of a chunked body (RFC 9112 5, 7.1.2).
// Contract: decode() returns the position after the blank line (> 0), 0 for "need more", or -(WireError). Never throws.
// Two ways read the same grammar: `cleanLines` takes whole lines of the usual shape four bytes at a time and leaves
// everything else to the state machine, which can stop at any byte. A line is looked at by the first at most once, by the
// second at most once, so work is linear however the bytes arrive. Tests feed both ways and compare.

import { COLON, CR, FIELD_CONTENT, HTAB, LF, SP, TOKEN } from "./bytes.ts";
import { WireError } from "./errors.ts";
import { CANONICAL, DROP, FIELD_STRIDE, Head, UNKNOWN } from "./head.ts";
import { FIELDS_MAX } from "./limits.ts";
import { KNOWN_NAME_BYTES_MAX, lookupName, lookupWords } from "./names.ts";

const STATE = { LINE_START: 0, NAME: 1, VALUE_START: 2, VALUE: 3, VALUE_LF: 4, END_LF: 5 } as const;

const NAME_PLAIN = 1;
const NAME_UNDERSCORED = 2;
const UNDERSCORE = 0x5f;
const DASH = 0x2d;
/** Where isShadow spells a name with `-`. */
const shadow = new Uint8Array(KNOWN_NAME_BYTES_MAX);
const shadowView = new DataView(shadow.buffer);

const ONES = 0x01010101;
const HIGHS = 0x80808080 | 0;
const COLONS = 0x3a3a3a3a;
const SPACES = 0x20202020;
/** `: ` in the low bytes of a little-endian word; CRLF in its middle. */
const COLON_SPACE = 0x203a;
const CRLF_BEHIND = 0x0a0d00;
const CRLF_PAIR = 0x0a0d;

/** The state of one field section and the table that it fills. */
export class FieldSection {
  /** Filled line by line; complete when decode() returned > 0. */
  readonly head: Head;
  private readonly dropShadows: boolean;
  private state: number;
  private nameStart: number;
  private nameEnd: number;
  private valueStart: number;
  private valueEnd: number;
  /** Word access to the bytes of the last call: made anew only when another array arrives. */
  private viewed: Uint8Array;
  private view: DataView;

  /** `dropShadows`: flag DROP on names that are known ones spelt with `_`. For what clients send. */
  constructor(dropShadows: boolean) {
    this.dropShadows = dropShadows;
    this.head = new Head();
    this.state = STATE.LINE_START;
    this.nameStart = 0;
    this.nameEnd = 0;
    this.valueStart = 0;
    this.valueEnd = 0;
    this.viewed = new Uint8Array(0);
    this.view = new DataView(this.viewed.buffer);
  }

  /** Ready for the next section; forgets the fields. */
  reset(): void {
    this.head.reset();
    this.state = STATE.LINE_START;
  }

  /** A view of `bytes` for loads of several bytes. */
  viewOf(bytes: Uint8Array): DataView {
    if (bytes !== this.viewed) {
      this.viewed = bytes;
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    return this.view;
  }

  /** See the contract above. `from` is where the previous call stopped (its `to`, in the coordinates of this call). */
  decode(bytes: Uint8Array, base: number, from: number, to: number): number {
    const view = this.viewOf(bytes);
    let i = from;
    let state = this.state;
    if (state === STATE.LINE_START) {
      i = this.cleanLines(bytes, view, base, from, to);
      // Nearly every section is whole and of the usual shape: the blank line is next.
      if (i <= to - 2 && view.getUint16(i, true) === CRLF_PAIR) return i + 2 - base;
    }
    while (i < to) {
      switch (state) {
        case STATE.LINE_START: {
          i = this.cleanLines(bytes, view, base, i, to);
          if (i >= to) break;
          const c = bytes[i];
          if (c === CR) state = STATE.END_LF;
          else if (TOKEN[c] === 1) {
            this.nameStart = i - base;
            state = STATE.NAME;
          } else return lineStartError(c);
          i++;
          break;
        }
        case STATE.NAME: {
          while (i < to && TOKEN[bytes[i]] === 1) i++;
          if (i === to) break;
          const c = bytes[i];
          if (c !== COLON) return nameError(c);
          this.nameEnd = i - base;
          state = STATE.VALUE_START;
          i++;
          break;
        }
        case STATE.VALUE_START:
          while (i < to && (bytes[i] === SP || bytes[i] === HTAB)) i++;
          if (i === to) break;
          this.valueStart = i - base;
          state = STATE.VALUE;
          break;
        case STATE.VALUE: {
          while (i < to && FIELD_CONTENT[bytes[i]] === 1) i++;
          if (i === to) break;
          const c = bytes[i];
          if (c !== CR) return c === LF ? -WireError.BareLineFeed : -WireError.InvalidFieldValue;
          this.valueEnd = i - base;
          state = STATE.VALUE_LF;
          i++;
          break;
        }
        case STATE.VALUE_LF:
          if (bytes[i] !== LF) return -WireError.BareCarriageReturn;
          if (!this.addLine(bytes, view, base)) return -WireError.TooManyFields;
          state = STATE.LINE_START;
          i++;
          break;
        default:
          if (bytes[i] !== LF) return -WireError.BareCarriageReturn;
          return i + 1 - base;
      }
    }
    this.state = state;
    return 0;
  }

  /**
   * Takes complete lines `name: value CRLF` of the usual shape and returns the start of the first line that is not one:
   * the blank line, an unusual or wrong line, or one that is not whole yet.
   */
  private cleanLines(bytes: Uint8Array, view: DataView, base: number, from: number, to: number): number {
    const head = this.head;
    const fields = head.fields;
    const last = head.last;
    const limit = (to - 4) | 0;
    let count = head.count;
    let present = head.present;
    let repeated = head.repeated;
    // `| 0` on sums of positions spares compiled code the check for overflow, which costs as much as the sum; here it makes
    // the position a machine integer throughout the loop.
    let line = from | 0;
    while (count < FIELDS_MAX && line <= limit) {
      const first = view.getInt32(line, true);
      // The blank line, checked first: a body may follow it, in which no colon is to be looked for.
      if ((first & 0xff) === CR) break;
      let i = line;
      let x = first ^ COLONS;
      let flags = (x - ONES) & ~x & HIGHS;
      while (flags === 0) {
        i = (i + 4) | 0;
        if (i > limit) break;
        x = view.getInt32(i, true) ^ COLONS;
        flags = (x - ONES) & ~x & HIGHS;
      }
      i = (i + ((31 - Math.clz32(flags & -flags)) >> 3)) | 0;
      // i is the first colon at or after `line`; if that is beyond this line, the name below is no token.
      // One space, then a value that begins and ends with a visible byte: the shape that can be forwarded as it is.
      // (An empty value ends with the space before it, and is left to the state machine.)
      const value = (i + 2) | 0;
      if (flags === 0 || value > limit) break;
      const around = view.getInt32(i, true);
      if ((around & 0xffff) !== COLON_SPACE || (around & 0xff0000) === SP << 16) break;
      const end = contentEnd(view, value, limit);
      if (end > limit + 1) break;
      // The last byte of the value and what follows it; a shorter rest is no whole head anyway.
      const ending = view.getInt32(end - 1, true);
      if ((ending & 0xffff00) !== CRLF_BEHIND || (ending & 0xff) === SP) break;
      const length = (i - line) | 0;
      let id = -1;
      if (length >= 4) {
        if (length <= KNOWN_NAME_BYTES_MAX) {
          id = lookupWords(view, line, length, first, view.getInt32((i - 4) | 0, true));
        }
      } else if (length > 1) id = lookupName(view, line, length);
      let rowFlags: number = CANONICAL;
      if (id < 0) {
        const classes = nameClasses(bytes, line, i);
        if (classes === 0) break;
        if (classes === NAME_UNDERSCORED && this.isShadow(bytes, line, i)) rowFlags = CANONICAL | DROP;
        id = UNKNOWN;
      }
      const row = Math.imul(count, FIELD_STRIDE);
      fields[row] = line - base;
      fields[(row + 1) | 0] = i - base;
      fields[(row + 2) | 0] = value - base;
      fields[(row + 3) | 0] = end - base;
      fields[(row + 4) | 0] = id;
      fields[(row + 5) | 0] = rowFlags;
      last[id] = count;
      count = (count + 1) | 0;
      const bit = 1 << id;
      repeated |= present & bit;
      present |= bit;
      line = (end + 2) | 0;
    }
    head.count = count;
    head.present = present;
    head.repeated = repeated;
    return line;
  }

  private addLine(bytes: Uint8Array, view: DataView, base: number): boolean {
    const { nameStart, nameEnd, valueStart } = this;
    const lineEnd = this.valueEnd;
    let valueEnd = lineEnd;
    while (valueEnd > valueStart && (bytes[base + valueEnd - 1] === SP || bytes[base + valueEnd - 1] === HTAB))
      valueEnd--;
    const canonical = valueEnd === lineEnd && valueStart === nameEnd + 2 && bytes[base + nameEnd + 1] === SP;
    const length = nameEnd - nameStart;
    let id = length <= KNOWN_NAME_BYTES_MAX ? lookupName(view, base + nameStart, length) : -1;
    let flags = canonical ? CANONICAL : 0;
    if (id < 0) {
      id = UNKNOWN;
      const from = base + nameStart;
      const to = base + nameEnd;
      if (nameClasses(bytes, from, to) === NAME_UNDERSCORED && this.isShadow(bytes, from, to)) flags |= DROP;
    }
    return this.head.add(nameStart, nameEnd, valueStart, valueEnd, id, flags);
  }

  /**
   * True when the name [from, to) would be a known one if its `_` were `-`, and such fields are to be dropped. Gateways that
   * turn names into variables (CGI, WSGI) read both as one: `X_Forwarded_For` would pass for what this proxy says.
   */
  private isShadow(bytes: Uint8Array, from: number, to: number): boolean {
    const length = to - from;
    if (!this.dropShadows || length > KNOWN_NAME_BYTES_MAX) return false;
    for (let i = 0; i < length; i++) {
      const c = bytes[from + i];
      shadow[i] = c === UNDERSCORE ? DASH : c;
    }
    const id = lookupName(shadowView, 0, length);
    return id >= 0 && id !== UNKNOWN;
  }
}

/**
 * The first position at or after `from` whose byte is a control character, DEL, or 0xff (which merely ends the fast way),
 * looking at words that start at or before `limit`; `limit + 4` when there is none.
 * A byte below 0x20 borrows into bit 7 when 0x20 is taken away; 0x7f carries into bit 7 when 1 is added. A borrow or carry
 * can only disturb bytes above the one that caused it, so the lowest flag is exact.
 */
export function contentEnd(view: DataView, from: number, limit: number): number {
  let i = from;
  while (i <= limit) {
    const x = view.getInt32(i, true);
    const flags = (((x - SPACES) & ~x) | ((x + ONES) ^ x)) & HIGHS;
    if (flags !== 0) return (i + ((31 - Math.clz32(flags & -flags)) >> 3)) | 0;
    i = (i + 4) | 0;
  }
  return (limit + 4) | 0;
}

/** 0 when [from, to) is no token, else NAME_PLAIN or NAME_UNDERSCORED. */
function nameClasses(bytes: Uint8Array, from: number, to: number): number {
  let kind = from === to ? 0 : NAME_PLAIN;
  for (let i = from; i < to; i++) {
    const c = bytes[i];
    if (TOKEN[c] === 0) return 0;
    if (c === UNDERSCORE) kind = NAME_UNDERSCORED;
  }
  return kind;
}

function lineStartError(c: number): number {
  if (c === SP || c === HTAB) return -WireError.ObsoleteFolding;
  if (c === COLON) return -WireError.EmptyFieldName;
  if (c === LF) return -WireError.BareLineFeed;
  return -WireError.InvalidFieldName;
}

function nameError(c: number): number {
  if (c === SP || c === HTAB) return -WireError.SpaceBeforeColon;
  if (c === CR || c === LF) return -WireError.MissingColon;
  return -WireError.InvalidFieldName;
}
