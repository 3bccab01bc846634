// The random schedule of a chaos run: which fault comes when, from a seed alone, so that a run can be repeated.

import { Dice } from "../../e2e/lib/changes.ts";

/** Every kind of event, with how often it comes. */
const WEIGHTS = {
  kill: 4,
  hang: 2,
  "kill-hung": 1,
  "upgrade-worker": 4,
  "upgrade-main": 3,
  "upgrade-all": 1,
  "kill-main": 2,
  backend: 2,
  log: 1,
  reload: 3,
  limit: 1,
} as const;

/** A kind of event. */
export type Kind = keyof typeof WEIGHTS;

export const KINDS = Object.keys(WEIGHTS) as Kind[];

/** Something that happens. */
export interface Planned {
  readonly kind: Kind;
  /** Since the start. */
  readonly atMs: number;
  /** What the event decides with. */
  readonly dice: Dice;
}

/** Times between two events. */
const GAP_MS = { min: 100, spread: 1400 } as const;

/** The events of `seconds` seconds. The same seed and kinds give the same schedule. */
export function schedule(seed: number, seconds: number, kinds: readonly Kind[]): Planned[] {
  const dice = new Dice(seed);
  const bag = kinds.flatMap((kind) => new Array<Kind>(WEIGHTS[kind]).fill(kind));
  const planned: Planned[] = [];
  if (bag.length === 0) return planned;
  for (let atMs = dice.roll(GAP_MS.spread); atMs < seconds * 1000; atMs += GAP_MS.min + dice.roll(GAP_MS.spread)) {
    planned.push({ kind: bag[dice.roll(bag.length)] as Kind, atMs, dice: new Dice(dice.roll(2 ** 31)) });
  }
  return planned;
}
