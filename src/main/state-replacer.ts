// LoadStateWith (an addition to LoadState): `replace` makes the running state equal to the file, as one change, touching
// only what differs; `dry_run` says what either would do. The file is first read into a state of its own, so that
// nothing happens unless every record is sound.

import { planSteps, tablesOf } from "../command/diff.ts";
import type { Response } from "../command/gen/sozu_pb.ts";
import { judgeRefusal } from "../command/load.ts";
import { failureResponse, okResponse } from "../command/messages.ts";
import { ConfigState } from "../command/state.ts";
import type { Trail } from "./audit.ts";
import { countsText, keptText, list, reportContent } from "./change-report.ts";
import { applySet, lateText } from "./change-set.ts";
import { inSlices } from "./slices.ts";
import type { StateRecord } from "./state-file.ts";
import type { StateKeeper } from "./state-keeper.ts";
import { readSound } from "./state-loader.ts";

/** What was asked for. */
export interface ReplaceRequest {
  readonly path: string;
  /** False: what the file has is added, and only said: a load that is not dry is loadState(). */
  readonly replace: boolean;
  readonly dryRun: boolean;
}

/** Answers it. */
export async function replaceState(
  keeper: StateKeeper,
  { path, replace, dryRun }: ReplaceRequest,
  progress: (text: string) => void,
  trail: Trail | null,
): Promise<Response> {
  const read = await readSound(keeper, path, progress);
  if (!Array.isArray(read)) return read;
  trail?.messages(read.length);
  const target = new ConfigState();
  const skipped: string[] = [];
  await inSlices(build(target, read, skipped));
  const mode = replace ? ({ kind: "equal" } as const) : ({ kind: "add" } as const);
  const plan = await inSlices(planSteps(tablesOf(keeper.state), tablesOf(target), mode));
  const notes = [keptText(plan), skipped.length === 0 ? "" : `skipped: ${list(skipped)}`].filter((note) => note !== "");
  const content = reportContent(plan, notes, dryRun);
  const text = [countsText(plan), ...notes].join("; ");
  if (dryRun) return okResponse(`Nothing was changed; loading ${path} would be: ${text}`, content);
  const outcome = await applySet(keeper, plan.requests, { origin: "saved_state", progress, trail });
  if (outcome.kind === "refused") return failureResponse(`${outcome.reason}; nothing was applied`);
  if (outcome.kind === "timed out") return failureResponse(`${text}; ${lateText(outcome.workers)}`, content);
  const note = outcome.note === "" ? "" : `; ${outcome.note}`;
  return okResponse(`Successfully replaced the state with ${path}: ${text}${note}`, content);
}

function* build(target: ConfigState, records: readonly StateRecord[], skipped: string[]): Generator<void, void> {
  for (const { request, number } of records) {
    const applied = target.apply(request, "saved_state");
    if (!applied.ok && judgeRefusal(target, request, applied.error).kind !== "same") {
      skipped.push(`record ${number}: ${applied.error.message}`);
    }
    yield;
  }
}
