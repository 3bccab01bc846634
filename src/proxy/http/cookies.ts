// The sticky cookie (spec 5.5): found in a request's Cookie fields and taken out of them, written into a response.
//
// Cookies are `name=value` pairs separated by `;` and optional spaces (RFC 6265 4.2.1). The cookie belongs to the proxy:
// backends never see it. Its value is the id of a backend, percent-encoded where a cookie could not hold it.

import { ascii, latin1 } from "../../wire/http1/bytes.ts";

const SEMICOLON = 0x3b;
const SPACE = 0x20;
const EQUALS = 0x3d;
/** Longest cookie value that is looked at: ids are shorter. */
const VALUE_BYTES_MAX = 1024;

/** Where a cookie lies in a field's value. */
export interface CookieSpan {
  /** The pair with what separates it from its neighbour: what is left reads as before. */
  start: number;
  end: number;
  valueStart: number;
  valueEnd: number;
}

/** Finds the first cookie of this name in [start, end); false: there is none. Fills `found`. */
export function findCookie(
  bytes: Uint8Array,
  start: number,
  end: number,
  name: Uint8Array,
  found: CookieSpan,
): boolean {
  let at = start;
  while (at < end) {
    while (at < end && (bytes[at] === SPACE || bytes[at] === SEMICOLON)) at++;
    const pair = at;
    while (at < end && bytes[at] !== SEMICOLON) at++;
    const value = pair + name.length + 1;
    if (value > at || bytes[value - 1] !== EQUALS || !startsWith(bytes, pair, name)) continue;
    found.valueStart = value;
    found.valueEnd = at;
    if (at < end) {
      at++;
      while (at < end && bytes[at] === SPACE) at++;
      found.start = pair;
      found.end = at;
    } else {
      let before = pair;
      while (before > start && (bytes[before - 1] === SPACE || bytes[before - 1] === SEMICOLON)) before--;
      found.start = before;
      found.end = at;
    }
    return true;
  }
  return false;
}

/** The id that a cookie's value names, or null when it can name none. */
export function stickyIdOf(bytes: Uint8Array, start: number, end: number): string | null {
  if (end - start > VALUE_BYTES_MAX || end === start) return null;
  const text = latin1(bytes, start, end);
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    // Not something that we wrote: no backend has this id.
    return null;
  }
}

/** The line that makes a client stay with a backend. */
export function stickyLine(name: string, id: string): Uint8Array {
  const value = /^[!#-+\--:<-[\]-~]*$/.test(id) && !id.includes("%") ? id : encodeURIComponent(id);
  return ascii(`Set-Cookie: ${name}=${value}; Path=/\r\n`);
}

function startsWith(bytes: Uint8Array, at: number, name: Uint8Array): boolean {
  for (let i = 0; i < name.length; i++) if (bytes[at + i] !== name[i]) return false;
  return true;
}
