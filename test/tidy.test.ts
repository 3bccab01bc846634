// Style as a test: what a program can check of the house rules. The import directions are those of
// docs/architecture.md. An exception is an entry in one of the lists below, with its reason.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const CODE_FOLDERS = ["src", "test", "e2e", "bench", "chaos", "conformance", "fuzz", "scripts"];
const FILE_LINES_MAX = 800;
const FUNCTION_LINES_MAX = 70;
/** The formatter keeps code within 120; comments may end a word later. */
const LINE_CHARACTERS_MAX = 125;

/** Rooms whose code runs without a socket, a file or a clock. */
const PURE = ["wire", "routing", "balancing", "answers", "policies", "command", "config", "explain", "certificates"];

/** Room -> rooms it may import values from (itself always; types of pure rooms always). */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  wire: [],
  // Rules lead to policies, which routing compiles with what the rule captures.
  routing: ["command", "wire", "answers", "policies"],
  balancing: ["command"],
  answers: ["wire"],
  // Templates and policies are validated where they are set, by the code that will carry them out.
  command: ["answers", "policies"],
  config: ["command", "answers", "policies"],
  policies: ["wire"],
  certificates: ["command", "wire"],
  explain: ["command", "wire", "routing", "policies"],
  os: [],
  loop: ["os", ...PURE],
  observe: ["os", ...PURE],
  proxy: ["os", "loop", "observe", ...PURE],
  worker: ["os", "loop", "observe", "proxy", ...PURE],
  main: ["os", "observe", ...PURE],
  client: PURE,
  cli: ["client", ...PURE],
};

/** file -> rooms it may import beyond ARROWS, and why. */
const ARROW_EXCEPTIONS: Readonly<Record<string, { readonly to: readonly string[]; readonly why: string }>> = {
  "src/answers/compiler.ts": { to: ["config"], why: "suggests the variable that was meant, as configuration keys are" },
  "src/cli/doctor/system.ts": { to: ["os"], why: "asks the kernel what the sandbox of workers would ask it" },
  "src/cli/start.ts": { to: ["main"], why: "`sozu start` becomes main: the one door between the two, loaded lazily" },
};

/** Node modules that do I/O or hold a clock; a pure room imports none of them. */
const IO_MODULES = /^node:(fs|net|http|http2|https|tls|dgram|dns|child_process|worker_threads|cluster|timers|process)/;
const IO_EXCEPTIONS: Readonly<Record<string, string>> = {
  "src/config/module-file.ts": "runs a configuration that is a module",
  "src/config/load.ts": "reads the configuration file; everything after it is text in, requests out",
};

/** Started by path or by package.json, so nobody imports them. */
const ENTRIES = [
  /^src\/(cli|worker|main)\/main\.ts$/,
  /^src\/(client|config)\/index\.ts$/,
  /\.test\.ts$/,
  /^(bench|chaos|conformance|fuzz)\/(.*\/)?[^/]+\.ts$/,
  /^scripts\//,
  // Until HTTPS listeners use it.
  /^src\/os\/tls\.ts$/,
];

interface Source {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  /** The text with comments and string contents blanked out, line by line as in `lines`. */
  readonly code: string;
}

const sources: Source[] = CODE_FOLDERS.flatMap((folder) => walk(folder))
  .filter((path) => path.endsWith(".ts") && !path.includes("/gen/"))
  .map((path) => {
    const text = readFileSync(join(root, path), "utf8");
    return { path, text, lines: text.split("\n"), code: blank(text) };
  });
const product = sources.filter((source) => source.path.startsWith("src/"));

test("imports point one way", () => {
  const wrong: string[] = [];
  for (const { path, text } of product) {
    const room = roomOf(path);
    const allowed = ARROWS[room];
    if (allowed === undefined) {
      wrong.push(`${path}: unknown room "${room}"`);
      continue;
    }
    for (const { target, typeOnly } of importsOf(path, text)) {
      if (!target.startsWith("src/")) continue;
      const to = roomOf(target);
      if (to === room || allowed.includes(to) || (typeOnly && PURE.includes(to))) continue;
      if (ARROW_EXCEPTIONS[path]?.to.includes(to)) continue;
      wrong.push(`${path}: imports ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("pure rooms import no I/O", () => {
  const wrong = product
    .filter((source) => PURE.includes(roomOf(source.path)) && IO_EXCEPTIONS[source.path] === undefined)
    .flatMap((source) => modulesOf(source.text).map((name) => [source.path, name] as const))
    .filter(([, name]) => IO_MODULES.test(name));
  assert.deepEqual(wrong, []);
});

test("only src/os loads the native addon", () => {
  assert.deepEqual(
    product.filter((source) => roomOf(source.path) !== "os" && /sozu_native/.test(source.code)).map((s) => s.path),
    [],
  );
});

test("no `any`, no syntax that must be compiled", () => {
  assert.deepEqual(find(sources, /(:|<|\bas|,|\|)\s*any\b(?!\s*[:(=])/), [], "any");
  assert.deepEqual(find(sources, /^\s*(export\s+)?(const\s+|declare\s+)?enum\s/), [], "enum");
  assert.deepEqual(find(sources, /^\s*(export\s+)?namespace\s/), [], "namespace");
  assert.deepEqual(
    find(sources, /constructor\((.*,\s*)?(private|public|protected|readonly)\s+\w+\s*[:?]/),
    [],
    "parameter property",
  );
});

test("the byte path has no console and no timers of Node", () => {
  const rooms = [
    "wire",
    "routing",
    "balancing",
    "answers",
    "policies",
    "command",
    "config",
    "os",
    "loop",
    "observe",
    "proxy",
  ];
  const pathOfBytes = product.filter((source) => rooms.includes(roomOf(source.path)));
  assert.deepEqual(find(pathOfBytes, /\bconsole\./), []);
  assert.deepEqual(find(pathOfBytes, /\b(setTimeout|setInterval)\(/), []);
});

test("the byte path has no async, no promise and no generator", () => {
  const pathOfBytes = product.filter((source) =>
    ["wire", "loop", "proxy", "balancing", "policies"].includes(roomOf(source.path)),
  );
  assert.deepEqual(find(pathOfBytes, /\basync\s|\bawait\s|\bnew Promise\b|\byield\b/), []);
});

test("files, functions and lines stay short", () => {
  assert.deepEqual(
    sources.filter((source) => source.lines.length > FILE_LINES_MAX).map((s) => `${s.path}: ${s.lines.length} lines`),
    [],
  );
  assert.deepEqual(product.flatMap(longFunctions), []);
  assert.deepEqual(
    product.flatMap(({ path, lines }) =>
      lines.flatMap((line, at) => (line.length > LINE_CHARACTERS_MAX ? [`${path}:${at + 1}`] : [])),
    ),
    [],
  );
});

test("every source file opens with a comment that says what it is for", () => {
  assert.deepEqual(
    product.filter((source) => !/^(#!.*\n)?\/[/*]/.test(source.text)).map((s) => s.path),
    [],
  );
});

test("every codec names the standard it implements", () => {
  const codecs = product.filter((s) => roomOf(s.path) === "wire" && /(decoder|encoder|limits)/.test(s.path));
  assert.deepEqual(
    codecs.filter((source) => !/\bRFC \d{4}\b/.test(source.text)).map((s) => s.path),
    [],
  );
});

test("no dead files", () => {
  const targets = (files: readonly Source[]) =>
    new Set(files.flatMap((source) => importsOf(source.path, source.text).map((found) => found.target)));
  const byProduct = targets(product);
  const byAnyone = targets(sources);
  // A product file that only its test imports is dead too.
  const dead = sources
    .filter(
      (source) =>
        !(source.path.startsWith("src/") ? byProduct : byAnyone).has(source.path) &&
        !ENTRIES.some((entry) => entry.test(source.path)),
    )
    .map((source) => source.path);
  assert.deepEqual(dead, []);
});

test("nothing is left behind", () => {
  const marks = new RegExp(
    `\\b(${["TO", "FIX", "XX", "HA"].map((a, i) => a + ["DO", "ME", "X", "CK"][i]).join("|")})\\b`,
  );
  const text = projectFiles().filter(
    (path) => /\.(ts|c|h|md|sh|toml|json|gyp|proto)$/.test(path) || !/\.\w+$/.test(path),
  );
  const wrong: string[] = [];
  for (const path of text) {
    readFileSync(join(root, path), "utf8")
      .split("\n")
      .forEach((line, at) => {
        if (marks.test(line)) wrong.push(`${path}:${at + 1}: ${line.trim()}`);
      });
  }
  assert.deepEqual(wrong, []);
  const tests = sources.filter((source) => source.path.endsWith(".test.ts"));
  assert.deepEqual(find(tests, /\b(test|it|describe|suite)\.only\(|\bonly:\s*true/), [], "focused tests");
  assert.deepEqual(find(sources, /\bdebugger\b/), []);
});

test("no path of a machine and no host of a registry is written down", () => {
  const machine = new RegExp(["/home/\\w", "/root/", "/wo" + "rk/", "/Us" + "ers/", "registry\\.[a-z]"].join("|"));
  const wrong: string[] = [];
  for (const path of projectFiles()) {
    if (/\.(node|gz|png)$/.test(path) || path === "test/tidy.test.ts") continue;
    readFileSync(join(root, path), "utf8")
      .split("\n")
      .forEach((line, at) => {
        if (machine.test(line)) wrong.push(`${path}:${at + 1}: ${line.trim().slice(0, 100)}`);
      });
  }
  assert.deepEqual(wrong, []);
});

test("files are named for a concept", () => {
  const vague = /\/(utils?|helpers?|misc|common|stuff)\.ts$/;
  assert.deepEqual(
    sources.filter((source) => vague.test(source.path)).map((s) => s.path),
    [],
  );
  assert.deepEqual(
    sources.filter((source) => !/\/[a-z0-9_.-]+\.ts$/.test(source.path)).map((s) => s.path),
    [],
  );
});

test("links inside the documentation resolve", () => {
  const wrong: string[] = [];
  for (const path of projectFiles().filter((name) => name.endsWith(".md"))) {
    const text = readFileSync(join(root, path), "utf8").replace(/^```[\s\S]*?^```/gm, "");
    for (const [, link] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue;
      const [file, anchor] = link.split("#") as [string, string | undefined];
      const target = file === "" ? join(root, path) : resolve(root, dirname(path), file);
      if (!existsSync(target)) wrong.push(`${path}: ${link}`);
      else if (anchor !== undefined && target.endsWith(".md") && !anchorsOf(target).has(anchor)) {
        wrong.push(`${path}: ${link} (no such heading)`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

function walk(folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => !/(^|\/)(node_modules|build|out)\//.test(path) && statSync(join(root, path)).isFile())
    .sort();
}

/** All files that belong to the project, by folder: what a package or a checkout would hold. */
function projectFiles(): string[] {
  const top = readdirSync(root, { withFileTypes: true });
  const hidden = [".ci"];
  const folders = top.filter(
    (entry) => entry.isDirectory() && (!entry.name.startsWith(".") || hidden.includes(entry.name)),
  );
  const files = top.filter((entry) => entry.isFile() && !/^\.|\.log$/.test(entry.name)).map((entry) => entry.name);
  return [...files, ...folders.filter((entry) => entry.name !== "node_modules").flatMap((entry) => walk(entry.name))];
}

function roomOf(path: string): string {
  return path.split("/")[1] ?? "";
}

function modulesOf(text: string): string[] {
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1] as string);
}

/** Relative imports of a file, as paths from the root. `import type` and `export type` are type-only. */
function importsOf(path: string, text: string): { target: string; typeOnly: boolean }[] {
  const found: { target: string; typeOnly: boolean }[] = [];
  const pattern =
    /(?:^|\n)\s*(import|export)\s+(type\s)?[^;"]*?from\s+"(\.[^"]+)"|\bimport\(\s*"(\.[^"]+)"|^import\s+"(\.[^"]+)"/gm;
  for (const match of text.matchAll(pattern)) {
    const name = match[3] ?? match[4] ?? match[5];
    if (name === undefined) continue;
    // A dynamic import inside a type position, `import("./x.ts").T`, is erased too but never needed: use `import type`.
    found.push({ target: relative(root, resolve(root, dirname(path), name)), typeOnly: match[2] !== undefined });
  }
  for (const match of text.matchAll(/new URL\(\s*"(\.[^"]+\.[jt]s)"/g)) {
    const name = (match[1] as string).replace(/\.js$/, ".ts");
    found.push({ target: relative(root, resolve(root, dirname(path), name)), typeOnly: true });
  }
  return found;
}

/** Blanks comments and string contents, keeping line breaks, so that a word in prose is not taken for code. */
function blank(text: string): string {
  return text.replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g,
    (match) => match.replace(/[^\n]/g, " "),
  );
}

function find(files: readonly Source[], pattern: RegExp): string[] {
  return files.flatMap(({ path, code }) =>
    code.split("\n").flatMap((line, at) => (pattern.test(line) ? [`${path}:${at + 1}: ${line.trim()}`] : [])),
  );
}

/** Functions and methods over the limit. Relies on the formatter: a body ends with `}` at the indent of its header. */
function longFunctions({ path, lines }: Source): string[] {
  const modifiers = String.raw`(?:(?:export|default|private|protected|static|override|async|get|set)\s+)*`;
  const header = new RegExp(String.raw`^(\s*)${modifiers}(?:function\b\*?\s*)?([\w#]+)\s*(?:<[^(]*>)?\((.*)$`);
  const found: string[] = [];
  for (const [at, line] of lines.entries()) {
    const match = header.exec(line);
    if (match === null || /^\s*(if|for|while|switch|catch|return|else|do|new|await)\b/.test(line)) continue;
    const [, indent, name, rest] = match as unknown as [string, string, string, string];
    const isOneLine = /\)(: [^=]+)? \{$/.test(`(${rest}`);
    const isWrapped =
      rest === "" &&
      lines
        .slice(at + 1)
        .find((other) => other.startsWith(`${indent})`))
        ?.endsWith(" {");
    if (!isOneLine && isWrapped !== true) continue;
    const length = lines.slice(at).indexOf(`${indent}}`) + 1;
    if (length > FUNCTION_LINES_MAX) found.push(`${path}:${at + 1}: ${name} has ${length} lines`);
  }
  return found;
}

function anchorsOf(path: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of readFileSync(path, "utf8").matchAll(/^#+\s+(.*)$/gm)) {
    const plain = (heading as string).replace(/[`*]/g, "").toLowerCase();
    anchors.add(plain.replace(/[^\p{L}\p{N} _-]/gu, "").replace(/ /g, "-"));
  }
  for (const [, id] of readFileSync(path, "utf8").matchAll(/<a id="([^"]+)"/g)) anchors.add(id as string);
  return anchors;
}
