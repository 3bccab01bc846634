// Processes: spawn with an exact set of descriptors, watch and reap through pidfds, replace this one, limits.
// None of it goes through ChildProcess, so supervision survives main's own exec (decisions 24).

import { EINVAL, OsError } from "./errno.ts";
import { native, numbers, REG_EXTRA, regs } from "./native.ts";

const NEW_SESSION = 1;
const NO_CAPABILITIES = 2;

export interface SpawnOptions {
  /** Absolute path of the program. */
  readonly file: string;
  /** argv, the program's name first. */
  readonly args: readonly string[];
  /** The whole environment; undefined values are left out. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** (descriptor here, descriptor there). Besides these only 0, 1 and 2 survive. At most 250. */
  readonly fds: readonly (readonly [parentFd: number, childFd: number])[];
  /** Leave the terminal's session: Ctrl-C does not reach the child. Default false. */
  readonly newSession?: boolean;
  /**
   * Clears the ambient capabilities (those that a service user was given) and, unless empty, has the program start under
   * this filter of system calls and without new privileges. By default it has what this process has.
   */
  readonly sandbox?: Uint8Array;
}

export interface Spawned {
  readonly pid: number;
  /** Readable in an epoll set once the process has ended. The caller closes it. */
  readonly pidfd: number;
}

/** How a process ended. */
export interface ExitStatus {
  /** 0 to 255; -1 when a signal ended it, or when it was not our child and nobody can tell. */
  readonly exitCode: number;
  /** The number of the signal; 0 when it exited. */
  readonly signal: number;
}

/** Starts a process with default signal handling and no blocked signals. -errno also when the program cannot be run. */
export function spawn(options: SpawnOptions): Spawned | number {
  const file = packStrings([options.file]);
  const args = packStrings(options.args);
  const env = packStrings(environmentOf(options.env));
  const folder = packStrings(options.cwd === undefined ? [] : [options.cwd]);
  if (file === null || args === null || env === null || folder === null) return -EINVAL;
  const pairs = Int32Array.from(options.fds.flat());
  const { newSession, sandbox } = options;
  const flags = (newSession === true ? NEW_SESSION : 0) | (sandbox === undefined ? 0 : NO_CAPABILITIES);
  const pid = native.spawn(file, args, env, folder, pairs, flags, sandbox ?? new Uint8Array(0));
  return pid < 0 ? pid : { pid, pidfd: regs[REG_EXTRA] };
}

/**
 * Reaps without waiting: null while the process runs. A process that is not our child (adopted), or that was reaped
 * already, is reported with exit code -1 and signal 0: of such a one, ask only when its pidfd is readable.
 */
export function waitPid(pidfd: number): ExitStatus | null {
  regs[1] = pidfd;
  native.waitProcess();
  const result = regs[0];
  if (result === 0) return null;
  if (result < 0) return { exitCode: -1, signal: 0 };
  const status = regs[REG_EXTRA + 1];
  return regs[REG_EXTRA] === 0 ? { exitCode: status, signal: 0 } : { exitCode: -1, signal: status };
}

/** Sends a signal; never hits another process that got the same number. -ESRCH when it has ended. */
export function killPid(pidfd: number, signal: number): number {
  regs[1] = pidfd;
  regs[2] = signal;
  native.signalProcess();
  return regs[0];
}

/** Lets a signal through that this thread blocks, as Node does with SIGUSR1 under --disable-sigusr1. 0 or -errno. */
export function unblockSignal(signal: number): number {
  regs[1] = signal;
  native.unblockSignal();
  return regs[0];
}

/** A pidfd for a running process, our child or not. */
export function pidfdOpen(pid: number): number {
  regs[1] = pid;
  native.openPidfd();
  return regs[0];
}

/** Whether the descriptor closes on exec. */
export function setCloexec(fd: number, on: boolean): number {
  regs[1] = fd;
  regs[2] = on ? 1 : 0;
  native.setCloexec();
  return regs[0];
}

/** 1 when the descriptor closes on exec, 0 when not, -EBADF when it is none. */
export function getCloexec(fd: number): number {
  regs[1] = fd;
  native.getCloexec();
  return regs[0];
}

/** Whether reads and writes of the open file may block. */
export function setNonblocking(fd: number, on: boolean): number {
  regs[1] = fd;
  regs[2] = on ? 1 : 0;
  native.setNonblocking();
  return regs[0];
}

/** Another descriptor of the same open file, close-on-exec. */
export function dup(fd: number): number {
  regs[1] = fd;
  native.dup();
  return regs[0];
}

/** Replaces this process by another program: same pid, descriptors without close-on-exec stay. Returns only on failure. */
export function execve(path: string, args: readonly string[], env: SpawnOptions["env"]): number {
  const file = packStrings([path]);
  const argv = packStrings(args);
  const envp = packStrings(environmentOf(env));
  return file === null || argv === null || envp === null ? -EINVAL : native.execve(file, argv, envp);
}

/** Limits of open descriptors; -1 is none. Throws OsError. */
export function getNofile(): { soft: number; hard: number } {
  native.getNofile();
  if (regs[0] < 0) throw new OsError("cannot read the limit of open files", regs[0]);
  return { soft: numbers[0], hard: numbers[1] };
}

/** Sets the soft limit of open descriptors. -EINVAL above the hard limit. */
export function setNofile(soft: number): number {
  numbers[0] = soft;
  native.setNofile();
  return regs[0];
}

function environmentOf(env: SpawnOptions["env"]): string[] {
  const list: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined) list.push(`${name}=${value}`);
  }
  return list;
}

/** NUL-terminated strings one after the other; null when one holds a NUL itself. */
function packStrings(list: readonly string[]): Uint8Array | null {
  let text = "";
  for (const item of list) {
    if (item.includes("\0")) return null;
    text += `${item}\0`;
  }
  return Buffer.from(text);
}
