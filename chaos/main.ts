// npm run chaos [-- --seconds N] [--seed S] [--only kill,upgrade-main,...]
// npm run chaos -- --bars 1 [--only upgrades,kills,successor,large,pause]
//
// A running proxy under load, random changes and a random schedule of crashes, hangs, upgrades and limits. Prints the seed
// first; the same seed plays the same schedule. `--bars 1` measures instead what docs/operations.md promises; 0.1: a
// tenth of the rounds. Exit code 1
// when a request failed that the schedule does not explain, or something is left over.

import { randomInt } from "node:crypto";
import { arch, availableParallelism, cpus, release } from "node:os";
import { parseArgs } from "node:util";
import type { Scope } from "../e2e/lib/scope.ts";
import { BARS } from "./lib/bars.ts";
import { runChaos } from "./lib/run.ts";
import { KINDS, type Kind } from "./lib/schedule.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string" },
    only: { type: "string" },
    bars: { type: "string" },
  },
});

/** Undoes what one run has set up. */
async function scoped<T>(run: (scope: Scope) => Promise<T>): Promise<T> {
  const cleanups: (() => void | Promise<void>)[] = [];
  try {
    return await run({ after: (cleanup) => void cleanups.push(cleanup) });
  } finally {
    for (const cleanup of cleanups.reverse()) await cleanup();
  }
}

if (values.bars !== undefined) process.exit((await bars(Number(values.bars))) ? 0 : 1);

const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
const kinds = values.only === undefined ? KINDS : (values.only.split(",").filter((kind) => kind !== "") as Kind[]);
const unknown = kinds.filter((kind) => !KINDS.includes(kind));
if (unknown.length > 0) {
  console.error(`no such kind: ${unknown.join(", ")}; there are ${KINDS.join(", ")}`);
  process.exit(2);
}
console.log(`seed ${seed}, ${values.seconds} s`);
const options = { seed, seconds: Number(values.seconds), kinds, say: console.log };
const problems = await scoped((scope) => runChaos(scope, options));
for (const problem of problems) console.log(`FAILED ${problem}`);
console.log(problems.length === 0 ? `nothing failed; seed ${seed}` : `${problems.length} problems; seed ${seed}`);
process.exit(problems.length === 0 ? 0 : 1);

/** The table; whether every bar holds. */
async function bars(scale: number): Promise<boolean> {
  console.log(
    `Node ${process.version}, Linux ${release()} ${arch()}, ${availableParallelism()} x ${cpus()[0]?.model}\n`,
  );
  console.log("| Bar | Target | Measured | |\n|---|---|---|---|");
  let hold = true;
  const wanted = Object.entries(BARS).filter(([name]) => values.only?.split(",").includes(name) ?? true);
  for (const [, measure] of wanted) {
    const { name, target, measured, holds } = await scoped((scope) => measure(scope, scale));
    console.log(`| ${name} | ${target} | ${measured} | ${holds ? "holds" : "misses"} |`);
    hold &&= holds;
  }
  return hold;
}
