// Decoder of the trailer section of a chunked body (RFC 9112 7.1.2): the bytes after the last chunk's size line.
// Contract: decode() returns the length of the section with its blank line (> 0), 0 for "need more", or -(WireError).
// Resumable at every byte and relative to `base`, as the heads. Fields that frame, route or authenticate a message mean
// nothing here and are flagged DROP (RFC 9110 6.5.1): trailers are forwarded as trailers, never merged into a head.

import { FieldSection } from "./field-section.ts";
import * as field from "./head.ts";
import { DROP, FIELD_STRIDE, type Head } from "./head.ts";

const FORBIDDEN =
  (1 << field.HOST) |
  (1 << field.CONNECTION) |
  (1 << field.CONTENT_LENGTH) |
  (1 << field.TRANSFER_ENCODING) |
  (1 << field.TE) |
  (1 << field.TRAILER) |
  (1 << field.UPGRADE) |
  (1 << field.KEEP_ALIVE) |
  (1 << field.PROXY_CONNECTION) |
  (1 << field.EXPECT) |
  (1 << field.X_FORWARDED_FOR) |
  (1 << field.FORWARDED) |
  (1 << field.X_FORWARDED_PROTO) |
  (1 << field.X_FORWARDED_PORT) |
  (1 << field.X_FORWARDED_HOST) |
  (1 << field.X_REAL_IP) |
  (1 << field.X_REQUEST_ID) |
  (1 << field.COOKIE) |
  (1 << field.AUTHORIZATION) |
  (1 << field.PROXY_AUTHORIZATION) |
  (1 << field.SET_COOKIE) |
  (1 << field.WWW_AUTHENTICATE) |
  (1 << field.PROXY_AUTHENTICATE) |
  (1 << field.STRICT_TRANSPORT_SECURITY) |
  (1 << field.HTTP2_SETTINGS);

/** A trailer section and the state of reading it. Rare: one per loop, given away only with an incomplete section. */
export class TrailerDecoder {
  /** The fields; those that no trailer may be are flagged DROP. */
  readonly head: Head;
  private readonly section: FieldSection;

  constructor() {
    this.section = new FieldSection(true);
    this.head = this.section.head;
  }

  /** Ready for the next section. */
  reset(): void {
    this.section.reset();
  }

  /** `bytes` holds the section from `base`; bytes [from, to) are new. See the contract above. */
  decode(bytes: Uint8Array, base: number, from: number, to: number): number {
    const end = this.section.decode(bytes, base, from, to);
    if (end > 0 && (this.head.present & FORBIDDEN) !== 0) this.dropForbidden();
    return end;
  }

  private dropForbidden(): void {
    const fields = this.head.fields;
    const end = this.head.count * FIELD_STRIDE;
    for (let row = 0; row < end; row += FIELD_STRIDE) {
      const id = fields[row + 4];
      if (id !== field.UNKNOWN && (FORBIDDEN & (1 << id)) !== 0) fields[row + 5] |= DROP;
    }
  }
}
