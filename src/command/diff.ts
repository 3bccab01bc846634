// From one state to another: the requests that take the first to the second and touch only what differs (decisions 10,
// 11). Listeners that stay are changed in place; the order never leaves a frontend without its listener or its cluster.
// Comparing is done in steps, so that a caller with other work can let it wait. Pure.

import { type FieldChange, fieldChanges } from "./diff-fields.ts";
import { type AnyEntry, DIFF_KINDS, type DiffKind, PHASES } from "./diff-kinds.ts";
import type { Request } from "./gen/sozu_pb.ts";
import { Fingerprint, type ObjectIndex, type Tables } from "./object-index.ts";
import { ShardedMap } from "./sharded-map.ts";
import type { ConfigState } from "./state.ts";

/** What happens to one object. */
export interface ObjectChange {
  readonly action: "add" | "change" | "remove";
  /** `listener`, `cluster`, `certificate`, `frontend` or `backend`. */
  readonly kind: string;
  readonly name: string;
  /** It was changed since the file was last loaded, and the file wins. */
  readonly overridden: boolean;
  /** What differs, for "change". */
  fields(): readonly FieldChange[];
}

/** What there is to do. */
export interface Plan {
  readonly changes: readonly ObjectChange[];
  /** Requests in the order in which they are applied. */
  readonly requests: readonly Request[];
  /** Names of objects that differ and stay as they are. */
  readonly kept: readonly string[];
}

export type { Tables };

/** What the plan follows. */
export type PlanMode =
  /** The state becomes equal to the target. */
  | { readonly kind: "equal" }
  /**
   * What the target holds is done, what is `gone` goes, and the rest stays, however it is (decisions 10). `base` is what
   * the file held when it was last loaded: what was changed since is told.
   */
  | { readonly kind: "changes"; readonly base: ObjectIndex; readonly gone: ObjectIndex }
  /** Nothing is removed; what cannot be added over what is there is kept (decisions 11). */
  | { readonly kind: "add" };

/** The objects of a state as they are at any moment. */
export function tablesOf(state: ConfigState): Tables {
  return DIFF_KINDS.map((kind) => kind.tableOf(state));
}

/** The objects of a state as they are now. */
export function freezeTables(state: ConfigState): Tables {
  return tablesOf(state).map((table) => {
    const copy = new ShardedMap<AnyEntry>();
    for (const [key, entry] of table.entries()) copy.set(key, entry);
    return copy;
  });
}

/** The plan that makes `from` equal to `to`. */
export function diff(from: ConfigState, to: ConfigState): Plan {
  const steps = planSteps(tablesOf(from), tablesOf(to), { kind: "equal" });
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

/** Objects compared between two steps: less than a millisecond. */
const STEP = 256;

/** Plans in steps; yields between them. */
export function* planSteps(running: Tables, target: Tables, mode: PlanMode): Generator<void, Plan> {
  const planner = new Planner(mode);
  const print = new Fingerprint();
  let compared = 0;
  for (let index = 0; index < DIFF_KINDS.length; index++) {
    const there = running[index]!;
    for (const [key, wanted] of target[index]!.entries()) {
      planner.want(index, key, there.get(key), wanted);
      if (++compared % STEP === 0) yield;
    }
    if (mode.kind === "add" || (mode.kind === "changes" && mode.gone.size === 0)) continue;
    for (const [key, entry] of there.entries()) {
      const goes = mode.kind === "equal" ? !target[index]!.has(key) : mode.gone.has(print.identify(index, key));
      if (goes) planner.drop(index, key, entry);
      if (++compared % STEP === 0) yield;
    }
  }
  return planner.finish();
}

class Planner {
  readonly #mode: PlanMode;
  readonly #print: Fingerprint;
  readonly #changes: ObjectChange[];
  readonly #kept: string[];
  readonly #phases: Request[][];

  constructor(mode: PlanMode) {
    this.#mode = mode;
    this.#print = new Fingerprint();
    this.#changes = [];
    this.#kept = [];
    this.#phases = Array.from({ length: PHASES }, () => []);
  }

  want(index: number, key: string, there: AnyEntry | undefined, wanted: AnyEntry): void {
    const kind = DIFF_KINDS[index]!;
    if (there !== undefined && isEqual(kind, there, wanted)) return;
    if (this.#mode.kind === "add" && there !== undefined && !kind.upserts) {
      if (!kind.isSame(there, wanted)) this.#kept.push(`${kind.name} ${kind.label(there)}`);
      // What is the same is activated; what was activated since stays so.
      if (!kind.isSame(there, wanted) || kind.isActive(there)) return;
    }
    const overridden = this.#wasChanged(index, key, there);
    this.#note(kind, there === undefined ? "add" : "change", there, wanted, overridden);
    for (const { phase, requests } of kind.put(there, wanted)) this.#phases[phase]!.push(...requests);
  }

  drop(index: number, key: string, there: AnyEntry): void {
    const kind = DIFF_KINDS[index]!;
    this.#note(kind, "remove", there, there, this.#wasChanged(index, key, there));
    for (const { phase, requests } of kind.remove(there)) this.#phases[phase]!.push(...requests);
  }

  /** Since the file was last loaded. */
  #wasChanged(index: number, key: string, there: AnyEntry | undefined): boolean {
    if (this.#mode.kind !== "changes") return false;
    const { base } = this.#mode;
    if (there === undefined) return base.has(this.#print.identify(index, key));
    return !base.holds(this.#print.describe(index, key, there));
  }

  finish(): Plan {
    return { changes: this.#changes, requests: this.#phases.flat(), kept: this.#kept };
  }

  #note(
    kind: DiffKind,
    action: ObjectChange["action"],
    before: AnyEntry | undefined,
    after: AnyEntry,
    overridden: boolean,
  ): void {
    this.#changes.push({
      action,
      kind: kind.name,
      name: kind.label(after),
      overridden,
      fields: () =>
        action === "change" && before !== undefined ? fieldChanges(kind.schema, before.message, after.message) : [],
    });
  }
}

function isEqual(kind: DiffKind, a: AnyEntry, b: AnyEntry): boolean {
  return a === b || (kind.isSame(a, b) && kind.isActive(a) === kind.isActive(b));
}
