// Where a refused head lies, and, for the templates that ask, how far it was understood: which lines are good, what of the
// next one is, and what comes then. Decoders do not keep that: it is found by asking a fresh one for the shortest beginning
// that is refused, which takes as many looks as the length has binary digits, and only when an answer shows it.
// Fields that hold credentials are not shown: a page of the same origin may make a browser send a bad request and read
// the answer, cookies that it may not see included.
// Invariant: noted, read and forgotten within one event; afterwards the bytes may be those of somebody else.

import { LF, latin1 } from "../wire/http1/bytes.ts";
import { RequestDecoder } from "../wire/http1/request-decoder.ts";
import { ResponseDecoder } from "../wire/http1/response-decoder.ts";

/** Bytes of each part that are shown. */
const SHOWN_MAX = 512;
const CR = 0x0d;

export class Fault {
  readonly #bytes: Uint8Array;
  #isRequest: boolean;
  /** -1: there is none, or it is not in a head. */
  #start: number;
  #end: number;
  /** Where the line with the fault begins and where the fault is, once asked for; -1 before. */
  #line: number;
  #at: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#isRequest = true;
    this.#start = -1;
    this.#end = -1;
    this.#line = -1;
    this.#at = -1;
  }

  /** A head in [start, end) is refused; to be forgotten once that is answered. */
  note(isRequest: boolean, start: number, end: number): void {
    this.#isRequest = isRequest;
    this.#start = start;
    this.#end = end;
    this.#line = -1;
  }

  forget(): void {
    this.#start = -1;
  }

  /** The lines that are good. */
  get successfullyParsed(): string {
    return this.#locate() ? this.#show(this.#start, this.#line) : "";
  }

  /** What of the line with the fault comes before it. */
  get partiallyParsed(): string {
    return this.#locate() ? this.#show(this.#line, this.#at) : "";
  }

  /** The rest of that line. */
  get invalid(): string {
    if (!this.#locate()) return "";
    const length = this.#bytes.subarray(this.#at, this.#end).indexOf(LF);
    const to = length === -1 ? this.#end : this.#at + length;
    // The name of the field decides what may be shown, and it lies before the fault.
    return this.#show(this.#line, to) === HIDDEN ? HIDDEN : this.#show(this.#at, to);
  }

  /** `StatusLine`, also for a request line, or `Headers`; empty when the fault is not in a head. */
  get phase(): string {
    if (!this.#locate()) return "";
    return this.#line === this.#start ? "StatusLine" : "Headers";
  }

  #locate(): boolean {
    if (this.#start === -1) return false;
    if (this.#line !== -1) return true;
    const bytes = this.#bytes;
    let good = this.#start;
    let bad = this.#end + 1;
    while (bad - good > 1) {
      const middle = (good + bad) >>> 1;
      if (this.#isRefused(middle)) bad = middle;
      else good = middle;
    }
    this.#at = good;
    // The end of a good line refuses what all of it lacks: then there is no bad byte.
    if (bytes[good] === LF && bytes[good - 1] === CR && good < this.#end) this.#at++;
    this.#line = this.#start + bytes.subarray(this.#start, this.#at).lastIndexOf(LF) + 1;
    return true;
  }

  /** Whether the head is refused when only [start, end) of it is known. */
  #isRefused(end: number): boolean {
    if (end > this.#end) return true;
    const decoder = this.#isRequest ? REQUEST : RESPONSE;
    if (decoder instanceof RequestDecoder) decoder.reset();
    else decoder.begin(false);
    return decoder.decode(this.#bytes, this.#start, this.#start, end) < 0;
  }

  #show(from: number, to: number): string {
    const lines = latin1(this.#bytes, from, Math.min(to, from + SHOWN_MAX)).split("\n");
    return lines.map((line) => (SECRET.test(line) ? HIDDEN : line)).join("\n");
  }
}

const HIDDEN = "[not shown]";
const SECRET = /cookie|authorization/i;
const REQUEST = new RequestDecoder();
const RESPONSE = new ResponseDecoder();
