// Building blocks of the key tables: what a key of the configuration file accepts, means and defaults to. One entry
// serves the validation, the reference page and the suggestions, so the three cannot disagree. Values are validated by
// zod; the messages are complete sentences for operators and start in lower case, as they follow "file:line:column: ".

import { z } from "zod";
import { parseAddress } from "../command/address.ts";
import type { SocketAddress } from "../command/objects.ts";

/** One key of one table of the file. */
export interface Key<S extends z.ZodType = z.ZodType> {
  readonly schema: S;
  /** The same for editors, as far as JSON Schema can say it. */
  readonly json: JsonSchema;
  /** Shown in the reference page: type, default, meaning. */
  readonly type: string;
  readonly default: string;
  readonly doc: string;
  readonly required: boolean;
  /** Recognised and refused: the part it belongs to is not built. A value equal to `neutral` passes. */
  readonly later: boolean;
}

/** A part of a JSON Schema. */
export type JsonSchema = Readonly<Record<string, unknown>>;

export type KeyTable = Readonly<Record<string, Key>>;

/** The validated values of a table: every key may be missing. */
export type ValuesOf<T extends KeyTable> = { readonly [K in keyof T]?: z.output<T[K]["schema"]> };

export function key<S extends z.ZodType>(schema: Typed<S>, fallback: string, doc: string): Key<S> {
  return { ...schema, default: fallback, doc, required: false, later: false };
}

export function requiredKey<S extends z.ZodType>(schema: Typed<S>, doc: string): Key<S> {
  return { ...schema, default: "required", doc, required: true, later: false };
}

/** A key of a part that is not built yet. `neutral` values say what is done anyway and pass. */
export function laterKey(doc: string, ...neutral: readonly unknown[]): Key<z.ZodUnknown> {
  const schema = z.unknown().refine((value) => neutral.includes(value), { error: NOT_SUPPORTED });
  const fallback = neutral.length === 0 ? "-" : `\`${String(neutral[0])}\``;
  return { schema, json: { enum: neutral }, type: "-", default: fallback, doc, required: false, later: true };
}

/** What is said of keys and values of parts that are not built yet. */
export const NOT_SUPPORTED = "not supported yet";

/** A schema with the name of its type. */
export interface Typed<S extends z.ZodType> {
  readonly schema: S;
  readonly json: JsonSchema;
  readonly type: string;
}

/** An integer from `min` to `max`, both included; zero is refused by `min` unless it means something (decisions 8). */
export function integer(min: number, max: number, unit = ""): Typed<z.ZodType<number>> {
  const wanted = unit === "" ? "an integer" : `an integer (${unit})`;
  const schema = z
    .number({ error: (issue) => `expected ${wanted}, got ${kindOf(issue.input)}` })
    .refine((value) => Number.isInteger(value), { error: `expected ${wanted}, got a fraction`, abort: true })
    .refine((value) => value >= min && value <= max, {
      error: (issue) => `it must be from ${min} to ${max}${unit === "" ? "" : ` ${unit}`}, got ${String(issue.input)}`,
    });
  const json = { type: "integer", minimum: min, maximum: max };
  return { schema, json, type: unit === "" ? "integer" : `integer, ${unit}` };
}

export function bool(): Typed<z.ZodType<boolean>> {
  const schema = z.boolean({ error: (issue) => `expected true or false, got ${kindOf(issue.input)}` });
  return { schema, json: { type: "boolean" }, type: "boolean" };
}

/** A string that `check` (null or a reason) accepts. */
export function text(check: (value: string) => string | null = () => null, type = "string"): Typed<z.ZodType<string>> {
  const schema = z
    .string({ error: (issue) => `expected a string, got ${kindOf(issue.input)}` })
    .superRefine((value, context) => {
      const reason = check(value);
      if (reason !== null) context.addIssue({ code: "custom", message: reason });
    });
  return { schema, json: { type: "string" }, type };
}

/**
 * One of several words; `later` words are recognised and refused. The position in the list is the value. `fold` brings
 * other spellings into that of the list.
 */
export function word<W extends string>(
  words: readonly W[],
  later: readonly string[] = [],
  fold: (given: string) => string = (given) => given,
): Typed<z.ZodType<W>> {
  const schema = z
    .string({ error: (issue) => `expected a string, got ${kindOf(issue.input)}` })
    .transform((given, context): W => {
      const value = fold(given);
      if ((words as readonly string[]).includes(value) && !later.includes(value)) return value as W;
      const known = later.includes(value);
      const usable = words.filter((one) => !later.includes(one));
      const message = known ? `${JSON.stringify(value)} is ${NOT_SUPPORTED}` : expectedWord(usable);
      context.addIssue({ code: "custom", message, params: { words: known ? [] : usable, given: value } });
      return z.NEVER;
    });
  const usable = words.filter((one) => !later.includes(one));
  // Where other spellings fold into these, an editor can only propose them.
  const folds = usable.some((one) => one.toUpperCase() !== one && fold(one.toUpperCase()) === one);
  const json = folds ? { type: "string", examples: usable } : { enum: usable };
  return { schema, json, type: words.map((one) => `\`${one}\``).join(", ") };
}

function expectedWord(words: readonly string[]): string {
  return words.length === 1 ? `expected ${JSON.stringify(words[0])}` : `expected one of ${words.join(", ")}`;
}

/** An array of words out of a list. */
export function words<W extends string>(list: readonly W[]): Typed<z.ZodType<readonly W[]>> {
  const item = word(list);
  const schema = z.array(item.schema, { error: (issue) => `expected an array, got ${kindOf(issue.input)}` });
  return { schema, json: { type: "array", items: item.json }, type: `array of ${item.type}` };
}

/** `ip:port` or `[v6]:port`; names are not resolved. */
export function address(): Typed<z.ZodType<SocketAddress>> {
  const schema = z
    .string({ error: (issue) => `expected an address such as "127.0.0.1:8080", got ${kindOf(issue.input)}` })
    .transform((value, context): SocketAddress => {
      const parsed = parseAddress(value);
      if (parsed !== null) return parsed;
      context.addIssue({ code: "custom", message: `expected an address such as "127.0.0.1:8080" or "[::1]:8080"` });
      return z.NEVER;
    });
  return { schema, json: { type: "string", pattern: ":[0-9]+$" }, type: "socket address" };
}

/** A table of strings; keys named `__proto__` are keys. */
export function stringTable(): Typed<z.ZodType<ReadonlyMap<string, string>>> {
  const schema = z
    .custom<Record<string, unknown>>(isTable, { error: (issue) => `expected a table, got ${kindOf(issue.input)}` })
    .transform((value, context): ReadonlyMap<string, string> => {
      const map = new Map<string, string>();
      for (const [name, item] of Object.entries(value)) {
        if (typeof item === "string") map.set(name, item);
        else context.addIssue({ code: "custom", path: [name], message: `expected a string, got ${kindOf(item)}` });
      }
      return map;
    });
  const json = { type: "object", additionalProperties: { type: "string" } };
  return { schema, json, type: "table of strings" };
}

/** An array of tables; the caller checks each item, so that one bad item does not hide the problems of the others. */
export function tables(): Typed<z.ZodType<readonly unknown[]>> {
  const schema = z.custom<readonly unknown[]>(Array.isArray, {
    error: (issue) => `expected an array of tables, got ${kindOf(issue.input)}`,
  });
  return { schema, json: { type: "array", items: { type: "object" } }, type: "array of tables" };
}

/** A table whose keys the caller checks. */
export function table(): Typed<z.ZodType<Record<string, unknown>>> {
  const schema = z.custom<Record<string, unknown>>(isTable, {
    error: (issue) => `expected a table, got ${kindOf(issue.input)}`,
  });
  return { schema, json: { type: "object" }, type: "table" };
}

/** A table of tables, by name. */
export function tableOfTables(): Typed<z.ZodType<Record<string, unknown>>> {
  const json = { type: "object", additionalProperties: { type: "object" } };
  return { schema: table().schema, json, type: "table of tables" };
}

/** An array of integers from 0 to `max`. */
export function integers(max: number): Typed<z.ZodType<readonly number[]>> {
  const item = integer(0, max);
  const schema = z.array(item.schema, { error: (issue) => `expected an array, got ${kindOf(issue.input)}` });
  return { schema, json: { type: "array", items: item.json }, type: "array of integers" };
}

/** An array of strings. */
export function strings(): Typed<z.ZodType<readonly string[]>> {
  const schema = z.array(text().schema, { error: (issue) => `expected an array, got ${kindOf(issue.input)}` });
  return { schema, json: { type: "array", items: { type: "string" } }, type: "array of strings" };
}

/** A key that is known, and wrong where it stands: any value is refused with this message. */
export function misplaced(message: string): Typed<z.ZodType<never>> {
  return { schema: z.never({ error: message }), json: { enum: [] }, type: "-" };
}

export function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** How messages call the kind of a TOML value. */
export function kindOf(value: unknown): string {
  if (typeof value === "number" || typeof value === "bigint") return `the number ${value}`;
  if (typeof value === "string") return value.length > 40 ? "a string" : `the string ${JSON.stringify(value)}`;
  if (typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return "an array";
  if (value instanceof Date) return "a date";
  return "a table";
}
