// The head of a request as an HTTP/1 backend gets it (spec 5.3), written straight into a head slot.
//
// What the client sent is copied in runs of lines that are already canonical; dropped and non-canonical lines split the
// runs. Our own fields follow the client's, framing comes last. The slot is what a replay sends and what the access line
// reads, so the places of authority, method, path and User-Agent in it are remembered while they are written.

import {
  METRIC_HTTP_TRUSTING_X_PORT,
  METRIC_HTTP_TRUSTING_X_PROTO,
  METRIC_HTTP_X_REQUEST_ID_GENERATED,
  METRIC_HTTP_X_REQUEST_ID_PROPAGATED,
} from "../../observe/metrics.ts";
import { ULID_LENGTH } from "../../observe/ulid.ts";
import {
  Constant,
  encodeBytes,
  encodeConstant,
  encodeContentLength,
  encodeFields,
  encodeLineEnd,
  encodeSpan,
  TE_TRAILERS,
  TRANSFER_ENCODING_CHUNKED,
} from "../../wire/http1/encoder.ts";
import {
  COOKIE,
  DROP,
  FIELD_STRIDE,
  FORWARDED,
  type Head,
  HOST,
  USER_AGENT,
  X_FORWARDED_FOR,
  X_FORWARDED_PORT,
  X_FORWARDED_PROTO,
  X_REAL_IP,
  X_REQUEST_ID,
} from "../../wire/http1/head.ts";
import { isIdempotent, METHOD } from "../../wire/http1/methods.ts";
import { BLOCK_BYTES_MAX } from "../client-records.ts";
import type { TrafficContext } from "../context.ts";
import type { Exchange, FrontStream, RequestEncoder } from "../exchange.ts";
import type { RequestMessage } from "../messages.ts";
import { type CookieSpan, findCookie, stickyIdOf } from "./cookies.ts";

const VERSION = new Constant(" HTTP/1.1\r\n");
const COOKIE_NAME = new Constant("Cookie: ");
const HOST_NAME = new Constant("Host: ");
const FOR_NAME = new Constant("X-Forwarded-For: ");
const FORWARDED_NAME = new Constant("Forwarded: ");
const FORWARDED_PROTO_FOR = new Constant('proto=http;for="');
const FORWARDED_BY = new Constant('";by=');
const PROTO_LINE = new Constant("X-Forwarded-Proto: http\r\n");
const PORT_NAME = new Constant("X-Forwarded-Port: ");
const REAL_IP_NAME = new Constant("X-Real-IP: ");
const REQUEST_ID_NAME = new Constant("X-Request-Id: ");
const CONNECTION_TE = new Constant("Connection: TE\r\n");
const SEPARATOR = new Constant(", ");

/** Bytes that the additions of this file may take, the correlation header's name aside. */
const ADDED_MAX = 640;

/** Fields of a client that change what we add. */
const FORWARDING =
  (1 << X_FORWARDED_FOR) | (1 << FORWARDED) | (1 << X_FORWARDED_PROTO) | (1 << X_FORWARDED_PORT) | (1 << X_REQUEST_ID);
const REWRITTEN = (1 << X_FORWARDED_FOR) | (1 << FORWARDED) | (1 << X_REAL_IP);

export class Http1RequestEncoder implements RequestEncoder {
  readonly #context: TrafficContext;
  readonly #cookie: CookieSpan;

  constructor(context: TrafficContext) {
    this.#context = context;
    this.#cookie = { start: 0, end: 0, valueStart: 0, valueEnd: 0 };
  }

  encode(exchange: Exchange, message: RequestMessage, base: number): boolean {
    const front = exchange.front as FrontStream;
    const { head } = message;
    const last = head.count === 0 ? message.pathEnd : head.valueEnd(head.count - 1);
    const idName = front.listener.correlationName;
    if (!exchange.takeSlot(last + 2 * head.count + ADDED_MAX + idName.length)) return false;
    const bytes = this.#context.bytes;
    const forwardedFor = this.#rewriteForwarding(front, head);
    const sticky = (head.present & (1 << COOKIE)) === 0 ? -1 : this.#takeSticky(exchange, front, head, base);
    const fieldsAt = this.#requestLine(exchange, message, base);
    rememberFields(exchange, head, fieldsAt);
    let at = encodeFields(bytes, fieldsAt, bytes, base, head);
    if (sticky !== -1) at = this.#otherCookies(at, base, head, sticky);
    at = this.#addForwarding(exchange, front, message, at, base, forwardedFor);
    at = encodeConstant(bytes, at, idName);
    at = encodeLineEnd(bytes, copySpan(bytes, at, exchange.slot, ULID_LENGTH));
    // RFC 9110 10.1.4: TE concerns this hop only, so Connection names it.
    if (message.teTrailers) at = encodeConstant(bytes, encodeBytes(bytes, at, TE_TRAILERS), CONNECTION_TE);
    if (message.contentLength >= 0) at = encodeContentLength(bytes, at, message.contentLength);
    else if (message.hasBody) at = encodeBytes(bytes, at, TRANSFER_ENCODING_CHUNKED);
    at = encodeLineEnd(bytes, at);
    exchange.headLength = at - exchange.headAt;
    exchange.isHead = message.method === METHOD.HEAD;
    exchange.isIdempotent = isIdempotent(message.method);
    return true;
  }

  #requestLine(exchange: Exchange, message: RequestMessage, base: number): number {
    const bytes = this.#context.bytes;
    let at = exchange.headAt;
    const methodLength = message.methodEnd - message.methodStart;
    const pathLength = message.pathEnd - message.pathStart;
    exchange.methodAt = at;
    exchange.methodLength = methodLength;
    if (message.pathStart === message.methodEnd + 1 && pathLength > 0) {
      at = copySpan(bytes, at, base + message.methodStart, methodLength + 1 + pathLength);
      exchange.pathAt = at - pathLength;
      exchange.pathLength = pathLength;
    } else {
      at = copySpan(bytes, at, base + message.methodStart, methodLength);
      bytes[at++] = 0x20;
      exchange.pathAt = at;
      at = this.#absolutePath(message, base, at);
      exchange.pathLength = at - exchange.pathAt;
    }
    at = encodeConstant(bytes, at, VERSION);
    if (!message.hostRewrite) return at;
    const length = message.authorityEnd - message.authorityStart;
    at = encodeConstant(bytes, at, HOST_NAME);
    exchange.authorityAt = at;
    exchange.authorityLength = length;
    return encodeLineEnd(bytes, copySpan(bytes, at, base + message.authorityStart, length));
  }

  /** RFC 9112 3.2.1, 3.2.4: an empty path is sent as `/`, or as `*` for OPTIONS without a query. */
  #absolutePath(message: RequestMessage, base: number, at: number): number {
    const bytes = this.#context.bytes;
    const length = message.pathEnd - message.pathStart;
    if (length === 0) {
      bytes[at] = message.method === METHOD.OPTIONS ? 0x2a : 0x2f;
      return at + 1;
    }
    const first = bytes[base + message.pathStart];
    if (first !== 0x2f && first !== 0x2a) bytes[at++] = 0x2f;
    return copySpan(bytes, at, base + message.pathStart, length);
  }

  /** Remembers the sticky cookie and drops the field that holds it; returns that field's index, or -1. */
  #takeSticky(exchange: Exchange, front: FrontStream, head: Head, base: number): number {
    const bytes = this.#context.bytes;
    const found = this.#cookie;
    const { stickyName } = front.listener;
    for (let i = head.indexOf(COOKIE); i !== -1; i = head.nextIndexOf(COOKIE, i + 1)) {
      if (!findCookie(bytes, base + head.valueStart(i), base + head.valueEnd(i), stickyName, found)) continue;
      exchange.stickyId = stickyIdOf(bytes, found.valueStart, found.valueEnd);
      head.dropIndex(i);
      return i;
    }
    return -1;
  }

  /** The field that held the sticky cookie, without it; nothing when it held no other. */
  #otherCookies(from: number, base: number, head: Head, index: number): number {
    const bytes = this.#context.bytes;
    const found = this.#cookie;
    const start = base + head.valueStart(index);
    const end = base + head.valueEnd(index);
    if (found.start === start && found.end === end) return from;
    let at = encodeConstant(bytes, from, COOKIE_NAME);
    at = copySpan(bytes, at, start, found.start - start);
    return encodeLineEnd(bytes, copySpan(bytes, at, found.end, end - found.end));
  }

  /** Drops the fields that are written anew; returns the index of the X-Forwarded-For to extend, or -1. */
  #rewriteForwarding(front: FrontStream, head: Head): number {
    if ((head.present & REWRITTEN) === 0) return -1;
    if (front.listener.config.elideXRealIp) head.drop(X_REAL_IP);
    const last = head.lastIndexOf(X_FORWARDED_FOR);
    if (last !== -1) head.dropIndex(last);
    const forwarded = head.lastIndexOf(FORWARDED);
    if (forwarded !== -1) head.dropIndex(forwarded);
    return last;
  }

  /** The fields of a client that sends none of them, up to the request id: the same for all its requests. */
  #renderBlock(front: FrontStream, from: number): number {
    const { bytes, records } = this.#context;
    const { listener, record } = front;
    let at = encodeConstant(bytes, from, FOR_NAME);
    at = encodeLineEnd(bytes, copySpan(bytes, at, records.ipAt(record), records.ipLength(record)));
    at = encodeConstant(bytes, encodeConstant(bytes, at, FORWARDED_NAME), FORWARDED_PROTO_FOR);
    at = copySpan(bytes, at, records.addressAt(record), records.addressLength(record));
    at = encodeConstant(bytes, encodeConstant(bytes, at, FORWARDED_BY), listener.publicIpQuoted);
    at = encodeConstant(bytes, encodeLineEnd(bytes, at), PROTO_LINE);
    at = encodeLineEnd(bytes, encodeConstant(bytes, encodeConstant(bytes, at, PORT_NAME), listener.publicPort));
    if (listener.config.sendXRealIp) {
      at = encodeConstant(bytes, at, REAL_IP_NAME);
      at = encodeLineEnd(bytes, copySpan(bytes, at, records.ipAt(record), records.ipLength(record)));
    }
    return encodeConstant(bytes, at, REQUEST_ID_NAME);
  }

  #addForwarding(
    exchange: Exchange,
    front: FrontStream,
    message: RequestMessage,
    from: number,
    base: number,
    forwardedFor: number,
  ): number {
    const { bytes, records, stats } = this.#context;
    const { head } = message;
    const { listener, record } = front;
    const present = head.present;
    if ((present & FORWARDING) === 0) {
      let length = records.blockLength(record);
      let at = from;
      if (length > 0) {
        at = copySpan(bytes, from, records.blockAt(record), length);
      } else {
        at = this.#renderBlock(front, from);
        length = at - from;
        if (length <= BLOCK_BYTES_MAX) {
          copySpan(bytes, records.blockAt(record), from, length);
          records.setBlockLength(record, length);
        }
      }
      stats.values[METRIC_HTTP_X_REQUEST_ID_GENERATED]++;
      return encodeLineEnd(bytes, copySpan(bytes, at, exchange.slot, ULID_LENGTH));
    }
    let at = encodeConstant(bytes, from, FOR_NAME);
    if (forwardedFor !== -1) at = extend(bytes, at, base, head, forwardedFor);
    at = copySpan(bytes, at, records.ipAt(record), records.ipLength(record));
    at = encodeLineEnd(bytes, at);
    at = encodeConstant(bytes, at, FORWARDED_NAME);
    if ((present & (1 << FORWARDED)) !== 0) at = extend(bytes, at, base, head, head.lastIndexOf(FORWARDED));
    at = encodeConstant(bytes, at, FORWARDED_PROTO_FOR);
    at = copySpan(bytes, at, records.addressAt(record), records.addressLength(record));
    at = encodeConstant(bytes, at, FORWARDED_BY);
    at = encodeConstant(bytes, at, listener.publicIpQuoted);
    at = encodeLineEnd(bytes, at);
    if ((present & (1 << X_FORWARDED_PROTO)) === 0) at = encodeConstant(bytes, at, PROTO_LINE);
    else stats.values[METRIC_HTTP_TRUSTING_X_PROTO]++;
    if ((present & (1 << X_FORWARDED_PORT)) === 0) {
      at = encodeConstant(bytes, at, PORT_NAME);
      at = encodeLineEnd(bytes, encodeConstant(bytes, at, listener.publicPort));
    } else stats.values[METRIC_HTTP_TRUSTING_X_PORT]++;
    if (listener.config.sendXRealIp) {
      at = encodeConstant(bytes, at, REAL_IP_NAME);
      at = encodeLineEnd(bytes, copySpan(bytes, at, records.ipAt(record), records.ipLength(record)));
    }
    if ((present & (1 << X_REQUEST_ID)) === 0) {
      at = encodeConstant(bytes, at, REQUEST_ID_NAME);
      at = encodeLineEnd(bytes, copySpan(bytes, at, exchange.slot, ULID_LENGTH));
      stats.values[METRIC_HTTP_X_REQUEST_ID_GENERATED]++;
    } else stats.values[METRIC_HTTP_X_REQUEST_ID_PROPAGATED]++;
    return at;
  }
}

function copySpan(bytes: Uint8Array, at: number, from: number, length: number): number {
  return encodeSpan(bytes, at, bytes, from, from + length);
}

/** The value that the client sent and `, `. An empty one is left out. */
function extend(bytes: Uint8Array, at: number, base: number, head: Head, index: number): number {
  const length = head.valueEnd(index) - head.valueStart(index);
  if (length === 0) return at;
  at = copySpan(bytes, at, base + head.valueStart(index), length);
  return encodeConstant(bytes, at, SEPARATOR);
}

/** Remembers where the encoded fields, which begin at `fieldsAt`, hold what the access line shows. */
function rememberFields(exchange: Exchange, head: Head, fieldsAt: number): void {
  const host = head.indexOf(HOST);
  if (host !== -1 && (head.flags(host) & DROP) === 0) {
    exchange.authorityAt = encodedValueAt(head, host, fieldsAt);
    exchange.authorityLength = head.valueEnd(host) - head.valueStart(host);
  }
  const agent = head.lastIndexOf(USER_AGENT);
  if (agent !== -1 && (head.flags(agent) & DROP) === 0) {
    exchange.userAgentAt = encodedValueAt(head, agent, fieldsAt);
    exchange.userAgentLength = head.valueEnd(agent) - head.valueStart(agent);
  }
}

/** Where the value of a field lies once encoded: each field before it is `name: value CRLF`, or dropped. */
function encodedValueAt(head: Head, index: number, fieldsAt: number): number {
  const { fields } = head;
  let at = fieldsAt;
  for (let row = 0; row < index * FIELD_STRIDE; row += FIELD_STRIDE) {
    if ((fields[row + 5] & DROP) === 0) at += fields[row + 1] - fields[row] + fields[row + 3] - fields[row + 2] + 4;
  }
  return at + head.nameEnd(index) - head.nameStart(index) + 2;
}
