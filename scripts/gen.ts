// Generates what is derived from a source file and committed: the TypeScript of the command protocol (from
// src/command/sozu.proto) and the reference page of the configuration (from the tables in src/config/). Tests call the
// same functions with a temporary folder and compare, so a stale file fails the build. Needs no network.
//
//   node scripts/gen.ts [part...]     parts: proto, docs; default: all

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configurationPage } from "./configuration-page.ts";

const root: string = join(import.meta.dirname, "..");
const bin: string = join(root, "node_modules", ".bin");

/** Writes `sozu_pb.ts` into `outFolder` (created when missing). Throws with buf's output when the schema is wrong. */
export function generateProto(outFolder: string): void {
  const folder = mkdtempSync(join(tmpdir(), "sozu-gen-"));
  const template = join(folder, "buf.gen.json");
  const plugin = {
    local: join(bin, "protoc-gen-es"),
    out: outFolder,
    opt: ["target=ts", "import_extension=ts", "erasable_syntax=true"],
  };
  writeFileSync(template, JSON.stringify({ version: "v2", plugins: [plugin] }));
  const env = { ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}`, BUF_CACHE_DIR: folder };
  try {
    execFileSync(join(bin, "buf"), ["generate", "--template", template, "."], {
      cwd: join(root, "src", "command"),
      env,
      stdio: "pipe",
      encoding: "utf8",
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function main(parts: readonly string[]): void {
  const all = parts.length === 0;
  if (all || parts.includes("proto")) generateProto(join(root, "src", "command", "gen"));
  if (all || parts.includes("docs")) writeFileSync(join(root, "docs", "configuration.md"), configurationPage());
}

if (import.meta.main) main(process.argv.slice(2));
