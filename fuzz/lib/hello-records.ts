// Collects the ClientHello of a connection out of TLS records that come in pieces of any size (RFC 8446 5.1): for those who
// look at one without being its TLS server. Contract: push() returns a code of HELLO_RECORDS; it never throws on input.
// Each byte is looked at once, so a client that sends single bytes costs no more than one that does not.

import { HANDSHAKE_HEADER_BYTES, HELLO_BYTES_MAX } from "../../src/wire/client-hello/limits.ts";

/** What push() tells. */
export const HELLO_RECORDS = {
  /** Give it more. */
  MORE: 0,
  /** The message is there: [0, length) of `message`. Bytes behind it were not looked at. */
  COMPLETE: 1,
  /** No record of a handshake: another protocol, an alert, or an empty fragment. */
  OTHER: -1,
  /** A record or the message is longer than allowed: alert record_overflow. */
  TOO_LONG: -2,
} as const;

/** Bytes of a record header, and of its payload before keys are agreed (RFC 8446 5.1). */
const RECORD_HEADER_BYTES = 5;
const RECORD_BYTES_MAX = 16_384;
const HANDSHAKE = 22;
const VERSION_MAJOR = 3;
const CLIENT_HELLO = 1;
const FIRST_BYTES = 4096;

export class HelloRecords {
  /** Grows with what came, up to HELLO_BYTES_MAX. */
  message: Uint8Array;
  length: number;
  /** Bytes of the present record's header that came, and of its payload that are missing. */
  #header: number;
  #missing: number;
  #result: number;

  constructor() {
    this.message = new Uint8Array(0);
    this.length = 0;
    this.#header = 0;
    this.#missing = 0;
    this.#result = HELLO_RECORDS.MORE;
  }

  /** Takes the bytes at [at, end). After anything but MORE it stays what it is. */
  push(bytes: Uint8Array, at: number, end: number): number {
    let next = at;
    while (next < end && this.#result === HELLO_RECORDS.MORE) {
      if (this.#header < RECORD_HEADER_BYTES) {
        this.#readHeader(bytes[next]);
        next += 1;
      } else {
        const taken = Math.min(this.#missing, end - next);
        this.#take(bytes, next, next + taken);
        next += taken;
      }
    }
    return this.#result;
  }

  #readHeader(byte: number): void {
    const at = this.#header;
    this.#header = at + 1;
    if ((at === 0 && byte !== HANDSHAKE) || (at === 1 && byte !== VERSION_MAJOR)) this.#result = HELLO_RECORDS.OTHER;
    if (at === 3) this.#missing = byte << 8;
    if (at !== 4) return;
    this.#missing |= byte;
    // RFC 8446 5.1: handshake messages have no empty fragments.
    if (this.#missing === 0) this.#result = HELLO_RECORDS.OTHER;
    else if (this.#missing > RECORD_BYTES_MAX) this.#result = HELLO_RECORDS.TOO_LONG;
  }

  #take(bytes: Uint8Array, from: number, to: number): void {
    const room = Math.min(to - from, HELLO_BYTES_MAX - this.length);
    this.#ensure(this.length + room);
    for (let i = 0; i < room; i++) this.message[this.length + i] = bytes[from + i];
    this.length += room;
    this.#missing -= to - from;
    if (this.#missing === 0) this.#header = 0;
    this.#judge();
  }

  #judge(): void {
    const { message, length } = this;
    if (message[0] !== CLIENT_HELLO) {
      this.#result = HELLO_RECORDS.OTHER;
      return;
    }
    if (length < HANDSHAKE_HEADER_BYTES) return;
    const whole = HANDSHAKE_HEADER_BYTES + ((message[1] << 16) | (message[2] << 8) | message[3]);
    if (whole > HELLO_BYTES_MAX) this.#result = HELLO_RECORDS.TOO_LONG;
    else if (length >= whole) {
      this.length = whole;
      this.#result = HELLO_RECORDS.COMPLETE;
    }
  }

  #ensure(bytes: number): void {
    if (bytes <= this.message.length) return;
    const grown = new Uint8Array(Math.min(HELLO_BYTES_MAX, Math.max(FIRST_BYTES, bytes, 2 * this.message.length)));
    grown.set(this.message.subarray(0, this.length));
    this.message = grown;
  }
}
