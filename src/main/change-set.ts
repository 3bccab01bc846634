// Many requests as one change: a transaction, a reload, a state that replaces another. Sockets are opened before
// anything changes; then the requests go into the state and to the workers in parts, each acknowledged before the next
// leaves, so that neither main nor a worker is busy with it for long. When a part is refused, the ones before it are
// taken back: all of it is there in the end, or nothing. What fits into one part is one change for workers, too.

import type { Request, Response } from "../command/gen/sozu_pb.ts";
import { failureResponse, okResponse } from "../command/messages.ts";
import type { SocketAddress } from "../command/objects.ts";
import type { Applied, Origin } from "../command/state.ts";
import { changesState, requestName } from "../command/state.ts";
import type { Trail } from "./audit.ts";
import type { Outcome } from "./change-log.ts";
import type { StateKeeper } from "./state-keeper.ts";

/** Requests in one part: a few milliseconds of main and of a worker. */
const PART_REQUESTS_MAX = 500;
/** Requests in a transaction, which is always one part. */
export const TRANSACTION_REQUESTS_MAX = 1000;
const REPORT_MS = 500;

/** How a set ended. */
export type SetOutcome =
  /** Nothing has changed. `index` is that of the request that was refused, -1: it was no single one. */
  | { readonly kind: "refused"; readonly index: number; readonly reason: string }
  /** All of it is part of the state. `note`: what an operator should know besides, or "". */
  | { readonly kind: "applied"; readonly note: string }
  /** All of it is part of the state, and these workers were late with it: they are being replaced. */
  | { readonly kind: "timed out"; readonly workers: readonly number[] };

/** How a set is applied. */
export interface SetOptions {
  readonly origin: Origin;
  /** Requests in one part. */
  readonly partMax?: number;
  /** Frontends need a listener that is there. */
  readonly needsListeners?: boolean;
  readonly progress: (text: string) => void;
  readonly trail: Trail | null;
}

/** Applies groups of requests in their order; a group is never torn apart. */
export async function applySet(
  keeper: StateKeeper,
  groups: readonly (readonly Request[])[],
  options: SetOptions,
): Promise<SetOutcome> {
  const opened = openAll(keeper, groups.flat());
  if (!Array.isArray(opened)) return opened;
  const result = await applyParts(keeper, partsOf(groups, options.partMax ?? PART_REQUESTS_MAX), options);
  keeper.closeUnused(opened);
  return result;
}

/** Answers a Transaction: all of its requests, or none. */
export async function applyTransaction(
  keeper: StateKeeper,
  requests: readonly Request[],
  progress: (text: string) => void,
  trail: Trail | null,
): Promise<Response> {
  if (requests.length === 0) return failureResponse("the transaction is empty");
  if (requests.length > TRANSACTION_REQUESTS_MAX) {
    const most = `a transaction holds at most ${TRANSACTION_REQUESTS_MAX} requests, this one has ${requests.length}`;
    return failureResponse(`${most}; for more there is: sozu state load`);
  }
  const other = requests.findIndex(({ requestType }) => !changesState(requestType.case));
  if (other >= 0)
    return failureResponse(named(requests, other, "only requests that change the state can be part of it"));
  progress("Processing worker request...");
  const partMax = TRANSACTION_REQUESTS_MAX;
  const options = { origin: "socket", partMax, needsListeners: true, progress, trail } as const;
  const groups = requests.map((each) => [each]);
  const outcome = await applySet(keeper, groups, options);
  switch (outcome.kind) {
    case "applied": {
      const note = outcome.note === "" ? "" : `; ${outcome.note}`;
      return okResponse(`Successfully applied ${requests.length} requests as one change${note}`);
    }
    case "refused":
      return failureResponse(named(requests, outcome.index, outcome.reason));
    case "timed out":
      return failureResponse(lateText(outcome.workers));
  }
}

/** What to say of workers that were late with a set. */
export function lateText(workers: readonly number[]): string {
  const late = `worker ${workers.join(", ")} did not answer in time and is being replaced`;
  return `${late}; the change is part of the state and its successor starts with it`;
}

function named(requests: readonly Request[], index: number, reason: string): string {
  if (index < 0) return `${reason}; nothing was applied`;
  const name = requests[index]!.requestType.case;
  return `request ${index + 1} (${name === undefined ? "empty" : requestName(name)}): ${reason}; nothing was applied`;
}

/** Opens every socket the set needs, or none. */
function openAll(keeper: StateKeeper, requests: readonly Request[]): SocketAddress[] | SetOutcome {
  const opened: SocketAddress[] = [];
  for (let index = 0; index < requests.length; index++) {
    const result = keeper.openFor(requests[index]!);
    if (typeof result === "string") {
      keeper.closeUnused(opened);
      return { kind: "refused", index, reason: result };
    }
    opened.push(...result);
  }
  return opened;
}

function partsOf(groups: readonly (readonly Request[])[], partMax: number): Request[][] {
  const parts: Request[][] = [];
  let part: Request[] = [];
  for (const group of groups) {
    if (part.length > 0 && part.length + group.length > partMax) {
      parts.push(part);
      part = [];
    }
    part.push(...group);
  }
  if (part.length > 0) parts.push(part);
  return parts;
}

async function applyParts(
  keeper: StateKeeper,
  parts: readonly (readonly Request[])[],
  { origin, needsListeners, progress, trail }: SetOptions,
): Promise<SetOutcome> {
  const total = parts.reduce((sum, part) => sum + part.length, 0);
  const taken: Applied[] = [];
  const notes: string[] = [];
  const late = new Set<number>();
  const sum = { accepted: 0, failed: 0 };
  let done = 0;
  let reportAtMs = performance.now() + REPORT_MS;
  for (const part of parts) {
    const submission = keeper.submitAll(part, origin, needsListeners === true);
    if (submission.kind === "refused") {
      await takeBack(keeper, taken);
      return { kind: "refused", index: done + submission.index, reason: submission.reason };
    }
    if (taken.length === 0) trail?.published();
    taken.push(submission.applied);
    const outcome = await submission.outcome;
    if (outcome.kind === "refused") {
      await takeBack(keeper, taken.slice(0, -1));
      trail?.settled({ ...outcome, accepted: sum.accepted });
      return { kind: "refused", index: -1, reason: outcome.reason };
    }
    add(sum, outcome);
    if (outcome.kind === "timed out") for (const worker of outcome.workers) late.add(worker);
    else if (outcome.note !== "") notes.push(outcome.note);
    done += part.length;
    if (performance.now() < reportAtMs) continue;
    reportAtMs = performance.now() + REPORT_MS;
    progress(`${done} of ${total} changes applied`);
  }
  if (late.size === 0) {
    const note = notes.join("; ");
    if (total > 0) trail?.settled({ kind: "applied", note, ...sum });
    return { kind: "applied", note };
  }
  const workers = [...late];
  trail?.settled({ kind: "timed out", workers, ...sum });
  return { kind: "timed out", workers };
}

/** Each worker counts once, with the worst that it said. */
function add(sum: { accepted: number; failed: number }, outcome: Outcome): void {
  sum.accepted = sum.accepted === 0 ? outcome.accepted : Math.min(sum.accepted, outcome.accepted);
  sum.failed = Math.max(sum.failed, outcome.failed);
}

async function takeBack(keeper: StateKeeper, taken: readonly Applied[]): Promise<void> {
  for (let i = taken.length - 1; i >= 0; i--) await keeper.takeBack(taken[i]!);
}
