// Raises the limit of open files to what the configuration needs (spec 1.2, step 6). Workers inherit it.

import { readFileSync } from "node:fs";

/** A soft and a hard limit of open files. */
export interface OpenFiles {
  readonly soft: number;
  readonly hard: number;
}

/** The system as this module needs it; tests give their own. */
export interface LimitSystem {
  get(): OpenFiles;
  /** Returns 0 or -errno. */
  setSoft(value: number): number;
  /** Open files of the whole machine (`/proc/sys/fs/file-max`). */
  fileMax(): number;
}

/**
 * Makes room for `maxConnections` clients per worker, each with a backend connection.
 * Returns null, or the reason why the limits of the system do not allow it.
 */
export function raiseOpenFiles(maxConnections: number, system: LimitSystem): string | null {
  const wanted = maxConnections * 2;
  const fileMax = system.fileMax();
  if (maxConnections > fileMax) return refusal(maxConnections, `fs.file-max of this machine is ${fileMax}`);
  const before = system.get();
  if (before.hard < wanted) {
    return refusal(maxConnections, `they need ${wanted} open files, the hard limit is ${before.hard} (ulimit -Hn)`);
  }
  if (before.soft < wanted) system.setSoft(Math.min(before.hard, wanted * 2));
  const { soft } = system.get();
  if (soft >= wanted) return null;
  return refusal(
    maxConnections,
    `they need ${wanted} open files, the limit is ${soft} (ulimit -n) and cannot be raised`,
  );
}

/** Reads `/proc/sys/fs/file-max`; a machine that hides it has no limit here. */
export function readFileMax(): number {
  try {
    const value = Number(readFileSync("/proc/sys/fs/file-max", "utf8"));
    return Number.isFinite(value) ? value : Number.POSITIVE_INFINITY;
  } catch {
    // A restricted /proc; RLIMIT_NOFILE still protects.
    return Number.POSITIVE_INFINITY;
  }
}

function refusal(maxConnections: number, reason: string): string {
  return `Too many allowed connections for a worker: max_connections is ${maxConnections}; ${reason}`;
}
