// The saved state at start (decisions 11): applied after the configuration file, before any worker runs. Objects that
// the file has, too: clusters and backends become what was saved, listeners and frontends stay as the file says, both
// with a warning. Records that cannot be used are put into a file beside it and reported, and the rest serves; `strict`
// refuses to start instead.

import { createHash } from "node:crypto";
import { copyFile } from "node:fs/promises";
import { addressFromMessage, formatAddress } from "../command/address.ts";
import type { Request } from "../command/gen/sozu_pb.ts";
import { judgeRefusal } from "../command/load.ts";
import type { BrokenRecord } from "../command/records.ts";
import { backendKey } from "../command/state/keys.ts";
import type { ConfigState } from "../command/state.ts";
import type { Logger } from "../observe/logger.ts";
import { readStateFile, writeNewFile } from "./state-file.ts";

/** Objects and records named in the log; the rest is counted. */
const NAMED_MAX = 10;
const MODULE = "state";

/** How the saved state is applied. */
export interface SavedStateOptions {
  readonly state: ConfigState;
  readonly path: string;
  readonly strict: boolean;
  readonly logger: Logger;
}

/** Applies the file to the state; resolves with null, or with the reason not to start. */
export async function applySavedState(options: SavedStateOptions): Promise<string | null> {
  const { state, path, strict, logger } = options;
  const read = await readStateFile(path, { check: (request) => state.check(request)?.message ?? null });
  if (read.problem === "absent") {
    logger.info(MODULE, `${path} (saved_state) does not exist yet`);
    return null;
  }
  if (read.problem !== null) return `saved_state: ${read.reason}`;
  if (read.broken.length > 0) {
    const reasons = read.broken.map(({ number, line, reason }) => `record ${number} (line ${line}): ${reason}`);
    if (strict) return `saved_state: ${path} has ${reasons.length} broken records: ${named(reasons)}`;
    const problem = await quarantine(path, read.broken, logger);
    if (problem !== null) return problem;
    for (const reason of reasons.slice(0, NAMED_MAX)) logger.error(MODULE, `${path}: ${reason}`);
  }
  const notes: string[] = [];
  for (const { request } of read.records) applyRecord(state, request, notes);
  if (notes.length > 0) logger.warn(MODULE, `${path}: ${named(notes)}`);
  logger.info(MODULE, `${path}: ${read.records.length} records applied`);
  return null;
}

/** `notes` gets what an operator should know: where the saved state and the configuration file differ, and who wins. */
function applyRecord(state: ConfigState, request: Request, notes: string[]): void {
  const before = upserted(state, request);
  const applied = state.apply(request, "saved_state");
  if (!applied.ok) {
    const verdict = judgeRefusal(state, request, applied.error);
    if (verdict.kind === "kept")
      notes.push(`${verdict.object} is as the configuration file has it, not as it was saved`);
    else if (verdict.kind === "skipped" && applied.error.code === "NOT_BUILT") notes.push(verdict.reason);
  } else if (before !== null && applied.changes.length > 0) {
    notes.push(`${before} is as it was saved, not as the configuration file has it`);
  }
}

/** The name of the object that the request would replace, or null. */
function upserted(state: ConfigState, { requestType }: Request): string | null {
  if (requestType.case === "addCluster") {
    const { clusterId } = requestType.value;
    return state.clusters.get(clusterId) === undefined ? null : `Cluster ${clusterId}`;
  }
  if (requestType.case !== "addBackend") return null;
  const { clusterId, backendId, address } = requestType.value;
  const where = addressFromMessage(address);
  if (typeof where === "string" || state.backends.get(backendKey(clusterId, backendId, where)) === undefined)
    return null;
  return `Backend ${backendId} at ${formatAddress(where)} of ${clusterId}`;
}

/** Keeps the broken records in a file named for its content: one that is broken at every start is kept once. */
async function quarantine(path: string, broken: readonly BrokenRecord[], logger: Logger): Promise<string | null> {
  // The bytes of a record that was too large are not at hand: then the whole file is kept.
  const whole = broken.some(({ raw }) => raw.length === 0);
  const bytes = Buffer.concat(broken.flatMap(({ raw }) => [raw, RECORD_END]));
  const name = whole ? "whole" : createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  const target = `${path}.broken-${name}`;
  try {
    if (whole) await copyFile(path, target);
    else await writeNewFile(target, bytes);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EEXIST")
      return `saved_state: ${broken.length} broken records of ${path} cannot be kept aside: ${message}`;
  }
  logger.error(MODULE, `${path}: ${broken.length} broken records are not served; they are kept in ${target}`);
  return null;
}

function named(texts: readonly string[]): string {
  const more = texts.length > NAMED_MAX ? `; and ${texts.length - NAMED_MAX} more` : "";
  return `${texts.slice(0, NAMED_MAX).join("; ")}${more}`;
}

/** Raw bytes end before the NUL. */
const RECORD_END: Uint8Array = Uint8Array.of(0);
