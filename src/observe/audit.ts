// The audit trail (spec 12.9): who asked main for which change, and what came of it. One line of text for people in the
// normal log and in `audit_logs_target`, one JSON object in `audit_logs_json_target`.
// Whatever comes from outside is one word on one line: control characters and bidi marks become `?`, in columns also the
// comma and the equals sign, so no name can forge a column, a line or a result. Secrets never reach this file: callers
// pass names, addresses and digests. Lines go to a BatchSink: a disk that stands still costs lines, never commands.

import { existsSync, mkdirSync, statSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { dirname } from "node:path";
import type { Logger } from "./logger.ts";
import { BatchSink } from "./sink.ts";
import { openTarget } from "./target.ts";

/** Who is at the other end of the command socket. */
export interface AuditActor {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  /** Name in the password file; null: none. */
  readonly user: string | null;
  /** Name of the program; null: it was gone already. */
  readonly comm: string | null;
}

/** A connection to the command socket. */
export interface AuditClient {
  readonly actor: AuditActor;
  readonly clientId: number;
  readonly sessionUlid: string;
  readonly connectedMs: number;
}

/** One line of the trail. Columns that are null are left out. */
export interface AuditEvent {
  readonly client: AuditClient;
  readonly requestUlid: string;
  readonly verb: string;
  readonly target: string;
  readonly ok: boolean;
  readonly clusterId: string | null;
  readonly backendId: string | null;
  readonly errorCode: string | null;
  readonly reason: string | null;
  readonly elapsedMs: number | null;
  readonly fanout: "ok" | "partial" | "timeout" | "local_only" | null;
  /** Workers that took the change, that did not, and both together. */
  readonly workers: { readonly ok: number; readonly err: number; readonly expected: number } | null;
  /** First 16 hex digits of the digest of the request's bytes. */
  readonly requestSha256: string | null;
  /** Of SetMetricDetail: the client id, and why ("" when nothing was said). */
  readonly lease: { readonly id: string; readonly reason: string } | null;
}

/** How the trail is set up. */
export interface AuditOptions {
  readonly logger: Logger;
  /** Path of the command socket. */
  readonly socket: string;
  readonly version: string;
  /** Which build runs. */
  readonly build: string;
  /** How often this main has replaced itself. Default 0. */
  readonly bootGeneration?: number;
  /** Absolute paths; null: no such file. */
  readonly textPath: string | null;
  readonly jsonPath: string | null;
  /** Wall clock in milliseconds; by default `Date.now()`. */
  readonly nowMs?: () => number;
}

/** Writes the trail. One per main. */
export class AuditLog {
  readonly #options: AuditOptions;
  readonly #nowMs: () => number;
  readonly #text: BatchSink | null;
  readonly #json: BatchSink | null;

  /** @throws Error with the reason when a file cannot be opened. */
  constructor(options: AuditOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
    this.#text = openSink(options.textPath, "audit_logs_target", options.logger);
    this.#json = openSink(options.jsonPath, "audit_logs_json_target", options.logger);
  }

  record(event: AuditEvent): void {
    const ts = new Date(this.#nowMs()).toISOString();
    const text = renderText(event, ts, this.#options);
    this.#options.logger.info("audit", text);
    if (this.#text !== null) append(this.#text, `${text}\n`);
    if (this.#json !== null) append(this.#json, `${renderJson(event, ts, this.#options)}\n`);
  }

  /** Lines that never reached a file, since start. */
  get lost(): number {
    const { dropped = 0, unsent = 0 } = this.#text ?? {};
    return dropped + unsent + (this.#json?.dropped ?? 0) + (this.#json?.unsent ?? 0);
  }

  /** Whether lines wait to be written. */
  get pending(): boolean {
    return this.#text?.pending === true || this.#json?.pending === true;
  }

  /** To be called every 100 to 200 ms. */
  tick(): void {
    this.#text?.tick();
    this.#json?.tick();
  }

  /** Opens the files anew, after they were moved away. A failure is logged; the old ones stay in use. */
  reopen(): void {
    this.#text?.reopen();
    this.#json?.reopen();
  }

  /** Writes what waits, before the process ends. */
  close(): void {
    for (const sink of [this.#text, this.#json]) {
      sink?.flushSync();
      sink?.close();
    }
  }
}

/** `[session request cluster|- backend|-]\tAUDIT\tCommand(ts=..., verb=..., ...)`, without a line feed. */
export function renderText(
  event: AuditEvent,
  ts: string,
  { socket, version, build, bootGeneration = 0 }: Build,
): string {
  const { client, workers } = event;
  const { actor } = client;
  const bracket = [client.sessionUlid, event.requestUlid, column(event.clusterId), column(event.backendId)].join(" ");
  const columns = [
    `ts=${ts}`,
    `verb=${event.verb}`,
    `actor_uid=${actor.uid}`,
    `actor_gid=${actor.gid}`,
    `actor_pid=${actor.pid}`,
    `actor_role=${roleOf(actor.uid)}`,
    `actor_user=${column(actor.user)}`,
    `actor_comm=${column(actor.comm)}`,
    `client_id=${client.clientId}`,
    `connect_ts=${new Date(client.connectedMs).toISOString()}`,
    `socket=${column(socket)}`,
    `target=${clean(event.target, TARGET_MAX)}`,
    `result=${event.ok ? "ok" : "err"}`,
  ];
  if (event.errorCode !== null) columns.push(`error_code=${event.errorCode}`);
  if (event.reason !== null) columns.push(`reason=${column(event.reason, REASON_MAX)}`);
  if (event.elapsedMs !== null) columns.push(`elapsed_ms=${Math.floor(event.elapsedMs)}`);
  if (event.fanout !== null) columns.push(`fanout=${event.fanout}`);
  if (workers !== null) columns.push(`workers=${workers.ok}/${workers.err}/${workers.expected}`);
  if (event.requestSha256 !== null) columns.push(`request_sha256=${event.requestSha256}`);
  if (event.lease !== null) columns.push(`lease_id=${column(event.lease.id, LEASE_MAX)}`);
  if (event.lease !== null) columns.push(`metric_detail_reason=${column(event.lease.reason, REASON_MAX)}`);
  columns.push(`sozu_version=${version}`, `build_git_sha=${build}`, `boot_generation=${bootGeneration}`);
  return `[${bracket}]\tAUDIT\tCommand(${columns.join(", ")})`;
}

/** The same as one JSON object, without a line feed. */
export function renderJson(
  event: AuditEvent,
  ts: string,
  { socket, version, build, bootGeneration = 0 }: Build,
): string {
  const { client, workers } = event;
  const { uid, gid, pid, user, comm } = client.actor;
  const extras = {
    ...(event.errorCode === null ? {} : { error_code: event.errorCode }),
    ...(event.reason === null ? {} : { reason: clean(event.reason, REASON_MAX) }),
    ...(event.elapsedMs === null ? {} : { elapsed_ms: Math.floor(event.elapsedMs) }),
    ...(event.fanout === null ? {} : { fanout: event.fanout }),
    ...(workers === null ? {} : { workers }),
    ...(event.requestSha256 === null ? {} : { request_sha256: event.requestSha256 }),
    ...(event.lease === null ? {} : leaseExtras(event.lease)),
  };
  return JSON.stringify({
    ts,
    boot_generation: bootGeneration,
    session_ulid: client.sessionUlid,
    request_ulid: event.requestUlid,
    actor: { uid, gid, pid, user: word(user), comm: word(comm), role: roleOf(uid) },
    client_id: client.clientId,
    connect_ts: new Date(client.connectedMs).toISOString(),
    socket,
    verb: event.verb,
    target: clean(event.target, TARGET_MAX),
    result: event.ok ? "ok" : "err",
    cluster_id: word(event.clusterId),
    backend_id: word(event.backendId),
    sozu_version: version,
    build_git_sha: build,
    extras,
  });
}

function leaseExtras({ id, reason }: NonNullable<AuditEvent["lease"]>): object {
  return { lease_id: clean(id, LEASE_MAX), metric_detail_reason: clean(reason, REASON_MAX) };
}

/** A value as part of a target: nothing in it looks like a column. */
export function column(value: string | null, max = WORD_MAX): string {
  if (value === null || value === "") return "-";
  return clean(value, max).replace(/[,=]/g, "?");
}

type Build = Pick<AuditOptions, "socket" | "version" | "build" | "bootGeneration">;

const REASON_MAX = 256;
const LEASE_MAX = 64;
const WORD_MAX = 256;
const TARGET_MAX = 1024;
/** Half of it collects while the other half is written: some two hundred lines. */
const SINK_BYTES = 256 * 1024;
const FILE_MODE = 0o640;
const FOLDER_MODE = 0o750;
/** Uids below it are the system's (login.defs). */
const USERS_FROM = 1000;
const NOBODY = 0xffffffff;

// C0, DEL and C1, line and paragraph separators, bidi controls, BOM.
const UNSAFE = /[\0-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff]/g;

function clean(text: string, max: number): string {
  const short = text.length > max ? text.slice(0, max) : text;
  return short.toWellFormed().replace(UNSAFE, "?");
}

function word(value: string | null): string | null {
  return value === null ? null : clean(value, WORD_MAX);
}

function roleOf(uid: number): string {
  if (uid === 0) return "root";
  if (uid === NOBODY) return "unknown";
  return uid < USERS_FROM ? "system" : "user";
}

function append(sink: BatchSink, line: string): void {
  const bytes = ENCODER.encode(line);
  // Dropped lines are counted there, and told once the file can be written again.
  if (sink.append(bytes, 0, bytes.length)) sink.flush();
}

const ENCODER = new TextEncoder();

function openSink(path: string | null, key: string, logger: Logger): BatchSink | null {
  if (path === null) return null;
  try {
    makeFolder(dirname(path));
  } catch (error) {
    throw new Error(`cannot make the folder of ${key} ${path}: ${(error as Error).message}`);
  }
  const sink = new BatchSink(openTarget(`file://${path}`), SINK_BYTES);
  sink.onTrouble = (message) => logger.error("audit", message);
  sink.onRecovered = (lines) => logger.warn("audit", `${key}: ${lines} lines were lost`);
  narrow(path, key, logger);
  return sink;
}

/** One by one: Node's own recursion never ends where a folder cannot be made at all, as in /proc. */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  mkdirSync(path, { mode: FOLDER_MODE });
}

/** A file that was there may be open to more readers than the trail should have. */
function narrow(path: string, key: string, logger: Logger): void {
  const stat = statSync(path);
  const wide = stat.mode & 0o777 & ~FILE_MODE;
  if (!stat.isFile() || wide === 0) return;
  const mode = (stat.mode & 0o777).toString(8);
  logger.warn("audit", `${key} ${path} had mode ${mode}, narrowed to ${FILE_MODE.toString(8)}`);
  chmod(path, stat.mode & FILE_MODE).catch((error: Error) => logger.error("audit", `${key}: ${error.message}`));
}
