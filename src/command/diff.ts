// From one state to another: the requests that take the first to the second and touch only what differs (decisions 10,
// 11). Listeners that stay are changed in place; the order never leaves a frontend without its listener or its cluster.
// Comparing is done in steps, so that a caller with other work can let it wait. Pure.

import { type FieldChange, fieldChanges } from "./diff-fields.ts";
import { type AnyEntry, DIFF_KINDS, type DiffKind, PHASES } from "./diff-kinds.ts";
import type { Request } from "./gen/sozu_pb.ts";
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

/** The objects of a state by kind; live, or as they were. */
export type Tables = readonly ShardedMap<AnyEntry>[];

/** What the plan follows. */
export type PlanMode =
  /** The state becomes equal to the target. */
  | { readonly kind: "equal"; readonly base: Tables | null }
  /** What changed between `base` and the target is done; the rest stays, however it is (decisions 10). */
  | { readonly kind: "changes"; readonly base: Tables }
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
  const steps = planSteps(tablesOf(from), tablesOf(to), { kind: "equal", base: null });
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

/** Objects compared between two steps: less than a millisecond. */
const STEP = 256;

/** Plans in steps; yields between them. */
export function* planSteps(running: Tables, target: Tables, mode: PlanMode): Generator<void, Plan> {
  const planner = new Planner(mode);
  let compared = 0;
  for (let index = 0; index < DIFF_KINDS.length; index++) {
    const kind = DIFF_KINDS[index]!;
    const there = running[index]!;
    const base = mode.kind === "add" ? undefined : mode.base?.[index];
    for (const [key, wanted] of target[index]!.entries()) {
      planner.want(kind, there.get(key), base?.get(key), wanted);
      if (++compared % STEP === 0) yield;
    }
    if (mode.kind === "add") continue;
    const leaving = mode.kind === "equal" ? there : base!;
    for (const key of leaving.keys()) {
      if (!target[index]!.has(key)) planner.drop(kind, there.get(key), base?.get(key));
      if (++compared % STEP === 0) yield;
    }
  }
  return planner.finish();
}

class Planner {
  readonly #mode: PlanMode;
  readonly #changes: ObjectChange[];
  readonly #kept: string[];
  readonly #phases: Request[][];

  constructor(mode: PlanMode) {
    this.#mode = mode;
    this.#changes = [];
    this.#kept = [];
    this.#phases = Array.from({ length: PHASES }, () => []);
  }

  want(kind: DiffKind, there: AnyEntry | undefined, base: AnyEntry | undefined, wanted: AnyEntry): void {
    if (there !== undefined && isEqual(kind, there, wanted)) return;
    if (this.#mode.kind === "changes" && base !== undefined && isEqual(kind, base, wanted)) return;
    if (this.#mode.kind === "add" && there !== undefined && !kind.upserts) {
      if (!kind.isSame(there, wanted)) this.#kept.push(`${kind.name} ${kind.label(there)}`);
      // What is the same is activated; what was activated since stays so.
      if (!kind.isSame(there, wanted) || kind.isActive(there)) return;
    }
    const untouched = base === undefined ? there === undefined : there !== undefined && isEqual(kind, there, base);
    const overridden = this.#hasBase && !untouched;
    this.#note(kind, there === undefined ? "add" : "change", there, wanted, overridden);
    for (const { phase, requests } of kind.put(there, wanted)) this.#phases[phase]!.push(...requests);
  }

  drop(kind: DiffKind, there: AnyEntry | undefined, base: AnyEntry | undefined): void {
    if (there === undefined) return;
    const overridden = this.#hasBase && (base === undefined || !isEqual(kind, there, base));
    this.#note(kind, "remove", there, there, overridden);
    for (const { phase, requests } of kind.remove(there)) this.#phases[phase]!.push(...requests);
  }

  finish(): Plan {
    return { changes: this.#changes, requests: this.#phases.flat(), kept: this.#kept };
  }

  get #hasBase(): boolean {
    return this.#mode.kind !== "add" && this.#mode.base !== null;
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
