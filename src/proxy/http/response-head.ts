// The head of a response as an HTTP/1 client gets it (spec 5.3): the backend's fields in canonical form without those of
// its connection, the correlation header, the framing that this connection uses.

import { ULID_LENGTH } from "../../observe/ulid.ts";
import {
  CONNECTION_CLOSE,
  CONNECTION_KEEP_ALIVE,
  encodeBytes,
  encodeConstant,
  encodeContentLength,
  encodeFields,
  encodeLineEnd,
  encodeSpan,
  encodeStatusLine,
  LAST_CHUNK_BEFORE_TRAILERS,
  TRANSFER_ENCODING_CHUNKED,
} from "../../wire/http1/encoder.ts";
import type { Head } from "../../wire/http1/head.ts";
import type { TrafficContext } from "../context.ts";
import type { Exchange, FrontStream } from "../exchange.ts";
import type { Gather } from "../gather.ts";
import type { ResponseMessage } from "../messages.ts";
import { stickyLine } from "./cookies.ts";

/** `connection`: 0 says nothing, 1 `close`, 2 `keep-alive`. */
export function encodeResponseHead(
  front: FrontStream,
  exchange: Exchange,
  message: ResponseMessage,
  base: number,
  chunked: boolean,
  connection: number,
): void {
  const { bytes, toFront } = exchange.context;
  const { responseEdits } = exchange;
  // Once for each response: the head is encoded once, and a replay begins with a head of its own.
  if (responseEdits !== null) responseEdits.apply(message.head, bytes, base);
  let at = encodeStatusAndFields(bytes, toFront.at, message, base);
  if (responseEdits !== null) at = encodeConstant(bytes, at, responseEdits.lines);
  at = encodeConstant(bytes, at, front.listener.correlationName);
  at = encodeSpan(bytes, at, bytes, exchange.slot, exchange.slot + ULID_LENGTH);
  at = encodeLineEnd(bytes, at);
  const stickyId = exchange.newStickyId;
  if (stickyId !== null) at = encodeBytes(bytes, at, stickyLine(front.listener.config.stickyName, stickyId));
  if (connection === 1) at = encodeBytes(bytes, at, CONNECTION_CLOSE);
  else if (connection === 2) at = encodeBytes(bytes, at, CONNECTION_KEEP_ALIVE);
  if (chunked) at = encodeBytes(bytes, at, TRANSFER_ENCODING_CHUNKED);
  else if (message.contentLength >= 0) at = encodeContentLength(bytes, at, message.contentLength);
  toFront.commit(encodeLineEnd(bytes, at));
}

/** A 1xx head other than 101: forwarded as it is (RFC 9110 15.2). */
export function encodeInterim(context: TrafficContext, message: ResponseMessage, base: number): void {
  const { bytes, toFront } = context;
  toFront.commit(encodeLineEnd(bytes, encodeStatusAndFields(bytes, toFront.at, message, base)));
}

/** The last chunk, the trailer fields and the blank line: the end of a chunked body. */
export function encodeTrailers(gather: Gather, bytes: Uint8Array, head: Head, base: number): void {
  const at = encodeBytes(bytes, gather.at, LAST_CHUNK_BEFORE_TRAILERS);
  gather.commit(encodeLineEnd(bytes, encodeFields(bytes, at, bytes, base, head)));
}

function encodeStatusAndFields(bytes: Uint8Array, from: number, message: ResponseMessage, base: number): number {
  const at = encodeStatusLine(bytes, from, message.status, bytes, base + message.reasonStart, base + message.reasonEnd);
  return encodeFields(bytes, at, bytes, base, message.head);
}
