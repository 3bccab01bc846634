// The head of a response as an HTTP/1 client gets it (spec 5.3): the backend's fields in canonical form without those of
// its connection, the correlation header, the framing that this connection uses.

import { ULID_LENGTH } from "../../observe/ulid.ts";
import type { HeaderEdits } from "../../policies/header-edits.ts";
import type { HstsPolicy } from "../../policies/hsts.ts";
import {
  CONNECTION_CLOSE,
  CONNECTION_KEEP_ALIVE,
  CONNECTION_UPGRADE,
  Constant,
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
import { type Head, STRICT_TRANSPORT_SECURITY, UPGRADE } from "../../wire/http1/head.ts";
import type { TrafficContext } from "../context.ts";
import type { Exchange } from "../exchange.ts";
import type { Gather } from "../gather.ts";
import type { ResponseMessage } from "../messages.ts";
import type { FrontStream } from "../streams.ts";
import { stickyLine } from "./cookies.ts";

const UPGRADE_NAME = new Constant("Upgrade: ");
const HSTS_BIT = 1 << STRICT_TRANSPORT_SECURITY;

/** What `Connection` says in a response. */
export const CONNECTION_SILENT = 0;
export const CONNECTION_CLOSES = 1;
export const CONNECTION_STAYS = 2;
export const CONNECTION_SWITCHES = 3;

/** `connection`: one of the CONNECTION_ constants. */
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
  const hsts = hstsFor(exchange, message, responseEdits);
  let at = encodeStatusAndFields(bytes, toFront.at, message, base);
  if (hsts !== null) at = encodeConstant(bytes, at, hsts.line);
  if (responseEdits !== null) at = encodeConstant(bytes, at, responseEdits.lines);
  at = encodeConstant(bytes, at, front.listener.correlationName);
  at = encodeSpan(bytes, at, bytes, exchange.slot.at, exchange.slot.at + ULID_LENGTH);
  at = encodeLineEnd(bytes, at);
  const stickyId = exchange.newStickyId;
  if (stickyId !== null) at = encodeBytes(bytes, at, stickyLine(front.listener.config.stickyName, stickyId));
  if (connection === CONNECTION_CLOSES) at = encodeBytes(bytes, at, CONNECTION_CLOSE);
  else if (connection === CONNECTION_STAYS) at = encodeBytes(bytes, at, CONNECTION_KEEP_ALIVE);
  else if (connection === CONNECTION_SWITCHES) at = encodeUpgrade(bytes, at, message, base);
  if (chunked) at = encodeBytes(bytes, at, TRANSFER_ENCODING_CHUNKED);
  else if (message.contentLength >= 0) at = encodeContentLength(bytes, at, message.contentLength);
  toFront.commit(encodeLineEnd(bytes, at));
}

/** The policy whose field is added: none where the backend or an edit of the route has the say (spec 5.11). */
function hstsFor(exchange: Exchange, message: ResponseMessage, edits: HeaderEdits | null): HstsPolicy | null {
  const { hsts } = exchange;
  if (hsts === null || (edits !== null && (edits.dropped & HSTS_BIT) !== 0)) return null;
  if ((message.head.present & HSTS_BIT) === 0) return hsts;
  if (!hsts.replaces) return null;
  message.head.drop(STRICT_TRANSPORT_SECURITY);
  return hsts;
}

function encodeUpgrade(bytes: Uint8Array, from: number, message: ResponseMessage, base: number): number {
  const { head } = message;
  const index = head.indexOf(UPGRADE);
  const at = encodeConstant(bytes, encodeBytes(bytes, from, CONNECTION_UPGRADE), UPGRADE_NAME);
  return encodeLineEnd(bytes, encodeSpan(bytes, at, bytes, base + head.valueStart(index), base + head.valueEnd(index)));
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
