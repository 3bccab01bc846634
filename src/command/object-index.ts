// What a state held, as hashes: for each object 64 bits of its identity and 64 of its content, in one array that threads
// can share. 16 bytes an object are enough to tell what a later state has more, less or otherwise, so nobody has to keep
// the objects themselves, or to hand over 300,000 of them when 100 differ. Pure.

import { toBinary } from "@bufbuild/protobuf";
import { type AnyEntry, DIFF_KINDS, type DiffKind } from "./diff-kinds.ts";
import type { Request } from "./gen/sozu_pb.ts";
import type { ShardedMap } from "./sharded-map.ts";

/** The objects of a state by kind; live, or as they were. */
export type Tables = readonly ShardedMap<AnyEntry>[];

const WORDS = 4;

/** Open addressing with linear probing; an identity is never 0. Nothing is taken out. */
export class ObjectIndex {
  readonly words: Int32Array;
  size: number;
  readonly #slots: number;

  /** Room for `capacity` objects, or what another thread's index has. */
  constructor(from: number | Int32Array) {
    if (typeof from === "number") {
      let slots = 8;
      while (slots * 3 < from * 4 + 4) slots *= 2;
      this.words = new Int32Array(new SharedArrayBuffer(slots * WORDS * 4));
    } else {
      this.words = from;
    }
    this.#slots = this.words.length / WORDS;
    this.size = 0;
    if (typeof from !== "number") this.size = this.#count();
  }

  /** Adds an object that is not there yet. */
  add({ idLow, idHigh, low, high }: Fingerprint): void {
    const at = this.#find(idLow, idHigh);
    this.words[at] = idLow;
    this.words[at + 1] = idHigh;
    this.words[at + 2] = low;
    this.words[at + 3] = high;
    this.size += 1;
  }

  /** Whether the object is there, whatever its content. */
  has({ idLow, idHigh }: Fingerprint): boolean {
    return this.words[this.#find(idLow, idHigh)] !== 0;
  }

  /** Whether the object is there with the same content. */
  holds({ idLow, idHigh, low, high }: Fingerprint): boolean {
    const at = this.#find(idLow, idHigh);
    return this.words[at] !== 0 && this.words[at + 2] === low && this.words[at + 3] === high;
  }

  /** The objects that `other` does not have, whatever their content. */
  without(other: ObjectIndex): ObjectIndex {
    const { words } = this;
    let count = 0;
    for (let at = 0; at < words.length; at += WORDS) if (this.#isMissing(other, at)) count += 1;
    const rest = new ObjectIndex(count);
    const print = new Fingerprint();
    for (let at = 0; at < words.length; at += WORDS) {
      if (!this.#isMissing(other, at)) continue;
      print.idLow = words[at]!;
      print.idHigh = words[at + 1]!;
      rest.add(print);
    }
    return rest;
  }

  #isMissing(other: ObjectIndex, at: number): boolean {
    const idLow = this.words[at]!;
    return idLow !== 0 && other.words[other.#find(idLow, this.words[at + 1]!)] === 0;
  }

  #find(idLow: number, idHigh: number): number {
    const { words } = this;
    const mask = this.#slots - 1;
    let slot = idHigh & mask;
    for (;;) {
      const at = slot * WORDS;
      if (words[at] === 0 || (words[at] === idLow && words[at + 1] === idHigh)) return at;
      slot = (slot + 1) & mask;
    }
  }

  #count(): number {
    let count = 0;
    for (let at = 0; at < this.words.length; at += WORDS) if (this.words[at] !== 0) count += 1;
    return count;
  }
}

/** The hashes of one object; reused from one to the next. */
export class Fingerprint {
  idLow: number;
  idHigh: number;
  low: number;
  high: number;

  constructor() {
    this.idLow = 0;
    this.idHigh = 0;
    this.low = 0;
    this.high = 0;
  }

  /** Takes the identity of the object with this key in table number `kind` of DIFF_KINDS. */
  identify(kind: number, key: string): this {
    this.#hash(key, kind);
    this.idLow = this.low || 1;
    this.idHigh = this.high;
    return this;
  }

  /** Takes its content, too: all that makes two entries equal (diff.ts). */
  describe(kind: number, key: string, entry: AnyEntry): this {
    this.identify(kind, key);
    this.#hash(contentOf(DIFF_KINDS[kind]!, entry), kind);
    return this;
  }

  /** Two lanes of multiply-rotate mixing over the text's units, each with an avalanche at its end. */
  #hash(text: string, seed: number): void {
    let low = Math.imul(seed ^ 0x9747b28c, 0x85ebca6b) ^ text.length;
    let high = Math.imul(seed ^ 0x2545f491, 0xcc9e2d51) ^ text.length;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      low = Math.imul(low ^ unit, 0x5bd1e995);
      low = (low << 13) | (low >>> 19);
      high = Math.imul(high ^ unit, 0x1b873593);
      high = (high << 15) | (high >>> 17);
    }
    this.low = avalanche(low);
    this.high = avalanche(high ^ low);
  }
}

// Records of one kind list their members in one order. Some fields of listeners are in their message only.
function contentOf(kind: DiffKind, { message, object }: AnyEntry): string {
  const text = JSON.stringify(object);
  return kind.name === "listener" ? `${text}${toBinary(kind.schema, message).join()}` : text;
}

/** Objects between two steps: less than a millisecond. */
const STEP = 256;

/** Makes the index of these tables. */
export function* indexing(tables: Tables): Generator<void, ObjectIndex> {
  const index = new ObjectIndex(tables.reduce((sum, table) => sum + table.size, 0));
  const print = new Fingerprint();
  for (const [kind, table] of tables.entries()) {
    for (const [key, entry] of table.entries()) {
      index.add(print.describe(kind, key, entry));
      if (index.size % STEP === 0) yield;
    }
  }
  return index;
}

/** How a state differs from what an index says. */
export interface Comparison {
  /** The objects that it does not hold so, by kind and key. */
  readonly changed: readonly (readonly [kind: number, key: string, entry: AnyEntry])[];
  /** The objects of the index that are there no more. */
  readonly gone: ObjectIndex;
  /** The index of the state. */
  readonly index: ObjectIndex;
}

/** Compares in steps. */
export function* comparing(tables: Tables, before: ObjectIndex): Generator<void, Comparison> {
  const index = new ObjectIndex(tables.reduce((sum, table) => sum + table.size, 0));
  const print = new Fingerprint();
  const changed: [number, string, AnyEntry][] = [];
  for (const [kind, table] of tables.entries()) {
    for (const [key, entry] of table.entries()) {
      index.add(print.describe(kind, key, entry));
      if (!before.holds(print)) changed.push([kind, key, entry]);
      if (index.size % STEP === 0) yield;
    }
  }
  return { changed, gone: before.without(index), index };
}

/** The requests that make these objects in an empty state. */
export function* differing(changed: Comparison["changed"]): Generator<Request> {
  for (const [kind, , entry] of changed) {
    for (const { requests } of DIFF_KINDS[kind]!.put(undefined, entry)) yield* requests;
  }
}

function avalanche(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
