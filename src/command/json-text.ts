// Parses JSON text without losing digits: an integer beyond 2^53 becomes a BigInt (the halves of an IPv6 address need
// all 64 bits). The reviver that this takes is slow, so it runs only on texts that hold a long run of digits.

/** The value, or why the text is not JSON. */
export type ParsedJson =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly reason: string };

/** Parses `text`. Members named `__proto__` are plain members. Never throws. */
export function parseJson(text: string): ParsedJson {
  try {
    const value: unknown = LONG_NUMBER.test(text) ? JSON.parse(text, keepDigits as Reviver) : JSON.parse(text);
    return { ok: true, value };
  } catch (error) {
    // SyntaxError of JSON.parse, or RangeError of a reviver that recursed too deep.
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

type Reviver = (this: unknown, key: string, value: unknown) => unknown;

const LONG_NUMBER = /\d{16}/;
const INTEGER = /^-?\d{1,20}$/;

function keepDigits(_key: string, value: unknown, context: { source?: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  return context.source !== undefined && INTEGER.test(context.source) ? BigInt(context.source) : value;
}
