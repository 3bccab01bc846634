// The state hash, kept incrementally and identically by main and by each worker (decisions 13). Every object has a
// 64-bit hash, two 32-bit lanes over its flat bytes; the hash of the whole state is the sum of those, so it does not
// depend on the order of changes and one change costs one object. Objects are told apart by a 64-bit hash of their
// identity, so that a change makes no key text. Beside it one sum per cluster (what Sozu's query answers) over the
// cluster, its backends and its frontends. Only equality between processes of one build means anything.

import { KIND } from "./flat.ts";
import { IdentityTable } from "./identity-table.ts";
import type { Change } from "./objects.ts";
import { ShardedMap } from "./sharded-map.ts";

/** The hash of one cluster, in two unsigned halves. */
export interface ClusterHash {
  readonly id: string;
  readonly low: number;
  readonly high: number;
}

/** What one process knows of the state: an identity and a hash for each object. */
export class StateMirror {
  /** Sums of all objects, each an unsigned 32-bit number. */
  hashLow: number;
  hashHigh: number;
  readonly #objects: IdentityTable<MirrorEntry>;
  readonly #clusters: ShardedMap<ClusterSum>;
  readonly #identity: Int32Array;
  readonly #content: Int32Array;
  /** What it takes to go back to where keepTrack() was called; null: nobody asked. */
  #track: MirrorTrack | null;

  constructor() {
    this.#track = null;
    this.hashLow = 0;
    this.hashHigh = 0;
    this.#objects = new IdentityTable();
    this.#clusters = new ShardedMap();
    this.#identity = new Int32Array(2);
    this.#content = new Int32Array(2);
  }

  /** Objects; the activation of a listener counts as one. */
  get size(): number {
    return this.#objects.size;
  }

  /** From now on it can go back, until letGo(). */
  keepTrack(): void {
    this.#track = new MirrorTrack();
  }

  /** What happened since keepTrack() stays. */
  letGo(): void {
    this.#track = null;
  }

  /** Goes back by one object; false: it is where it was when keepTrack() was called, and keeps track no longer. */
  goBack(): boolean {
    const track = this.#track;
    const step = track?.steps.pop();
    if (step === undefined) {
      this.#track = null;
      return false;
    }
    const now = this.#objects.take(step.idLow, step.idHigh);
    if (now !== null) this.#subtract(now);
    if (step.before === null) return true;
    this.#objects.add(step.idLow, step.idHigh, step.before);
    // The sum that it counted in may be gone meanwhile.
    if (step.before.sum !== null) step.before.sum = this.#sumOf(step.before.sum.clusterId);
    this.#add(step.before);
    return true;
  }

  /** Follows a change that was applied, given the hashed part of its flat bytes: [kind, identity, rest] up to `end`. */
  apply(change: Change, bytes: Uint8Array, start: number, identityEnd: number, end: number): void {
    switch (bytes[start]) {
      case KIND.ADD_CLUSTER:
      case KIND.ADD_BACKEND:
      case KIND.ADD_HTTP_FRONTEND:
      case KIND.ADD_HTTP_LISTENER:
      case KIND.ACTIVATE_HTTP_LISTENER:
      case KIND.ADD_HTTPS_FRONTEND:
      case KIND.ADD_CERTIFICATE:
      case KIND.ADD_HTTPS_LISTENER:
      case KIND.ACTIVATE_HTTPS_LISTENER:
        this.#put(change, bytes, start, identityEnd, end);
        return;
      case KIND.DEACTIVATE_HTTP_LISTENER:
        this.#delete(KIND.ACTIVATE_HTTP_LISTENER, bytes, start, identityEnd);
        return;
      case KIND.REMOVE_HTTP_LISTENER:
        // The activation goes with the listener.
        this.#delete(KIND.ACTIVATE_HTTP_LISTENER, bytes, start, identityEnd);
        this.#delete(KIND.ADD_HTTP_LISTENER, bytes, start, identityEnd);
        return;
      case KIND.DEACTIVATE_HTTPS_LISTENER:
        this.#delete(KIND.ACTIVATE_HTTPS_LISTENER, bytes, start, identityEnd);
        return;
      case KIND.REMOVE_HTTPS_LISTENER:
        this.#delete(KIND.ACTIVATE_HTTPS_LISTENER, bytes, start, identityEnd);
        this.#delete(KIND.ADD_HTTPS_LISTENER, bytes, start, identityEnd);
        return;
      case KIND.REMOVE_HTTPS_FRONTEND:
        this.#delete(KIND.ADD_HTTPS_FRONTEND, bytes, start, identityEnd);
        return;
      case KIND.REMOVE_CERTIFICATE:
        this.#delete(KIND.ADD_CERTIFICATE, bytes, start, identityEnd);
        return;
      case KIND.REMOVE_CLUSTER:
        this.#delete(KIND.ADD_CLUSTER, bytes, start, identityEnd);
        return;
      case KIND.REMOVE_BACKEND:
        this.#delete(KIND.ADD_BACKEND, bytes, start, identityEnd);
        return;
      case KIND.REMOVE_HTTP_FRONTEND:
        this.#delete(KIND.ADD_HTTP_FRONTEND, bytes, start, identityEnd);
        return;
    }
  }

  /** Hash per existing cluster, as QueryClustersHashes answers it. */
  clusterHashes(): Map<string, bigint> {
    const hashes = new Map<string, bigint>();
    for (const { id, low, high } of this.clusterSums()) {
      hashes.set(id, (BigInt(high) << 32n) | BigInt(low));
    }
    return hashes;
  }

  /** The same in halves, unsigned; a copy that later changes leave alone. */
  clusterSums(): ClusterHash[] {
    const sums: ClusterHash[] = [];
    for (const [id, sum] of this.#clusters.entries()) {
      if (sum.exists) sums.push({ id, low: sum.low >>> 0, high: sum.high >>> 0 });
    }
    return sums;
  }

  /** The hash of one cluster in halves, unsigned; null when it does not exist. */
  clusterSum(id: string): ClusterHash | null {
    const sum = this.#clusters.get(id);
    return sum === undefined || !sum.exists ? null : { id, low: sum.low >>> 0, high: sum.high >>> 0 };
  }

  /** What objects of a cluster add up to, whether the cluster itself is there or not; unsigned halves. */
  partOfCluster(id: string): { readonly low: number; readonly high: number } {
    const sum = this.#clusters.get(id);
    return sum === undefined ? { low: 0, high: 0 } : { low: sum.low >>> 0, high: sum.high >>> 0 };
  }

  #put(change: Change, bytes: Uint8Array, start: number, identityEnd: number, end: number): void {
    const kind = bytes[start]!;
    hashBytes(bytes, start + 1, identityEnd, kind, kind, this.#identity);
    const low = this.#identity[0]!;
    const high = this.#identity[1]!;
    hashBytes(bytes, identityEnd, end, low, high, this.#content);
    let entry = this.#objects.get(low, high);
    if (this.#track !== null) this.#track.add(low, high, entry === null ? null : entry.copy());
    if (entry === null) {
      entry = new MirrorEntry();
      this.#objects.add(low, high, entry);
    } else {
      this.#subtract(entry);
    }
    entry.low = this.#content[0]!;
    entry.high = this.#content[1]!;
    entry.isCluster = change.kind === "add_cluster";
    const clusterId = clusterOf(change);
    entry.sum = clusterId === null ? null : this.#sumOf(clusterId);
    this.#add(entry);
  }

  /** `kind` is the one under which the object was put. */
  #delete(kind: number, bytes: Uint8Array, start: number, identityEnd: number): void {
    hashBytes(bytes, start + 1, identityEnd, kind, kind, this.#identity);
    const entry = this.#objects.take(this.#identity[0]!, this.#identity[1]!);
    if (entry === null) return;
    this.#subtract(entry);
    if (this.#track !== null) this.#track.add(this.#identity[0]!, this.#identity[1]!, entry);
  }

  #add(entry: MirrorEntry): void {
    this.hashLow = (this.hashLow + entry.low) >>> 0;
    this.hashHigh = (this.hashHigh + entry.high) >>> 0;
    const sum = entry.sum;
    if (sum === null) return;
    sum.low = (sum.low + entry.low) | 0;
    sum.high = (sum.high + entry.high) | 0;
    sum.objects += 1;
    if (entry.isCluster) sum.exists = true;
  }

  #subtract(entry: MirrorEntry): void {
    this.hashLow = (this.hashLow - entry.low) >>> 0;
    this.hashHigh = (this.hashHigh - entry.high) >>> 0;
    const sum = entry.sum;
    if (sum === null) return;
    sum.low = (sum.low - entry.low) | 0;
    sum.high = (sum.high - entry.high) | 0;
    sum.objects -= 1;
    if (entry.isCluster) sum.exists = false;
    if (sum.objects === 0) this.#clusters.delete(sum.clusterId);
  }

  #sumOf(clusterId: string): ClusterSum {
    let sum = this.#clusters.get(clusterId);
    if (sum === undefined) {
      sum = new ClusterSum(clusterId);
      this.#clusters.set(clusterId, sum);
    }
    return sum;
  }
}

function clusterOf(change: Change): string | null {
  switch (change.kind) {
    case "add_cluster":
      return change.cluster.clusterId;
    case "add_backend":
      return change.backend.clusterId;
    case "add_http_frontend":
    case "add_https_frontend":
      return change.frontend.clusterId;
    default:
      return null;
  }
}

class MirrorEntry {
  low: number;
  high: number;
  isCluster: boolean;
  sum: ClusterSum | null;

  constructor() {
    this.low = 0;
    this.high = 0;
    this.isCluster = false;
    this.sum = null;
  }

  copy(): MirrorEntry {
    const copy = new MirrorEntry();
    copy.low = this.low;
    copy.high = this.high;
    copy.isCluster = this.isCluster;
    copy.sum = this.sum;
    return copy;
  }
}

/** What was there before each step. */
class MirrorTrack {
  readonly steps: { readonly idLow: number; readonly idHigh: number; readonly before: MirrorEntry | null }[];

  constructor() {
    this.steps = [];
  }

  add(idLow: number, idHigh: number, before: MirrorEntry | null): void {
    this.steps.push({ idLow, idHigh, before });
  }
}

class ClusterSum {
  readonly clusterId: string;
  low: number;
  high: number;
  objects: number;
  exists: boolean;

  constructor(clusterId: string) {
    this.clusterId = clusterId;
    this.low = 0;
    this.high = 0;
    this.objects = 0;
    this.exists = false;
  }
}

/**
 * Two lanes of multiply-rotate mixing, four bytes at a time, each finished by an avalanche. Made for telling states
 * apart, not against attackers: what operators send is not chosen to collide.
 */
export function hashBytes(
  bytes: Uint8Array,
  start: number,
  end: number,
  seedLow: number,
  seedHigh: number,
  lanes: Int32Array,
): void {
  let low = Math.imul(seedLow ^ 0x9747b28c, 0x85ebca6b) ^ (end - start);
  let high = Math.imul(seedHigh ^ 0x2545f491, 0xcc9e2d51) ^ (end - start);
  let at = start;
  for (; at + 4 <= end; at += 4) {
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    low = Math.imul(rotate(low ^ Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
    high = Math.imul(rotate(high ^ Math.imul(word, 0x85ebca6b), 13), 0xc2b2ae35);
  }
  let tail = 0;
  for (let shift = 0; at < end; at++, shift += 8) tail |= bytes[at]! << shift;
  low = Math.imul(rotate(low ^ Math.imul(tail, 0xcc9e2d51), 15), 0x1b873593);
  high = Math.imul(rotate(high ^ Math.imul(tail, 0x85ebca6b), 13), 0xc2b2ae35);
  lanes[0] = avalanche(low);
  lanes[1] = avalanche(high ^ low);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function avalanche(value: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return value ^ (value >>> 16);
}
