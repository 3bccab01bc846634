// Loaded into workers before their own code (SOZU_WORKER_NODE_OPTIONS=--import=...): SIGUSR2 then does what SOZU_FAULT
// names. So the product has no code for faults.

import { closeSync, openSync } from "node:fs";

function fill(): void {
  const kept: number[][] = [];
  for (;;) kept.push(new Array(100_000).fill(kept.length));
}

function spin(): void {
  for (;;);
}

/** What an intruder would try first; says how it went. */
function tryToOpen(): void {
  let outcome = "opened";
  try {
    closeSync(openSync("/etc/passwd", "r"));
  } catch (error) {
    outcome = (error as NodeJS.ErrnoException).code ?? "failed";
  }
  process.stderr.write(`/etc/passwd: ${outcome}\n`);
}

const faults: Readonly<Record<string, () => void>> = {
  throw: () => {
    throw new Error("a fault of the test");
  },
  loop: spin,
  open: tryToOpen,
  memory: fill,
};

/** The environment of a proxy whose workers have the fault `name`. `node`: further options of Node for them. */
export function faultEnvironment(name: string, node: string): Readonly<Record<string, string>> {
  return { SOZU_FAULT: name, SOZU_WORKER_NODE_OPTIONS: `--import=${import.meta.filename} ${node}` };
}

const { SOZU_FAULT } = process.env;
if (SOZU_FAULT !== undefined) process.on("SIGUSR2", faults[SOZU_FAULT] ?? spin);
