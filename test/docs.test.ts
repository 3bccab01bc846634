// The documentation is checked like code: pages made from tables are current, every configuration shown loads, every script
// and verb named exists, and docs/hardening.md tells the truth about the tests.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { errorsPage } from "../scripts/errors-page.ts";
import { AnswerTemplate, compileAnswer } from "../src/answers/template.ts";
import { VARIABLES } from "../src/answers/variables.ts";
import { buildProgram } from "../src/cli/program.ts";
import { loadConfig } from "../src/config/load.ts";
import { makeCertificate } from "./command/certs.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const pages = ["README.md", ...readdirSync(join(root, "docs")).map((name) => join("docs", name))].filter((name) =>
  name.endsWith(".md"),
);
const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** Code blocks of a language in a page. */
function blocks(page: string, language: string): string[] {
  return [...read(page).matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, "gm"))].map(
    (match) => match[1] as string,
  );
}

test("docs/errors.md is current", () => {
  assert.equal(read("docs/errors.md"), errorsPage(), "run: node scripts/errors-page.ts");
});

test("every whole configuration in the documentation loads, and the sample", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sozu-docs-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const shown = pages.flatMap((page) => blocks(page, "toml").map((text) => ({ page, text })));
  const whole = [
    ...shown.filter(({ text }) => text.includes("[clusters.")),
    { page: "config.toml", text: read("config.toml") },
  ];
  assert.ok(whole.length >= 2);
  // The page on HTTPS makes it with openssl.
  const { pem, key } = makeCertificate({ names: ["shop.localhost"] });
  writeFileSync(join(folder, "shop.pem"), pem);
  writeFileSync(join(folder, "shop.key"), key);
  for (const { page, text } of whole) {
    const path = join(folder, "config.toml");
    writeFileSync(path, text);
    const result = await loadConfig(path);
    assert.ok(result.ok, `${page}:\n${result.ok ? "" : result.text}`);
  }
});

test("the templates of docs/answers.md compile, and its table is the one of the code", () => {
  for (const text of blocks("docs/answers.md", "http")) {
    const template = compileAnswer(text.slice(9, 12), text);
    assert.ok(template instanceof AnswerTemplate, `${text}: ${JSON.stringify(template)}`);
  }
  const rows = [...read("docs/answers.md").matchAll(/^\| `%(\w+)` \| ([^|]+) \| (\w+) \| (\w+) \| (\w+) \|/gm)];
  assert.deepEqual(
    rows.map((row) => row.slice(1)),
    VARIABLES.map(({ name, statuses, others, inHeader, inBody, once }) => [
      name,
      [...(statuses ?? ["all"]), ...(others ? ["others"] : [])].join(", "),
      inHeader ? "yes" : "no",
      inBody ? "yes" : "no",
      once ? "once" : "any",
    ]),
  );
});

test("every npm script that is named exists", () => {
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  for (const page of pages) {
    for (const [, name] of read(page).matchAll(/npm run ([a-z0-9:-]+)/g)) {
      assert.ok(scripts[name as string] !== undefined, `${page}: npm run ${name}`);
    }
  }
});

test("every verb and flag that is shown exists", () => {
  const program = buildProgram();
  for (const page of pages) {
    for (const block of blocks(page, "sh")) {
      for (const [, line] of block.matchAll(/(?:^|[;&] *)\.\/sozu ([^#&\n]+)/gm)) {
        const words = (line as string).trim().split(/\s+/);
        let command = program;
        for (const word of words) {
          const found = command.commands.find((candidate) => candidate.name() === word);
          if (found !== undefined) command = found;
          if (!word.startsWith("-")) continue;
          const options = [...command.options, ...program.options];
          assert.ok(
            options.some((option) => [option.long, option.short].includes(word.split("=")[0] as string)),
            `${page}: ${word} in ${line}`,
          );
        }
        assert.notEqual(command, program, `${page}: unknown verb in ./sozu ${line}`);
      }
    }
  }
});

test("docs/hardening.md has every case, and the tests it names exist", () => {
  const rows = new Map<string, string>();
  for (const [, id, where] of read("docs/hardening.md").matchAll(/^\| ([A-Z0-9]+-\d\d) \| .* \| ([^|]+) \|$/gm)) {
    rows.set(id as string, where as string);
  }
  const groups: Readonly<Record<string, number>> = { H1: 62, BE: 20, WS: 14, TLS: 20, PP: 19, RX: 24, CP: 24, UP: 26 };
  for (const [group, count] of Object.entries(groups)) {
    for (let i = 1; i <= count; i++) assert.ok(rows.has(`${group}-${String(i).padStart(2, "0")}`), `${group}-${i}`);
  }
  for (const [id, where] of rows) {
    const links = [...where.matchAll(/\]\(\.\.\/([^)]+)\)/g)];
    assert.ok(links.length > 0 || where.endsWith("."), `${id}: neither a test nor a sentence that says why not`);
    for (const [, file] of links) {
      assert.ok(existsSync(join(root, file as string)), `${id}: ${file}`);
      const named = new RegExp(`^.*\\b(test|it|describe)\\(\\s*["\`][^"\`]*${id}\\b`, "m");
      assert.ok(named.test(read(file as string)), `${id}: no test in ${file} carries this id`);
    }
  }
  for (const file of testFiles()) {
    for (const [, title] of read(file).matchAll(/\b(?:test|it|describe)\(\s*["`]([^"`]*)/g)) {
      for (const [id] of (title as string).matchAll(/\b(?:H1|BE|WS|TLS|PP|RX|CP|UP)-\d\d\b/g)) {
        assert.ok(rows.get(id)?.includes(`](../${file})`), `${id}: its row does not name ${file}`);
      }
    }
  }
});

/** Paths of all test files. */
function testFiles(): string[] {
  return ["test", "e2e"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".test.ts"))
      .map((name) => join(folder, name)),
  );
}

test("docs/acceptance.md has every row of its groups, and the tests it names exist", () => {
  const page = read("docs/acceptance.md");
  const groups: Readonly<Record<string, number>> = {
    cluster_ip_limit: 4,
    eviction: 2,
    h1_security: 12,
    mux: 22,
    redirect_rewrite_auth: 15,
  };
  for (const [group, count] of Object.entries(groups)) {
    const section = page.split("## ").find((text) => text.startsWith(`${group}\n`)) ?? "";
    assert.equal([...section.matchAll(/^\| test_/gm)].length, count, group);
  }
  for (const [line, name] of page.matchAll(/^\| ([a-z][^|]*) \| .*$/gm)) {
    const links = [...line.matchAll(/\]\(\.\.\/([^)]+)\) "([^"]+)"/g)];
    assert.ok(links.length > 0 || /not built yet/.test(line), `${name}: neither a test nor a reason`);
    for (const [, file, part] of links) {
      const titles = [...read(file as string).matchAll(/\b(?:test|it)\(\s*(?:"([^"]*)"|`([^`]*)`)/g)];
      assert.ok(
        titles.some(([, plain, template]) => (plain ?? template ?? "").includes(part as string)),
        `${name}: no test in ${file} is called ${part}`,
      );
    }
  }
});

test("every limit of docs/limits.md names a test that exists", () => {
  const page = read("docs/limits.md");
  const rows = page.slice(0, page.indexOf("\n## ")).match(/^\| .*\|$/gm) ?? [];
  assert.ok(rows.length > 20);
  for (const row of rows.slice(1)) {
    const tests = [...row.matchAll(/\]\(\.\.\/([^)]+\.test\.ts)\)/g)].map((match) => match[1] as string);
    assert.ok(tests.length > 0, row);
    for (const path of tests) assert.ok(existsSync(join(root, path)), path);
  }
});
