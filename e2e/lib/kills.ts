// Kills a worker so that the consequences can be accounted for exactly: it is stopped first, and while nothing moves the
// kernel's tables tell which client connections it had accepted. Those are lost with it; whatever waits in a queue that
// was not accepted yet is not, for the sockets belong to main.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * Ends a worker with SIGKILL. Returns the clients' ports of the connections to `listenPorts` that it had accepted. Nothing
 * of this process runs in between, so these are the connections at the time of the kill.
 */
export function killWorker(pid: number, listenPorts: readonly number[]): Set<number> {
  const ports = stopWorker(pid, listenPorts);
  process.kill(pid, "SIGKILL");
  return ports;
}

/** The same without the end: the worker stands still from now on. */
export function stopWorker(pid: number, listenPorts: readonly number[]): Set<number> {
  process.kill(pid, "SIGSTOP");
  while (!isStopped(pid));
  return heldPorts(pid, listenPorts);
}

/** Every thread is stopped, or gone. */
function isStopped(pid: number): boolean {
  return tasks(pid).every((task) => {
    try {
      const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, "latin1");
      return "TZX".includes(stat.charAt(stat.lastIndexOf(")") + 2));
    } catch {
      return true; // it ended meanwhile
    }
  });
}

function tasks(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return []; // the process is gone
  }
}

function heldPorts(pid: number, listenPorts: readonly number[]): Set<number> {
  const inodes = new Set<string>();
  for (const fd of descriptors(pid)) {
    const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
    if (target.startsWith("socket:[")) inodes.add(target.slice(8, -1));
  }
  const ports = new Set<number>();
  for (const line of readFileSync("/proc/net/tcp", "latin1").split("\n").slice(1)) {
    const [, local, remote, , , , , , , inode] = line.trim().split(/\s+/);
    if (local === undefined || remote === undefined || inode === undefined || !inodes.has(inode)) continue;
    if (listenPorts.includes(portOf(local))) ports.add(portOf(remote));
  }
  return ports;
}

function descriptors(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return []; // it ended by itself just before
  }
}

/** `0100007F:1F90`. */
function portOf(address: string): number {
  return Number.parseInt(address.slice(address.indexOf(":") + 1), 16);
}
