// Checks of operator-given text: ids, host names, paths, methods, tags, header names. Whatever passes is safe to log,
// to put into a metric name and to compare as bytes: no control characters, well-formed, bounded. `__proto__` is a name
// like any other. Each check returns null, or the reason; host names come back normalised.

import { canonicalIpv6 } from "./address.ts";
import { isHostPattern, parseHostPattern } from "./host-pattern.ts";
import { HOST_BYTES_MAX, HOST_LABEL_BYTES_MAX, PATTERN_LENGTH_MAX } from "./limits.ts";

/** Text without control characters and of at most `bytesMax` bytes of UTF-8. Returns null or the reason. */
export function checkText(text: string, bytesMax: number): string | null {
  if (text.length > bytesMax || utf8Length(text) > bytesMax) return `it is longer than ${bytesMax} bytes`;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return `it holds the control character 0x${code.toString(16).padStart(2, "0")}`;
  }
  return text.isWellFormed() ? null : "it holds half of a surrogate pair";
}

/** As checkText, and not empty. */
export function checkName(text: string, bytesMax: number): string | null {
  return text === "" ? "it is empty" : checkText(text, bytesMax);
}

/** Text of several lines: as checkText, but tabs and ends of lines may be in it. */
export function checkLines(text: string, bytesMax: number): string | null {
  return checkText(text.replace(/[\t\r\n]/g, " "), bytesMax);
}

/** The value of a header field (RFC 9110 5.5): as checkText, but tabs may be in it. */
export function checkFieldValue(text: string, bytesMax: number): string | null {
  return checkText(text.replaceAll("\t", " "), bytesMax);
}

/** A token of RFC 9110 5.6.2: methods, header names, cookie names. */
export function checkToken(text: string, bytesMax: number): string | null {
  if (text === "") return "it is empty";
  if (text.length > bytesMax) return `it is longer than ${bytesMax} bytes`;
  return TOKEN.test(text) ? null : "it is not a token (letters, digits and !#$%&'*+-.^_`|~)";
}

/** A normalised host name, or why the text is none. */
export type HostResult = { readonly host: string } | { readonly reason: string };

/**
 * Normalises the host name of a frontend: ASCII lower case, no trailing dot, IDNA form, canonical IPv6 in brackets.
 * Accepted are exact names, `*.suffix`, `*`, IPv4 and `[IPv6]`; `_` may appear in labels (decisions 16), and regular
 * expressions between slashes (host-pattern.ts).
 */
export function normalizeHost(text: string): HostResult {
  if (text === "") return { reason: "it is empty" };
  const bad = checkText(text, isHostPattern(text) ? PATTERN_LENGTH_MAX : HOST_BYTES_MAX + 1);
  if (bad !== null) return { reason: bad };
  if (text === "*") return { host: text };
  if (isHostPattern(text)) return parseHostPattern(text);
  if (text.startsWith("[")) {
    const ip = text.endsWith("]") ? canonicalIpv6(text.slice(1, -1)) : null;
    return ip === null ? { reason: "it is not an IPv6 address in brackets" } : { host: `[${ip}]` };
  }
  const wildcard = text.startsWith("*.");
  const name = toAscii(wildcard ? text.slice(2) : text);
  if (name === null) return { reason: "it is not a host name" };
  const reason = checkLabels(name);
  return reason === null ? { host: wildcard ? `*.${name}` : name } : { reason };
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Lower case, without the trailing dot, IDNA for other than ASCII. */
function toAscii(text: string): string | null {
  const bare = text.endsWith(".") ? text.slice(0, -1) : text;
  if (/^[\x20-\x7e]*$/.test(bare)) return bare.toLowerCase();
  // The URL standard's host parser does IDNA; characters that could end the host are refused before.
  if (/[\s/?#@:%\\[\]]/.test(bare)) return null;
  const url = URL.canParse(`http://${bare}`) ? new URL(`http://${bare}`) : null;
  return url === null || url.hostname === "" ? null : url.hostname;
}

function checkLabels(name: string): string | null {
  if (name.length > HOST_BYTES_MAX) return `it is longer than ${HOST_BYTES_MAX} bytes`;
  for (const label of name.split(".")) {
    if (label === "") return "it has an empty label";
    if (label.length > HOST_LABEL_BYTES_MAX) return `a label is longer than ${HOST_LABEL_BYTES_MAX} bytes`;
    if (label.includes("*")) return "a wildcard must be the whole first label, as in *.example.com";
    if (label.includes(":")) return "a host name has no port here";
    if (!/^[a-z0-9_-]+$/.test(label)) return `the label ${JSON.stringify(label)} has other characters than a-z 0-9 - _`;
  }
  return null;
}

/** Bytes of the UTF-8 form. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) continue;
    // A surrogate pair is two units and four bytes.
    bytes += code < 0x800 || (code >= 0xd800 && code <= 0xdfff) ? 1 : 2;
  }
  return bytes;
}
