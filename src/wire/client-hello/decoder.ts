// Decoder of the ClientHello (RFC 8446 4.1.2, RFC 5246 7.4.1.2): what a listener needs to choose certificate and protocol.
// Contract: decodeClientHello() returns the bytes of the message (> 0), 0 for "need more", or an error code; it never throws
// on input, never reads outside [at, end) and allocates nothing: facts are offsets into `bytes`, valid as long as those are.
//
// It looks at the whole message from its start, so it is called when the message is there. What the TLS
// library has to understand (key shares, tickets, random values) is skipped by its length.

import { HANDSHAKE_HEADER_BYTES, HELLO_BYTES_MAX } from "./limits.ts";
import { judgeServerName, SERVER_NAME } from "./server-name.ts";

/** The message breaks the grammar: alert decode_error (RFC 8446 6.2). */
export const HELLO_MALFORMED = -1;
/** A handshake message, but another one: alert unexpected_message. */
export const HELLO_OTHER_MESSAGE = -2;
/** Longer than HELLO_BYTES_MAX: alert decode_error. */
export const HELLO_TOO_LONG = -3;

/** Extensions that are looked into (IANA: TLS ExtensionType values). */
const EXTENSION = {
  SERVER_NAME: 0,
  STATUS_REQUEST: 5,
  SUPPORTED_GROUPS: 10,
  SIGNATURE_ALGORITHMS: 13,
  ALPN: 16,
  SESSION_TICKET: 35,
  PRE_SHARED_KEY: 41,
  EARLY_DATA: 42,
  SUPPORTED_VERSIONS: 43,
} as const;
const CLIENT_HELLO = 1;
const TLS13 = 0x0304;
const FALLBACK_SCSV = 0x5600;
const RANDOM_BYTES = 32;
const SESSION_ID_BYTES_MAX = 32;

/** The facts of one ClientHello. Lists are [start, end) of their entries; both are -1 when there is no such list. */
export class ClientHello {
  /** SERVER_NAME: whether there is one and whether it can be a host name. */
  serverName: number;
  /** The host name without a trailing dot, as it was sent; -1 unless SERVER_NAME.VALID. */
  sniStart: number;
  sniEnd: number;
  /** The client's highest version, 0x0304 for TLS 1.3 (RFC 8446 4.2.1), without versions made up by GREASE. */
  versionMax: number;
  /** Two bytes each. */
  ciphersStart: number;
  ciphersEnd: number;
  /** Two bytes each: SignatureScheme (RFC 8446 4.2.3). */
  signaturesStart: number;
  signaturesEnd: number;
  /** Two bytes each: NamedGroup. */
  groupsStart: number;
  groupsEnd: number;
  /** Each a length byte and a name, none of them empty (RFC 7301 3.1). */
  alpnStart: number;
  alpnEnd: number;
  /** TLS_FALLBACK_SCSV (RFC 7507): the client spoke a higher version before. */
  isFallback: boolean;
  /** An RFC 5077 ticket, or a pre-shared key of TLS 1.3: the client would resume. */
  offersTicket: boolean;
  offersEarlyData: boolean;
  /** OCSP (RFC 6066 8): the client wants a response stapled. */
  wantsStatus: boolean;
  /** Bits of extensions that were seen, and where reading stands; of no interest behind the decoder. */
  seen: number;
  at: number;

  constructor() {
    this.serverName = SERVER_NAME.ABSENT;
    this.sniStart = -1;
    this.sniEnd = -1;
    this.versionMax = 0;
    this.ciphersStart = -1;
    this.ciphersEnd = -1;
    this.signaturesStart = -1;
    this.signaturesEnd = -1;
    this.groupsStart = -1;
    this.groupsEnd = -1;
    this.alpnStart = -1;
    this.alpnEnd = -1;
    this.isFallback = false;
    this.offersTicket = false;
    this.offersEarlyData = false;
    this.wantsStatus = false;
    this.seen = 0;
    this.at = 0;
  }

  get isTls13(): boolean {
    return this.versionMax >= TLS13;
  }

  reset(): void {
    this.serverName = SERVER_NAME.ABSENT;
    this.sniStart = -1;
    this.sniEnd = -1;
    this.versionMax = 0;
    this.ciphersStart = -1;
    this.ciphersEnd = -1;
    this.signaturesStart = -1;
    this.signaturesEnd = -1;
    this.groupsStart = -1;
    this.groupsEnd = -1;
    this.alpnStart = -1;
    this.alpnEnd = -1;
    this.isFallback = false;
    this.offersTicket = false;
    this.offersEarlyData = false;
    this.wantsStatus = false;
    this.seen = 0;
    this.at = 0;
  }
}

/** Reads the handshake message at [at, end) into `out`. See the contract above; after an error `out` means nothing. */
export function decodeClientHello(bytes: Uint8Array, at: number, end: number, out: ClientHello): number {
  out.reset();
  if (at < end && bytes[at] !== CLIENT_HELLO) return HELLO_OTHER_MESSAGE;
  if (end - at < HANDSHAKE_HEADER_BYTES) return 0;
  const length = (bytes[at + 1] << 16) | u16(bytes, at + 2);
  if (length > HELLO_BYTES_MAX - HANDSHAKE_HEADER_BYTES) return HELLO_TOO_LONG;
  const body = at + HANDSHAKE_HEADER_BYTES;
  const last = body + length;
  if (last > end) return 0;
  out.at = body;
  if (!readFixed(bytes, last, out)) return HELLO_MALFORMED;
  // RFC 8446 4.1.2: a client of TLS 1.2 may have no extensions at all; what is there fills the message.
  if (out.at !== last && !readExtensions(bytes, last, out)) return HELLO_MALFORMED;
  return HANDSHAKE_HEADER_BYTES + length;
}

/** Whether a list of two-byte values has this one; a list that is not there has none. */
export function hasValue(bytes: Uint8Array, start: number, end: number, value: number): boolean {
  for (let at = start; at < end; at += 2) if (u16(bytes, at) === value) return true;
  return false;
}

/** Version, random, session id, cipher suites, compression methods. */
function readFixed(bytes: Uint8Array, last: number, out: ClientHello): boolean {
  let at = out.at;
  if (last - at < 2 + RANDOM_BYTES + 1) return false;
  out.versionMax = u16(bytes, at);
  at += 2 + RANDOM_BYTES;
  const sessionId = bytes[at];
  at += 1 + sessionId;
  if (sessionId > SESSION_ID_BYTES_MAX || last - at < 2) return false;
  const ciphers = u16(bytes, at);
  at += 2;
  // RFC 5246 7.4.1.2: at least one.
  if (ciphers < 2 || ciphers % 2 !== 0 || last - at < ciphers) return false;
  out.ciphersStart = at;
  at += ciphers;
  out.ciphersEnd = at;
  out.isFallback = hasValue(bytes, out.ciphersStart, out.ciphersEnd, FALLBACK_SCSV);
  if (last - at < 1) return false;
  const methods = bytes[at];
  at += 1 + methods;
  if (methods < 1 || at > last) return false;
  out.at = at;
  return true;
}

function readExtensions(bytes: Uint8Array, last: number, out: ClientHello): boolean {
  let at = out.at;
  if (last - at < 2 || u16(bytes, at) !== last - at - 2) return false;
  at += 2;
  while (at < last) {
    if (last - at < 4) return false;
    const type = u16(bytes, at);
    const length = u16(bytes, at + 2);
    at += 4;
    if (last - at < length) return false;
    if (!readExtension(bytes, type, at, at + length, out)) return false;
    at += length;
  }
  out.at = at;
  return true;
}

/** RFC 8446 4.2: at most one of each type; among those that nobody here reads, the library finds the second one. */
function readExtension(bytes: Uint8Array, type: number, at: number, end: number, out: ClientHello): boolean {
  const bit = bitOf(type);
  if (bit === 0) return true;
  if ((out.seen & bit) !== 0) return false;
  out.seen |= bit;
  switch (type) {
    case EXTENSION.SERVER_NAME:
      return readServerName(bytes, at, end, out);
    case EXTENSION.SIGNATURE_ALGORITHMS:
      if (!isPairList(bytes, at, end)) return false;
      out.signaturesStart = at + 2;
      out.signaturesEnd = end;
      return true;
    case EXTENSION.SUPPORTED_GROUPS:
      if (!isPairList(bytes, at, end)) return false;
      out.groupsStart = at + 2;
      out.groupsEnd = end;
      return true;
    case EXTENSION.ALPN:
      return readProtocols(bytes, at, end, out);
    case EXTENSION.SUPPORTED_VERSIONS:
      return readVersions(bytes, at, end, out);
    case EXTENSION.SESSION_TICKET:
      // Empty: only that the client can take one.
      if (end > at) out.offersTicket = true;
      return true;
    case EXTENSION.PRE_SHARED_KEY:
      out.offersTicket = true;
      return end > at;
    case EXTENSION.EARLY_DATA:
      out.offersEarlyData = true;
      return end === at;
    default:
      out.wantsStatus = true;
      return true;
  }
}

function bitOf(type: number): number {
  switch (type) {
    case EXTENSION.SERVER_NAME:
      return 1;
    case EXTENSION.SIGNATURE_ALGORITHMS:
      return 2;
    case EXTENSION.SUPPORTED_GROUPS:
      return 4;
    case EXTENSION.ALPN:
      return 8;
    case EXTENSION.SUPPORTED_VERSIONS:
      return 16;
    case EXTENSION.SESSION_TICKET:
      return 32;
    case EXTENSION.PRE_SHARED_KEY:
      return 64;
    case EXTENSION.EARLY_DATA:
      return 128;
    case EXTENSION.STATUS_REQUEST:
      return 256;
    default:
      return 0;
  }
}

/** RFC 6066 3: a list of names by type; host names are the only type there is, and there is at most one of a type. */
function readServerName(bytes: Uint8Array, at: number, end: number, out: ClientHello): boolean {
  if (end - at < 2 || u16(bytes, at) !== end - at - 2 || end - at === 2) return false;
  let names = 0;
  let isHost = true;
  for (let next = at + 2; next < end; ) {
    if (end - next < 3) return false;
    if (bytes[next] !== 0) isHost = false;
    const length = u16(bytes, next + 1);
    next += 3;
    if (length === 0 || end - next < length) return false;
    if (names === 0) {
      out.sniStart = next;
      out.sniEnd = next + length;
    }
    names += 1;
    next += length;
  }
  if (names === 1 && isHost) {
    if (out.sniEnd - out.sniStart > 1 && bytes[out.sniEnd - 1] === DOT) out.sniEnd -= 1;
    out.serverName = judgeServerName(bytes, out.sniStart, out.sniEnd);
  } else {
    out.serverName = SERVER_NAME.INVALID;
  }
  if (out.serverName !== SERVER_NAME.VALID) {
    out.sniStart = -1;
    out.sniEnd = -1;
  }
  return true;
}

const DOT = 0x2e;

/** RFC 7301 3.1: empty names are not allowed, and neither is an empty list. */
function readProtocols(bytes: Uint8Array, at: number, end: number, out: ClientHello): boolean {
  if (end - at < 4 || u16(bytes, at) !== end - at - 2) return false;
  for (let next = at + 2; next < end; next += 1 + bytes[next]) {
    if (bytes[next] === 0 || end - next <= bytes[next]) return false;
  }
  out.alpnStart = at + 2;
  out.alpnEnd = end;
  return true;
}

/** RFC 8446 4.2.1: where it is, the version in the head means nothing. RFC 8701: values of the form 0x?a?a are made up. */
function readVersions(bytes: Uint8Array, at: number, end: number, out: ClientHello): boolean {
  if (end - at < 3 || bytes[at] !== end - at - 1 || bytes[at] % 2 !== 0) return false;
  out.versionMax = 0;
  for (let next = at + 1; next < end; next += 2) {
    const version = u16(bytes, next);
    if ((version & 0x0f0f) !== 0x0a0a && version > out.versionMax) out.versionMax = version;
  }
  return true;
}

/** A list of two-byte values with its length before it, at least one, filling [at, end). */
function isPairList(bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= 4 && u16(bytes, at) === end - at - 2 && (end - at) % 2 === 0;
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}
