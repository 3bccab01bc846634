// Templates of rewritten hosts and paths (spec 6.6): literal text, `$HOST[n]` and `$PATH[n]`.
//
// A template is checked and cut into parts when it is configured; a request only joins spans. Nothing is decoded, so what
// a request cannot hold (CR, LF, spaces) cannot come out either. Captures of the host come out in lower case: that is
// how rules compare hosts.

import { Authority } from "../wire/http1/authority.ts";
import { ascii, QUERY } from "../wire/http1/bytes.ts";
import { Constant, encodeConstant, encodeSpan } from "../wire/http1/encoder.ts";

/** Characters of a template. */
export const REWRITE_LENGTH_MAX = 4096;
/** Captures in a template. */
export const CAPTURES_MAX = 64;

const LITERAL = 0;
const FROM_HOST = 1;
const FROM_PATH = 2;
const UPPER_A = 0x41;
const UPPER_Z = 0x5a;

/** What a template makes: a host (with or without a port), or the path of a request target. */
export type RewriteTarget = "host" | "path";

/** A compiled template. */
export class Rewrite {
  readonly #kinds: Uint8Array;
  readonly #literals: readonly Constant[];
  readonly #indexes: Uint16Array;
  /** It has a `?` of its own, which then takes the place of the request's query. */
  readonly hasQuery: boolean;
  /** It takes nothing from the request: what it makes is always the same. */
  readonly isLiteral: boolean;

  constructor(parts: readonly Part[]) {
    this.#kinds = Uint8Array.from(parts, (part) => part.kind);
    this.#literals = parts.map((part) => new Constant(part.text));
    this.#indexes = Uint16Array.from(parts, (part) => part.index);
    this.hasQuery = parts.some((part) => part.text.includes("?"));
    this.isLiteral = parts.every((part) => part.kind === LITERAL);
  }

  /**
   * Writes the text at `at` of `bytes`, not beyond `limit`. `host` and `path` are pairs of absolute positions in `bytes`:
   * capture 0, 1 and so on. Returns the end, or -1 when there is no room.
   */
  render(bytes: Uint8Array, at: number, limit: number, host: Int32Array, path: Int32Array): number {
    const kinds = this.#kinds;
    let i = at;
    for (let part = 0; part < kinds.length; part++) {
      const kind = kinds[part];
      if (kind === LITERAL) {
        const literal = this.#literals[part];
        if (i + literal.length > limit) return -1;
        i = encodeConstant(bytes, i, literal);
        continue;
      }
      const spans = kind === FROM_HOST ? host : path;
      const from = spans[2 * this.#indexes[part]];
      const to = spans[2 * this.#indexes[part] + 1];
      if (i + to - from > limit) return -1;
      if (kind === FROM_PATH) i = encodeSpan(bytes, i, bytes, from, to);
      else for (let k = from; k < to; k++) bytes[i++] = folded(bytes[k]);
    }
    return i;
  }
}

/**
 * Compiles a template. `hostGroups` and `pathGroups`: the highest index that the rule can capture (0: only the whole).
 * `target` decides which literal characters are allowed.
 */
export function compileRewrite(
  text: string,
  hostGroups: number,
  pathGroups: number,
  target: RewriteTarget = "path",
): Rewrite | { readonly reason: string } {
  if (text === "") return { reason: "it is empty" };
  if (text.length > REWRITE_LENGTH_MAX) return { reason: `it is longer than ${REWRITE_LENGTH_MAX} characters` };
  const parts: Part[] = [];
  for (let at = 0; at < text.length; ) {
    if (text[at] !== "$") {
      const next = text.indexOf("$", at);
      const end = next === -1 ? text.length : next;
      const bad = checkLiteral(text.slice(at, end), at, target);
      if (bad !== null) return { reason: bad };
      parts.push({ kind: LITERAL, text: text.slice(at, end), index: 0 });
      at = end;
      continue;
    }
    const match = /^\$(HOST|PATH)\[([0-9]{1,5})\]/.exec(text.slice(at, at + 16));
    if (match === null) return { reason: `"$" at character ${at + 1} does not begin $HOST[n] or $PATH[n]` };
    const [whole, name, digits] = match;
    const most = name === "HOST" ? hostGroups : pathGroups;
    if (Number(digits) > most) return { reason: tooHigh(whole, at, name, most) };
    parts.push({ kind: name === "HOST" ? FROM_HOST : FROM_PATH, text: "", index: Number(digits) });
    at += whole.length;
  }
  if (parts.length > 2 * CAPTURES_MAX) return { reason: `it has more than ${CAPTURES_MAX} captures` };
  const rewrite = new Rewrite(parts);
  if (target === "host" && rewrite.isLiteral && new Authority().read(ascii(text), 0, text.length) < 0) {
    return { reason: `${JSON.stringify(text)} is no host, with or without a port` };
  }
  return rewrite;
}

interface Part {
  readonly kind: number;
  readonly text: string;
  readonly index: number;
}

function checkLiteral(text: string, from: number, target: RewriteTarget): string | null {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const allowed = target === "host" ? /[A-Za-z0-9._:[\]-]/.test(text.charAt(i)) : code < 0x80 && QUERY[code] === 1;
    if (!allowed) return `${JSON.stringify(text.charAt(i))} at character ${from + i + 1} cannot be part of a ${target}`;
  }
  return null;
}

function tooHigh(whole: string, at: number, name: string, most: number): string {
  const can = most === 0 ? `only $${name}[0]` : `$${name}[0] to $${name}[${most}]`;
  return `${whole} at character ${at + 1}: the rule captures ${can}`;
}

function folded(c: number): number {
  return c >= UPPER_A && c <= UPPER_Z ? c | 0x20 : c;
}
