// Regular expressions that operators give for paths and hosts. The dialect is RE2's, matched in time linear in the
// text whatever the pattern; what cannot be matched so (look-around, back-references) is refused when it is given.
// Length and compiled size are bounded, because the work per byte of a request grows with them. A refusal says what is
// wrong and at which character, counted from 1.

import { RE2JS, RE2JSSyntaxException } from "re2js";
import { PATTERN_LENGTH_MAX, PATTERN_SIZE_MAX } from "./limits.ts";

export type Regex = RE2JS;

/** A compiled pattern, or why there is none. */
export type PatternResult = { readonly regex: Regex } | { readonly reason: string };

/** Compiles a pattern; `fold`: without regard to case, as host names are compared. */
export function compilePattern(source: string, fold = false): PatternResult {
  if (source.length > PATTERN_LENGTH_MAX) {
    return { reason: `the regular expression is longer than ${PATTERN_LENGTH_MAX} characters` };
  }
  const tokens = tokenize(source);
  for (const { text, at, inClass } of tokens) {
    const foreign = inClass ? undefined : FOREIGN.find(([start]) => start.test(text));
    if (foreign !== undefined) return { reason: `${foreign[1]} cannot be used, as in RE2: ${spot(text, at)}` };
  }
  try {
    const regex = RE2JS.compile(source, fold ? RE2JS.CASE_INSENSITIVE : 0);
    const size = regex.programSize();
    if (size <= PATTERN_SIZE_MAX) return { regex };
    return {
      reason: `the regular expression is too large: it compiles to ${size} steps, of at most ${PATTERN_SIZE_MAX}`,
    };
  } catch (error) {
    return { reason: `invalid regular expression: ${explain(source, tokens, error)}` };
  }
}

/** A text that matches itself. */
export function quotePattern(text: string): string {
  return RE2JS.quote(text);
}

interface Token {
  readonly text: string;
  readonly at: number;
  readonly inClass: boolean;
}

/** Escapes, openings of groups and single characters: enough to tell where something stands. */
function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let classStart = -1;
  for (let at = 0; at < source.length; ) {
    const rest = source.slice(at);
    const inClass = classStart !== -1;
    const quoted = inClass ? null : /^\\Q.*?(?:\\E|$)/s.exec(rest);
    const text = (quoted ?? /^\\(?:k<|.)/s.exec(rest) ?? (inClass ? null : GROUP.exec(rest)))?.[0] ?? source.charAt(at);
    tokens.push({ text, at, inClass });
    if (!inClass && text === "[") classStart = at;
    // A bracket that comes first in a class is a member of it.
    else if (text === "]" && at > classStart + 1 && source.slice(classStart, at) !== "[^") classStart = -1;
    at += text.length;
  }
  return tokens;
}

/** What the compiler said, with the place it did not say. */
function explain(source: string, tokens: readonly Token[], error: unknown): string {
  if (!(error instanceof RE2JSSyntaxException)) return error instanceof Error ? error.message : "it does not compile";
  const what = error.getDescription();
  const part = error.getPattern() ?? "";
  if (/missing closing \)/.test(what)) return `${what} for ${spot("(", openGroup(tokens))}`;
  if (/unexpected \)/.test(what)) return `${what} at character ${strayClosing(tokens) + 1}`;
  if (part === "") return `${what} at character ${source.length}`;
  if (/duplicate/.test(what)) return `${what}: ${spot(part, source.lastIndexOf(`<${part}>`) + 1)}`;
  const outside = tokens.find((token) => !token.inClass && source.startsWith(part, token.at));
  return `${what}: ${spot(part, outside?.at ?? Math.max(0, source.indexOf(part)))}`;
}

/** Where the innermost group begins that is never closed. */
function openGroup(tokens: readonly Token[]): number {
  const open: number[] = [];
  for (const { text, at, inClass } of tokens) {
    if (inClass) continue;
    if (text.startsWith("(") && !FLAGS.test(text)) open.push(at);
    else if (text === ")") open.pop();
  }
  return open.at(-1) ?? 0;
}

/** Where the first closing parenthesis stands that closes nothing. */
function strayClosing(tokens: readonly Token[]): number {
  let depth = 0;
  for (const { text, at, inClass } of tokens) {
    if (inClass) continue;
    if (text.startsWith("(") && !FLAGS.test(text)) depth++;
    else if (text === ")" && depth-- === 0) return at;
  }
  return 0;
}

function spot(text: string, at: number): string {
  return `"${text}" at character ${at + 1}`;
}

/** The opening of a group with what says its kind; `(?i)` as a whole, since it opens none. */
const GROUP = /^\((?:\?(?:<[=!]|[=!:>]|P=|P?<\w*>?|[a-zA-Z-]+[:)])?)?/;
const FLAGS = /^\(\?[a-zA-Z-]+\)$/;
/** What backtracking engines have and no engine that takes linear time. */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [/^\(\?<?[=!]/, "look-around"],
  [/^(?:\(\?P=|\\[1-9]|\\k<)/, "a back-reference"],
  [/^\(\?>/, "an atomic group"],
];
