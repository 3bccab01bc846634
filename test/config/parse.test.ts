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

/** The files that golden files name. */
const FILES: Readonly<Record<string, string>> = {
  "/etc/sozu/errors/404.http": "HTTP/1.1 404 Not Found\nContent-Type: text/plain\n\nno %ROUTE\n",
  "/etc/sozu/errors/broken.http": "HTTP/1.1 503 Sorry\n\n%ROUT\n",
  "/srv/503.http": "HTTP/1.1 503 Sorry\n\nlater\n",
  "/srv/301.http": "HTTP/1.1 301 Moved\nLocation: %REDIRECT_LOCATION\n\n",
};

function readFile(path: string): string | { readonly reason: string } {
  return FILES[path] ?? { reason: `there is no file ${path}` };
}

async function outcome(name: string): Promise<string> {
  const text = readFileSync(join(folder, `${name}.toml`), "utf8");
  const unknownKeys = name.startsWith("warn-") ? "warn" : "error";
  const result = await parseConfig(text, { file: "config.toml", folder: "/etc/sozu", unknownKeys, readFile });
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
