// The state hash, kept incrementally and identically by main and by each worker (decisions 13). Every object has a 64-bit
// hash, two 32-bit lanes over its flat bytes; the hash of the whole state is the sum of those, so it does not depend on the
// order of changes and one change costs one object. Beside it one sum per cluster (what Sozu's query answers) over the
// cluster, its backends and its frontends. Only equality between processes of one build means anything.

import { formatAddress } from "./address.ts";
import type { Change, HttpFrontendObject } from "./objects.ts";
import { ShardedMap } from "./sharded-map.ts";

/** What one process knows of the state: a key and a hash for each object. */
export class StateMirror {
  /** Sums of all objects, each an unsigned 32-bit number. */
  hashLow: number;
  hashHigh: number;
  readonly #entries: ShardedMap<MirrorEntry>;
  readonly #clusters: ShardedMap<ClusterSum>;
  readonly #lanes: Int32Array;

  constructor() {
    this.hashLow = 0;
    this.hashHigh = 0;
    this.#entries = new ShardedMap();
    this.#clusters = new ShardedMap();
    this.#lanes = new Int32Array(2);
  }

  /** Objects (activations of listeners count as one each). */
  get size(): number {
    return this.#entries.size;
  }

  /** Follows a change that was applied; [start, end) of `bytes` are its flat [kind, payload]. */
  apply(change: Change, bytes: Uint8Array, start: number, end: number): void {
    switch (change.kind) {
      case "add_cluster":
        this.#put(clusterKey(change.cluster.clusterId), change.cluster.clusterId, true, bytes, start, end);
        return;
      case "remove_cluster":
        this.#delete(clusterKey(change.clusterId));
        return;
      case "add_backend": {
        const backend = change.backend;
        const key = backendKey(backend.clusterId, backend.backendId, formatAddress(backend.address));
        this.#put(key, backend.clusterId, false, bytes, start, end);
        return;
      }
      case "remove_backend":
        this.#delete(backendKey(change.clusterId, change.backendId, formatAddress(change.address)));
        return;
      case "add_http_frontend":
        this.#put(frontendKey(change.frontend), change.frontend.clusterId, false, bytes, start, end);
        return;
      case "remove_http_frontend":
        this.#delete(frontendKey(change.frontend));
        return;
      case "add_http_listener":
        this.#put(`l\0${formatAddress(change.listener.address)}`, null, false, bytes, start, end);
        return;
      case "remove_http_listener":
        this.#delete(`a\0${formatAddress(change.address)}`);
        this.#delete(`l\0${formatAddress(change.address)}`);
        return;
      case "activate_http_listener":
        this.#put(`a\0${formatAddress(change.address)}`, null, false, bytes, start, end);
        return;
      case "deactivate_http_listener":
        this.#delete(`a\0${formatAddress(change.address)}`);
        return;
    }
  }

  /** Hash per existing cluster, as QueryClustersHashes answers it. */
  clusterHashes(): Map<string, bigint> {
    const hashes = new Map<string, bigint>();
    for (const [id, sum] of this.#clusters.entries()) {
      if (sum.exists) hashes.set(id, (BigInt(sum.high >>> 0) << 32n) | BigInt(sum.low >>> 0));
    }
    return hashes;
  }

  #put(key: string, clusterId: string | null, isCluster: boolean, bytes: Uint8Array, start: number, end: number): void {
    const before = this.#entries.get(key);
    if (before !== undefined) this.#subtract(before);
    const lanes = this.#lanes;
    hashBytes(bytes, start, end, lanes);
    const entry = new MirrorEntry(lanes[0]!, lanes[1]!, clusterId === null ? null : this.#sumOf(clusterId), isCluster);
    this.#entries.set(key, entry);
    this.hashLow = (this.hashLow + entry.low) >>> 0;
    this.hashHigh = (this.hashHigh + entry.high) >>> 0;
    const sum = entry.sum;
    if (sum === null) return;
    sum.low = (sum.low + entry.low) | 0;
    sum.high = (sum.high + entry.high) | 0;
    sum.objects += 1;
    if (isCluster) sum.exists = true;
  }

  #delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#subtract(entry);
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

/** Key of a frontend inside a process: unlike the key that messages show, no two frontends can share it. */
export function frontendKey(frontend: HttpFrontendObject): string {
  const { hostname, path, method, pathKind } = frontend;
  return `f\0${formatAddress(frontend.address)}\0${hostname}\0${method ?? ""}\0${pathKind}${path}`;
}

/** Key of a backend. Ids cannot hold a NUL. */
export function backendKey(clusterId: string, backendId: string, address: string): string {
  return `b\0${clusterId}\0${backendId}\0${address}`;
}

export function clusterKey(clusterId: string): string {
  return `c\0${clusterId}`;
}

class MirrorEntry {
  readonly low: number;
  readonly high: number;
  readonly sum: ClusterSum | null;
  readonly isCluster: boolean;

  constructor(low: number, high: number, sum: ClusterSum | null, isCluster: boolean) {
    this.low = low;
    this.high = high;
    this.sum = sum;
    this.isCluster = isCluster;
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

/** Two lanes of multiply-rotate mixing, four bytes at a time, each finished by an avalanche. Not against attackers. */
export function hashBytes(bytes: Uint8Array, start: number, end: number, lanes: Int32Array): void {
  let low = 0x9747b28c ^ (end - start);
  let high = 0x2545f491 ^ (end - start);
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
