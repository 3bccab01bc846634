// One collection of the state: entries by key, and how going from one entry to another looks to a worker. Every change
// of the state is a list of steps over tables; the same step taken backwards undoes it, so that a change which workers
// refuse can be taken back exactly (decisions 12).

import type { Change } from "../objects.ts";
import { ShardedMap } from "../sharded-map.ts";

/** Who put an object there (decisions 31). */
export type Origin = "file" | "socket" | "saved_state" | "etcd" | "acme" | "docker";

/** One object of the state. `revision` is that of the state when it was put. */
export interface Entry<M, O> {
  readonly message: M;
  readonly object: O;
  readonly origin: Origin;
  readonly revision: number;
}

/** Turns two records, before and after, into the changes that take a worker from one to the other. */
export type Transition<O> = (before: O | undefined, after: O | undefined) => Change[];

/** Entries of one kind. */
export class Table<M, O> {
  readonly entries: ShardedMap<Entry<M, O>> = new ShardedMap();
  /** Sozu's name of the kind, as refusals show it. */
  readonly kind: string;
  readonly transition: Transition<O>;

  constructor(kind: string, transition: Transition<O>) {
    this.kind = kind;
    this.transition = transition;
  }

  get(key: string): Entry<M, O> | undefined {
    return this.entries.get(key);
  }

  get size(): number {
    return this.entries.size;
  }

  /**
   * A step that puts or (with undefined) deletes the entry of `key`. Nothing happens before take(). Taking it back leaves
   * an entry alone that was changed again since.
   */
  step(key: string, after: Entry<M, O> | undefined): Step {
    const before = this.entries.get(key);
    return {
      take: () => this.#set(key, before, after),
      back: () => (this.entries.get(key) === after ? this.#set(key, after, before) : []),
    };
  }

  #set(key: string, from: Entry<M, O> | undefined, to: Entry<M, O> | undefined): Change[] {
    if (to === undefined) this.entries.delete(key);
    else this.entries.set(key, to);
    return this.transition(from?.object, to?.object);
  }
}

/** A change of one entry that can be taken and taken back; each returns what workers have to do. */
export interface Step {
  take(): Change[];
  back(): Change[];
}

/** Whether two records say the same: records of one kind list their members in one order. */
export function sameObject(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
