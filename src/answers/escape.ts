// What may reach a header or a page. Values come from requests, from backends and from the configuration; none of
// them is trusted to be free of line ends, markup or quotes (RFC 9110 5.5: CR, LF and NUL in a field value are
// dangerous).
// Everything returned here is printable ASCII, so lengths in characters are lengths in bytes.

import { INVALID, PARTIALLY_PARSED, REDIRECT_LOCATION, SUCCESSFULLY_PARSED, WWW_AUTHENTICATE } from "./variables.ts";

/** Where a value goes. */
export const CONTEXT_HEADER = 0;
export const CONTEXT_HTML = 1;
/** Inside the quotes of a JSON string; safe in the text of an HTML element, too. */
export const CONTEXT_JSON = 2;
export const CONTEXT_PLAIN = 3;

/** Characters of a value; longer ones are cut. A location and a challenge would be worth nothing when cut. */
const VALUE_MAX = 512;

/** The value of a variable as it may stand in a context. Most values are plain, and then they are looked at only once. */
export function escapeValue(variable: number, text: string, context: number): string {
  const isDiagnostic = variable === SUCCESSFULLY_PARSED || variable === PARTIALLY_PARSED || variable === INVALID;
  const mayBeLong = variable === REDIRECT_LOCATION || variable === WWW_AUTHENTICATE;
  const value = mayBeLong || text.length <= VALUE_MAX ? text : text.slice(0, VALUE_MAX);
  if (isDiagnostic) return value === "" ? "null" : jsonInHtml(value);
  if (variable === REDIRECT_LOCATION && context === CONTEXT_HEADER) return locationValue(value);
  if (isPlain(value)) return value;
  if (context === CONTEXT_JSON) return jsonInHtml(value).slice(1, -1);
  return context === CONTEXT_HTML ? htmlText(value) : headerValue(value);
}

/** Whether a text means itself in every context. */
function isPlain(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7e || PLAIN[code] === 0) return false;
  }
  return true;
}

/** A field value: whatever is not printable ASCII becomes `?`. */
export function headerValue(text: string): string {
  return text.replaceAll(UNPRINTABLE, "?");
}

/** A URI reference for Location: whatever is not printable ASCII is percent-encoded as UTF-8, and so is a space. */
export function locationValue(text: string): string {
  return text.replaceAll(NOT_IN_URI, percentEncode);
}

/** A JSON string with its quotes, ASCII only, safe inside HTML text. */
export function jsonInHtml(text: string): string {
  return JSON.stringify(text).replaceAll(NOT_IN_PAGE, escapeUnit);
}

/** Text of an element or a quoted attribute; neither quotes nor what templates of scripts react to survives. */
export function htmlText(text: string): string {
  return text.replaceAll(NOT_IN_HTML, (character) => {
    const code = character.codePointAt(0) as number;
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0xd800 && code < 0xe000) ? "?" : `&#${code};`;
  });
}

function percentEncode(character: string): string {
  let encoded = "";
  for (const byte of ENCODER.encode(character)) {
    encoded += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** JSON's own escape serves HTML too: no markup is left for a browser to see, and the JSON stays the same value. */
function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

const UNPRINTABLE = /[^\x20-\x7e]/g;
const NOT_IN_URI = /[^\x21-\x7e]/gu;
const NOT_IN_HTML = /[^ !#%()*+,\-./0-9:;=?@A-Z[\]^_a-z|~]/gu;
const NOT_IN_PAGE = /[<>&'\x7f-\uffff]/g;
/** By code, up to 0x7e: 1 for what no context escapes. */
const PLAIN = Uint8Array.from({ length: 0x7f }, (_, code) => {
  const character = String.fromCharCode(code);
  return htmlText(character) === character ? 1 : 0;
});
const ENCODER = new TextEncoder();
