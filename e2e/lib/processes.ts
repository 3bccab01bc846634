// Looks at processes through /proc: the tree below a process, memory, descriptors, CPU time.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** Clock ticks per second of /proc/PID/stat; 100 on every Linux we target. */
const TICKS_PER_SECOND = 100;

/** True while the process exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  const stat = readStat(pid);
  return stat !== null && stat[0] !== "Z";
}

/** The parent's pid, or -1. */
export function parentOf(pid: number): number {
  const stat = readStat(pid);
  return stat === null ? -1 : Number(stat[1]);
}

/** Direct and indirect children that are alive, in no order. */
export function descendants(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (/^\d+$/.test(name)) parents.set(Number(name), parentOf(Number(name)));
  }
  const found: number[] = [];
  const queue = [pid];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    for (const [child, parent] of parents) {
      if (parent !== next) continue;
      queue.push(child);
      if (isAlive(child)) found.push(child);
    }
  }
  return found;
}

/** Processes whose environment holds `NAME=value`: finds what was orphaned and has no parent any more. */
export function withEnvironment(entry: string): number[] {
  const found: number[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (readFileSync(`/proc/${name}/environ`, "latin1").split("\0").includes(entry)) found.push(Number(name));
    } catch {
      // it ended meanwhile, or belongs to someone else
    }
  }
  return found.filter(isAlive);
}

/** Command line, arguments separated by a space; "" when the process is gone. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ").trim();
  } catch {
    return "";
  }
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  return line === null ? 0 : Number(line[1]) * 1024;
}

/** Open descriptors. */
export function descriptorCount(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** CPU time used so far, in milliseconds (10 ms steps). */
export function cpuTimeMs(pid: number): { readonly user: number; readonly system: number } {
  const stat = readStat(pid);
  if (stat === null) return { user: 0, system: 0 };
  return { user: (Number(stat[11]) * 1000) / TICKS_PER_SECOND, system: (Number(stat[12]) * 1000) / TICKS_PER_SECOND };
}

/** Fields of /proc/PID/stat from the state on (index 0 = field 3), or null. */
function readStat(pid: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return null;
  }
}

/** Lowers the limit of open descriptors of a running process. */
export function limitDescriptors(pid: number, max: number): void {
  execFileSync("prlimit", ["--pid", String(pid), `--nofile=${max}:${max}`]);
}
