// Questions to several workers at once, answered in parts: a worker that ends or does not answer in time has no entry in
// the result. What is asked and how parts are put together is the caller's.

interface Query<T> {
  readonly complete: Map<number, T>;
  readonly partial: Map<number, T>;
  readonly finish: () => void;
}

/** The questions of one kind that are under way. `T` is what a worker's parts are collected in. */
export class WorkerQueries<T> {
  readonly #queries: Map<number, Query<T>>;
  readonly #empty: () => T;
  #nextNumber: number;

  constructor(empty: () => T) {
    this.#queries = new Map();
    this.#empty = empty;
    this.#nextNumber = 1;
  }

  /** Resolves with the complete answers by worker id when all have answered or ended, at the latest after `timeoutMs`. */
  ask<W extends { readonly id: number }>(
    workers: readonly W[],
    send: (worker: W, number: number) => void,
    timeoutMs: number,
  ): Promise<ReadonlyMap<number, T>> {
    const number = this.#nextNumber++ >>> 0;
    return new Promise((resolve) => {
      const complete = new Map<number, T>();
      const finish = (): void => {
        clearTimeout(timer);
        this.#queries.delete(number);
        resolve(complete);
      };
      const timer = setTimeout(finish, timeoutMs);
      const partial = new Map(workers.map((worker) => [worker.id, this.#empty()]));
      this.#queries.set(number, { complete, partial, finish });
      for (const worker of workers) send(worker, number);
      if (workers.length === 0) finish();
    });
  }

  /** A part of an answer: `add` puts it to the others of this worker. */
  onPart(worker: number, number: number, last: boolean, add: (collected: T) => void): void {
    const query = this.#queries.get(number);
    const collected = query?.partial.get(worker);
    if (query === undefined || collected === undefined) return;
    add(collected);
    if (!last) return;
    query.complete.set(worker, collected);
    this.#close(query, worker);
  }

  onGone(worker: number): void {
    for (const query of [...this.#queries.values()]) this.#close(query, worker);
  }

  #close(query: Query<T>, worker: number): void {
    if (query.partial.delete(worker) && query.partial.size === 0) query.finish();
  }
}
