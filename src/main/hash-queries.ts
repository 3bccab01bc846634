// Asking workers for their hashes per cluster: what each one serves by its own account, compared with main's state. One
// query goes to several workers; each answers in parts; a worker that ends or does not answer in time has no entry.

import { decodeHashes } from "../command/hash-packets.ts";

/** A worker that can be asked. */
export interface Asked {
  readonly id: number;
  /** `clusterIds` null: all. */
  queryHashes(number: number, clusterIds: readonly string[] | null): void;
}

/** By worker id: the hash of each cluster that exists there. Only workers that answered. */
export type WorkerHashes = ReadonlyMap<number, ReadonlyMap<string, bigint>>;

interface Query {
  readonly complete: Map<number, Map<string, bigint>>;
  readonly partial: Map<number, Map<string, bigint>>;
  readonly finish: () => void;
}

/** The queries under way. */
export class HashQueries {
  readonly #queries: Map<number, Query>;
  #nextNumber: number;

  constructor() {
    this.#queries = new Map();
    this.#nextNumber = 1;
  }

  /** Resolves when all workers have answered or ended, at the latest after `timeoutMs`. */
  ask(workers: readonly Asked[], clusterIds: readonly string[] | null, timeoutMs: number): Promise<WorkerHashes> {
    const number = this.#nextNumber++ >>> 0;
    return new Promise((resolve) => {
      const complete = new Map<number, Map<string, bigint>>();
      const finish = (): void => {
        clearTimeout(timer);
        this.#queries.delete(number);
        resolve(complete);
      };
      const timer = setTimeout(finish, timeoutMs);
      const partial = new Map(workers.map((worker) => [worker.id, new Map<string, bigint>()]));
      this.#queries.set(number, { complete, partial, finish });
      for (const worker of workers) worker.queryHashes(number, clusterIds);
      if (workers.length === 0) finish();
    });
  }

  /** A part of an answer. False: it is no such packet. */
  onHashes(worker: number, number: number, body: Uint8Array): boolean {
    const part = decodeHashes(body);
    if (part === null) return false;
    const query = this.#queries.get(number);
    const hashes = query?.partial.get(worker);
    if (query === undefined || hashes === undefined) return true;
    for (const { id, low, high } of part.hashes) hashes.set(id, (BigInt(high) << 32n) | BigInt(low));
    if (part.last) {
      query.complete.set(worker, hashes);
      this.#close(query, worker);
    }
    return true;
  }

  onGone(worker: number): void {
    for (const query of [...this.#queries.values()]) this.#close(query, worker);
  }

  #close(query: Query, worker: number): void {
    if (query.partial.delete(worker) && query.partial.size === 0) query.finish();
  }
}
