// The bytes of one write, collected before the system call.
//
// A message leaves in as few writes as possible: an encoded head, spans of a body that still lie where they were read,
// chunk framing. `Gather` lists them as (offset, length) spans of the arena. Encoded bytes and short spans go to its own
// area, so that they merge into one span; long spans stay where they are. A gather is filled and written within one
// event: spans into scratch memory never outlive it.

import { iov, send, writev } from "../os/sockets.ts";
import { tlsWrite, tlsWritev } from "../os/tls.ts";
import { encodeSpan } from "../wire/http1/encoder.ts";

/** Spans that one writev takes; beyond that everything is copied into the area. */
const SPANS_MAX = 60;
/** Bytes up to which a span is copied instead of listed: a copy is cheaper than another vector entry. */
const COPY_MAX = 1024;

export class Gather {
  /** Offset and length of each span. */
  readonly spans: Int32Array;
  count: number;
  /** Total bytes of all spans. */
  total: number;
  /** Where the next encoded byte goes: callers encode at `at`, then call `commit`. */
  at: number;
  readonly areaEnd: number;
  readonly #bytes: Uint8Array;
  readonly #areaStart: number;

  constructor(bytes: Uint8Array, areaStart: number, areaEnd: number) {
    this.spans = new Int32Array(2 * (SPANS_MAX + 4));
    this.count = 0;
    this.total = 0;
    this.at = areaStart;
    this.areaEnd = areaEnd;
    this.#bytes = bytes;
    this.#areaStart = areaStart;
  }

  reset(): void {
    this.count = 0;
    this.total = 0;
    this.at = this.#areaStart;
  }

  /** Bytes were encoded from `at` up to `end`. */
  commit(end: number): void {
    this.#list(this.at, end - this.at);
    this.at = end;
  }

  /** Adds a span that lies still until the peer has it, such as a head slot: never copied. */
  refer(offset: number, length: number): void {
    this.#list(offset, length);
  }

  /** Adds a span of the arena; it must stay untouched until the gather is written. */
  add(offset: number, length: number): void {
    if (length <= COPY_MAX || this.count >= SPANS_MAX) {
      if (this.at + length <= this.areaEnd) {
        this.commit(encodeSpan(this.#bytes, this.at, this.#bytes, offset, offset + length));
        return;
      }
    }
    this.#list(offset, length);
  }

  #list(offset: number, length: number): void {
    if (length === 0) return;
    this.total += length;
    const spans = this.spans;
    const last = 2 * this.count - 2;
    if (last >= 0 && spans[last] + spans[last + 1] === offset) {
      spans[last + 1] += length;
      return;
    }
    spans[last + 2] = offset;
    spans[last + 3] = length;
    this.count++;
  }

  /**
   * One call for all spans, over TLS unless `tls` is -1; there `isLast` ends the output in the same send. Returns the bytes
   * written or -errno; the spans stay listed.
   */
  write(fd: number, tls: number, isLast: boolean): number {
    const spans = this.spans;
    if (this.count === 1) return tls === -1 ? send(fd, spans[0], spans[1]) : tlsWrite(tls, spans[0], spans[1], isLast);
    const words = 2 * this.count;
    for (let i = 0; i < words; i++) iov[i] = spans[i];
    return tls === -1 ? writev(fd, this.count) : tlsWritev(tls, this.count, isLast);
  }
}
