// Decoder of response heads (RFC 9112 4, 5, 6). Contract: decode() returns the length of the head (> 0), 0 for "need
// more", or -(WireError); it never throws on input. The facts below are valid after a positive return, until begin().
// Resumable at every byte and relative to `base`, as request-decoder.ts. A mistake here is the backend's: 502, and the
// connection is not used again. The length of the body follows RFC 9112 6.3 and needs to know the request's method.
//
//   VERSION -> STATUS -> REASON -> REASON_LF -> fields (FieldSection) -> facts

import { ascii, CR, FIELD_CONTENT, LF, littleEndianWord, SP } from "./bytes.ts";
import { WireError } from "./errors.ts";
import { contentEnd, FieldSection } from "./field-section.ts";
import {
  authenticatesConnection,
  OPTION_CLOSE,
  OPTION_KEEP_ALIVE,
  OPTION_UPGRADE,
  readConnection,
  readKeepAliveTimeout,
} from "./field-values.ts";
import { Framing } from "./framing.ts";
import type { Head } from "./head.ts";
import * as field from "./head.ts";

/** How the end of a body is known (RFC 9112 6.3). */
export const BODY = { NONE: 0, LENGTH: 1, CHUNKED: 2, UNTIL_CLOSE: 3 } as const;

const STATE = { VERSION: 0, STATUS: 1, REASON: 2, REASON_LF: 3, FIELDS: 4 } as const;

const VERSION_TEXT = ascii("HTTP/1.1 ");
const HTTP_WORD = littleEndianWord("HTTP");
const VERSION_11_WORD = littleEndianWord("/1.1");
const ZEROS_SPACE_WORD = littleEndianWord("000 ");
const CRLF_PAIR = 0x0a0d;
const MINOR_AT = 7;
/** Position of the status in the status line, and of the byte after it. */
const STATUS_AT = 9;
const STATUS_END = 12;

/** A response head and the state of reading it. About 4 kB, as a RequestDecoder. */
export class ResponseDecoder {
  /** The fields; see head.ts. */
  readonly head: Head;
  /** 100 to 999. */
  status: number;
  /** 0 or 1. */
  versionMinor: number;
  /** The reason phrase; often empty. */
  reasonStart: number;
  reasonEnd: number;
  /** One of BODY. */
  bodyKind: number;
  /**
   * The Content-Length, 0 to 2^53 - 1, or -1. With BODY.NONE it is what a GET would have brought (HEAD, 304): forward the
   * number, expect no body.
   */
  contentLength: number;
  /** Transfer-Encoding is chunked; with BODY.NONE (HEAD, 304) no body follows. */
  chunked: boolean;
  /** 1xx other than 101: another head follows. 101 is final: the bytes after it belong to the new protocol. */
  interim: boolean;
  /** The backend allows another request; false whenever the framing leaves doubt (BODY.UNTIL_CLOSE among others). */
  keepAlive: boolean;
  /** Seconds of `Keep-Alive: timeout=`, or -1. */
  keepAliveTimeoutS: number;
  /** A 101 of HTTP/1.1 with one Upgrade field that Connection names (RFC 9110 7.8), at head.indexOf(UPGRADE). */
  upgrade: boolean;
  /** The backend asks for NTLM or Negotiate: the connection must not be shared (decisions 19). */
  connectionAuth: boolean;

  private readonly section: FieldSection;
  private readonly framing: Framing;
  private state: number;
  private requestMethodIsHead: boolean;

  constructor() {
    this.section = new FieldSection(false);
    this.head = this.section.head;
    this.status = 0;
    this.versionMinor = 1;
    this.reasonStart = 0;
    this.reasonEnd = 0;
    this.bodyKind = BODY.NONE;
    this.contentLength = -1;
    this.chunked = false;
    this.interim = false;
    this.keepAlive = false;
    this.keepAliveTimeoutS = -1;
    this.upgrade = false;
    this.connectionAuth = false;
    this.framing = new Framing(false);
    this.state = STATE.VERSION;
    this.requestMethodIsHead = false;
  }

  /** Ready for a response; call it before each head, also before the one that follows an interim head. */
  begin(requestMethodIsHead: boolean): void {
    this.section.reset();
    this.state = STATE.VERSION;
    this.status = 0;
    this.requestMethodIsHead = requestMethodIsHead;
  }

  /**
   * `bytes` holds the response from `base`; bytes [from, to) are new; `from` is `base`, or where the last call stopped.
   * See the contract above.
   */
  decode(bytes: Uint8Array, base: number, from: number, to: number): number {
    let at = from;
    if (this.state !== STATE.FIELDS) {
      at = from === base ? this.usualLine(bytes, base, to) : 0;
      if (at === 0) at = this.decodeLine(bytes, base, from, to);
      if (at <= 0) return at;
    }
    const end = this.section.decode(bytes, base, at, to);
    if (end <= 0) return end;
    const error = this.settle(bytes, base);
    return error < 0 ? error : end;
  }

  /** `HTTP/1.1 SSS reason CRLF` that is there as a whole, by words: 90 instructions for 500. 0: it is anything else. */
  private usualLine(bytes: Uint8Array, base: number, to: number): number {
    const reason = base + STATUS_END + 1;
    if (reason > to - 4) return 0;
    const view = this.section.viewOf(bytes);
    if (view.getInt32(base, true) !== HTTP_WORD || view.getInt32(base + 4, true) !== VERSION_11_WORD) return 0;
    const digits = view.getInt32(base + STATUS_AT, true) ^ ZEROS_SPACE_WORD;
    const hundreds = digits & 0xff;
    const tens = (digits >> 8) & 0xff;
    const ones = digits >>> 16;
    if (bytes[base + STATUS_AT - 1] !== SP || hundreds === 0 || hundreds > 9 || tens > 9 || ones > 9) return 0;
    const end = contentEnd(view, reason, to - 4);
    if (end > to - 2 || view.getUint16(end, true) !== CRLF_PAIR) return 0;
    this.versionMinor = 1;
    this.status = hundreds * 100 + tens * 10 + ones;
    this.reasonStart = reason - base;
    this.reasonEnd = end - base;
    this.state = STATE.FIELDS;
    return end + 2;
  }

  /** The status line (RFC 9112 4): absolute position after its CRLF, 0 for "need more", or an error. */
  private decodeLine(bytes: Uint8Array, base: number, from: number, to: number): number {
    let i = from;
    let state = this.state;
    while (i < to) {
      switch (state) {
        case STATE.VERSION: {
          if (i === base && to - i > 8 && this.isHttp11(bytes, i)) {
            this.versionMinor = 1;
            state = STATE.STATUS;
            i += STATUS_AT;
            break;
          }
          const k = i - base;
          const c = bytes[i];
          if (k === MINOR_AT && (c === 0x30 || c === 0x31)) this.versionMinor = c - 0x30;
          else if (c !== VERSION_TEXT[k]) return -WireError.InvalidStatusLine;
          i++;
          if (k === STATUS_AT - 1) state = STATE.STATUS;
          break;
        }
        case STATE.STATUS: {
          const k = i - base;
          const c = bytes[i];
          if (k === STATUS_END) {
            if (this.status < 100) return -WireError.InvalidStatus;
            // The space before an empty reason is often left out; nothing can be misread without it.
            if (c !== SP && c !== CR) return c === LF ? -WireError.BareLineFeed : -WireError.InvalidStatus;
            if (c === SP) i++;
            this.reasonStart = i - base;
            state = STATE.REASON;
            break;
          }
          if (c < 0x30 || c > 0x39) return -WireError.InvalidStatus;
          this.status = this.status * 10 + c - 0x30;
          i++;
          break;
        }
        case STATE.REASON: {
          while (i < to && FIELD_CONTENT[bytes[i]] === 1) i++;
          if (i === to) break;
          const c = bytes[i];
          if (c !== CR) return c === LF ? -WireError.BareLineFeed : -WireError.InvalidReason;
          this.reasonEnd = i - base;
          state = STATE.REASON_LF;
          i++;
          break;
        }
        default:
          if (bytes[i] !== LF) return -WireError.BareCarriageReturn;
          this.state = STATE.FIELDS;
          return i + 1;
      }
    }
    this.state = state;
    return 0;
  }

  private isHttp11(bytes: Uint8Array, at: number): boolean {
    const view = this.section.viewOf(bytes);
    return (
      view.getInt32(at, true) === HTTP_WORD && view.getInt32(at + 4, true) === VERSION_11_WORD && bytes[at + 8] === SP
    );
  }

  /** The head is complete: from fields to facts. Returns 0 or an error. */
  private settle(bytes: Uint8Array, base: number): number {
    const head = this.head;
    const status = this.status;
    this.interim = status < 200 && status !== 101;
    this.keepAlive = this.versionMinor === 1;
    this.keepAliveTimeoutS = -1;
    this.upgrade = false;
    this.connectionAuth = false;
    const error = this.framing.read(bytes, base, head, this.versionMinor);
    if (error < 0) return error;
    this.contentLength = this.framing.contentLength;
    this.chunked = this.framing.chunked;
    if (head.has(field.CONNECTION)) {
      const options = readConnection(bytes, base, head, field.CONNECTION);
      if (options < 0) return options;
      head.drop(field.CONNECTION);
      // RFC 9112 9.3: close wins over keep-alive.
      if ((options & OPTION_CLOSE) !== 0) this.keepAlive = false;
      else if ((options & OPTION_KEEP_ALIVE) !== 0) this.keepAlive = true;
      const asked =
        status === 101 && this.versionMinor === 1 && (options & OPTION_UPGRADE) !== 0 && head.has(field.UPGRADE);
      this.upgrade = asked && (head.repeated & (1 << field.UPGRADE)) === 0;
    }
    if (head.has(field.KEEP_ALIVE)) {
      this.keepAliveTimeoutS = readKeepAliveTimeout(bytes, base, head);
      head.drop(field.KEEP_ALIVE);
    }
    head.drop(field.PROXY_CONNECTION);
    head.drop(field.TE);
    head.drop(field.UPGRADE);
    if (head.has(field.WWW_AUTHENTICATE)) {
      this.connectionAuth = authenticatesConnection(bytes, base, head, field.WWW_AUTHENTICATE);
    }
    if (head.has(field.PROXY_AUTHENTICATE) && !this.connectionAuth) {
      this.connectionAuth = authenticatesConnection(bytes, base, head, field.PROXY_AUTHENTICATE);
    }
    this.settleBody();
    return 0;
  }

  /** The kind of the body, in the order of RFC 9112 6.3. */
  private settleBody(): void {
    const status = this.status;
    if (status < 200 || status === 204) {
      // These have no body and no framing fields either (RFC 9110 8.6, RFC 9112 6.1): a backend that sends them may well
      // send the body too, so its connection ends here, and nothing of the framing is forwarded.
      if (this.chunked || this.contentLength > 0) this.keepAlive = false;
      this.chunked = false;
      this.contentLength = -1;
      this.bodyKind = BODY.NONE;
    } else if (this.requestMethodIsHead || status === 304) {
      this.bodyKind = BODY.NONE;
    } else if (this.chunked) {
      this.bodyKind = BODY.CHUNKED;
    } else if (this.contentLength >= 0) {
      this.bodyKind = BODY.LENGTH;
    } else {
      this.bodyKind = BODY.UNTIL_CLOSE;
      this.keepAlive = false;
    }
  }
}
