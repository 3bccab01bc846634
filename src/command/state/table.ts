// One collection of the state: entries by key, and how going from one entry to another looks to a worker. Every change
// of the state is a list of steps over tables; the same step taken backwards undoes it, so that a change which workers
// refuse can be taken back exactly (decisions 12). Objects that workers do not serve yet stay on main: they make no changes
// and count in the hash of what is stored.

import type { Change } from "../objects.ts";
import { ShardedMap } from "../sharded-map.ts";
import type { StoredHash } from "../stored-hash.ts";

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

/** What makes a table one of main alone: its objects are no business of workers. */
export interface Storage<O> {
  readonly hash: StoredHash;
  /** The cluster in whose hash an object counts, or null. */
  readonly clusterOf: (object: O) => string | null;
}

/** Entries of one kind. */
export class Table<M, O extends object> {
  readonly entries: ShardedMap<Entry<M, O>> = new ShardedMap();
  /** Sozu's name of the kind, as refusals show it. */
  readonly kind: string;
  readonly transition: Transition<O>;
  readonly #storage: Storage<O> | null;

  /** `storage` null: workers get every object. */
  constructor(kind: string, transition: Transition<O>, storage: Storage<O> | null = null) {
    this.kind = kind;
    this.transition = transition;
    this.#storage = storage;
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
      name: `${this.kind} ${key}`,
      take: () => this.#set(key, before, after),
      back: () => (this.entries.get(key) === after ? this.#set(key, after, before) : []),
    };
  }

  #set(key: string, from: Entry<M, O> | undefined, to: Entry<M, O> | undefined): Change[] {
    if (to === undefined) this.entries.delete(key);
    else this.entries.set(key, to);
    return this.#follow(from?.object, to?.object);
  }

  #follow(from: O | undefined, to: O | undefined): Change[] {
    const storage = this.#storage;
    if (storage !== null) {
      if (from !== undefined) storage.hash.subtract(this.kind, from, storage.clusterOf(from));
      if (to !== undefined) storage.hash.add(this.kind, to, storage.clusterOf(to));
    }
    return this.transition(from, to);
  }
}

/** A change of one entry that can be taken and taken back; each returns what workers have to do. */
export interface Step {
  /** Of the entry, among all of the state; "": it changes none. */
  readonly name: string;
  take(): Change[];
  back(): Change[];
}

/** Whether two records say the same: records of one kind list their members in one order. */
export function sameObject(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
