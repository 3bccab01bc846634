// Children of the benchmark: started pinned, always stopped, and what they have cost so far.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { availableParallelism } from "node:os";

const children = new Set<ChildProcess>();
process.on("exit", stopAll);

/** The core for proxies and the core for load and backend; null on a machine with one core. */
export const PROXY_CORE = availableParallelism() > 1 ? 0 : null;
export const LOAD_CORE = availableParallelism() > 1 ? 1 : null;

/** Open descriptors a child may have: the hard limit, at most 65,536. */
export const DESCRIPTORS = Math.min(65_536, hardLimit());

/** CPU time of a process with all its threads. */
export interface CpuTime {
  /** Nanoseconds on a CPU, from the scheduler: exact. */
  readonly totalNs: number;
  /** Share of `totalNs` spent in user space; the kernel samples or accounts it, so it is less exact. */
  readonly userShare: number;
  readonly userTicks: number;
  readonly systemTicks: number;
}

/** Starts `command`, pinned to a core, with stdout (and stderr) to a file. */
export function start(
  command: readonly string[],
  options: {
    readonly core: number | null;
    readonly log: string;
    readonly env?: NodeJS.ProcessEnv;
    readonly cwd?: string;
  },
): ChildProcess {
  const pinned = options.core === null ? [...command] : ["taskset", "-c", String(options.core), ...command];
  const log = openSync(options.log, "a");
  const child = spawn(pinned[0] as string, pinned.slice(1), {
    stdio: ["ignore", log, log],
    env: options.env ?? process.env,
    cwd: options.cwd,
  });
  closeSync(log);
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

/** Kills what is still running. */
export function stopAll(): void {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
}

/** Stops one child: SIGTERM, then SIGKILL after 3 s. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 3000);
  await ended;
  clearTimeout(timer);
}

/** True when the program can be found. */
export function has(program: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Waits until 127.0.0.1:port accepts. */
export async function waitForPort(port: number, timeoutMs = 60_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (open) return;
    if (Date.now() > deadline) throw new Error(`nothing listens on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** CPU time so far. */
export function cpuTime(pid: number): CpuTime {
  let totalNs = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    totalNs += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "latin1").split(" ")[0]);
  }
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const userTicks = Number(fields[11]);
  const systemTicks = Number(fields[12]);
  return { totalNs, userTicks, systemTicks, userShare: userTicks / Math.max(1, userTicks + systemTicks) };
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0) * 1024;
}

/** Children of a process, by command line. */
export function childWith(pid: number, part: string): number | null {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1");
      if (Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) !== pid) continue;
      if (readFileSync(`/proc/${name}/cmdline`, "latin1").includes(part)) return Number(name);
    } catch {
      // it ended meanwhile
    }
  }
  return null;
}

/** Open descriptors. */
export function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function hardLimit(): number {
  return Number(/^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1] ?? 1024);
}
