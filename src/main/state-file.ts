// State files on disk (spec 4.9, decisions 11): written to a temporary neighbour, synced and renamed, so that the file is
// the old one or the new one and never half of either, whatever happens meanwhile; read in pieces, so that nobody waits
// for a large one. Problems come back as text; nothing here throws on what a path or a file turns out to be.

import { constants } from "node:fs";
import { type FileHandle, lstat, open, readdir, realpath, rename, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Request } from "../command/gen/sozu_pb.ts";
import { type BrokenRecord, encodeRecords, RECORD, RecordDecoder } from "../command/records.ts";

/** Bytes of the largest state file that is read. */
export const STATE_FILE_BYTES_MAX = 268_435_456;
/** Bytes encoded or decoded before others get their turn: a few milliseconds. */
const SLICE_BYTES = 65_536;
/** Mode of a new file: it may hold private keys one day. */
const NEW_MODE = 0o600;

/** How writing ended. */
export type Written =
  | { readonly problem: null; readonly records: number }
  | { readonly problem: string; readonly records: 0 };

/** Writes the requests to `path`, all or nothing. A link is followed; what is neither a file nor absent is refused. */
export async function writeStateFile(path: string, requests: readonly Request[]): Promise<Written> {
  let temporary: string | null = null;
  try {
    const { target, mode } = await findTarget(path);
    const folder = dirname(target);
    await removeLeftovers(folder, basename(target));
    temporary = join(folder, `.${basename(target)}.${process.pid}.tmp`);
    await writeSynced(temporary, mode, requests);
    await rename(temporary, target);
    temporary = null;
    await syncFolder(folder);
    return { problem: null, records: requests.length };
  } catch (error) {
    if (temporary !== null) await unlink(temporary).catch(() => undefined);
    return { problem: `cannot write ${path}: ${explain(error)}`, records: 0 };
  }
}

/** Writes bytes to a file that must not exist yet, synced. @throws the error of the system. */
export async function writeNewFile(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, "wx", NEW_MODE);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** What a state file holds. */
export type ReadRecords =
  | { readonly problem: null; readonly records: readonly StateRecord[]; readonly broken: readonly BrokenRecord[] }
  | { readonly problem: "absent" | "unreadable"; readonly reason: string };

/** A record that could be decoded, and where it stands. */
export interface StateRecord {
  readonly request: Request;
  /** Counted from 1, broken ones included. */
  readonly number: number;
  /** Line on which it starts. */
  readonly line: number;
}

/** How a file is read. */
export interface ReadOptions {
  /** Why a decoded record cannot be used; null when it can. */
  check(request: Request): string | null;
  /** Reading stops once so many records are broken. Default: never. */
  readonly brokenMax?: number;
}

/** Reads a whole file, at most STATE_FILE_BYTES_MAX. */
export async function readStateFile(path: string, options: ReadOptions): Promise<ReadRecords> {
  let file: FileHandle | null = null;
  try {
    // Non-blocking: a FIFO would keep a thread of the pool for ever.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await file.stat();
    if (!stat.isFile()) return { problem: "unreadable", reason: `${path} is not a file` };
    if (stat.size > STATE_FILE_BYTES_MAX) {
      const reason = `${path} has ${stat.size} bytes, at most ${STATE_FILE_BYTES_MAX} are read`;
      return { problem: "unreadable", reason };
    }
    return await readAll(file, options);
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === "ENOENT";
    return { problem: absent ? "absent" : "unreadable", reason: `cannot read ${path}: ${explain(error)}` };
  } finally {
    await file?.close();
  }
}

async function readAll(file: FileHandle, options: ReadOptions): Promise<ReadRecords> {
  const brokenMax = options.brokenMax ?? Number.POSITIVE_INFINITY;
  const decoder = new RecordDecoder();
  const records: StateRecord[] = [];
  const broken: BrokenRecord[] = [];
  const buffer = new Uint8Array(SLICE_BYTES);
  let total = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
    total += bytesRead;
    // It may grow while it is read.
    if (bytesRead === 0 || total > STATE_FILE_BYTES_MAX) decoder.end();
    else decoder.push(buffer.subarray(0, bytesRead));
    for (let result = decoder.next(); result !== RECORD.NEED_MORE; result = decoder.next()) {
      const { number, line, byte, raw, request } = decoder;
      const reason = result === RECORD.REQUEST && request !== null ? options.check(request) : decoder.reason;
      if (reason === null && request !== null) records.push({ request, number, line });
      else broken.push({ number, line, byte, reason: reason ?? "", raw });
      if (broken.length >= brokenMax) return { problem: null, records, broken };
    }
    if (bytesRead === 0 || total > STATE_FILE_BYTES_MAX) return { problem: null, records, broken };
  }
}

async function findTarget(path: string): Promise<{ readonly target: string; readonly mode: number }> {
  const stat = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (stat === null) return { target: path, mode: NEW_MODE };
  const target = stat.isSymbolicLink() ? await realpath(path) : path;
  const there = stat.isSymbolicLink() ? await lstat(target) : stat;
  // Renaming over a device or a socket would replace it.
  if (!there.isFile()) throw new Error("it exists and is not a file");
  // A group may be meant to read it; keys of certificates are not for everybody, whoever made the file.
  return { target, mode: there.mode & 0o770 };
}

async function writeSynced(path: string, mode: number, requests: readonly Request[]): Promise<void> {
  const file = await open(path, "wx", NEW_MODE);
  try {
    await file.chmod(mode);
    for (const chunk of encodeRecords(requests, SLICE_BYTES)) await file.writeFile(chunk);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

const cleaned: Set<string> = new Set();

/** Temporary files of mains that were killed while they wrote; looked for once per file, since folders may be large. */
async function removeLeftovers(folder: string, name: string): Promise<void> {
  const own = join(folder, name);
  if (cleaned.has(own)) return;
  cleaned.add(own);
  for (const entry of await readdir(folder)) {
    if (!entry.startsWith(`.${name}.`) || !entry.endsWith(".tmp")) continue;
    const pid = Number(entry.slice(name.length + 2, -".tmp".length));
    if (!Number.isInteger(pid) || pid <= 0 || (pid !== process.pid && isAlive(pid))) continue;
    await unlink(join(folder, entry)).catch(() => undefined);
  }
}

/** Whether there is a process with this id. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Adopts an error of the file system as text for an operator. */
function explain(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return "the disk is full";
    case "EROFS":
      return "the file system is read-only";
    case "EACCES":
    case "EPERM":
      return "permission denied";
    case "ENOENT":
      return "there is no such file or folder";
    case "EISDIR":
      return "it is a folder";
    default:
      return message;
  }
}
