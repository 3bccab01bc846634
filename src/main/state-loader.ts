// LoadState (spec 4.9, decisions 11): a file is decoded and checked as a whole before anything of it is applied; then it
// is one change (change-set.ts). Records that main's state refuses because of what is there are left out and told.

import type { CommandError } from "../command/errors.ts";
import type { Request, Response } from "../command/gen/sozu_pb.ts";
import { judgeRefusal } from "../command/load.ts";
import { failureResponse, okResponse } from "../command/messages.ts";
import type { Trail } from "./audit.ts";
import { applySet, lateText } from "./change-set.ts";
import { readStateFile, type StateRecord } from "./state-file.ts";
import type { StateKeeper } from "./state-keeper.ts";

/** Problems named in one answer. */
const NAMED_MAX = 5;

/** Loads a file; `progress` says how far it is. Nothing is applied unless every record is sound. */
export async function loadState(
  keeper: StateKeeper,
  path: string,
  progress: (text: string) => void,
  trail: Trail | null = null,
): Promise<Response> {
  const records = await readSound(keeper, path, progress);
  if (!Array.isArray(records)) return records;
  trail?.messages(records.length);
  const kept: string[] = [];
  const skipped: string[] = [];
  const isFine = (request: Request, index: number, error: CommandError): boolean => {
    const verdict = judgeRefusal(keeper.state, request, error);
    if (verdict.kind === "kept") kept.push(verdict.object);
    else if (verdict.kind === "skipped") skipped.push(`record ${records[index]!.number}: ${error.message}`);
    return true;
  };
  let counts = "";
  const requests = records.map(({ request }) => request);
  const outcome = await applySet(
    keeper,
    requests,
    { origin: "saved_state", isFine, progress, trail },
    ({ published, stored, accepted, failed }) => {
      counts = `${published * accepted + stored} ok messages, ${published * failed} errors`;
    },
  );
  if (outcome.kind === "refused") {
    const reason =
      outcome.index < 0 ? outcome.reason : describe({ ...records[outcome.index]!, reason: outcome.reason });
    return failureResponse(`${reason}; nothing was applied`);
  }
  const rest = [
    kept.length === 0 ? "" : `; kept as they are, though the file differs: ${list(kept)}`,
    skipped.length === 0 ? "" : `; skipped: ${list(skipped)}`,
  ].join("");
  if (outcome.kind === "timed out") {
    return failureResponse(`loading state: ${counts}: ${lateText(outcome.workers)}${rest}`);
  }
  const note = outcome.note === "" ? "" : `; ${outcome.note}`;
  return okResponse(`Successfully loaded state from path ${path}, ${counts}${rest}${note}`);
}

/** Reads a state file whose records are all sound; the answer of a failure when it is not one. */
export async function readSound(
  keeper: StateKeeper,
  path: string,
  progress: (text: string) => void,
): Promise<StateRecord[] | Response> {
  progress(`reading ${path}`);
  const check = (request: Request): string | null => keeper.state.check(request)?.message ?? null;
  const read = await readStateFile(path, { check, brokenMax: NAMED_MAX + 1 });
  if (read.problem === "absent") return failureResponse(`Cannot find file at path ${path}`);
  if (read.problem !== null) return failureResponse(read.reason);
  if (read.broken.length > 0) {
    const reasons = list(read.broken.map(describe));
    return failureResponse(`Error consuming load state message: ${reasons}; nothing was applied`);
  }
  return [...read.records];
}

function describe({ number, line, reason }: { number: number; line: number; reason: string }): string {
  return `record ${number} (line ${line}): ${reason}`;
}

function list(texts: readonly string[]): string {
  const more = texts.length > NAMED_MAX ? ", and more" : "";
  return `${texts.slice(0, NAMED_MAX).join(", ")}${more}`;
}
