// Where a message ends, as its fields say: Content-Length and Transfer-Encoding (RFC 9112 6), the same for requests and
// responses. Contract: read() returns 0 and sets the facts, or -(WireError). Both fields are flagged DROP: the encoder
// writes the framing anew, so nothing that was misread here can be read otherwise by the next one.

import { CR, SP } from "./bytes.ts";
import { WireError } from "./errors.ts";
import { isChunked, readContentLength } from "./field-values.ts";
import type { Head } from "./head.ts";
import * as field from "./head.ts";

/** The framing read last. */
export class Framing {
  /** 0 to 2^53 - 1, or -1 when there is no Content-Length. */
  contentLength: number;
  chunked: boolean;
  /** True: white space around a framing value is refused beyond one leading space. For what clients send. */
  private readonly tight: boolean;

  constructor(tight: boolean) {
    this.contentLength = -1;
    this.chunked = false;
    this.tight = tight;
  }

  /** Reads the framing fields of a complete head. */
  read(bytes: Uint8Array, base: number, head: Head, versionMinor: number): number {
    this.contentLength = -1;
    this.chunked = false;
    const lengthIndex = head.indexOf(field.CONTENT_LENGTH);
    const codingIndex = head.indexOf(field.TRANSFER_ENCODING);
    if (codingIndex >= 0) {
      // RFC 9112 6.1: both together ought to be handled as an error; in HTTP/1.0 the framing is faulty.
      if (lengthIndex >= 0) return -WireError.ContentLengthWithTransferEncoding;
      if (versionMinor === 0) return -WireError.TransferEncodingInHttp10;
      const once = (head.repeated & (1 << field.TRANSFER_ENCODING)) === 0;
      const chunked = isChunked(bytes, base + head.valueStart(codingIndex), base + head.valueEnd(codingIndex));
      if (!once || !chunked || !this.mayStand(bytes, base, head, codingIndex)) {
        return -WireError.UnsupportedTransferEncoding;
      }
      head.dropIndex(codingIndex);
      this.chunked = true;
    } else if (lengthIndex >= 0) {
      if ((head.repeated & (1 << field.CONTENT_LENGTH)) !== 0) return -WireError.DuplicateContentLength;
      const length = readContentLength(bytes, base + head.valueStart(lengthIndex), base + head.valueEnd(lengthIndex));
      if (length < 0) return length;
      if (!this.mayStand(bytes, base, head, lengthIndex)) return -WireError.InvalidContentLength;
      head.dropIndex(lengthIndex);
      this.contentLength = length;
    }
    return 0;
  }

  /** White space is legal there (RFC 9110 5.5), but around framing it is only sent to find two parsers that disagree. */
  private mayStand(bytes: Uint8Array, base: number, head: Head, index: number): boolean {
    if (!this.tight || (head.flags(index) & field.CANONICAL) !== 0) return true;
    const gap = head.valueStart(index) - head.nameEnd(index);
    if (gap > 2 || (gap === 2 && bytes[base + head.nameEnd(index) + 1] !== SP)) return false;
    return bytes[base + head.valueEnd(index)] === CR;
  }
}
