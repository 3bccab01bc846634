// Exact user-space instructions per request, counted by callgrind, on machines without hardware counters. The proxy runs
// under valgrind: warmed up without counting (so that Node's optimised code is in place), then counted over an exact number
// of requests. Kernel instructions are not seen; use the CPU times of the ordinary run for those.

import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { exactly } from "./load.ts";
import { has } from "./processes.ts";
import { startTarget, type Target, type TargetName, type TargetOptions } from "./targets.ts";

/** Requests before counting begins. With 60,000 the optimising compiler is still at work: 29,000 instead of 20,000. */
const WARM_UP = 600_000;
const COUNTED = 100_000;
const CONNECTIONS = 64;

export function callgrindWorks(): boolean {
  return has("valgrind") && has("callgrind_control");
}

/** A proxy under callgrind. */
export interface Counted {
  readonly target: Target;
  /** User-space instructions of its worker while `work` runs. */
  instructionsOf(work: () => Promise<void>): Promise<number>;
}

/** User-space instructions per request of one proxy, for one path, at 64 connections. */
export async function instructionsPerRequest(name: TargetName, options: TargetOptions, path: string): Promise<number> {
  const counted = await startCounted(name, options, false);
  const { target } = counted;
  try {
    const request = { path, tls: options.tls !== undefined };
    await exactly(name === "sozu" ? WARM_UP : 1000, target.port, CONNECTIONS, request);
    return (await counted.instructionsOf(() => exactly(COUNTED, target.port, CONNECTIONS, request))) / COUNTED;
  } finally {
    await target.stop();
  }
}

/** Starts a proxy under callgrind, not counting yet. `mainThread`: what V8's helper threads do is left out. */
export async function startCounted(name: TargetName, options: TargetOptions, mainThread: boolean): Promise<Counted> {
  const out = join(options.folder, `callgrind-${name}`);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const wrapper = [
    "/usr/bin/valgrind",
    "--tool=callgrind",
    "--instr-atstart=no",
    "--smc-check=all-non-file",
    ...(mainThread ? ["--separate-threads=yes"] : []),
    `--callgrind-out-file=${join(out, "out.%p")}`,
  ];
  const target = await startTarget(name, { ...options, wrapper });
  const pid = String(target.pid);
  const names = new RegExp(mainThread ? `^out\\.${pid}.*-01$` : `^out\\.${pid}`);
  const instructionsOf = async (work: () => Promise<void>): Promise<number> => {
    // What was counted while work failed belongs to nobody.
    control("--dump", pid);
    const before = total(out, names);
    control("--instr=on", pid);
    await work().finally(() => control("--instr=off", pid));
    control("--dump", pid);
    const counted = total(out, names) - before;
    if (counted <= 0) throw new Error(`callgrind wrote no totals for process ${pid}`);
    return counted;
  };
  return { target, instructionsOf };
}

function control(...args: string[]): void {
  execFileSync("callgrind_control", args, { stdio: "ignore", timeout: 120_000 });
}

/** The sum of all dumps with such names; a dump begins where the one before it ended. */
function total(folder: string, names: RegExp): number {
  let sum = 0;
  for (const name of readdirSync(folder)) {
    if (!names.test(name)) continue;
    const text = readFileSync(join(folder, name), "latin1");
    sum += Number(/^totals: (\d+)/m.exec(text)?.[1] ?? 0);
  }
  return sum;
}
