// Reads `host[:port]` (RFC 9110 7.2, RFC 3986 3.2) as this proxy routes it: a name of letters, digits, `.`, `-` and `_`,
// an IPv4 address, or an IPv6 address in brackets; then a port from 1 to 65535 (decisions 16, spec 5.2).
// Contract: read() returns 0 and sets hostEnd and port, or returns -(WireError). Positions are absolute, nothing is kept.

import { COLON, HEX_VALUE, HOST_LABEL } from "./bytes.ts";
import { WireError } from "./errors.ts";

const AT = 0x40;
const DOT = 0x2e;
const OPEN = 0x5b;
const CLOSE = 0x5d;

/** The parts of the authority read last. */
export class Authority {
  /** End (exclusive) of the host; an IPv6 address includes its brackets. */
  hostEnd: number;
  /** 1 to 65535, or -1 when the authority has none. */
  port: number;

  constructor() {
    this.hostEnd = 0;
    this.port = -1;
  }

  /** Reads the whole span [from, to). Empty labels, empty hosts and empty ports are errors; one trailing dot is not. */
  read(bytes: Uint8Array, from: number, to: number): number {
    this.port = -1;
    let i = from;
    if (i < to && bytes[i] === OPEN) {
      i = ipv6End(bytes, from + 1, to);
      if (i < 0) return holdsUserinfo(bytes, from, to) ? -WireError.UserinfoInAuthority : -WireError.InvalidHost;
    } else {
      i = nameEnd(bytes, from, to);
      if (i < 0) return -WireError.InvalidHost;
      if (i === from) return holdsUserinfo(bytes, from, to) ? -WireError.UserinfoInAuthority : -WireError.InvalidHost;
    }
    this.hostEnd = i;
    if (i === to) return 0;
    const error = bytes[i] === COLON ? this.readPort(bytes, i + 1, to) : -WireError.InvalidHost;
    return error < 0 && holdsUserinfo(bytes, i, to) ? -WireError.UserinfoInAuthority : error;
  }

  private readPort(bytes: Uint8Array, from: number, to: number): number {
    if (from === to || to - from > 5) return -WireError.InvalidPort;
    let port = 0;
    for (let i = from; i < to; i++) {
      const digit = bytes[i] - 0x30;
      if (digit < 0 || digit > 9) return -WireError.InvalidPort;
      port = port * 10 + digit;
    }
    if (port === 0 || port > 65535) return -WireError.InvalidPort;
    this.port = port;
    return 0;
  }
}

/** Where the name that starts at `from` ends: at `to` or at a byte of no name; -1 when a label is empty. */
function nameEnd(bytes: Uint8Array, from: number, to: number): number {
  let i = from;
  while (i < to) {
    const label = i;
    while (i < to && HOST_LABEL[bytes[i]] === 1) i = (i + 1) | 0;
    if (i === to || bytes[i] !== DOT) return i;
    if (i === label) return -1;
    i = (i + 1) | 0;
  }
  return i;
}

function holdsUserinfo(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] === AT) return true;
  return false;
}

/** Position after `]` of the IPv6 address that starts at `from` (RFC 3986 3.2.2, no zone), or -1. */
function ipv6End(bytes: Uint8Array, from: number, to: number): number {
  let i = from;
  let groups = 0;
  let compressed = false;
  if (i + 1 < to && bytes[i] === COLON) {
    // A leading colon is the first half of `::`.
    if (bytes[i + 1] !== COLON) return -1;
    compressed = true;
    i += 2;
  }
  while (i < to && bytes[i] !== CLOSE) {
    const start = i;
    while (i < to && i - start < 5 && HEX_VALUE[bytes[i]] !== 255) i++;
    if (i < to && bytes[i] === DOT) {
      i = ipv4End(bytes, start, to);
      if (i < 0 || i === to || bytes[i] !== CLOSE) return -1;
      groups += 2;
      break;
    }
    if (i === start || i - start > 4) return -1;
    groups++;
    if (i === to || bytes[i] === CLOSE) break;
    if (bytes[i] !== COLON) return -1;
    i++;
    if (i < to && bytes[i] === COLON) {
      if (compressed) return -1;
      compressed = true;
      i++;
    } else if (i === to || bytes[i] === CLOSE) return -1;
  }
  if (i >= to || (compressed ? groups > 7 : groups !== 8)) return -1;
  return i + 1;
}

/** Position after the dotted IPv4 address that starts at `from`, or -1. */
function ipv4End(bytes: Uint8Array, from: number, to: number): number {
  let i = from;
  for (let part = 0; part < 4; part++) {
    if (part > 0) {
      if (i >= to || bytes[i] !== DOT) return -1;
      i++;
    }
    const start = i;
    let value = 0;
    while (i < to && i - start < 4 && bytes[i] >= 0x30 && bytes[i] <= 0x39) {
      value = value * 10 + bytes[i] - 0x30;
      i++;
    }
    if (i === start || value > 255 || (i - start > 1 && bytes[start] === 0x30)) return -1;
  }
  return i;
}
