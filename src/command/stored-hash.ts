// The hash of what only main has: objects whose traffic no worker serves yet. Like mirror.ts it is a sum over objects, so
// it does not depend on the order of changes; the hash of main's whole state is the sum of both. An object is hashed over
// its JSON text, which is canonical because records of one kind list their members in one order.

import { hashBytes } from "./mirror.ts";

/** Two unsigned 32-bit halves. */
export interface HashHalves {
  readonly low: number;
  readonly high: number;
}

/** Sums over stored objects: of all, and of each cluster. */
export class StoredHash {
  hashLow: number;
  hashHigh: number;
  /** Objects. */
  size: number;
  readonly #clusters: Map<string, Sum>;
  readonly #lanes: Int32Array;

  constructor() {
    this.hashLow = 0;
    this.hashHigh = 0;
    this.size = 0;
    this.#clusters = new Map();
    this.#lanes = new Int32Array(2);
  }

  /** An object came; `clusterId` null: it belongs to no cluster. */
  add(kind: string, object: object, clusterId: string | null): void {
    this.#count(kind, object, clusterId, 1);
  }

  /** An object went; the arguments are those of its add(). */
  subtract(kind: string, object: object, clusterId: string | null): void {
    this.#count(kind, object, clusterId, -1);
  }

  /** What a cluster's stored objects add to its hash. */
  clusterSum(id: string): HashHalves {
    return this.#clusters.get(id) ?? NOTHING;
  }

  #count(kind: string, object: object, clusterId: string | null, sign: 1 | -1): void {
    const bytes = encoder.encode(`${kind}\0${JSON.stringify(object)}`);
    hashBytes(bytes, 0, bytes.length, kind.length, bytes.length, this.#lanes);
    const low = sign * this.#lanes[0]!;
    const high = sign * this.#lanes[1]!;
    this.hashLow = (this.hashLow + low) >>> 0;
    this.hashHigh = (this.hashHigh + high) >>> 0;
    this.size += sign;
    if (clusterId === null) return;
    const sum = this.#clusters.get(clusterId) ?? { low: 0, high: 0, objects: 0 };
    sum.low = (sum.low + low) >>> 0;
    sum.high = (sum.high + high) >>> 0;
    sum.objects += sign;
    if (sum.objects === 0) this.#clusters.delete(clusterId);
    else this.#clusters.set(clusterId, sum);
  }
}

interface Sum {
  low: number;
  high: number;
  objects: number;
}

const NOTHING: HashHalves = { low: 0, high: 0 };
const encoder: TextEncoder = new TextEncoder();
