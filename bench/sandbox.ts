// What the sandbox costs: CPU time of a worker per request with it and without it, in short alternating rounds of the same
// load (docs/sandbox.md). A system call of a process with a filter takes a slower way into the kernel; the filter itself is
// not even run for calls that it allows whatever their arguments are (Linux 5.11 and later).
//
//   node bench/sandbox.ts [rounds]      default 10

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startBackend } from "./lib/backend.ts";
import { CASES } from "./lib/cases.ts";
import { measure } from "./lib/counters.ts";
import { wrk } from "./lib/load.ts";
import { stopAll } from "./lib/processes.ts";
import { startTarget, type Target } from "./lib/targets.ts";

const MODES = ["on", "off"];
const SECONDS = 2;
const WARM_UP_SECONDS = 4;

const rounds = Number(process.argv[2] ?? 10);
const folder = mkdtempSync(join(tmpdir(), "sozu-bench-"));
try {
  await main();
} finally {
  stopAll();
  rmSync(folder, { recursive: true, force: true });
}

async function main(): Promise<void> {
  const backendPort = await startBackend(folder);
  const run = CASES.find(({ id }) => id === "small-64")!;
  const targets = new Map<string, Target>();
  for (const sandbox of MODES) {
    mkdirSync(join(folder, sandbox));
    const target = await startTarget("sozu", { backendPort, folder: join(folder, sandbox), accessLog: true, sandbox });
    targets.set(sandbox, target);
    await wrk(folder, target.port, run, WARM_UP_SECONDS);
  }
  const found = new Map<string, { user: number; kernel: number }[]>(MODES.map((mode) => [mode, []]));
  for (let round = 0; round < rounds; round++) {
    for (const mode of round % 2 === 0 ? MODES : MODES.toReversed()) {
      const { pid, port } = targets.get(mode)!;
      const [{ requests, errors }, cost] = await measure(pid, false, () => wrk(folder, port, run, SECONDS));
      if (errors > 0) throw new Error(`${errors} requests failed`);
      const each = { user: cost.cpuUserNs / requests / 1000, kernel: cost.cpuSystemNs / requests / 1000 };
      found.get(mode)?.push(each);
      console.log(`${mode.padEnd(4)}${each.user.toFixed(2)} us user ${each.kernel.toFixed(2)} us kernel`);
    }
  }
  for (const mode of MODES) {
    const all = found.get(mode)!;
    const [user, kernel] = [median(all.map((each) => each.user)), median(all.map((each) => each.kernel))];
    const sum = median(all.map((each) => each.user + each.kernel));
    console.log(
      `sandbox ${mode}: ${sum.toFixed(2)} us CPU a request (user ${user.toFixed(2)}, kernel ${kernel.toFixed(2)})`,
    );
  }
  const differences = found.get("on")!.map((each, i) => {
    const other = found.get("off")![i];
    return each.user + each.kernel - other.user - other.kernel;
  });
  console.log(`difference, median of ${rounds} rounds: ${median(differences).toFixed(2)} us`);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
