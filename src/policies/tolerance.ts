// What a listener may refuse although HTTP allows it, because servers behind proxies have been fooled by it: names with
// `_` (CGI and WSGI read them as `-`), paths with dot segments or with encoded slashes (one reader decodes and resolves
// them, another compares them as they are).

import { TARGET_MARKED } from "../wire/http1/bytes.ts";
import { WireError } from "../wire/http1/errors.ts";
import { DROP, FIELD_STRIDE, type Head, UNKNOWN } from "../wire/http1/head.ts";
import type { RequestDecoder } from "../wire/http1/request-decoder.ts";

const UNDERSCORE = 0x5f;
const DOT = 0x2e;
const SLASH = 0x2f;
const SEMICOLON = 0x3b;
const PERCENT = 0x25;

/** What one listener looks for. */
export class Tolerance {
  /** It concerns names of fields, not only paths. */
  readonly #concernsNames: boolean;
  readonly #refusesUnderscores: boolean;
  readonly #dropsUnderscores: boolean;
  readonly #refusesDots: boolean;
  readonly #refusesSlashes: boolean;

  constructor(refusesUnderscores: boolean, dropsUnderscores: boolean, refusesDots: boolean, refusesSlashes: boolean) {
    this.#concernsNames = refusesUnderscores || dropsUnderscores;
    this.#refusesUnderscores = refusesUnderscores;
    this.#dropsUnderscores = dropsUnderscores;
    this.#refusesDots = refusesDots;
    this.#refusesSlashes = refusesSlashes;
  }

  /**
   * The wire error with which a request is refused whose head was decoded at `base`, or 0. Fields that are to be dropped
   * are flagged.
   */
  check(request: RequestDecoder, bytes: Uint8Array, base: number): number {
    // Most paths hold neither a dot nor an escape: the decoder has seen that on its way.
    if (request.pathClasses < TARGET_MARKED && !this.#concernsNames) return 0;
    const { head } = request;
    const start = base + request.pathStart;
    const end = base + (request.queryStart === -1 ? request.pathEnd : request.queryStart);
    if (this.#refusesDots && hasDotSegment(bytes, start, end)) return WireError.DotSegment;
    if (this.#refusesSlashes && hasEncodedSlash(bytes, start, end)) return WireError.EncodedSlash;
    if (this.#refusesUnderscores && findUnderscored(head, bytes, base, false)) return WireError.UnderscoreInName;
    if (this.#dropsUnderscores) findUnderscored(head, bytes, base, true);
    return 0;
  }

  /** Trailers come too late for a refusal: names with `_` are dropped from them in both cases. */
  checkTrailers(head: Head, bytes: Uint8Array, base: number): void {
    if (this.#concernsNames) findUnderscored(head, bytes, base, true);
  }
}

/** Whether a path has a segment `.` or `..`, also encoded, also behind an encoded slash or before a `;`. */
export function hasDotSegment(bytes: Uint8Array, start: number, end: number): boolean {
  let i = start;
  while (i < end) {
    let dots = 0;
    for (let width = dotWidth(bytes, i, end); width > 0 && dots < 3; width = dotWidth(bytes, i, end)) {
      i += width;
      dots++;
    }
    const ends = i >= end || bytes[i] === SEMICOLON || slashWidth(bytes, i, end) > 0;
    if (ends && (dots === 1 || dots === 2)) return true;
    while (i < end && slashWidth(bytes, i, end) === 0) i++;
    i += slashWidth(bytes, i, end);
  }
  return false;
}

/** Whether a path has `%2f` or `%5c`, in any case. */
export function hasEncodedSlash(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] === PERCENT && slashWidth(bytes, i, end) > 0) return true;
  return false;
}

/** Whether a field's name holds `_`; with `drop`, all such fields are flagged. Names that we know hold none. */
function findUnderscored(head: Head, bytes: Uint8Array, base: number, drop: boolean): boolean {
  const { fields } = head;
  const end = head.count * FIELD_STRIDE;
  let found = false;
  for (let row = 0; row < end; row += FIELD_STRIDE) {
    if (fields[row + 4] !== UNKNOWN) continue;
    const nameEnd = base + fields[row + 1];
    for (let i = base + fields[row]; i < nameEnd; i++) {
      if (bytes[i] !== UNDERSCORE) continue;
      if (!drop) return true;
      fields[row + 5] |= DROP;
      found = true;
      break;
    }
  }
  return found;
}

/** Bytes of a dot at `i`: 1, 3 when it is encoded, 0 when there is none. */
function dotWidth(bytes: Uint8Array, i: number, end: number): number {
  if (i >= end) return 0;
  if (bytes[i] === DOT) return 1;
  return bytes[i] === PERCENT && i + 2 < end && bytes[i + 1] === 0x32 && (bytes[i + 2] | 0x20) === 0x65 ? 3 : 0;
}

/** Bytes of a slash at `i`: 1, 3 for `%2f` and `%5c`, 0 when there is none. */
function slashWidth(bytes: Uint8Array, i: number, end: number): number {
  if (i >= end) return 0;
  if (bytes[i] === SLASH) return 1;
  if (bytes[i] !== PERCENT || i + 2 >= end) return 0;
  const low = bytes[i + 2] | 0x20;
  return (bytes[i + 1] === 0x32 && low === 0x66) || (bytes[i + 1] === 0x35 && low === 0x63) ? 3 : 0;
}
