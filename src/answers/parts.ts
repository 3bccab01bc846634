// The pieces of a compiled template. Literals are bytes, escaped values are ASCII: lengths are known before a byte is
// written. A field whose value is empty disappears whole, name and line end.

import { Constant, encodeConstant } from "../wire/http1/encoder.ts";

/** Bytes as they are. */
export const PART_LITERAL = 0;
/** The literal, then a variable. */
export const PART_VARIABLE = 1;
/** A field whose value is a variable; left out when that is empty. The literal is its name, colon and space. */
export const PART_FIELD = 2;
/** Where `Connection: close` goes when the connection closes. */
export const PART_CONNECTION = 3;
/** Where Content-Length goes. */
export const PART_LENGTH = 4;

/** A piece of a template. */
export class Part {
  readonly kind: number;
  readonly literal: Constant;
  /** -1: none. */
  readonly variable: number;

  constructor(kind: number, literal: string, variable: number) {
    this.kind = kind;
    this.literal = new Constant(ENCODER.encode(literal));
    this.variable = variable;
  }

  lengthWith(texts: readonly string[]): number {
    if (this.variable === -1) return this.literal.length;
    if (this.kind === PART_VARIABLE) return this.literal.length + texts[this.variable].length;
    const text = texts[this.variable];
    return text === "" ? 0 : this.literal.length + text.length + LINE_END.length;
  }

  write(texts: readonly string[], target: Uint8Array, from: number): number {
    const { literal, kind, variable } = this;
    const text = variable === -1 ? "" : texts[variable];
    if (kind === PART_FIELD && text === "") return from;
    if (literal.length < WORDS_BYTES_MAX) encodeConstant(target, from, literal);
    else target.set(literal.bytes, from);
    const at = writeText(target, from + literal.length, text);
    return kind === PART_FIELD ? writeText(target, at, LINE_END) : at;
  }
}

/** Writes ASCII text; returns where it ends. */
export function writeText(target: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) target[at + i] = text.charCodeAt(i);
  return at + text.length;
}

/** From here on the call that copies is cheaper than words are. */
const WORDS_BYTES_MAX = 1024;
const LINE_END = "\r\n";
const ENCODER = new TextEncoder();
