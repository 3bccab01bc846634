// Where log bytes go: standard output or a file here, sockets in socket-target.ts (spec 12.1). Writes to files go through
// libuv's pool (decisions 30), so a full disk, a slow NFS server or a blocked pipe holds up a pool thread and never the
// loop. A target reports failures and never throws after it was opened.

import { close, closeSync, constants, fstatSync, open, openSync, write, writeSync } from "node:fs";
import { parseTarget } from "../config/log-target.ts";
import { setNonblocking } from "../os/process.ts";
import { type SocketSource, SocketTarget } from "./socket-target.ts";

/**
 * Called when a write ended: null and the bytes that were written, or an errno name such as `ENOSPC`. `EAGAIN`, and KEPT
 * instead of a number, say that the bytes may be written later; after any other error they are lost.
 */
export type WriteDone = (error: string | null, written: number) => void;

/** For `written`: the target is gone, another one may come, the bytes stay with the caller. */
export const KEPT = -1;

/** What a sink writes to. At most one write is under way at any time. */
export interface LogTarget {
  readonly name: string;
  write(bytes: Uint8Array, offset: number, length: number, done: WriteDone): void;
  /** Writes at once, for the last lines of a process. Returns the bytes written, -1 on any error. */
  writeSync(bytes: Uint8Array, offset: number, length: number): number;
  /** Opens the file anew (after it was renamed by log rotation); the old one stays in use if that fails. */
  reopen(done: (error: string | null) => void): void;
  /** Goes on with a descriptor of the same kind that somebody else opened; it belongs to the target from now on. */
  adopt(fd: number): void;
  close(): void;
}

/**
 * Opens a target; of a file, unless `given` is a descriptor that somebody opened for it (who also opens it anew: adopt()).
 * Sockets come from `source`; without one there are none. Throws an Error with the reason when the text is no target or
 * the file cannot be opened.
 */
export function openTarget(text: string, source: SocketSource = NOWHERE, given = -1): LogTarget {
  const parsed = parseTarget(text);
  switch (parsed.kind) {
    case "error":
      throw new Error(`log target "${text}": ${parsed.reason}`);
    case "stdout":
      return new DescriptorTarget("stdout", ownStdout(), null);
    case "file":
      return given >= 0 ? new DescriptorTarget(text, given, null) : openFile(text, parsed.path);
    default:
      return new SocketTarget(text, parsed.kind, source);
  }
}

/**
 * A process cannot exit while a thread of the pool is stuck in a write that nobody reads, so nothing may block. Pipes
 * and terminals are opened once more: the flag on descriptor 1 itself would hold for every process that shares it, a
 * shell for one. A socket (journald) cannot be opened again and gets the flag, as Node's own process.stdout would do.
 * A file keeps descriptor 1, so that its position stays shared.
 */
function ownStdout(): number {
  try {
    const stat = fstatSync(STDOUT);
    if (stat.isFIFO() || stat.isCharacterDevice()) {
      return openSync(`/proc/self/fd/${STDOUT}`, constants.O_WRONLY | constants.O_NONBLOCK);
    }
    if (stat.isSocket()) {
      setNonblocking(STDOUT, true);
    }
  } catch {
    // No /proc, or the terminal belongs to another user: writing may block a pool thread then.
  }
  return STDOUT;
}

function openFile(text: string, path: string): LogTarget {
  return new DescriptorTarget(text, openLogFile(text, path), path);
}

/** A descriptor for appending to the file of target `text`. Throws an Error with the reason. */
export function openLogFile(text: string, path: string): number {
  try {
    return openSync(path, FILE_FLAGS, FILE_MODE);
  } catch (error) {
    throw new Error(`log target "${text}" cannot be opened: ${codeOf(error)}`);
  }
}

/** A descriptor; `path` is null for one that cannot be opened anew. */
class DescriptorTarget implements LogTarget {
  readonly name: string;
  private fd: number;
  private readonly path: string | null;
  private busy: boolean;
  private opening: boolean;
  private closed: boolean;
  /** Replaced while a write was using it. */
  private retired: number;

  constructor(name: string, fd: number, path: string | null) {
    this.name = name;
    this.fd = fd;
    this.path = path;
    this.busy = false;
    this.opening = false;
    this.closed = false;
    this.retired = -1;
  }

  write(bytes: Uint8Array, offset: number, length: number, done: WriteDone): void {
    this.busy = true;
    write(this.fd, bytes, offset, length, null, (error, written) => {
      this.busy = false;
      this.retire();
      done(error === null ? null : codeOf(error), written);
    });
  }

  writeSync(bytes: Uint8Array, offset: number, length: number): number {
    try {
      return writeSync(this.fd, bytes, offset, length);
    } catch {
      // The process is ending: there is nobody left to tell.
      return -1;
    }
  }

  reopen(done: (error: string | null) => void): void {
    if (this.path === null || this.opening || this.closed) {
      done(null);
      return;
    }
    this.opening = true;
    open(this.path, FILE_FLAGS, FILE_MODE, (error, fd) => {
      this.opening = false;
      if (error !== null) {
        done(codeOf(error));
        return;
      }
      this.adopt(fd);
      done(null);
    });
  }

  adopt(fd: number): void {
    if (this.closed) {
      closeSync(fd);
      return;
    }
    this.retire();
    this.retired = this.fd;
    this.fd = fd;
    if (!this.busy) {
      this.retire();
    }
  }

  close(): void {
    if (!this.closed && this.path !== null) {
      this.closed = true;
      this.retired = this.fd;
      if (!this.busy) {
        this.retire();
      }
    }
  }

  private retire(): void {
    if (this.retired !== -1) {
      close(this.retired, ignore);
      this.retired = -1;
    }
  }
}

const NOWHERE: SocketSource = { ask: ignore, nowMs: () => 0, lines: true };
const STDOUT = 1;
const FILE_MODE = 0o640;
/** Without blocking: a path may be a FIFO. Without a reader that is an error instead of a start that never ends. */
const FILE_FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;

/** A descriptor that cannot be closed properly is gone all the same (close(2)); a socket that nobody connects is none. */
function ignore(): void {}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? String(error);
}
