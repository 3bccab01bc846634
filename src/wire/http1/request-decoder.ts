// Decoder of request heads (RFC 9112 2, 3, 5, 6). Contract: decode() returns the length of the head (> 0), 0 for "need
// more", or -(WireError); it never throws on input. The facts below are valid after a positive return, until reset().
// It can stop at any byte and looks at none twice; the verdict and the facts do not depend on where the input was cut.
// All positions are relative to `base`, so the caller may move the bytes between two calls.
//
//   START -> (BLANK_LF -> START) -> METHOD -> TARGET -> QUERY -> VERSION -> fields (FieldSection) -> facts

import { Authority } from "./authority.ts";
import { ascii, CR, LF, littleEndianWord, QUERY, SP, TARGET, TOKEN } from "./bytes.ts";
import { WireError } from "./errors.ts";
import { FieldSection } from "./field-section.ts";
import {
  acceptsTrailers,
  authenticatesConnection,
  equals,
  OPTION_CLOSE,
  OPTION_KEEP_ALIVE,
  OPTION_UPGRADE,
  offersProtocols,
  readConnection,
} from "./field-values.ts";
import { Framing } from "./framing.ts";
import * as field from "./head.ts";
import { equalsLowerCase, type Head } from "./head.ts";
import { METHOD_BYTES_MAX } from "./limits.ts";
import { METHOD, methodOf } from "./methods.ts";

/** Forms of a request target (RFC 9112 3.2). Authority-form is for CONNECT only, which is refused. */
export const TARGET_FORM = { ORIGIN: 0, ABSOLUTE: 1, ASTERISK: 2 } as const;

const STATE = { START: 0, BLANK_LF: 1, METHOD: 2, TARGET: 3, QUERY: 4, VERSION: 5, FIELDS: 6 } as const;

const VERSION_LINE = ascii("HTTP/1.1\r\n");
const MINOR_AT = 7;
const GET_WORD = littleEndianWord("GET ");
const HTTP_WORD = littleEndianWord("HTTP");
const VERSION_11_WORD = littleEndianWord("/1.1");
const CRLF_PAIR = 0x0a0d;
// ` HTTP/1.1 CRLF` in three words, the last of which overlaps.
const SPACE_HTT_WORD = littleEndianWord(" HTT");
const P_SLASH_1_DOT_WORD = littleEndianWord("P/1.");
const DOT_1_CRLF_WORD = littleEndianWord(".1\r\n");

const SLASH = 0x2f;
const ASTERISK = 0x2a;
const QUESTION = 0x3f;
const HASH = 0x23;
const SCHEME_HTTP = ascii("http://");
const SCHEME_HTTPS = ascii("https://");
const CONTINUE = ascii("100-continue");

/** Fields without which a request has the default framing and connection handling. */
const SPECIAL =
  (1 << field.CONNECTION) |
  (1 << field.CONTENT_LENGTH) |
  (1 << field.TRANSFER_ENCODING) |
  (1 << field.TE) |
  (1 << field.UPGRADE) |
  (1 << field.KEEP_ALIVE) |
  (1 << field.PROXY_CONNECTION) |
  (1 << field.EXPECT) |
  (1 << field.AUTHORIZATION) |
  (1 << field.PROXY_AUTHORIZATION) |
  (1 << field.HTTP2_SETTINGS);

/** A request head and the state of reading it. About 4 kB: share one, give it away only with an incomplete head. */
export class RequestDecoder {
  /** The fields; see head.ts. */
  readonly head: Head;
  /** One of METHOD; METHOD.OTHER: read the bytes at methodStart. */
  method: number;
  methodStart: number;
  methodEnd: number;
  /** 0, or 2 after a tolerated empty line. */
  requestStart: number;
  targetStart: number;
  targetEnd: number;
  /** One of TARGET_FORM. */
  targetForm: number;
  /** Path and query as they are forwarded. Empty, or beginning with `?`: an absolute-form target without a path ("/"). */
  pathStart: number;
  pathEnd: number;
  /** Position of the first `?`, or -1: the path that rules see ends here. */
  queryStart: number;
  /** The classes (bytes.ts) of its bytes together; without TARGET_MARKED there is neither a `.` nor a `%` in it. */
  pathClasses: number;
  /** `host[:port]` that counts: the URI's for absolute-form, else the Host field's. */
  authorityStart: number;
  authorityEnd: number;
  /** The authority without port; IPv6 in brackets; case and a trailing dot as sent. */
  hostStart: number;
  hostEnd: number;
  /** 1 to 65535, or -1. */
  port: number;
  /** The Host field is missing or differs from the URI: it is flagged DROP, and Host is to be written from the authority. */
  hostRewrite: boolean;
  /** 0 or 1. */
  versionMinor: number;
  /** Bytes of the body, 0 to 2^53 - 1, or -1 when there is no Content-Length. */
  contentLength: number;
  chunked: boolean;
  /** A body follows: chunked or a Content-Length above 0. */
  hasBody: boolean;
  /** The client allows another request after this one. */
  keepAlive: boolean;
  /** The client waits for 100 Continue. */
  expectContinue: boolean;
  /**
   * GET of HTTP/1.1 without a body, with one Upgrade field that Connection names and that lists protocols, none of them
   * h2c (RFC 9110 7.8). The list is at head.indexOf(UPGRADE). Any other Upgrade is ignored.
   */
  upgrade: boolean;
  /** TE lists `trailers`. */
  teTrailers: boolean;
  /** NTLM or Negotiate credentials: the backend connection must not be shared (decisions 19). */
  connectionAuth: boolean;

  private readonly section: FieldSection;
  private readonly authority: Authority;
  private readonly framing: Framing;
  private state: number;
  /** Where the version begins. */
  private versionStart: number;

  constructor() {
    this.section = new FieldSection(true);
    this.head = this.section.head;
    this.method = METHOD.OTHER;
    this.methodStart = 0;
    this.methodEnd = 0;
    this.requestStart = 0;
    this.targetStart = 0;
    this.targetEnd = 0;
    this.targetForm = TARGET_FORM.ORIGIN;
    this.pathStart = 0;
    this.pathEnd = 0;
    this.queryStart = -1;
    this.pathClasses = 0;
    this.authorityStart = 0;
    this.authorityEnd = 0;
    this.hostStart = 0;
    this.hostEnd = 0;
    this.port = -1;
    this.hostRewrite = false;
    this.versionMinor = 1;
    this.contentLength = -1;
    this.chunked = false;
    this.hasBody = false;
    this.keepAlive = true;
    this.expectContinue = false;
    this.upgrade = false;
    this.teTrailers = false;
    this.connectionAuth = false;
    this.authority = new Authority();
    this.framing = new Framing(true);
    this.state = STATE.START;
    this.versionStart = 0;
  }

  /** Ready for the next request. Call it before the first decode() of every request but the very first. */
  reset(): void {
    this.section.reset();
    this.state = STATE.START;
    this.method = METHOD.OTHER;
    this.requestStart = 0;
    this.queryStart = -1;
    this.pathClasses = 0;
  }

  /** True when decode() has seen a byte of a request line: an idle connection has not. */
  get begun(): boolean {
    return this.state > STATE.BLANK_LF;
  }

  /**
   * `bytes` holds the message from `base`; bytes [from, to) are new; `from` is `base`, or where the last call stopped.
   * See the contract above.
   */
  decode(bytes: Uint8Array, base: number, from: number, to: number): number {
    let at = from;
    if (this.state !== STATE.FIELDS) {
      at = this.state === STATE.START && from === base ? this.usualLine(bytes, base, to) : 0;
      if (at === 0) at = this.decodeLine(bytes, base, from, to);
      if (at <= 0) return at;
    }
    const end = this.section.decode(bytes, base, at, to);
    if (end <= 0) return end;
    const error = this.settle(bytes, base);
    return error < 0 ? error : end;
  }

  /** `GET /path?query HTTP/1.1 CRLF` that is there as a whole. 0: it is anything else. */
  private usualLine(bytes: Uint8Array, base: number, to: number): number {
    const target = (base + 4) | 0;
    if (target >= to || bytes[target] !== SLASH) return 0;
    const view = this.section.viewOf(bytes);
    if (view.getInt32(base, true) !== GET_WORD) return 0;
    let i = target;
    let classes = 0;
    while (i < to) {
      const kind = TARGET[bytes[i]];
      if (kind === 0) break;
      classes |= kind;
      i = (i + 1) | 0;
    }
    let query = -1;
    if (i < to && bytes[i] === QUESTION) {
      query = i - base;
      while (i < to && QUERY[bytes[i]] === 1) i = (i + 1) | 0;
    }
    if (i > to - 11 || view.getInt32(i, true) !== SPACE_HTT_WORD) return 0;
    if (view.getInt32(i + 4, true) !== P_SLASH_1_DOT_WORD || view.getInt32(i + 7, true) !== DOT_1_CRLF_WORD) return 0;
    this.method = METHOD.GET;
    this.requestStart = this.methodStart = 0;
    this.methodEnd = 3;
    this.pathStart = this.targetStart = 4;
    this.targetEnd = this.pathEnd = i - base;
    this.queryStart = query;
    this.pathClasses = classes;
    this.targetForm = TARGET_FORM.ORIGIN;
    this.versionMinor = 1;
    this.state = STATE.FIELDS;
    return i + 11;
  }

  /** The request line (RFC 9112 3): absolute position after its CRLF, 0 for "need more", or an error. */
  private decodeLine(bytes: Uint8Array, base: number, from: number, to: number): number {
    let i = from;
    let state = this.state;
    while (i < to) {
      switch (state) {
        case STATE.START: {
          const c = bytes[i];
          if (c === CR && this.requestStart === 0) state = STATE.BLANK_LF;
          else if (TOKEN[c] === 1) {
            this.requestStart = this.methodStart = i - base;
            if (to - i >= 4 && this.section.viewOf(bytes).getInt32(i, true) === GET_WORD) {
              this.method = METHOD.GET;
              this.methodEnd = i + 3 - base;
              this.targetStart = i + 4 - base;
              i += 3;
              state = STATE.TARGET;
            } else state = STATE.METHOD;
          } else return this.startError(c);
          i++;
          break;
        }
        case STATE.BLANK_LF:
          if (bytes[i] !== LF) return -WireError.BareCarriageReturn;
          i++;
          this.requestStart = i - base;
          state = STATE.START;
          break;
        case STATE.METHOD: {
          const limit = base + this.methodStart + METHOD_BYTES_MAX;
          while (i < to && i <= limit && TOKEN[bytes[i]] === 1) i++;
          if (i > limit) return -WireError.MethodTooLong;
          if (i === to) break;
          if (bytes[i] !== SP) return -WireError.InvalidMethod;
          this.methodEnd = i - base;
          this.method = methodOf(bytes, base + this.methodStart, i);
          i++;
          this.targetStart = i - base;
          state = STATE.TARGET;
          break;
        }
        case STATE.TARGET:
          for (; i < to && TARGET[bytes[i]] !== 0; i++) this.pathClasses |= TARGET[bytes[i]];
          if (i === to) break;
          if (bytes[i] === QUESTION) this.queryStart = i - base;
          else if (bytes[i] !== SP) return targetError(bytes[i]);
          state = STATE.QUERY;
          break;
        case STATE.QUERY: {
          while (i < to && QUERY[bytes[i]] === 1) i++;
          if (i === to) break;
          if (bytes[i] !== SP) return targetError(bytes[i]);
          const error = this.endTarget(bytes, base, i);
          if (error < 0) return error;
          i++;
          this.versionStart = i - base;
          state = STATE.VERSION;
          break;
        }
        default: {
          const end = this.decodeVersion(bytes, base, i, to);
          if (end !== 0) return end;
          i = to;
        }
      }
    }
    this.state = state;
    return 0;
  }

  private startError(c: number): number {
    if (c === CR) return -WireError.LeadingBlankLines;
    return c === LF ? -WireError.BareLineFeed : -WireError.InvalidMethod;
  }

  /** `HTTP/1.1 CRLF` or `HTTP/1.0 CRLF`, exactly (RFC 9112 2.3). Returns as decodeLine does. */
  private decodeVersion(bytes: Uint8Array, base: number, from: number, to: number): number {
    const start = base + this.versionStart;
    if (from === start && to - from >= 10) {
      const view = this.section.viewOf(bytes);
      if (
        view.getInt32(from, true) === HTTP_WORD &&
        view.getInt32(from + 4, true) === VERSION_11_WORD &&
        view.getUint16(from + 8, true) === CRLF_PAIR
      ) {
        this.versionMinor = 1;
        this.state = STATE.FIELDS;
        return from + 10;
      }
    }
    for (let i = from; i < to; i++) {
      const k = i - start;
      const c = bytes[i];
      if (k === MINOR_AT && (c === 0x30 || c === 0x31)) this.versionMinor = c - 0x30;
      else if (c !== VERSION_LINE[k]) return versionError(c, k);
      if (k === 9) {
        this.state = STATE.FIELDS;
        return i + 1;
      }
    }
    return 0;
  }

  /** The target ended at the space at `i`. Sorts out its form (RFC 9112 3.2). */
  private endTarget(bytes: Uint8Array, base: number, i: number): number {
    const start = base + this.targetStart;
    this.targetEnd = this.pathEnd = i - base;
    this.pathStart = this.targetStart;
    this.targetForm = TARGET_FORM.ORIGIN;
    if (bytes[start] === SLASH) return 0;
    return this.readOtherTarget(bytes, base, start, i);
  }

  private readOtherTarget(bytes: Uint8Array, base: number, start: number, end: number): number {
    if (start === end) return -WireError.InvalidTarget;
    // Refused whatever its target looks like, once the head is complete (decisions 17).
    if (this.method === METHOD.CONNECT) return 0;
    if (bytes[start] === ASTERISK && end - start === 1) {
      this.targetForm = TARGET_FORM.ASTERISK;
      return this.method === METHOD.OPTIONS ? 0 : -WireError.AsteriskTargetRefused;
    }
    let at = start;
    if (end - start > 7 && equalsLowerCase(bytes, start, SCHEME_HTTP)) at += 7;
    else if (end - start > 8 && equalsLowerCase(bytes, start, SCHEME_HTTPS)) at += 8;
    else return -WireError.InvalidTarget;
    this.targetForm = TARGET_FORM.ABSOLUTE;
    this.authorityStart = at - base;
    while (at < end && bytes[at] !== SLASH && bytes[at] !== QUESTION) at++;
    this.authorityEnd = at - base;
    this.pathStart = at - base;
    return this.readAuthority(bytes, base);
  }

  private readAuthority(bytes: Uint8Array, base: number): number {
    const error = this.authority.read(bytes, base + this.authorityStart, base + this.authorityEnd);
    this.hostStart = this.authorityStart;
    this.hostEnd = this.authority.hostEnd - base;
    this.port = this.authority.port;
    return error;
  }

  /** The head is complete: from fields to facts. Returns 0 or an error. */
  private settle(bytes: Uint8Array, base: number): number {
    this.contentLength = -1;
    this.chunked = false;
    this.hasBody = false;
    this.keepAlive = this.versionMinor === 1;
    this.expectContinue = false;
    this.upgrade = false;
    this.teTrailers = false;
    this.connectionAuth = false;
    this.hostRewrite = false;
    if (this.method === METHOD.CONNECT) return -WireError.ConnectRefused;
    const error = this.settleHost(bytes, base);
    if (error < 0) return error;
    if ((this.head.present & SPECIAL) === 0) return 0;
    const framingError = this.settleFraming(bytes, base);
    if (framingError < 0) return framingError;
    return this.settleConnection(bytes, base);
  }

  /** Host (RFC 9112 3.2): one in every request, except in HTTP/1.0 when the target itself names the authority. */
  private settleHost(bytes: Uint8Array, base: number): number {
    const head = this.head;
    const index = head.indexOf(field.HOST);
    if (index < 0) {
      if (this.targetForm !== TARGET_FORM.ABSOLUTE || this.versionMinor === 1) return -WireError.MissingHost;
      this.hostRewrite = true;
      return 0;
    }
    if ((head.repeated & (1 << field.HOST)) !== 0) return -WireError.DuplicateHost;
    const start = head.valueStart(index);
    const end = head.valueEnd(index);
    if (this.targetForm !== TARGET_FORM.ABSOLUTE) {
      this.authorityStart = start;
      this.authorityEnd = end;
      return this.readAuthority(bytes, base);
    }
    // The URI wins and replaces Host (RFC 9112 3.2.2), yet a Host that is no authority is still an error (RFC 9112 3.2).
    const error = this.authority.read(bytes, base + start, base + end);
    if (error < 0) return error;
    if (!sameBytes(bytes, base + start, base + end, base + this.authorityStart, base + this.authorityEnd)) {
      this.hostRewrite = true;
      head.dropIndex(index);
    }
    return 0;
  }

  private settleFraming(bytes: Uint8Array, base: number): number {
    const { framing } = this;
    const error = framing.read(bytes, base, this.head, this.versionMinor);
    if (error < 0) return error;
    this.contentLength = framing.contentLength;
    this.chunked = framing.chunked;
    this.hasBody = framing.chunked || framing.contentLength > 0;
    // RFC 9110 9.3.8: a client must not send content in a TRACE request.
    return this.hasBody && this.method === METHOD.TRACE ? -WireError.BodyInTrace : 0;
  }

  /** Connection and what depends on it (RFC 9110 7.6.1, 7.8, 10.1). */
  private settleConnection(bytes: Uint8Array, base: number): number {
    const head = this.head;
    let options = 0;
    if (head.has(field.CONNECTION)) {
      options = readConnection(bytes, base, head, field.CONNECTION);
      if (options < 0) return options;
      head.drop(field.CONNECTION);
      if ((options & OPTION_CLOSE) !== 0) this.keepAlive = false;
      else if ((options & OPTION_KEEP_ALIVE) !== 0) this.keepAlive = true;
    }
    head.drop(field.KEEP_ALIVE);
    head.drop(field.PROXY_CONNECTION);
    head.drop(field.HTTP2_SETTINGS);
    if (head.has(field.TE)) {
      this.teTrailers = acceptsTrailers(bytes, base, head, field.TE);
      head.drop(field.TE);
    }
    if (head.has(field.UPGRADE)) {
      const asked = this.versionMinor === 1 && (options & OPTION_UPGRADE) !== 0;
      const plain = this.method === METHOD.GET && !this.hasBody;
      this.upgrade = asked && plain && offersProtocols(bytes, base, head);
      head.drop(field.UPGRADE);
    }
    if (head.has(field.AUTHORIZATION))
      this.connectionAuth = authenticatesConnection(bytes, base, head, field.AUTHORIZATION);
    if (head.has(field.PROXY_AUTHORIZATION) && !this.connectionAuth) {
      this.connectionAuth = authenticatesConnection(bytes, base, head, field.PROXY_AUTHORIZATION);
    }
    return head.has(field.EXPECT) ? this.settleExpect(bytes, base) : 0;
  }

  private settleExpect(bytes: Uint8Array, base: number): number {
    const head = this.head;
    const index = head.indexOf(field.EXPECT);
    const repeated = (head.repeated & (1 << field.EXPECT)) !== 0;
    if (repeated || !equals(bytes, base + head.valueStart(index), base + head.valueEnd(index), CONTINUE)) {
      return -WireError.UnsupportedExpectation;
    }
    // RFC 9110 10.1.1: an HTTP/1.0 client cannot read 100 Continue, so its expectation is ignored.
    if (this.versionMinor === 0) head.drop(field.EXPECT);
    else this.expectContinue = true;
    return 0;
  }
}

/** For a byte that a target can neither hold nor end with. */
function targetError(c: number): number {
  if (c === HASH) return -WireError.FragmentInTarget;
  return c === CR || c === LF ? -WireError.MissingVersion : -WireError.InvalidTarget;
}

function versionError(c: number, k: number): number {
  if (k < 8) return c === CR && k === 0 ? -WireError.MissingVersion : -WireError.InvalidVersion;
  if (k === 8) return c === LF ? -WireError.BareLineFeed : -WireError.InvalidVersion;
  return -WireError.BareCarriageReturn;
}

function sameBytes(bytes: Uint8Array, from: number, to: number, otherFrom: number, otherTo: number): boolean {
  if (to - from !== otherTo - otherFrom) return false;
  for (let i = from, k = otherFrom; i < to; i++, k++) if (bytes[i] !== bytes[k]) return false;
  return true;
}
