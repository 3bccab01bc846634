// Runs the tests: every `test/**/*.test.ts` (unit) and `e2e/**/*.test.ts` (real processes), each file in its own process.
//
//   node scripts/run-tests.ts [unit|e2e] [filter...]      a filter is a part of a file's path; several mean "any of them"
//
// Unit files run side by side on all cores; e2e files run afterwards, at most two at a time, because each starts several
// processes of its own. A file that hangs is killed with everything it started (its process group) and counts as one
// failure. A failing test prints its error at once; the last line is always `N passed, N failed, N skipped`.
// Exit code 0: nothing failed and at least one test ran; 1 otherwise.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestLine } from "./test-reporter.ts";

/** A file that takes longer than this has hung. */
const UNIT_FILE_TIMEOUT_MS = 120_000;
const E2E_FILE_TIMEOUT_MS = 300_000;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const reporter = join(root, "scripts", "test-reporter.ts");
const totals = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];
const running = new Set<number>();

const args = process.argv.slice(2);
const only = args[0] === "e2e" || args[0] === "unit" ? args.shift() : undefined;
const started = Date.now();

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    for (const pid of running) killGroup(pid);
    process.exit(130);
  });
}

if (only !== "e2e") await runFolder("test", availableParallelism(), UNIT_FILE_TIMEOUT_MS);
if (only !== "unit") await runFolder("e2e", Math.min(2, availableParallelism()), E2E_FILE_TIMEOUT_MS);

if (failures.length > 0) console.log(`\nFailed:\n  ${failures.join("\n  ")}`);
console.log(`\n${((Date.now() - started) / 1000).toFixed(1)} s`);
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exitCode = totals.failed > 0 || totals.passed + totals.skipped === 0 ? 1 : 0;

async function runFolder(folder: string, concurrency: number, timeoutMs: number): Promise<void> {
  const files = testFiles(folder).filter((file) => args.length === 0 || args.some((part) => file.includes(part)));
  const lanes = Array.from({ length: Math.min(concurrency, files.length) }, async () => {
    for (let file = files.shift(); file !== undefined; file = files.shift()) await runFile(file, timeoutMs);
  });
  await Promise.all(lanes);
}

/** Runs one file to its end, prints its line and its failures, and adds to the totals. */
function runFile(file: string, timeoutMs: number): Promise<void> {
  const startedAt = Date.now();
  const child = spawn(process.execPath, [`--test-reporter=${reporter}`, "--test-reporter-destination=stdout", file], {
    cwd: root,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_OPTIONS: "", FORCE_COLOR: "0" },
  });
  const pid = child.pid as number;
  running.add(pid);
  let hung = false;
  const timer = setTimeout(() => {
    hung = true;
    killGroup(pid);
  }, timeoutMs);
  const chunks: Buffer[] = [];
  const noise: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => noise.push(chunk));
  return new Promise((resolve) => {
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      killGroup(pid);
      running.delete(pid);
      const end = hung ? `hung: killed after ${timeoutMs / 1000} s` : `exit ${signal ?? code}`;
      finishFile(file, Buffer.concat(chunks).toString(), Buffer.concat(noise).toString(), end, Date.now() - startedAt);
      resolve();
    });
  });
}

function finishFile(file: string, output: string, noise: string, end: string, durationMs: number): void {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const details: string[] = [];
  for (const text of output.split("\n")) {
    const line = parseLine(text);
    if (line === null) {
      if (text !== "") details.push(text);
      continue;
    }
    counts[line.outcome]++;
    if (line.outcome !== "failed") continue;
    failures.push(`${file}: ${line.name}`);
    details.push(`FAIL ${line.name}`, line.error.replace(/^/gm, "    "));
  }
  if (end !== "exit 0" && counts.failed === 0) {
    counts.failed++;
    failures.push(`${file}: ${end}`);
    details.push(`FAIL ${end}`);
  }
  if (noise.trim() !== "" && counts.failed > 0) details.push(noise.trimEnd());
  for (const key of ["passed", "failed", "skipped"] as const) totals[key] += counts[key];
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
  const seconds = (durationMs / 1000).toFixed(1).padStart(6);
  const mark = counts.failed > 0 ? "FAIL" : "ok  ";
  console.log(`${mark} ${seconds} s  ${file}  ${counts.passed} passed, ${counts.failed} failed${skipped}`);
  if (details.length > 0) console.log(details.join("\n"));
}

function parseLine(text: string): TestLine | null {
  if (!text.startsWith('{"name":')) return null;
  try {
    return JSON.parse(text) as TestLine;
  } catch {
    return null; // output of the test itself that looks like ours
  }
}

/** Kills what a test file left behind; a group that is gone already is fine. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // ESRCH: nothing was left
  }
}

function testFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => join(folder, name))
    .sort();
}
