// The facts the doctor judges, read from /proc, the file system and by connecting. Nothing is changed: a port is tried by
// binding it for a moment, a folder by asking for its permissions.

import { accessSync, constants, readFileSync, statfsSync, statSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { FolderFacts, SystemFacts } from "./findings.ts";

/** Whether the kernel can have the sandbox of workers: null, or why not; undefined: this program cannot ask. */
export async function readSandbox(): Promise<string | null | undefined> {
  try {
    const { sandboxObstacle } = await import("../../os/sandbox.ts");
    return sandboxObstacle();
  } catch {
    return undefined;
  }
}

/** What this machine is like. */
export function readSystem(builtMs: number): SystemFacts {
  const limits = readText("/proc/self/limits") ?? "";
  const [soft, hard] = limitsOf(limits, "Max open files");
  const [processes] = limitsOf(limits, "Max processes");
  const range = readText("/proc/sys/net/ipv4/ip_local_port_range")?.trim().split(/\s+/).map(Number);
  return {
    openFilesSoft: soft,
    openFilesHard: hard,
    fileMax: readNumber("/proc/sys/fs/file-max"),
    processes,
    somaxconn: readNumber("/proc/sys/net/core/somaxconn"),
    portRange: range?.length === 2 ? [range[0]!, range[1]!] : null,
    memoryMax: readNumber("/sys/fs/cgroup/memory.max"),
    clockSource: readText("/sys/devices/system/clocksource/clocksource0/current_clocksource")?.trim() ?? null,
    nowMs: Date.now(),
    builtMs,
  };
}

/** Soft and hard limit of a line of /proc/self/limits; unlimited is Infinity. */
export function limitsOf(text: string, name: string): readonly [number | null, number | null] {
  const line = text.split("\n").find((one) => one.startsWith(name));
  const [soft, hard] = line?.slice(name.length).trim().split(/\s+/) ?? [];
  return [limitOf(soft), limitOf(hard)];
}

function limitOf(text: string | undefined): number | null {
  if (text === "unlimited") return Number.POSITIVE_INFINITY;
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
}

export function readFolder(purpose: string, folder: string): FolderFacts {
  const none = { purpose, folder, exists: false, writable: false, freeBytes: null, freeInodes: null };
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return none;
  let writable = true;
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch {
    writable = false;
  }
  try {
    const { bavail, bsize, files, ffree } = statfsSync(folder);
    // Some file systems count no inodes.
    return { ...none, exists: true, writable, freeBytes: bavail * bsize, freeInodes: files === 0 ? null : ffree };
  } catch {
    return { ...none, exists: true, writable };
  }
}

/** null: it can be bound; else the code of the error. */
export function tryBind(ip: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host: ip, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

/** null: it accepts connections; else why not. */
export function tryConnect(ip: string, port: number, timeoutMs: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host: ip, port });
    const end = (reason: string | null): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(reason);
    };
    const timer = setTimeout(() => end(`no answer within ${timeoutMs} ms`), timeoutMs);
    socket.once("connect", () => end(null));
    socket.once("error", (error: NodeJS.ErrnoException) => end(WORDS[error.code ?? ""] ?? error.message));
  });
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to the network",
};

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Not this kernel, or a restricted /proc: the check says so or passes.
    return null;
  }
}

/** null also for what is no number, such as `max`. */
function readNumber(path: string): number | null {
  const text = readText(path)?.trim() ?? "";
  return /^\d+$/.test(text) ? Number(text) : null;
}
