// Framing of the command socket (spec 4.1): 8 bytes little-endian length that counts itself, then a protobuf body.
// FrameDecoder contract: next() returns MESSAGE, an error code, or NEED_MORE; it never throws on input. A length above
// the limit is found before anything is allocated for it and is final: the stream cannot be followed any more, the
// connection is to be closed. A length below 8 consumes the 8 bytes and reading goes on behind them (CP-01).

import { CLIENT_BUFFER_BYTES, FRAME_BYTES_MAX, FRAME_PREFIX_BYTES } from "./limits.ts";

/** What FrameDecoder.next() found. */
export const FRAME = {
  NEED_MORE: 0,
  /** `body` holds a message. */
  MESSAGE: 1,
  /** Length below 8: the 8 bytes are consumed, call next() again. */
  LENGTH_UNDER_DELIMITER: -1,
  /** Length above the limit: final, every later call returns it again. */
  TOO_LARGE: -2,
} as const;

export type FrameResult = (typeof FRAME)[keyof typeof FRAME];

/** Sizes of a decoder, in bytes. */
export interface FrameLimits {
  /** First size of the buffer and the size it shrinks back to. Default 4096. */
  readonly initialBytes?: number;
  /** Largest frame, prefix included. Default 2,000,000. */
  readonly maxBytes?: number;
}

/**
 * Cuts a byte stream into frames. push() bytes as they come, then call next() until it returns NEED_MORE.
 * The buffer holds at most one frame plus what one push() brought.
 */
export class FrameDecoder {
  /** The body after MESSAGE: a view, valid until the next push(). */
  body: Uint8Array;
  /** Largest frame seen, prefix included; for the "80 % of the limit" warning of the caller. */
  largestBytes: number;
  readonly maxBytes: number;
  readonly #initialBytes: number;
  #buffer: Uint8Array;
  #start: number;
  #end: number;
  #failed: boolean;

  constructor(limits: FrameLimits = {}) {
    this.body = EMPTY;
    this.largestBytes = 0;
    this.maxBytes = limits.maxBytes ?? FRAME_BYTES_MAX;
    this.#initialBytes = limits.initialBytes ?? CLIENT_BUFFER_BYTES;
    this.#buffer = EMPTY;
    this.#start = 0;
    this.#end = 0;
    this.#failed = false;
  }

  /** Bytes that wait for the rest of their frame. */
  get buffered(): number {
    return this.#end - this.#start;
  }

  /** What waits for the rest of its frame; valid until the next call. */
  get rest(): Uint8Array {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  /** Takes a copy of `chunk`. Ignored after TOO_LARGE. */
  push(chunk: Uint8Array): void {
    if (this.#failed || chunk.length === 0) return;
    this.body = EMPTY;
    const held = this.#end - this.#start;
    const needed = held + chunk.length;
    if (this.#end + chunk.length > this.#buffer.length) this.#makeRoom(held, needed);
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  next(): FrameResult {
    if (this.#failed) return FRAME.TOO_LARGE;
    const held = this.#end - this.#start;
    if (held < FRAME_PREFIX_BYTES) return this.#rest(held);
    const low = readUint32(this.#buffer, this.#start);
    const high = readUint32(this.#buffer, this.#start + 4);
    if (high !== 0 || low > this.maxBytes) {
      this.#failed = true;
      this.#buffer = EMPTY;
      this.body = EMPTY;
      this.#start = 0;
      this.#end = 0;
      return FRAME.TOO_LARGE;
    }
    if (low < FRAME_PREFIX_BYTES) {
      this.#start += FRAME_PREFIX_BYTES;
      return FRAME.LENGTH_UNDER_DELIMITER;
    }
    if (held < low) return FRAME.NEED_MORE;
    this.body = this.#buffer.subarray(this.#start + FRAME_PREFIX_BYTES, this.#start + low);
    this.#start += low;
    if (low > this.largestBytes) this.largestBytes = low;
    return FRAME.MESSAGE;
  }

  /** A drained decoder gives its buffer back, so an idle session holds none. */
  #rest(held: number): FrameResult {
    if (held === 0 && this.#start > 0) {
      this.#start = 0;
      this.#end = 0;
      if (this.#buffer.length > this.#initialBytes) this.#buffer = EMPTY;
    }
    return FRAME.NEED_MORE;
  }

  #makeRoom(held: number, needed: number): void {
    let buffer = this.#buffer;
    if (needed > buffer.length) {
      let size = Math.max(buffer.length, this.#initialBytes);
      while (size < needed) size *= 2;
      // A frame never needs more than the limit; what lies behind it came with one push and is bounded by it.
      buffer = new Uint8Array(Math.min(size, Math.max(needed, this.maxBytes)));
    }
    buffer.set(this.#buffer.subarray(this.#start, this.#end), 0);
    this.#buffer = buffer;
    this.#start = 0;
    this.#end = held;
  }
}

/** Puts the prefix before a body: one new array. Null when the frame would exceed `maxBytes`. */
export function encodeFrame(body: Uint8Array, maxBytes: number = FRAME_BYTES_MAX): Uint8Array | null {
  const size = body.length + FRAME_PREFIX_BYTES;
  if (size > maxBytes) return null;
  const frame = new Uint8Array(size);
  frame[0] = size & 0xff;
  frame[1] = (size >>> 8) & 0xff;
  frame[2] = (size >>> 16) & 0xff;
  frame[3] = (size >>> 24) & 0xff;
  frame.set(body, FRAME_PREFIX_BYTES);
  return frame;
}

const EMPTY: Uint8Array = new Uint8Array(0);

function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
