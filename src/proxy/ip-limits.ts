// How many connections one source address may have to one cluster (spec 13.5).
//
// A connection is counted when its first request is about to go to the cluster, once for each cluster it goes to, and is
// released when it closes. One that is counted is never refused. The limit is the cluster's own, else the global one,
// which can change at any time; 0 is none, and then a request pays for three comparisons. Addresses are compared whole.
//
// Memory: a connection is counted for at most KEYS_MAX clusters. When it goes on to more, the one it went to first is
// released; HTTP/1 has one request at a time, so nothing is in flight there.

import type { Cluster } from "../balancing/cluster.ts";
import {
  METRIC_CONNECTIONS_REJECTED_PER_CLUSTER_IP,
  ROW_CONNECTIONS_REJECTED_PER_CLUSTER_IP,
} from "../observe/metrics.ts";
import { latin1 } from "../wire/http1/bytes.ts";
import type { ClientRecords } from "./client-records.ts";
import type { Exchange } from "./exchange.ts";
import { answerLocally } from "./local-answer.ts";

/** Clusters that one connection is counted for. */
const KEYS_MAX = 16;

/** The connections of one address to one cluster. */
interface Counter {
  readonly key: string;
  readonly clusterId: string;
  /** Counters of an earlier epoch were cleared. */
  readonly epoch: number;
  connections: number;
}

/** A place in the list of a connection's counters, latest first. */
export interface Counted {
  readonly counter: Counter;
  next: Counted | null;
}

/** What is counted: a client's connection. */
export interface Countable {
  /** Its record (client-records.ts), which has the address. */
  readonly record: number;
  /** null until it is counted somewhere. */
  counted: Counted | null;
}

export class IpLimits {
  readonly #records: ClientRecords;
  readonly #bytes: Uint8Array;
  readonly #counters: Map<string, Counter>;
  #limit: number;
  #epoch: number;

  /** `limit`: connections of an address to a cluster without a limit of its own; 0: unlimited. */
  constructor(records: ClientRecords, bytes: Uint8Array, limit: number) {
    this.#records = records;
    this.#bytes = bytes;
    this.#counters = new Map();
    this.#limit = limit;
    this.#epoch = 0;
  }

  /** Pairs of address and cluster that are counted now. */
  get size(): number {
    return this.#counters.size;
  }

  /** A new global limit. 0 turns it off and forgets what was counted, also for clusters with a limit of their own. */
  setLimit(limit: number): void {
    this.#limit = limit;
    if (limit > 0) return;
    this.#counters.clear();
    this.#epoch++;
  }

  /** Asked before each request to a cluster. False: this connection would be one too many, and is not counted. */
  admits(front: Countable, cluster: Cluster): boolean {
    const policy = cluster.config === null ? null : cluster.config.policy;
    const own = policy === null ? null : policy.maxConnectionsPerIp;
    const limit = own === null ? this.#limit : own;
    return limit === 0 || this.#count(front, cluster.id, limit);
  }

  /** The connection has closed. */
  release(front: Countable): void {
    for (let place = front.counted; place !== null; place = place.next) this.#leave(place.counter);
    front.counted = null;
  }

  #count(front: Countable, clusterId: string, limit: number): boolean {
    let places = 0;
    let last: Counted | null = null;
    for (let place = front.counted; place !== null; place = place.next) {
      const { counter } = place;
      if (counter.clusterId === clusterId && counter.epoch === this.#epoch) return true;
      if (++places === KEYS_MAX - 1) last = place;
    }
    const counter = this.#counterOf(front.record, clusterId);
    if (counter.connections >= limit) return false;
    counter.connections++;
    this.#counters.set(counter.key, counter);
    if (last !== null && last.next !== null) {
      this.#leave(last.next.counter);
      last.next = null;
    }
    front.counted = { counter, next: front.counted };
    return true;
  }

  #counterOf(record: number, clusterId: string): Counter {
    const ipAt = this.#records.ipAt(record);
    // An address has no space in it: no two pairs have the same key.
    const key = `${latin1(this.#bytes, ipAt, ipAt + this.#records.ipLength(record))} ${clusterId}`;
    return this.#counters.get(key) ?? { key, clusterId, epoch: this.#epoch, connections: 0 };
  }

  #leave(counter: Counter): void {
    if (--counter.connections === 0 && counter.epoch === this.#epoch) this.#counters.delete(counter.key);
  }
}

/** Answers 429, with the cluster's `Retry-After` or the global one; 0 leaves it out (RFC 6585 4). */
export function refuseAddress(exchange: Exchange, cluster: Cluster): void {
  const { settings, stats } = exchange.context;
  stats.values[METRIC_CONNECTIONS_REJECTED_PER_CLUSTER_IP]++;
  if (cluster.row !== -1) stats.values[cluster.row + ROW_CONNECTIONS_REJECTED_PER_CLUSTER_IP]++;
  const seconds = cluster.config?.policy?.retryAfter ?? settings.retryAfter;
  if (seconds > 0) exchange.retryAfter = seconds;
  answerLocally(exchange, 429);
}
