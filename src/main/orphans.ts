// Workers that an earlier main left behind when it was killed: they serve on (design section 5) and hold their ports until
// a new main adopts them (adopt.ts). They are told by their command line; those that cannot be adopted are at least named.

import { readdirSync, readFileSync } from "node:fs";

/** Pids of the workers that were started for this command socket and whose main is gone. */
export function findOrphans(commandSocket: string, procFolder = "/proc"): number[] {
  const pids: number[] = [];
  for (const name of readdirSync(procFolder)) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const args = readArguments(`${procFolder}/${name}/cmdline`);
    const worker = args.some((arg) => arg.startsWith("--worker="));
    if (worker && args.includes(`--command-socket=${commandSocket}`)) pids.push(Number(name));
  }
  return pids.sort((a, b) => a - b);
}

/** Whether this process is the worker with this id of this command socket. */
export function isWorker(pid: number, id: number, commandSocket: string, procFolder = "/proc"): boolean {
  const args = readArguments(`${procFolder}/${pid}/cmdline`);
  return args.includes(`--worker=${id}`) && args.includes(`--command-socket=${commandSocket}`);
}

/** What to add to a refusal to start, or "". */
export function describeOrphans(commandSocket: string): string {
  const pids = findOrphans(commandSocket);
  if (pids.length === 0) return "";
  return `\nworkers of an earlier main still serve there; let them finish and end with: kill ${pids.join(" ")}`;
}

function readArguments(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\0");
  } catch {
    // The process has ended, or /proc hides it.
    return [];
  }
}
