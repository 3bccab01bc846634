// docs/configuration.md is what the key tables generate, and every example in it is a configuration that loads.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { configurationPage } from "../../scripts/configuration-page.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { KEY_TABLES } from "../../src/config/tables.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/configuration.md"), "utf8");

test("docs/configuration.md is up to date", () => {
  assert.ok(page === configurationPage(), "run `npm run gen` and commit the result");
});

test("every example of docs/configuration.md loads without a warning", async () => {
  const examples = [...page.matchAll(/```toml\n([\s\S]*?)```/g)].map((match) => match[1]!);
  assert.ok(examples.length >= 5);
  for (const example of examples) {
    const result = await parseConfig(example, { file: "example", folder: "/etc/sozu" });
    assert.ok(result.ok, result.ok ? "" : result.text);
    assert.deepEqual(result.warnings, []);
  }
});

test("every key is on the page", () => {
  for (const { keys } of KEY_TABLES)
    for (const name of Object.keys(keys)) assert.match(page, new RegExp(`\`${name}\``));
});
