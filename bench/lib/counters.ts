// What a process costs while a load runs: hardware counters through perf where the machine has them, CPU time always.

import { spawn, spawnSync } from "node:child_process";
import { cpuTime, has } from "./processes.ts";

/** Totals over the measured time, for all threads of the process. */
export interface Cost {
  /** Nanoseconds. */
  readonly cpuUserNs: number;
  readonly cpuSystemNs: number;
  /** Counts; null where the machine does not count. */
  readonly instructionsUser: number | null;
  readonly instructionsKernel: number | null;
  readonly cyclesUser: number | null;
  readonly cyclesKernel: number | null;
}

const EVENTS = ["instructions:u", "instructions:k", "cycles:u", "cycles:k"] as const;

/** True when perf can count instructions of other processes here. */
export function countersWork(): boolean {
  if (!has("perf")) return false;
  // perf writes its counts to stderr, and exits with 0 also where it cannot count.
  const { status, stderr } = spawnSync("perf", ["stat", "-x,", "-e", "instructions:u", "true"]);
  return status === 0 && !stderr.toString().includes("<not");
}

/** Measures `pid` while `work` runs. */
export async function measure<T>(pid: number, counters: boolean, work: () => Promise<T>): Promise<[T, Cost]> {
  const perf = counters ? startPerf(pid) : null;
  const before = cpuTime(pid);
  const result = await work();
  const after = cpuTime(pid);
  const counts = perf === null ? new Map<string, number>() : await perf();
  const totalNs = after.totalNs - before.totalNs;
  const user = after.userTicks - before.userTicks;
  const system = after.systemTicks - before.systemTicks;
  const cpuUserNs = totalNs * (user / Math.max(1, user + system));
  return [
    result,
    {
      cpuUserNs,
      cpuSystemNs: totalNs - cpuUserNs,
      instructionsUser: counts.get("instructions:u") ?? null,
      instructionsKernel: counts.get("instructions:k") ?? null,
      cyclesUser: counts.get("cycles:u") ?? null,
      cyclesKernel: counts.get("cycles:k") ?? null,
    },
  ];
}

function startPerf(pid: number): () => Promise<Map<string, number>> {
  const child = spawn("perf", ["stat", "-x,", "-e", EVENTS.join(","), "-p", String(pid)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let output = "";
  child.stderr.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  return () =>
    new Promise((resolve) => {
      child.once("close", () => {
        const counts = new Map<string, number>();
        for (const line of output.split("\n")) {
          const [value, , event] = line.split(",");
          if (event !== undefined && /^\d+$/.test(value ?? "")) counts.set(event, Number(value));
        }
        resolve(counts);
      });
      child.kill("SIGINT");
    });
}
