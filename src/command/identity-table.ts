// A map from 64-bit identities (two 32-bit lanes of a hash) to objects, for tables that change all the time: open addressing
// with linear probing, keys in typed arrays, deletion by shifting back, so that nothing is allocated per change. V8's Map
// would need a heap number for each such key and a call into the runtime for its hash. Split into shards like
// sharded-map.ts, so that growing costs at most the size of a shard.

const SHARDS = 256;
const FIRST_SLOTS = 8;

/** A map from (low, high), any 32-bit integers. */
export class IdentityTable<V> {
  #size: number;
  readonly #shards: (Shard<V> | undefined)[];

  constructor() {
    this.#size = 0;
    this.#shards = new Array<Shard<V> | undefined>(SHARDS).fill(undefined);
  }

  get size(): number {
    return this.#size;
  }

  get(low: number, high: number): V | null {
    const shard = this.#shards[high & (SHARDS - 1)];
    return shard === undefined ? null : shard.values[shard.find(low, high)];
  }

  /** Adds what is not there: the caller has asked get(). */
  add(low: number, high: number, value: V): void {
    let shard = this.#shards[high & (SHARDS - 1)];
    if (shard === undefined) {
      shard = new Shard();
      this.#shards[high & (SHARDS - 1)] = shard;
    }
    shard.add(low, high, value);
    this.#size += 1;
  }

  /** Takes it out; null: there is none. */
  take(low: number, high: number): V | null {
    const shard = this.#shards[high & (SHARDS - 1)];
    if (shard === undefined) return null;
    const slot = shard.find(low, high);
    const value = shard.values[slot];
    if (value === null) return null;
    shard.empty(slot);
    this.#size -= 1;
    return value;
  }
}

/** Invariant: at most three quarters of the slots are used, so every search ends at an empty one. */
class Shard<V> {
  keys: Int32Array;
  values: (V | null)[];
  count: number;

  constructor() {
    this.keys = new Int32Array(2 * FIRST_SLOTS);
    this.values = new Array<V | null>(FIRST_SLOTS).fill(null);
    this.count = 0;
  }

  /** The slot of a key, or the empty one where it belongs. */
  find(low: number, high: number): number {
    const { keys, values } = this;
    const mask = values.length - 1;
    let slot = low & mask;
    while (values[slot] !== null && (keys[2 * slot] !== low || keys[2 * slot + 1] !== high)) slot = (slot + 1) & mask;
    return slot;
  }

  add(low: number, high: number, value: V): void {
    if (4 * (this.count + 1) > 3 * this.values.length) this.#grow();
    const slot = this.find(low, high);
    this.keys[2 * slot] = low;
    this.keys[2 * slot + 1] = high;
    this.values[slot] = value;
    this.count += 1;
  }

  /** Empties a slot; what stood behind it because it was taken moves up. */
  empty(slot: number): void {
    const { keys, values } = this;
    const mask = values.length - 1;
    let hole = slot;
    for (let next = (hole + 1) & mask; values[next] !== null; next = (next + 1) & mask) {
      const home = keys[2 * next] & mask;
      // It may move when its home does not lie between the hole and where it is.
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      keys[2 * hole] = keys[2 * next];
      keys[2 * hole + 1] = keys[2 * next + 1];
      values[hole] = values[next];
      hole = next;
    }
    values[hole] = null;
    this.count -= 1;
  }

  #grow(): void {
    const { keys, values } = this;
    this.keys = new Int32Array(2 * keys.length);
    this.values = new Array<V | null>(2 * values.length).fill(null);
    for (let i = 0; i < values.length; i++) {
      if (values[i] === null) continue;
      const slot = this.find(keys[2 * i], keys[2 * i + 1]);
      this.keys[2 * slot] = keys[2 * i];
      this.keys[2 * slot + 1] = keys[2 * i + 1];
      this.values[slot] = values[i];
    }
  }
}
