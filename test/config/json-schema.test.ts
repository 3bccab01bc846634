// The JSON Schema says what the parser says: every file that loads is valid for it, and what it alone can see is refused.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "smol-toml";
import { configSchema } from "../../src/config/json-schema.ts";
import type { JsonSchema } from "../../src/config/keys.ts";
import { KEY_TABLES } from "../../src/config/tables.ts";

/** The part of JSON Schema that is used; returns the first violation or null. */
function violation(schema: JsonSchema, value: unknown, at: string): string | null {
  const { anyOf } = schema as { anyOf?: readonly JsonSchema[] };
  if (anyOf !== undefined) {
    const found = anyOf.map((one) => violation(one, value, at));
    return found.includes(null) ? null : first(found);
  }
  const { type, minimum, maximum, pattern, items, properties, required, additionalProperties } = schema;
  const choices = schema["enum"] as readonly unknown[] | undefined;
  if (choices !== undefined && !choices.includes(value)) return `${at}: not in the enum`;
  const kind = Array.isArray(value) ? "array" : Number.isInteger(value) ? "integer" : typeof value;
  if (type !== undefined && type !== kind) return `${at}: ${kind}, not ${type}`;
  if (typeof minimum === "number" && (value as number) < minimum) return `${at}: too small`;
  if (typeof maximum === "number" && (value as number) > maximum) return `${at}: too large`;
  if (typeof pattern === "string" && !new RegExp(pattern).test(value as string)) return `${at}: pattern`;
  if (Array.isArray(value))
    return first(value.map((item, i) => violation((items ?? {}) as JsonSchema, item, `${at}[${i}]`)));
  if (kind !== "object") return null;
  const table = value as Record<string, unknown>;
  const missing = ((required ?? []) as readonly string[]).find((name) => !(name in table));
  if (missing !== undefined) return `${at}: ${missing} is missing`;
  return first(
    Object.entries(table).map(([name, item]) => {
      const own = (properties as Record<string, JsonSchema> | undefined)?.[name];
      if (own !== undefined) return violation(own, item, `${at}.${name}`);
      if (additionalProperties === false) return `${at}.${name}: unknown`;
      return violation((additionalProperties ?? {}) as JsonSchema, item, `${at}.${name}`);
    }),
  );
}

function first(found: readonly (string | null)[]): string | null {
  return found.find((one) => one !== null) ?? null;
}

const schema = configSchema();
const root = join(import.meta.dirname, "../..");
const golden = join(import.meta.dirname, "golden");

test("every file that loads is valid", () => {
  const names = ["empty", "full-http", "inactive", "minimal", "policies", "routing"];
  const files = [...names.map((name) => join(golden, `${name}.toml`)), join(root, "config.toml")];
  assert.ok(readdirSync(golden).length > names.length);
  for (const file of files) assert.equal(violation(schema, parse(readFileSync(file, "utf8")), "file"), null, file);
});

test("unknown keys, wrong types, numbers out of range and missing keys are violations", () => {
  const wrong = ["max_conections = 1", "max_connections = 0", 'log_colored = "no"', "[[listeners]]", "[clusters.a]"];
  for (const text of wrong) assert.notEqual(violation(schema, parse(text), "file"), null, text);
});

test("every key of every table is in it, with its meaning", () => {
  const text = JSON.stringify(schema);
  for (const { keys } of KEY_TABLES) {
    for (const [name, { doc }] of Object.entries(keys)) {
      assert.ok(text.includes(`${JSON.stringify(name)}:{"description":${JSON.stringify(doc).slice(0, -1)}`), name);
    }
  }
});
