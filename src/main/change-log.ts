// Changes on their way to the workers: numbered by revision, sent in batches, acknowledged by revision and state hash
// (design section 5). Decides how a change ends (decisions 12): taken by all; refused by all, then main takes it back;
// refused by some or not answered in time, then those workers are replaced from main's state.
// Knows workers only by id and through `ChangeTargets`, so it runs without processes. The clock is the caller's: `expire`.

import type { Standing } from "../command/worker-protocol.ts";

const TAKEN_BACK_MAX = 1000;
const PART_OF_STATE = "it refused a change that is part of the state";

/** How a change ended. `accepted` and `failed` count workers: those that took it, and those that refused or were late. */
export type Outcome = { readonly accepted: number; readonly failed: number } & (
  | { readonly kind: "applied" /** What an operator should know besides, or "". */; readonly note: string }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "timed out"; readonly workers: readonly number[] }
);

/** A 64-bit hash in two halves. */
export interface StateHash {
  readonly low: number;
  readonly high: number;
}

/** A change of main's state on its way out. */
export interface Recorded {
  /** Revision and hash of the state with the change. */
  readonly revision: number;
  readonly hash: StateHash;
  /** The change as a flat block (snapshot.ts). */
  readonly block: Uint8Array;
  readonly deadlineMs: number;
  /** Takes the change back in main's state: these workers, all that serve, have refused it. */
  readonly undo: (refusers: ReadonlySet<number>) => void;
}

/** The workers, as the log needs them. */
export interface ChangeTargets {
  /** Ids of the workers whose acknowledgement counts: those that serve now. */
  serving(): readonly number[];
  /** Sends flat blocks, one per request, to every worker that follows the state, also while it starts, but `except`. */
  send(blocks: readonly Uint8Array[], revision: number, except?: ReadonlySet<number>): void;
  /** The worker is out of line: start a successor, then end it; `kill` when it would not hear a request to stop. */
  replace(worker: number, reason: string, kill: boolean): void;
}

interface Entry {
  readonly revision: number;
  readonly hash: StateHash;
  readonly deadlineMs: number;
  readonly waiting: Set<number>;
  readonly refused: Map<number, string>;
  /** Who refused it, but was not asked. */
  readonly onlookers: Set<number>;
  accepted: number;
  readonly undo: (refusers: ReadonlySet<number>) => void;
  readonly resolve: (outcome: Outcome) => void;
}

/** The changes that are not acknowledged by every worker yet, and those not sent yet. */
export class ChangeLog {
  readonly #targets: ChangeTargets;
  readonly #entries: Map<number, Entry>;
  #batch: Uint8Array[];
  /** Revision of the last block of the batch, and of the last one ever recorded. */
  #revision: number;
  /** Up to here a hash of main may include what workers refused, so it is compared with nothing. */
  #unsureUntil: number;
  readonly #doomed: Set<number>;
  /** Revisions that are no part of the state any more (null), and those that took them back: the last ones. */
  readonly #takenBack: Map<number, StateHash | null>;

  constructor(targets: ChangeTargets) {
    this.#revision = 0;
    this.#targets = targets;
    this.#entries = new Map();
    this.#batch = [];
    this.#unsureUntil = 0;
    this.#doomed = new Set();
    this.#takenBack = new Map();
  }

  /** Changes without an outcome. */
  get pending(): number {
    return this.#entries.size;
  }

  /**
   * Takes a change that main's state has accepted. It leaves with the next flush(). The promise never rejects.
   */
  record(change: Recorded): Promise<Outcome> {
    this.#revision = change.revision;
    this.#batch.push(change.block);
    return new Promise((resolve) => {
      const waiting = new Set(this.#targets.serving());
      const { revision, hash, deadlineMs, undo } = change;
      const nobody = { refused: new Map<number, string>(), onlookers: new Set<number>(), accepted: 0 };
      const entry: Entry = { revision, hash, deadlineMs, waiting, ...nobody, undo, resolve };
      this.#entries.set(revision, entry);
      if (waiting.size === 0) this.#settle(entry);
    });
  }

  /**
   * Sends what takes a change back to the workers that did not refuse it: a worker that was starting may have it from the
   * state that it began with. One that never took it may refuse, which means nothing if it has `hash` all the same.
   */
  correct(block: Uint8Array, revision: number, hash: StateHash, refusers: ReadonlySet<number>): void {
    this.flush();
    this.#noteTakenBack(revision, hash);
    this.#targets.send([block], revision, refusers);
  }

  /** Sends what was recorded since the last flush. Call it at the end of a turn, and before a state is snapshot. */
  flush(): void {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#targets.send(batch, this.#revision);
  }

  /** A worker has taken everything up to `revision`. */
  onAck(worker: number, revision: number, standing: Standing): void {
    const reasons = new Map<number, string>();
    for (const { revision: refused, reason } of standing.refusals) {
      const hash = this.#takenBack.get(refused);
      if (hash !== undefined) {
        if (hash !== null && !sameHash(hash, standing)) this.#replace(worker, "it cannot take a change back");
        continue;
      }
      reasons.set(refused, reason);
      this.#noteOnlooker(worker, refused);
    }
    const last = this.#entries.get(revision);
    if (reasons.size === 0) this.#compare(worker, last, standing);
    for (const entry of [...this.#entries.values()]) {
      if (entry.revision > revision) break;
      if (!entry.waiting.delete(worker)) continue;
      const reason = reasons.get(entry.revision);
      if (reason === undefined) entry.accepted += 1;
      else entry.refused.set(worker, reason);
      if (entry.waiting.size === 0) this.#settle(entry);
    }
  }

  /** A worker that did not serve yet when a change was recorded has no say in it, and cannot go on without it. */
  #noteOnlooker(worker: number, revision: number): void {
    const entry = this.#entries.get(revision);
    if (entry === undefined) this.#replace(worker, PART_OF_STATE);
    else if (!entry.waiting.has(worker)) entry.onlookers.add(worker);
  }

  /** A worker ended. Its successor starts from main's state, so nothing waits for it any more. */
  onGone(worker: number): void {
    this.#doomed.delete(worker);
    for (const entry of [...this.#entries.values()]) {
      if (entry.waiting.delete(worker) && entry.waiting.size === 0) this.#settle(entry);
    }
  }

  /** Ends the changes whose deadline has passed. */
  expire(nowMs: number): void {
    for (const entry of [...this.#entries.values()]) {
      if (entry.deadlineMs > nowMs) continue;
      const late = [...entry.waiting];
      this.#entries.delete(entry.revision);
      const failed = late.length + entry.refused.size;
      entry.resolve({ kind: "timed out", workers: late, accepted: entry.accepted, failed });
      for (const worker of late) this.#replace(worker, "it did not acknowledge a change in time", true);
      this.#replaceAll([...entry.refused.keys(), ...entry.onlookers], PART_OF_STATE);
    }
  }

  #compare(worker: number, entry: Entry | undefined, standing: Standing): void {
    if (entry === undefined || entry.revision <= this.#unsureUntil || this.#doomed.has(worker)) return;
    if (!entry.waiting.has(worker)) return;
    if (sameHash(entry.hash, standing)) return;
    // What it refused counts in main's hash until all have refused it.
    for (const { refused, onlookers } of this.#entries.values()) {
      if (refused.has(worker) || onlookers.has(worker)) return;
    }
    this.#replace(worker, `its state differs from main's at revision ${entry.revision}`);
  }

  #settle(entry: Entry): void {
    this.#entries.delete(entry.revision);
    const { accepted } = entry;
    const failed = entry.refused.size;
    if (failed === 0 || accepted > 0) this.#replaceAll(entry.onlookers, PART_OF_STATE);
    if (failed === 0) {
      entry.resolve({ kind: "applied", note: "", accepted, failed });
      return;
    }
    const reasons = [...entry.refused].map(([worker, reason]) => `${worker}: ${oneWord(reason)}`).join(", ");
    if (accepted === 0) {
      this.#noteTakenBack(entry.revision, null);
      this.#unsureUntil = this.#revision;
      entry.undo(new Set(entry.refused.keys()));
      entry.resolve({ kind: "refused", reason: reasons, accepted, failed });
      return;
    }
    this.#replaceAll(entry.refused.keys(), "it refused a change that others took");
    const names = [...entry.refused.keys()].join(", ");
    const note = `refused by worker ${names}, which is being replaced (${reasons})`;
    entry.resolve({ kind: "applied", note, accepted, failed });
  }

  #noteTakenBack(revision: number, hash: StateHash | null): void {
    this.#takenBack.set(revision, hash);
    if (this.#takenBack.size <= TAKEN_BACK_MAX) return;
    for (const oldest of this.#takenBack.keys()) {
      this.#takenBack.delete(oldest);
      return;
    }
  }

  #replaceAll(workers: Iterable<number>, reason: string): void {
    for (const worker of workers) this.#replace(worker, reason);
  }

  #replace(worker: number, reason: string, kill = false): void {
    this.#doomed.add(worker);
    this.#targets.replace(worker, reason, kill);
  }
}

function sameHash({ low, high }: StateHash, { hashLow, hashHigh }: Standing): boolean {
  return low === hashLow && high === hashHigh;
}

// Answers list workers as "<id>: <text>" joined by ", " (spec 4.4): these characters would break the list.
function oneWord(text: string): string {
  return text.replace(/[\u0000-\u001f,=]/g, "?");
}
