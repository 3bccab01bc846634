// Assembles `.releases/<hash>`: compiled JavaScript, the addon, the pinned Node and the runtime packages. The name is
// the hash of everything that goes in, so an unchanged checkout builds nothing. A release is written under a temporary
// name and renamed when complete, then `current` is switched by one rename: a running proxy never sees half a release,
// and keeps its own when a newer one appears. Releases that no process runs are pruned, the newest three stay.
//
//   <release>/js/             compiled src/, the addon in js/native/
//   <release>/bin/node        the pinned Node (hard link where possible)
//   <release>/node_modules/   runtime dependencies only
//   <release>/cache/          compile cache, written by the program itself
//   <release>/stamp           taken from the start of the setup: what is newer needs a new setup

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const releases = join(root, ".releases");
const keep = 3;

interface LockedPackage {
  readonly dev?: boolean;
}

function main(mark: string): void {
  const addon = join(root, "native/build/Release/sozu_native.node");
  const name = hashOf(addon);
  const release = join(releases, name);
  const fresh = !existsSync(join(release, "stamp"));
  if (fresh) {
    const temporary = build(addon, name);
    // A file saved while we compiled: what was compiled has no certain name, so look again.
    if (hashOf(addon) !== name) {
      rmSync(temporary, { recursive: true, force: true });
      main(mark);
      return;
    }
    // A folder without a stamp is the rest of an interrupted run.
    rmSync(release, { recursive: true, force: true });
    renameSync(temporary, release);
  }
  const { atime, mtime } = statSync(mark);
  utimesSync(join(release, "stamp"), atime, mtime);
  switchTo(name);
  if (fresh) {
    prune(name);
    warmUp(release);
  }
}

function sourceFiles(): string[] {
  const files = [
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "tsconfig.build.json",
    "scripts/release.ts",
    "scripts/rolldown.config.ts",
    "scripts/plain-fields.ts",
  ].map((file) => join(root, file));
  const entries = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true });
  for (const entry of entries) if (entry.isFile()) files.push(join(entry.parentPath, entry.name));
  return files.sort();
}

function hashOf(addon: string): string {
  const hash = createHash("sha256").update(process.version);
  const files = sourceFiles();
  if (existsSync(addon)) files.push(addon);
  for (const file of files) hash.update(`\0${file.slice(root.length)}\0`).update(readFileSync(file));
  return hash.digest("hex").slice(0, 16);
}

function build(addon: string, name: string): string {
  process.stderr.write(`sozu setup: compiling (release ${name})\n`);
  const temporary = join(releases, `${name}.tmp-${process.pid}`);
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(join(temporary, "bin"), { recursive: true });
  compile(join(temporary, "js"));
  bundleWorker(join(temporary, "js/worker/boot.js"));
  if (existsSync(addon)) {
    mkdirSync(join(temporary, "js/native"), { recursive: true });
    copyFileSync(addon, join(temporary, "js/native/sozu_native.node"));
  }
  linkOrCopy(process.execPath, join(temporary, "bin/node"));
  copyRuntimePackages(temporary);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  writeFileSync(join(temporary, "package.json"), `${JSON.stringify({ name: "sozu", version, type: "module" })}\n`);
  writeFileSync(join(temporary, "stamp"), `${name}\n`);
  return temporary;
}

// Types are checked by `npm run check`; here only what does not parse is an error, which keeps this step short.
function compile(outDir: string): void {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const args = [tsc, "-p", join(root, "tsconfig.build.json"), "--noCheck", "--outDir", outDir];
  try {
    execFileSync(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  } catch (error) {
    const output = (error as { stdout?: Buffer }).stdout?.toString() ?? String(error);
    process.stderr.write(`${output}sozu setup: the TypeScript sources do not compile; the errors are above\n`);
    process.exit(1);
  }
}

/**
 * The worker becomes one module: constants of other modules are then folded into its machine code, where an import is
 * a load. Measured by callgrind: 31,600 user instructions per proxied request as modules, 26,100 as one.
 */
function bundleWorker(outFile: string): void {
  const rolldown = join(root, "node_modules/rolldown/bin/cli.mjs");
  const args = [rolldown, "-c", join(root, "scripts/rolldown.config.ts"), "--file", outFile];
  try {
    execFileSync(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    const output = (error as { stderr?: Buffer }).stderr?.toString() ?? String(error);
    process.stderr.write(`${output}sozu setup: the worker could not be bundled; the errors are above\n`);
    process.exit(1);
  }
}

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    // Another file system, or one without hard links.
    copyFileSync(from, to);
  }
}

function copyRuntimePackages(release: string): void {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  for (const [path, { dev }] of Object.entries(lock.packages as Record<string, LockedPackage>)) {
    if (path === "" || dev === true || path.includes("node-linux-")) continue;
    const target = join(release, path);
    mkdirSync(dirname(target), { recursive: true });
    cpSync(join(root, path), target, { recursive: true });
  }
}

function switchTo(name: string): void {
  const link = join(releases, "current");
  if (currentName(link) === name) return;
  const temporary = `${link}.tmp-${process.pid}`;
  rmSync(temporary, { force: true });
  symlinkSync(name, temporary);
  renameSync(temporary, link);
}

function currentName(link: string): string | null {
  try {
    return readlinkSync(link);
  } catch {
    return null;
  }
}

function prune(current: string): void {
  const inUse = releasesInUse();
  const old = readdirSync(releases, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== current && !inUse.has(entry.name))
    .map((entry) => ({ name: entry.name, time: statSync(join(releases, entry.name)).mtimeMs }))
    .sort((a, b) => b.time - a.time);
  for (const { name } of old.slice(keep - 1)) rmSync(join(releases, name), { recursive: true, force: true });
}

// A process runs a release when its executable lies in it.
function releasesInUse(): Set<string> {
  const names = new Set<string>();
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const executable = readlinkSync(`/proc/${pid}/exe`);
      if (executable.startsWith(`${releases}/`)) names.add(executable.slice(releases.length + 1).split("/")[0]);
    } catch {
      // It ended meanwhile, or belongs to somebody else.
    }
  }
  return names;
}

// The first run of each entry fills the compile cache, so that no user pays for it.
function warmUp(release: string): void {
  for (const args of [["--help"], ["config", "check", "--help"]]) {
    try {
      execFileSync(join(release, "bin/node"), [join(release, "js/cli/main.js"), ...args], {
        stdio: "ignore",
        timeout: 20_000,
      });
    } catch {
      // Only a warm-up: the real run will show what is wrong.
    }
  }
}

main(process.argv[2]);
