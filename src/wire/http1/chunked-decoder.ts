// Decoder of the chunked transfer coding (RFC 9112 7.1). Contract: next() returns one of CHUNKED, or -(WireError), and sets
// `position` to where the caller goes on. It never throws on input, copies nothing and can stop at any byte. Sizes are
// plain hexadecimal, extensions are checked and thrown away, line ends are CRLF and nothing else, white space is nowhere.
//
// How a caller reads a body:
//   loop: next(bytes, position, to)
//     DATA           body bytes are [dataStart, dataEnd) of this call's array; go on at `position`
//     NEED_MORE      all bytes are used up; call again with the bytes that follow
//     END            the body and its final CRLF end at `position`; what follows is the next message
//     TRAILER_START  a trailer section begins at `position`: give the bytes from there on to a TrailerDecoder (the caller
//                    keeps them together until it is complete, as it does with a head); its length ends the message

import { CR, HEX_VALUE, LF, TOKEN } from "./bytes.ts";
import { WireError } from "./errors.ts";
import { BODY_BYTES_MAX, CHUNK_OVERHEAD_BYTES_MAX, CHUNK_OVERHEAD_PER_DATA, CHUNK_SIZE_DIGITS_MAX } from "./limits.ts";

/** Results of next() that are no errors. */
export const CHUNKED = { NEED_MORE: 0, DATA: 1, TRAILER_START: 2, END: 3 } as const;

const STATE = {
  SIZE: 0,
  SIZE_LF: 1,
  DATA: 2,
  DATA_CR: 3,
  DATA_LF: 4,
  LAST: 5,
  LAST_LF: 6,
  TRAILERS: 7,
  DONE: 8,
  EXTENSION_NAME: 9,
  EXTENSION_VALUE: 10,
  EXTENSION_QUOTED: 11,
  EXTENSION_ESCAPE: 12,
  EXTENSION_QUOTED_END: 13,
} as const;

const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** The budget never grows beyond this, so it stays a small integer. */
const BUDGET_MAX = 0x3fffffff;

/** The state of one chunked body. */
export class ChunkedDecoder {
  /** After DATA: the body bytes, absolute positions in the array of that call. */
  dataStart: number;
  dataEnd: number;
  /** Where to continue in the array of the last call. */
  position: number;

  private state: number;
  /** Size read so far, or bytes of the chunk still to come; up to 2^53 - 1. */
  private remaining: number;
  /** Digits of the size line so far; in an extension: bytes of the name or value so far (0: none yet). */
  private count: number;
  /** Framing bytes that may still come before data has to; see CHUNK_OVERHEAD_BYTES_MAX. */
  private budget: number;
  private perData: number;

  constructor() {
    this.dataStart = 0;
    this.dataEnd = 0;
    this.position = 0;
    this.state = STATE.SIZE;
    this.remaining = 0;
    this.count = 0;
    this.budget = CHUNK_OVERHEAD_BYTES_MAX;
    this.perData = CHUNK_OVERHEAD_PER_DATA;
  }

  /** Ready for the next body. `overheadPerData`: bytes of framing that a byte of data pays for. */
  reset(overheadPerData: number = CHUNK_OVERHEAD_PER_DATA): void {
    this.perData = overheadPerData;
    this.state = STATE.SIZE;
    this.remaining = 0;
    this.count = 0;
    this.budget = CHUNK_OVERHEAD_BYTES_MAX;
  }

  /** Bytes of the current chunk that are still to come, 0 between chunks. */
  get chunkRemaining(): number {
    return this.state === STATE.DATA ? this.remaining : 0;
  }

  /** The next event in bytes [from, to). See the contract above. */
  next(bytes: Uint8Array, from: number, to: number): number {
    let i = from;
    while (i < to) {
      if (this.state === STATE.DATA) return this.takeData(i, to);
      if (this.state === STATE.DONE) break;
      const c = bytes[i];
      if (this.state === STATE.LAST && c !== CR) {
        this.state = STATE.TRAILERS;
        this.position = i;
        return CHUNKED.TRAILER_START;
      }
      if (this.state === STATE.TRAILERS) {
        this.position = i;
        return CHUNKED.TRAILER_START;
      }
      const error = this.frameByte(c);
      if (error < 0) return error;
      i++;
    }
    this.position = i;
    return this.state === STATE.DONE ? CHUNKED.END : CHUNKED.NEED_MORE;
  }

  private takeData(from: number, to: number): number {
    const available = to - from;
    const length = Math.min(this.remaining, available);
    this.remaining -= length;
    if (this.remaining === 0) this.state = STATE.DATA_CR;
    const budget = this.budget + length * this.perData;
    this.budget = Math.min(budget, BUDGET_MAX);
    this.dataStart = from;
    this.dataEnd = this.position = from + length;
    return CHUNKED.DATA;
  }

  /** One byte of framing: 0, or an error. */
  private frameByte(c: number): number {
    if (--this.budget < 0) return -WireError.ChunkOverheadTooLarge;
    switch (this.state) {
      case STATE.SIZE:
        return this.sizeByte(c);
      case STATE.SIZE_LF:
        if (c !== LF) return -WireError.BareCarriageReturn;
        this.state = this.remaining === 0 ? STATE.LAST : STATE.DATA;
        this.count = 0;
        return 0;
      case STATE.DATA_CR:
        if (c !== CR) return -WireError.MissingChunkEnd;
        this.state = STATE.DATA_LF;
        return 0;
      case STATE.DATA_LF:
        if (c !== LF) return -WireError.MissingChunkEnd;
        this.state = STATE.SIZE;
        return 0;
      case STATE.LAST:
        this.state = STATE.LAST_LF;
        return 0;
      case STATE.LAST_LF:
        if (c !== LF) return -WireError.BareCarriageReturn;
        this.state = STATE.DONE;
        return 0;
      default:
        return this.extensionByte(c);
    }
  }

  private sizeByte(c: number): number {
    const digit = HEX_VALUE[c];
    if (digit !== 255) {
      this.remaining = this.remaining * 16 + digit;
      if (++this.count > CHUNK_SIZE_DIGITS_MAX || this.remaining > BODY_BYTES_MAX) return -WireError.ChunkSizeTooLarge;
      return 0;
    }
    if (this.count === 0) return -WireError.InvalidChunkSize;
    if (c === CR) {
      this.state = STATE.SIZE_LF;
      return 0;
    }
    if (c !== SEMICOLON) return c === LF ? -WireError.BareLineFeed : -WireError.InvalidChunkSize;
    this.state = STATE.EXTENSION_NAME;
    this.count = 0;
    return 0;
  }

  /** `;name`, `;name=token`, `;name="quoted"` (RFC 9112 7.1.1), without the white space that grammar calls bad. */
  private extensionByte(c: number): number {
    switch (this.state) {
      case STATE.EXTENSION_NAME:
      case STATE.EXTENSION_VALUE:
        if (TOKEN[c] === 1) {
          this.count = 1;
          return 0;
        }
        if (this.state === STATE.EXTENSION_VALUE && c === QUOTE && this.count === 0) {
          this.state = STATE.EXTENSION_QUOTED;
          return 0;
        }
        if (this.count === 0) return -WireError.InvalidChunkExtension;
        if (this.state === STATE.EXTENSION_NAME && c === EQUALS) {
          this.state = STATE.EXTENSION_VALUE;
          this.count = 0;
          return 0;
        }
        return this.extensionEnd(c);
      case STATE.EXTENSION_QUOTED:
        if (c === QUOTE) this.state = STATE.EXTENSION_QUOTED_END;
        else if (c === BACKSLASH) this.state = STATE.EXTENSION_ESCAPE;
        else if (!isQuotable(c)) return -WireError.InvalidChunkExtension;
        return 0;
      case STATE.EXTENSION_ESCAPE:
        if (!isQuotable(c)) return -WireError.InvalidChunkExtension;
        this.state = STATE.EXTENSION_QUOTED;
        return 0;
      default:
        return this.extensionEnd(c);
    }
  }

  private extensionEnd(c: number): number {
    this.count = 0;
    if (c === CR) this.state = STATE.SIZE_LF;
    else if (c === SEMICOLON) this.state = STATE.EXTENSION_NAME;
    else return c === LF ? -WireError.BareLineFeed : -WireError.InvalidChunkExtension;
    return 0;
  }
}

/** Bytes inside a quoted string (RFC 9110 5.6.4): HTAB, SP, visible, 0x80 to 0xff. */
function isQuotable(c: number): boolean {
  return c === 0x09 || (c >= 0x20 && c !== 0x7f);
}
