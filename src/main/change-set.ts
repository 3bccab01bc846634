// Many requests as one change: a transaction, a reload, a state that replaces another. Sockets are opened before anything
// changes; then all of it goes into main's state in slices, and to the workers as one block, which each of them brings into
// force by one switch or refuses as a whole. All of it is there in the end, or nothing.

import type { Request, Response } from "../command/gen/sozu_pb.ts";
import { failureResponse, okResponse } from "../command/messages.ts";
import type { SocketAddress } from "../command/objects.ts";
import { changesState, requestName } from "../command/state.ts";
import type { Trail } from "./audit.ts";
import type { SetOptions, StateKeeper } from "./state-keeper.ts";

/** Requests in a transaction. */
export const TRANSACTION_REQUESTS_MAX = 100_000;
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
export interface ApplyOptions extends SetOptions {
  readonly progress: (text: string) => void;
  readonly trail: Trail | null;
}

/** What a set came to, for who counts. */
export interface SetCounts {
  /** Requests that changed something: for workers, for main alone. */
  readonly published: number;
  readonly stored: number;
  /** Workers. */
  readonly accepted: number;
  readonly failed: number;
}

/** Applies requests in their order. `count` is told how many did something, unless all of it is refused. */
export async function applySet(
  keeper: StateKeeper,
  requests: readonly Request[],
  options: ApplyOptions,
  count: (counts: SetCounts) => void = () => undefined,
): Promise<SetOutcome> {
  const opened = openAll(keeper, requests);
  if (!Array.isArray(opened)) return opened;
  const report = setInterval(() => options.progress(`applying ${requests.length} requests`), REPORT_MS);
  const outcome = await submit(keeper, requests, options, count);
  clearInterval(report);
  keeper.closeUnused(opened);
  return outcome;
}

async function submit(
  keeper: StateKeeper,
  requests: readonly Request[],
  options: ApplyOptions,
  count: (counts: SetCounts) => void,
): Promise<SetOutcome> {
  const { trail } = options;
  const submission = await keeper.submitAll(requests, options);
  if (submission.kind === "refused") return submission;
  if (submission.counts.published > 0) trail?.published();
  const outcome = await submission.outcome;
  const { accepted, failed } = outcome;
  if (requests.length > 0) trail?.settled(outcome);
  if (outcome.kind === "refused") return { kind: "refused", index: -1, reason: outcome.reason };
  count({ ...submission.counts, accepted, failed });
  return outcome.kind === "applied"
    ? { kind: "applied", note: outcome.note }
    : { kind: "timed out", workers: outcome.workers };
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
  const options = { origin: "socket", needsListeners: true, progress, trail } as const;
  const outcome = await applySet(keeper, requests, options);
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
