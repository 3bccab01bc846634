// Runs the public vector sets against a live proxy with recording backends and prints the score of each set.
//
//   npm run conformance [-- <set>...] [-- --verbose]      sets: http11probe gunicorn llhttp go apache nginx upstream
//
// known-failures.json lists, per set, the cases that are not passed and why. A failure that is not listed, a listed one
// that passes, and a broken bar (http11probe: no failure, at most 10 warnings) end with exit code 1. Without the vectors it
// says so and ends with 0.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Scope } from "../e2e/lib/scope.ts";
import { probeCases, runProbeCase } from "./lib/http11probe.ts";
import { type Lane, startBench } from "./lib/lane.ts";
import { runUpstreamCase, upstreamCases } from "./lib/upstream.ts";
import { type CaseResult, VECTORS, vectorsExist } from "./lib/vectors.ts";
import * as verdicts from "./lib/verdict-sets.ts";

const LANES = 8;
/** Of the 161 scored cases of Http11Probe. */
export const PROBE_WARNINGS_MAX = 10;

/** What one set gave. */
export interface SetScore {
  readonly name: string;
  readonly total: number;
  readonly passed: number;
  readonly warned: number;
  /** Failures with a reason in known-failures.json. */
  readonly known: number;
  /** Lines about what is wrong; empty is success. */
  readonly problems: readonly string[];
  readonly results: readonly CaseResult[];
}

type Known = Readonly<Record<string, Readonly<Record<string, string>>>>;

interface Runnable {
  readonly name: string;
  readonly run: (lanes: readonly Lane[]) => Promise<CaseResult[]>;
}

const SETS: readonly Runnable[] = [
  { name: "http11probe", run: (lanes) => spread(probeCases(), lanes, runProbeCase) },
  { name: "gunicorn", run: (lanes) => spread(verdicts.gunicornCases(), lanes, verdicts.runVerdictCase) },
  { name: "llhttp", run: (lanes) => spread(verdicts.llhttpCases(), lanes, verdicts.runVerdictCase) },
  { name: "go", run: (lanes) => spread(verdicts.goCases(), lanes, verdicts.runVerdictCase) },
  { name: "apache", run: (lanes) => spread(verdicts.apacheCases(), lanes, verdicts.runVerdictCase) },
  { name: "nginx", run: (lanes) => spread(verdicts.nginxCases(), lanes, verdicts.runVerdictCase) },
  { name: "upstream", run: (lanes) => spread(upstreamCases(), lanes, runUpstreamCase) },
];

/** Runs the sets whose names are given (all when none is). */
export async function runConformance(scope: Scope, names: readonly string[] = []): Promise<SetScore[]> {
  const known = JSON.parse(readFileSync(new URL("known-failures.json", import.meta.url), "utf8")) as Known;
  const { lanes } = await startBench(scope, LANES);
  const scores: SetScore[] = [];
  for (const set of SETS) {
    if (names.length > 0 && !names.includes(set.name)) continue;
    scores.push(score(set.name, await set.run(lanes), known[set.name] ?? {}));
  }
  return scores;
}

function score(name: string, results: readonly CaseResult[], known: Readonly<Record<string, string>>): SetScore {
  const failed = results.filter((result) => result.verdict === "fail");
  const warned = results.filter((result) => result.verdict === "warn").length;
  const problems = failed
    .filter(({ id }) => known[id] === undefined)
    .map(({ id, seen }) => `new failure: ${id}: ${seen}`);
  for (const id of Object.keys(known)) {
    if (!failed.some((result) => result.id === id)) problems.push(`listed as known failure but passes: ${id}`);
  }
  if (name === "http11probe" && warned > PROBE_WARNINGS_MAX)
    problems.push(`${warned} warnings, at most ${PROBE_WARNINGS_MAX}`);
  const total = results.length;
  const passed = total - failed.length - warned;
  return {
    name,
    total,
    passed,
    warned,
    known: failed.filter(({ id }) => known[id] !== undefined).length,
    problems,
    results,
  };
}

/** Runs all cases, one at a time on each lane. */
async function spread<Case>(
  cases: readonly Case[],
  lanes: readonly Lane[],
  run: (vector: Case, lane: Lane) => Promise<CaseResult>,
): Promise<CaseResult[]> {
  const results: CaseResult[] = new Array(cases.length);
  let next = 0;
  const work = async (lane: Lane): Promise<void> => {
    for (let index = next++; index < cases.length; index = next++) {
      results[index] = await run(cases[index] as Case, lane);
    }
  };
  await Promise.all(lanes.map(work));
  return results;
}

/** One line per set. */
export function describeScore(set: SetScore): string {
  const parts = [`${set.passed} of ${set.total} passed`];
  if (set.warned > 0) parts.push(`${set.warned} warned`);
  if (set.known > 0) parts.push(`${set.known} known differences`);
  const fresh = set.total - set.passed - set.warned - set.known;
  if (fresh > 0) parts.push(`${fresh} FAILED`);
  return `${set.name.padEnd(12)} ${parts.join(", ")}`;
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  const verbose = args.includes("--verbose");
  if (!vectorsExist()) {
    console.log(`skipped: the vectors are not there (expected in ${join(dirname(VECTORS), "vectors")})`);
    return;
  }
  const cleanups: (() => void | Promise<void>)[] = [];
  const scores = await runConformance(
    { after: (cleanup) => cleanups.unshift(cleanup) },
    args.filter((a) => a[0] !== "-"),
  );
  for (const cleanup of cleanups) await cleanup();
  for (const set of scores) {
    console.log(describeScore(set));
    for (const problem of set.problems) console.log(`  ${problem}`);
    if (!verbose) continue;
    for (const { id, verdict, seen } of set.results) if (verdict !== "pass") console.log(`  ${verdict} ${id}: ${seen}`);
  }
  const total = scores.reduce((sum, set) => sum + set.total, 0);
  const problems = scores.reduce((sum, set) => sum + set.problems.length, 0);
  console.log(`${total} cases, ${problems} problems`);
  process.exitCode = problems > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
