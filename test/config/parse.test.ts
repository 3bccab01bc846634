// The configuration file as golden files under golden/: `<name>.toml` beside `<name>.out`, which holds the rendered
// problems of a broken file, or the settings and requests of a good one. UPDATE_GOLDEN=1 rewrites them; read the diff.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { RequestSchema } from "../../src/command/gen/sozu_pb.ts";
import { toJson } from "../../src/command/json.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { renderProblems } from "../../src/config/problems.ts";

const folder = join(import.meta.dirname, "golden");
const names = readdirSync(folder)
  .filter((name) => name.endsWith(".toml"))
  .map((name) => name.slice(0, -".toml".length));

async function outcome(name: string): Promise<string> {
  const text = readFileSync(join(folder, `${name}.toml`), "utf8");
  const unknownKeys = name.startsWith("warn-") ? "warn" : "error";
  const result = await parseConfig(text, { file: "config.toml", folder: "/etc/sozu", unknownKeys });
  if (!result.ok) return `${result.text}\n`;
  const requests = result.requests.map((one) => toJson(RequestSchema, one)).join("\n");
  const warnings = result.warnings.length === 0 ? "" : `${renderProblems(result.warnings)}\n\n`;
  return `${warnings}${JSON.stringify(result.settings, null, 2)}\n\n${requests}\n`;
}

for (const name of names) {
  test(`golden file ${name}`, async () => {
    const expected = join(folder, `${name}.out`);
    const actual = await outcome(name);
    if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(expected, actual);
    assert.equal(actual, readFileSync(expected, "utf8"));
  });
}
