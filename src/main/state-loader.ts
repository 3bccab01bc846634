// LoadState (spec 4.9, decisions 11): a file is decoded and checked as a whole before anything of it is applied; then it
// goes into the state and to the workers in batches, each acknowledged before the next leaves, so that neither main nor a
// worker is busy with it for more than a few milliseconds at a time and other clients get their turn.

import type { CommandError } from "../command/errors.ts";
import type { Request, Response } from "../command/gen/sozu_pb.ts";
import { judgeRefusal } from "../command/load.ts";
import { failureResponse, okResponse } from "../command/messages.ts";
import type { SocketAddress } from "../command/objects.ts";
import type { Trail } from "./audit.ts";
import type { Outcome } from "./change-log.ts";
import { readStateFile, type StateRecord } from "./state-file.ts";
import type { StateKeeper } from "./state-keeper.ts";

/** Records per batch. */
const BATCH = 256;
/** Problems named in one answer. */
const NAMED_MAX = 5;
const REPORT_MS = 500;

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
  const opened = bindAll(keeper, records);
  if (!Array.isArray(opened)) return failureResponse(`${opened}; nothing was applied`);
  const tally = new Tally();
  let reportAtMs = performance.now() + REPORT_MS;
  for (let at = 0; at < records.length; at += BATCH) {
    await applyBatch(keeper, records.slice(at, at + BATCH), tally);
    if (performance.now() < reportAtMs) continue;
    reportAtMs = performance.now() + REPORT_MS;
    progress(`${at + BATCH} of ${records.length} records loaded`);
  }
  keeper.closeUnused(opened);
  return tally.answer(path);
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

/** Opens every socket the file needs, or none; returns those, or the problem. */
function bindAll(keeper: StateKeeper, records: readonly StateRecord[]): SocketAddress[] | string {
  const opened: SocketAddress[] = [];
  for (const { request, number, line } of records) {
    const result = keeper.openFor(request);
    if (typeof result === "string") {
      keeper.closeUnused(opened);
      return describe({ number, line, reason: result });
    }
    opened.push(...result);
  }
  return opened;
}

async function applyBatch(keeper: StateKeeper, records: readonly StateRecord[], tally: Tally): Promise<void> {
  const outcomes: Promise<Outcome>[] = [];
  const numbers: number[] = [];
  for (const { request, number } of records) {
    const submission = keeper.submit(request, "saved_state");
    if (submission.kind === "published") {
      outcomes.push(submission.outcome);
      numbers.push(number);
    } else if (submission.kind === "stored") {
      tally.stored();
    } else if (submission.kind === "refused") {
      const verdict = judgeRefusal(keeper.state, request, submission.error);
      if (verdict.kind === "kept") tally.kept.push(verdict.object);
      else if (verdict.kind === "skipped") tally.skipped.push(skipped(number, submission.error));
    } else if (submission.kind === "unbound") {
      tally.fail(number, submission.reason);
    }
  }
  const ended = await Promise.all(outcomes);
  ended.forEach((outcome, index) => {
    tally.add(numbers[index], outcome);
  });
}

/** What came of the records. */
class Tally {
  readonly kept: string[] = [];
  readonly skipped: string[] = [];
  readonly #notes: string[] = [];
  readonly #failures: string[] = [];
  #ok = 0;
  #errors = 0;

  add(number: number, outcome: Outcome): void {
    this.#ok += outcome.accepted;
    this.#errors += outcome.failed;
    if (outcome.kind === "refused") this.#failures.push(`record ${number}: ${outcome.reason}`);
    else if (outcome.kind === "timed out") {
      this.#failures.push(
        `record ${number}: no answer of worker ${outcome.workers.join(" ")}, which is being replaced`,
      );
    } else if (outcome.note !== "") this.#notes.push(`record ${number}: ${outcome.note}`);
  }

  /** Main alone took it. */
  stored(): void {
    this.#ok += 1;
  }

  fail(number: number, reason: string): void {
    this.#errors += 1;
    this.#failures.push(`record ${number}: ${reason}`);
  }

  answer(path: string): Response {
    const counts = `${this.#ok} ok messages, ${this.#errors} errors`;
    const kept = this.kept.length === 0 ? "" : `; kept as they are, though the file differs: ${list(this.kept)}`;
    const skipped = this.skipped.length === 0 ? "" : `; skipped: ${list(this.skipped)}`;
    const notes = this.#notes.length === 0 ? "" : `; ${list(this.#notes)}`;
    const rest = `${kept}${skipped}${notes}`;
    if (this.#failures.length > 0) return failureResponse(`loading state: ${counts}: ${list(this.#failures)}${rest}`);
    return okResponse(`Successfully loaded state from path ${path}, ${counts}${rest}`);
  }
}

function skipped(number: number, error: CommandError): string {
  return `record ${number}: ${error.message}`;
}

function describe({ number, line, reason }: { number: number; line: number; reason: string }): string {
  return `record ${number} (line ${line}): ${reason}`;
}

function list(texts: readonly string[]): string {
  const more = texts.length > NAMED_MAX ? ", and more" : "";
  return `${texts.slice(0, NAMED_MAX).join(", ")}${more}`;
}
