// The sandbox of a process, for good: no new privileges, no core dump, no tracing by others, and only the system calls of
// the table (sandbox-table.ts), in all its threads, also those that come later. A refused call fails with EPERM (ENOSYS
// when the C library knows how to do without) and the kernel logs it; nothing is killed for it.
// What is needed from outside must be open before: descriptors keep working.

import { readFileSync } from "node:fs";
import type { SandboxMode } from "../command/objects.ts";
import { describeErrno, ENOSYS, EOPNOTSUPP } from "./errno.ts";
import { native, regs } from "./native.ts";
import { compileFilter, compileStartFilter, VERDICT } from "./sandbox-filter.ts";
import { ALLOWED_CALLS, NEVER_CALLS } from "./sandbox-table.ts";

/** What a process has given up, as the kernel says. */
export interface SandboxFacts {
  readonly noNewPrivileges: boolean;
  readonly filtered: boolean;
}

/** The filter that a worker starts under, for `spawn`: empty when there is to be no sandbox. */
export function startFilter(mode: SandboxMode): Uint8Array {
  if (mode === "off") return new Uint8Array(0);
  return compileStartFilter(NEVER_CALLS, { arch: archOf(), pid: 0, logOnly: false });
}

/**
 * Closes the sandbox around this process. Returns null, or why there is none or only a part of it; what could be given up
 * is given up then. Not to be called twice.
 */
export function enterSandbox(mode: SandboxMode): string | null {
  if (mode === "off") return "switched off by the configuration";
  const refused = [
    failed("prctl(PR_SET_NO_NEW_PRIVS)", call(native.giveUpPrivileges)),
    // Core dumps hold keys. Where they go through a pipe, the limit of their size is not looked at: this is.
    failed("prctl(PR_SET_DUMPABLE)", setDumpable(false)),
    failed("setrlimit(RLIMIT_CORE)", limitCoreDumps()),
    installFilter(mode),
  ].filter((reason) => reason !== null);
  return refused.length === 0 ? null : refused.join("; ");
}

/** Keeps core dumps of this process and its children from being written. 0 or -errno. */
export function limitCoreDumps(): number {
  // One byte, not none: of 1 the kernel also starts no program that takes dumps through a pipe (core_pattern).
  regs[1] = 1;
  return call(native.limitCore);
}

/** null when this kernel has what the sandbox needs; else why not. Changes nothing: for `doctor`. */
export function sandboxObstacle(): string | null {
  regs[1] = VERDICT.ERRNO;
  const result = call(native.filterAction);
  if (result >= 0) return null;
  if (result === -ENOSYS || result === -EOPNOTSUPP) return "this kernel has no seccomp filters";
  return `seccomp filters cannot be used here: ${describeErrno(-result)}`;
}

/** What the process has given up, or null when it is gone. Anybody may ask. */
export function sandboxOf(pid: number): SandboxFacts | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return { noNewPrivileges: /^NoNewPrivs:\s+1$/m.test(status), filtered: /^Seccomp:\s+2$/m.test(status) };
  } catch {
    return null; // it has ended, or /proc hides it
  }
}

function installFilter(mode: SandboxMode): string | null {
  const obstacle = sandboxObstacle();
  if (obstacle !== null) return obstacle;
  // Libuv would end the process when it cannot use the ring that it has.
  if (call(native.ringObstacle) < 0) return "this process was not started under the first filter and may use io_uring";
  const program = compileFilter(ALLOWED_CALLS, { arch: archOf(), pid: process.pid, logOnly: mode === "log" });
  return failed("seccomp(SECCOMP_SET_MODE_FILTER)", native.installFilter(program, LOG_REFUSALS));
}

function archOf(): "x64" | "arm64" {
  return process.arch === "arm64" ? "arm64" : "x64";
}

function setDumpable(on: boolean): number {
  regs[1] = on ? 1 : 0;
  return call(native.setDumpable);
}

function call(register: () => void): number {
  register();
  return regs[0];
}

function failed(what: string, result: number): string | null {
  return result < 0 ? `${what}: ${describeErrno(-result)}` : null;
}

/** Asks for a line in the kernel's log for each refusal. */
const LOG_REFUSALS = 1;
