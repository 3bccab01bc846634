// Workers that an earlier main left behind when it was killed: they serve on (design section 5) and hold their ports.
// Until a new main can adopt them, it can at least name them. They are told by their command line.

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
