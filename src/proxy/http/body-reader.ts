// Reads the body of one message, whichever way it is delimited, and hands its bytes to the exchange.
//
// Used on both sides: on the client's for requests, on the backend's for responses. Trailers that come in pieces are kept
// together in one pooled buffer until their section is complete. Without an exchange the body is read and dropped.

import type { BufferPool } from "../../loop/buffer-pool.ts";
import { CHUNKED, ChunkedDecoder } from "../../wire/http1/chunked-decoder.ts";
import { WireError } from "../../wire/http1/errors.ts";
import { CHUNK_OVERHEAD_PER_DATA, CHUNK_OVERHEAD_PER_DATA_OF_ANSWERS } from "../../wire/http1/limits.ts";
import { TrailerDecoder } from "../../wire/http1/trailer-decoder.ts";
import type { Exchange } from "../exchange.ts";

const KIND_LENGTH = 0;
const KIND_CHUNKED = 1;
const KIND_TRAILERS = 2;
const KIND_UNTIL_CLOSE = 3;

export class BodyReader {
  /** Where the last read stopped: behind the body when it is done, else at the end of the input. */
  position: number;
  isDone: boolean;
  next: BodyReader | null;
  readonly #buffers: BufferPool;
  #kind: number;
  #isRequest: boolean;
  #remaining: number;
  readonly #chunked: ChunkedDecoder;
  #trailers: TrailerDecoder | null;
  #held: number;
  #heldEnd: number;

  constructor(buffers: BufferPool) {
    this.position = 0;
    this.isDone = false;
    this.next = null;
    this.#buffers = buffers;
    this.#kind = KIND_LENGTH;
    this.#isRequest = false;
    this.#remaining = 0;
    this.#chunked = new ChunkedDecoder();
    this.#trailers = null;
    this.#held = -1;
    this.#heldEnd = 0;
  }

  /** `length` -1 without chunked: until the connection ends. */
  begin(chunked: boolean, length: number, isRequest: boolean): void {
    this.isDone = !chunked && length === 0;
    this.#isRequest = isRequest;
    this.#remaining = length;
    if (chunked) {
      this.#kind = KIND_CHUNKED;
      this.#chunked.reset(isRequest ? CHUNK_OVERHEAD_PER_DATA : CHUNK_OVERHEAD_PER_DATA_OF_ANSWERS);
    } else {
      this.#kind = length < 0 ? KIND_UNTIL_CLOSE : KIND_LENGTH;
    }
  }

  /** Gives back what an unfinished body holds. */
  release(): void {
    if (this.#held === -1) return;
    this.#buffers.give(this.#held);
    this.#held = -1;
    this.#heldEnd = 0;
  }

  get isUntilClose(): boolean {
    return this.#kind === KIND_UNTIL_CLOSE;
  }

  /** Bytes that certainly belong to the body still; 0 when that is not known. */
  get remaining(): number {
    return this.#kind === KIND_LENGTH ? this.#remaining : 0;
  }

  /** Known to end within `bytes` more bytes. */
  isShorterThan(bytes: number): boolean {
    return this.#kind === KIND_LENGTH && this.#remaining < bytes;
  }

  /** Reads [at, end). Returns 0 or -(WireError); see `position` and `isDone`. */
  read(bytes: Uint8Array, at: number, end: number, exchange: Exchange | null): number {
    switch (this.#kind) {
      case KIND_LENGTH: {
        const length = Math.min(this.#remaining, end - at);
        if (exchange !== null) this.#body(exchange, at, length);
        this.#remaining -= length;
        this.position = at + length;
        this.isDone = this.#remaining === 0;
        return 0;
      }
      case KIND_CHUNKED:
        return this.#readChunks(bytes, at, end, exchange);
      case KIND_TRAILERS:
        return this.#readTrailers(bytes, at, end, exchange);
      default:
        if (exchange !== null) this.#body(exchange, at, end - at);
        this.position = end;
        return 0;
    }
  }

  #body(exchange: Exchange, offset: number, length: number): void {
    if (this.#isRequest) exchange.requestBody(offset, length);
    else exchange.responseBody(offset, length);
  }

  #readChunks(bytes: Uint8Array, from: number, end: number, exchange: Exchange | null): number {
    const decoder = this.#chunked;
    let at = from;
    for (;;) {
      const result = decoder.next(bytes, at, end);
      at = decoder.position;
      switch (result) {
        case CHUNKED.DATA:
          if (exchange !== null) this.#body(exchange, decoder.dataStart, decoder.dataEnd - decoder.dataStart);
          break;
        case CHUNKED.NEED_MORE:
          this.position = end;
          return 0;
        case CHUNKED.END:
          this.position = at;
          this.isDone = true;
          return 0;
        case CHUNKED.TRAILER_START:
          this.#kind = KIND_TRAILERS;
          if (this.#trailers === null) this.#trailers = new TrailerDecoder();
          this.#trailers.reset();
          return this.#readTrailers(bytes, at, end, exchange);
        default:
          return result;
      }
    }
  }

  #readTrailers(bytes: Uint8Array, at: number, end: number, exchange: Exchange | null): number {
    const decoder = this.#trailers as TrailerDecoder;
    let base = at;
    let from = at;
    let to = end;
    if (this.#held !== -1) {
      // A trailer section is bounded by one buffer, like a head.
      if (this.#heldEnd + end - at > this.#buffers.bufferSize) return -WireError.TooManyFields;
      base = this.#held;
      from = this.#held + this.#heldEnd;
      bytes.copyWithin(from, at, end);
      to = from + end - at;
      this.#heldEnd += end - at;
    }
    const length = decoder.decode(bytes, base, from, to);
    if (length < 0) return length;
    if (length === 0) {
      this.position = end;
      return this.#held === -1 ? this.#hold(bytes, at, end) : 0;
    }
    if (exchange !== null) {
      if (this.#isRequest) exchange.requestTrailers(decoder.head, base);
      else exchange.responseTrailers(decoder.head, base);
    }
    this.position = at + (length - (from - base));
    this.isDone = true;
    this.release();
    return 0;
  }

  #hold(bytes: Uint8Array, at: number, end: number): number {
    if (end - at > this.#buffers.bufferSize) return -WireError.TooManyFields;
    const buffer = this.#buffers.take();
    if (buffer === -1) return -WireError.TooManyFields;
    bytes.copyWithin(buffer, at, end);
    this.#held = buffer;
    this.#heldEnd = end - at;
    return 0;
  }
}

/** Lends body readers. */
export class BodyReaders {
  readonly #buffers: BufferPool;
  #free: BodyReader | null;

  constructor(buffers: BufferPool) {
    this.#buffers = buffers;
    this.#free = null;
  }

  take(): BodyReader {
    const reader = this.#free;
    if (reader === null) return new BodyReader(this.#buffers);
    this.#free = reader.next;
    reader.next = null;
    return reader;
  }

  give(reader: BodyReader): void {
    reader.release();
    reader.next = this.#free;
    this.#free = reader;
  }
}
