// The pid file (spec 1.2): decimal pid, no newline, on disk before the proxy says it is ready.

import { closeSync, fsyncSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";

/** Writes this process's pid. @throws the error of the system when the file cannot be written. */
export function writePidFile(path: string): void {
  const file = openSync(path, "w", 0o644);
  try {
    writeSync(file, String(process.pid));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Removes the file if it still holds this process's pid; somebody else's is left alone. */
export function removePidFile(path: string): void {
  try {
    if (readFileSync(path, "utf8") === String(process.pid)) rmSync(path);
  } catch {
    // Already gone, or no longer ours to remove: either way there is nothing to clean.
  }
}
