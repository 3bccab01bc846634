// The head of a request as an HTTP/1 backend gets it (spec 5.3), written straight into a head slot.
//
// What the client sent is copied in runs of lines that are already canonical; dropped and non-canonical lines split the
// runs. Our own fields follow the client's, framing comes last. The slot is what a replay sends and what the access line
// reads, so the places of authority, method, path and User-Agent in it are remembered while they are written.

import { ULID_LENGTH } from "../../observe/ulid.ts";
import type { RoutePolicy } from "../../routing/route-policy.ts";
import {
  CONNECTION_UPGRADE,
  Constant,
  copySpan,
  encodeBytes,
  encodeConstant,
  encodeContentLength,
  encodeFields,
  encodeLineEnd,
  TE_TRAILERS,
  TRANSFER_ENCODING_CHUNKED,
} from "../../wire/http1/encoder.ts";
import {
  COOKIE,
  DROP,
  FIELD_STRIDE,
  type Head,
  HOST,
  UPGRADE,
  USER_AGENT,
  X_FORWARDED_HOST,
} from "../../wire/http1/head.ts";
import { isIdempotent, METHOD } from "../../wire/http1/methods.ts";
import type { TrafficContext } from "../context.ts";
import type { Exchange } from "../exchange.ts";
import type { HeadSlot } from "../head-slot.ts";
import type { RequestMessage } from "../messages.ts";
import type { FrontStream, RequestEncoder } from "../streams.ts";
import { type CookieSpan, findCookie, stickyIdOf } from "./cookies.ts";
import { Forwarding } from "./forwarding.ts";

const VERSION = new Constant(" HTTP/1.1\r\n");
const COOKIE_NAME = new Constant("Cookie: ");
const HOST_NAME = new Constant("Host: ");
const HOST_FORWARDED_NAME = new Constant("X-Forwarded-Host: ");
const CONNECTION_TE = new Constant("Connection: TE\r\n");
const UPGRADE_NAME = new Constant("Upgrade: ");

/** Bytes that the additions of this file may take, the correlation header's name aside. */
const ADDED_MAX = 640;

export class Http1RequestEncoder implements RequestEncoder {
  readonly #context: TrafficContext;
  readonly #cookie: CookieSpan;
  readonly #forwarding: Forwarding;

  constructor(context: TrafficContext) {
    this.#context = context;
    this.#forwarding = new Forwarding(context);
    this.#cookie = { start: 0, end: 0, valueStart: 0, valueEnd: 0 };
  }

  encode(exchange: Exchange, message: RequestMessage, base: number): boolean {
    const front = exchange.front as FrontStream;
    const { head } = message;
    const { route } = exchange;
    const policy = route === null || route.policy === null || route.policy.status !== 0 ? null : route.policy;
    const last = head.count === 0 ? message.pathEnd : head.valueEnd(head.count - 1);
    const idName = front.listener.correlationName;
    const { tls } = front.listener;
    const clientFields = tls === null || front.secured === null ? null : front.secured.clientFields;
    let room = last + 2 * head.count + ADDED_MAX + idName.length;
    if (clientFields !== null) room += clientFields.length;
    if (!exchange.slot.take(policy === null ? room : room + this.#roomOf(policy, message))) return false;
    const bytes = this.#context.bytes;
    let dropped = 0;
    if (policy !== null && policy.request !== null) {
      policy.request.apply(head, bytes, base);
      dropped = policy.request.dropped;
    }
    if (tls !== null && tls.clientFields !== null) tls.clientFields.apply(head, bytes, base);
    const present = this.#forwarding.believed(front, head, bytes, base);
    const forwardedFor = this.#forwarding.takeLast(front, head, present);
    const sticky = (head.present & (1 << COOKIE)) === 0 ? -1 : this.#takeSticky(exchange, front, head, base);
    const fieldsAt =
      policy === null ? this.#requestLine(exchange, message, base) : this.#editedLine(exchange, policy, message, base);
    rememberFields(exchange.slot, head, fieldsAt);
    let at = encodeFields(bytes, fieldsAt, bytes, base, head);
    if (sticky !== -1) at = this.#otherCookies(at, base, head, sticky);
    at = this.#forwarding.add(exchange, front, head, at, base, present, forwardedFor, dropped);
    if (policy !== null) at = this.#addEdits(policy, message, at, base, dropped);
    if (clientFields !== null) at = encodeConstant(bytes, at, clientFields);
    at = encodeConstant(bytes, at, idName);
    at = encodeLineEnd(bytes, copySpan(bytes, at, exchange.slot.at, ULID_LENGTH));
    // RFC 9110 10.1.4: TE concerns this hop only, so Connection names it. Behind a switch of protocols are no trailers.
    if (message.upgrade) at = this.#offer(exchange, head, at, base);
    else if (message.teTrailers) at = encodeConstant(bytes, encodeBytes(bytes, at, TE_TRAILERS), CONNECTION_TE);
    if (message.contentLength >= 0) at = encodeContentLength(bytes, at, message.contentLength);
    else if (message.hasBody) at = encodeBytes(bytes, at, TRANSFER_ENCODING_CHUNKED);
    at = encodeLineEnd(bytes, at);
    exchange.slot.headLength = at - exchange.slot.headAt;
    exchange.isHead = message.method === METHOD.HEAD;
    exchange.isIdempotent = isIdempotent(message.method);
    if (policy !== null) this.#keepOriginals(exchange, policy, message, at, base);
    return true;
  }

  /** What the edits of a route add at most, together with what the access line shows in place of what they replace. */
  #roomOf(policy: RoutePolicy, message: RequestMessage): number {
    const { rewritten } = this.#context;
    const { head } = message;
    const { request } = policy;
    const agent = head.lastIndexOf(USER_AGENT);
    let room = 2 * (message.authorityEnd - message.authorityStart) + HOST_NAME.length + HOST_FORWARDED_NAME.length + 8;
    if (rewritten.hostLength >= 0) room += rewritten.hostLength;
    if (rewritten.pathLength >= 0) room += rewritten.pathLength + message.pathEnd - message.pathStart;
    if (request !== null) room += request.lines.length + (request.host === null ? 0 : request.host.length);
    return agent === -1 ? room : room + head.valueEnd(agent) - head.valueStart(agent);
  }

  /** As #requestLine for a route that edits: with the rewritten path, and with Host when the route sets it. */
  #editedLine(exchange: Exchange, policy: RoutePolicy, message: RequestMessage, base: number): number {
    const { bytes, rewritten } = this.#context;
    const host = policy.request === null ? null : policy.request.host;
    const setsHost = host !== null || rewritten.hostLength >= 0;
    if (!setsHost && rewritten.pathLength < 0) return this.#requestLine(exchange, message, base);
    const methodLength = message.methodEnd - message.methodStart;
    const { slot } = exchange;
    let at = slot.headAt;
    slot.methodAt = at;
    slot.methodLength = methodLength;
    at = copySpan(bytes, at, base + message.methodStart, methodLength);
    bytes[at++] = 0x20;
    slot.pathAt = at;
    if (rewritten.pathLength >= 0) at = copySpan(bytes, at, rewritten.pathAt, rewritten.pathLength);
    else at = this.#absolutePath(message, base, at);
    slot.pathLength = at - slot.pathAt;
    at = encodeConstant(bytes, at, VERSION);
    if (!setsHost) return message.hostRewrite ? this.#hostLine(exchange, message, base, at) : at;
    message.head.drop(HOST);
    at = encodeConstant(bytes, at, HOST_NAME);
    if (host !== null) at = encodeConstant(bytes, at, host);
    else at = copySpan(bytes, at, rewritten.hostAt, rewritten.hostLength);
    if (rewritten.hostLength >= 0) message.head.drop(X_FORWARDED_HOST);
    return encodeLineEnd(bytes, at);
  }

  /** What a route adds to the fields: the host that the client asked for when it was rewritten, then its own lines. */
  #addEdits(policy: RoutePolicy, message: RequestMessage, from: number, base: number, dropped: number): number {
    const { bytes, rewritten } = this.#context;
    let at = from;
    if (rewritten.hostLength >= 0 && (dropped & (1 << X_FORWARDED_HOST)) === 0) {
      at = encodeConstant(bytes, at, HOST_FORWARDED_NAME);
      const length = message.authorityEnd - message.authorityStart;
      at = encodeLineEnd(bytes, copySpan(bytes, at, base + message.authorityStart, length));
    }
    return policy.request === null ? at : encodeConstant(bytes, at, policy.request.lines);
  }

  /** Access lines show what the client sent. What of it the head does not hold lies behind the head. */
  #keepOriginals(exchange: Exchange, policy: RoutePolicy, message: RequestMessage, from: number, base: number): void {
    const { bytes, rewritten } = this.#context;
    const { request } = policy;
    const { slot } = exchange;
    let at = from;
    if (rewritten.hostLength >= 0 || (request !== null && request.host !== null)) {
      slot.authorityAt = at;
      slot.authorityLength = message.authorityEnd - message.authorityStart;
      at = copySpan(bytes, at, base + message.authorityStart, slot.authorityLength);
    }
    if (rewritten.pathLength >= 0) {
      slot.pathAt = at;
      at = this.#absolutePath(message, base, at);
      slot.pathLength = at - slot.pathAt;
    }
    const agent = message.head.lastIndexOf(USER_AGENT);
    if (agent === -1 || (message.head.flags(agent) & DROP) === 0) return;
    slot.userAgentAt = at;
    slot.userAgentLength = message.head.valueEnd(agent) - message.head.valueStart(agent);
    copySpan(bytes, at, base + message.head.valueStart(agent), slot.userAgentLength);
  }

  #requestLine(exchange: Exchange, message: RequestMessage, base: number): number {
    const bytes = this.#context.bytes;
    const { slot } = exchange;
    let at = slot.headAt;
    const methodLength = message.methodEnd - message.methodStart;
    const pathLength = message.pathEnd - message.pathStart;
    slot.methodAt = at;
    slot.methodLength = methodLength;
    if (message.pathStart === message.methodEnd + 1 && pathLength > 0) {
      at = copySpan(bytes, at, base + message.methodStart, methodLength + 1 + pathLength);
      slot.pathAt = at - pathLength;
      slot.pathLength = pathLength;
    } else {
      at = copySpan(bytes, at, base + message.methodStart, methodLength);
      bytes[at++] = 0x20;
      slot.pathAt = at;
      at = this.#absolutePath(message, base, at);
      slot.pathLength = at - slot.pathAt;
    }
    at = encodeConstant(bytes, at, VERSION);
    return message.hostRewrite ? this.#hostLine(exchange, message, base, at) : at;
  }

  #hostLine(exchange: Exchange, message: RequestMessage, base: number, from: number): number {
    const bytes = this.#context.bytes;
    const length = message.authorityEnd - message.authorityStart;
    const at = encodeConstant(bytes, from, HOST_NAME);
    exchange.slot.authorityAt = at;
    exchange.slot.authorityLength = length;
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

  /** RFC 9110 7.8: the protocols that the client offers to switch to; remembered, for only one of them may be accepted. */
  #offer(exchange: Exchange, head: Head, from: number, base: number): number {
    const bytes = this.#context.bytes;
    const index = head.indexOf(UPGRADE);
    const length = head.valueEnd(index) - head.valueStart(index);
    const at = encodeConstant(bytes, encodeBytes(bytes, from, CONNECTION_UPGRADE), UPGRADE_NAME);
    exchange.slot.upgradeAt = at;
    exchange.slot.upgradeLength = length;
    return encodeLineEnd(bytes, copySpan(bytes, at, base + head.valueStart(index), length));
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
}

/** Remembers where the encoded fields, which begin at `fieldsAt`, hold what the access line shows. */
function rememberFields(slot: HeadSlot, head: Head, fieldsAt: number): void {
  const host = head.indexOf(HOST);
  if (host !== -1 && (head.flags(host) & DROP) === 0) {
    slot.authorityAt = encodedValueAt(head, host, fieldsAt);
    slot.authorityLength = head.valueEnd(host) - head.valueStart(host);
  }
  const agent = head.lastIndexOf(USER_AGENT);
  if (agent !== -1 && (head.flags(agent) & DROP) === 0) {
    slot.userAgentAt = encodedValueAt(head, agent, fieldsAt);
    slot.userAgentLength = head.valueEnd(agent) - head.valueStart(agent);
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
