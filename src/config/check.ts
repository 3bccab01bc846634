// Checks one table of the file against its key table: unknown keys (with the nearest known one), values, missing keys.
// All problems are collected; a value with a problem is left out of the result, so that later checks do not repeat it.

import type { z } from "zod";
import { isTable, type KeyTable, kindOf, NOT_SUPPORTED, type ValuesOf } from "./keys.ts";
import { type ConfigPath, formatPath, type ProblemList } from "./problems.ts";
import { nearest } from "./suggest.ts";
import { KEY_TABLES } from "./tables.ts";

/** How a check is done. */
export interface CheckContext {
  readonly problems: ProblemList;
  /** "warn" turns unknown keys into warnings. */
  readonly unknownKeys: "error" | "warn";
}

/** The usable values of `raw`, or null when it is not a table. */
export function checkTable<T extends KeyTable>(
  context: CheckContext,
  keys: T,
  raw: unknown,
  path: ConfigPath,
): ValuesOf<T> | null {
  if (!isTable(raw)) {
    context.problems.error(path, `${formatPath(path)}: expected a table, got ${kindOf(raw)}`);
    return null;
  }
  const values: Record<string, unknown> = {};
  const meant = new Set<string>();
  for (const name of Object.keys(raw)) {
    if (Object.hasOwn(keys, name)) checkValue(context, keys, name, raw[name], path, values);
    else meant.add(unknownKey(context, keys, name, path) ?? "");
  }
  for (const name in keys) {
    // A misspelt key is one problem, not two.
    if (keys[name]!.required && !Object.hasOwn(raw, name) && !meant.has(name)) {
      context.problems.error([...path, name], `missing key "${name}" in ${formatPath(path)}`);
    }
  }
  return values as ValuesOf<T>;
}

function checkValue(
  context: CheckContext,
  keys: KeyTable,
  name: string,
  value: unknown,
  path: ConfigPath,
  values: Record<string, unknown>,
): void {
  const key = keys[name]!;
  const result = key.schema.safeParse(value);
  if (result.success) {
    if (!key.later) values[name] = result.data;
    return;
  }
  for (const issue of result.error.issues) {
    const inner = [...path, name, ...(issue.path as (string | number)[])];
    if (key.later) context.problems.error(inner, `"${name}" is ${NOT_SUPPORTED}`, null, true);
    else
      context.problems.error(
        inner,
        `${formatPath([name, ...inner.slice(path.length + 1)])}: ${issue.message}`,
        wordOf(issue),
      );
  }
}

/** The word that was probably meant, when the value had to be one of several. */
function wordOf(issue: z.core.$ZodIssue): string | null {
  if (issue.code !== "custom" || issue.params === undefined) return null;
  const { words, given } = issue.params as { words?: readonly string[]; given?: string };
  return words === undefined || given === undefined ? null : nearest(given, words);
}

/** Returns the key that was probably meant, if any. */
function unknownKey(context: CheckContext, keys: KeyTable, name: string, path: ConfigPath): string | null {
  const suggestion = nearest(name, Object.keys(keys));
  const home = suggestion === null ? (KEY_TABLES.find((one) => Object.hasOwn(one.keys, name))?.title ?? null) : null;
  const where = path.length === 0 ? "" : ` in ${formatPath(path)}`;
  const message = `unknown key ${JSON.stringify(name)}${where}${home === null ? "" : `: it belongs into ${home}`}`;
  if (context.unknownKeys === "warn") context.problems.warning([...path, name], message, suggestion, true);
  else context.problems.error([...path, name], message, suggestion, true);
  return suggestion;
}
