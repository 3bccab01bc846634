// What may reach a header or a page. Values come from requests, from backends and from the configuration; none of
// them is trusted to be free of line ends, markup or quotes (RFC 9110 5.5: CR, LF and NUL in a field value are
// dangerous).
// Everything returned here is printable ASCII, so lengths in characters are lengths in bytes.

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
const NOT_IN_PAGE = /[<>&'\x7f-\uffff]/g;
const ENCODER = new TextEncoder();
