// Chunked framing of what we send: one chunk per span, no extensions (RFC 9112 7.1).

import { CRLF, encodeBytes, encodeChunkHead, LAST_CHUNK } from "../../wire/http1/encoder.ts";
import type { Gather } from "../gather.ts";

/** Adds a span (length > 0) as one chunk. */
export function gatherChunk(gather: Gather, bytes: Uint8Array, offset: number, length: number): void {
  gather.commit(encodeChunkHead(bytes, gather.at, length));
  gather.add(offset, length);
  gather.commit(encodeBytes(bytes, gather.at, CRLF));
}

/** The end of a body without trailers. */
export function gatherLastChunk(gather: Gather, bytes: Uint8Array): void {
  gather.commit(encodeBytes(bytes, gather.at, LAST_CHUNK));
}
