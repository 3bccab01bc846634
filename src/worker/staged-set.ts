// Several changes of the state that come into force as one (design section 5), for a worker that serves meanwhile:
//
//   STAGING   in slices: every change is decoded, checked, followed by the mirror, and noted under the host or cluster
//             that it concerns. Nobody sees any of it. A change that is refused refuses the set.
//   SETTLING  the set came into force by one call: each host and each cluster asks for its own changes before it is used.
//             What nobody asks for is carried out in slices.
//   UNDOING   it was refused: the mirror goes back in slices. The tables were never touched.
//
// What is no route and no cluster (listeners, certificates) is carried out at the switch, in its order. Main has checked
// everything before: a change that is refused after the switch is a bug, and the worker gives way to a successor.

import { formatAddress } from "../command/address-text.ts";
import { FLAT } from "../command/flat.ts";
import { ChangeReader } from "../command/flat-reader.ts";
import type { StateMirror } from "../command/mirror.ts";
import type { Change, HttpFrontendObject } from "../command/objects.ts";
import { ShardedMap } from "../command/sharded-map.ts";
import { readClock } from "../os/clock.ts";
import type { Scheme } from "../policies/redirect.ts";
import type { UnsettledSet } from "../proxy/unsettled.ts";
import type { Unsettled } from "../routing/router.ts";
import { foldRuleHost, HOST_ANY, HOST_REGEX, hostClassOf } from "../routing/rule.ts";

/** What a set acts on. */
export interface SetTarget {
  readonly mirror: StateMirror;
  hasListener(scheme: Scheme, name: string): boolean;
  /** Why a change could never be applied; null: it can. */
  check(change: Change): string | null;
  /** Applies one; null or why not. */
  apply(change: Change): string | null;
  follow(set: UnsettledSet | null): void;
}

/** Changes between two looks at the clock. */
const STRIDE = 16;

const STAGING = 0;
const SETTLING = 1;
const UNDOING = 2;
const DONE = 3;

/** One set on its way. Call step() until it is done. */
export class StagedSet implements UnsettledSet {
  readonly revision: number;
  /** Why it was refused; null: it was not, so far. */
  refusal: string | null;
  readonly #target: SetTarget;
  readonly #reader: ChangeReader;
  #phase: number;
  /** By number: where a change lies, and the next one of its host or cluster; the last one leads to the first. */
  readonly #starts: number[];
  readonly #following: number[];
  readonly #clusters: ShardedMap<number>;
  readonly #routes: Map<string, RoutesOfListener>;
  /** Listeners that the set adds (true) and removes (false). */
  readonly #listeners: Map<string, boolean>;
  /** What is carried out at the switch. */
  readonly #early: number[];
  /** What is left to be settled. */
  #rest: Generator<void> | null;

  /** The bytes must not change until it is done. */
  constructor(target: SetTarget, bytes: Uint8Array, from: number, to: number) {
    this.#target = target;
    this.#reader = new ChangeReader();
    this.#reader.open(bytes, from, to);
    this.revision = this.#reader.revision;
    this.refusal = null;
    this.#phase = STAGING;
    this.#starts = [];
    this.#following = [];
    this.#clusters = new ShardedMap();
    this.#routes = new Map();
    this.#listeners = new Map();
    this.#early = [];
    this.#rest = null;
    target.mirror.keepTrack();
  }

  /** Requests see it, all of it. */
  get isInForce(): boolean {
    return this.#phase === SETTLING || (this.#phase === DONE && this.refusal === null);
  }

  /** Works until `untilUs` of CLOCK_MONOTONIC; true: it is done. The slice in which it comes into force ends there. */
  step(untilUs: number): boolean {
    switch (this.#phase) {
      case STAGING:
        this.#stage(untilUs);
        return false;
      case SETTLING:
        if (this.#runOut(this.#rest!, untilUs)) this.#finish();
        break;
      case UNDOING: {
        const { mirror } = this.#target;
        let undone = 0;
        while (mirror.goBack()) if (++undone % STRIDE === 0 && readClock() >= untilUs) return false;
        this.#phase = DONE;
      }
    }
    return this.#phase === DONE;
  }

  settleCluster(id: string): void {
    const last = this.#clusters.get(id);
    if (last === undefined) return;
    this.#clusters.delete(id);
    this.#carryOut(last);
  }

  routesOf(scheme: Scheme, name: string): Unsettled | null {
    return this.#routes.get(`${scheme} ${name}`) ?? null;
  }

  /** Applies the changes of a chain, given its last one. */
  #carryOut(last: number): void {
    let each = last;
    do {
      each = this.#following[each];
      this.#must(this.#starts[each]);
    } while (each !== last);
  }

  #stage(untilUs: number): void {
    const reader = this.#reader;
    const { mirror } = this.#target;
    let taken = 0;
    for (;;) {
      const result = reader.next();
      if (result === FLAT.END) {
        this.#switch();
        return;
      }
      if (result !== FLAT.CHANGE) {
        this.#refuse(`the encoded change is broken (${result})`);
        return;
      }
      const change = reader.change!;
      const refusal = this.#target.check(change);
      if (refusal !== null) {
        this.#refuse(refusal);
        return;
      }
      this.#note(change, reader.start);
      mirror.apply(change, reader.bytes, reader.start, reader.identityEnd, reader.hashedEnd);
      if (++taken % STRIDE === 0 && readClock() >= untilUs) return;
    }
  }

  #note(change: Change, start: number): void {
    const number = this.#starts.length;
    this.#starts.push(start);
    this.#following.push(number);
    switch (change.kind) {
      case "add_cluster":
        this.#chain(this.#clusters, change.cluster.clusterId, number);
        return;
      case "remove_cluster":
      case "remove_backend":
        this.#chain(this.#clusters, change.clusterId, number);
        return;
      case "add_backend":
        this.#chain(this.#clusters, change.backend.clusterId, number);
        return;
      case "add_http_frontend":
      case "remove_http_frontend":
        this.#noteRoute("http", change.frontend, number);
        return;
      case "add_https_frontend":
      case "remove_https_frontend":
        this.#noteRoute("https", change.frontend, number);
        return;
      case "add_http_listener":
        this.#listeners.set(`http ${formatAddress(change.listener.address)}`, true);
        break;
      case "add_https_listener":
        this.#listeners.set(`https ${formatAddress(change.listener.address)}`, true);
        break;
      case "remove_http_listener":
        this.#removed(`http ${formatAddress(change.address)}`);
        break;
      case "remove_https_listener":
        this.#removed(`https ${formatAddress(change.address)}`);
    }
    this.#early.push(number);
  }

  #noteRoute(scheme: Scheme, { address, hostname }: HttpFrontendObject, number: number): void {
    const name = formatAddress(address);
    const key = `${scheme} ${name}`;
    // Main tells of it again once there is a listener.
    if (!(this.#listeners.get(key) ?? this.#target.hasListener(scheme, name))) return;
    let routes = this.#routes.get(key);
    if (routes === undefined) {
      routes = new RoutesOfListener((last) => this.#carryOut(last));
      this.#routes.set(key, routes);
    }
    this.#chain(routes.hosts, foldRuleHost(hostname), number);
  }

  /** The routes of a listener go with it. */
  #removed(key: string): void {
    this.#listeners.set(key, false);
    this.#routes.delete(key);
  }

  #chain(chains: ShardedMap<number>, key: string, number: number): void {
    const last = chains.get(key);
    if (last !== undefined) {
      this.#following[number] = this.#following[last];
      this.#following[last] = number;
    }
    chains.set(key, number);
  }

  /** The one moment at which it comes into force. */
  #switch(): void {
    for (let i = 0; i < this.#early.length; i++) {
      const change = this.#reader.again(this.#starts[this.#early[i]]);
      const refusal = this.#target.apply(change);
      if (refusal === null || isRemoval(change)) continue;
      if (i > 0) throw new Error(`a change set cannot be taken back: ${refusal}`);
      this.#refuse(refusal);
      return;
    }
    for (const routes of this.#routes.values()) routes.settleShared();
    this.#target.mirror.letGo();
    this.#target.follow(this);
    this.#phase = SETTLING;
    this.#rest = this.#settleAll();
  }

  *#settleAll(): Generator<void> {
    for (const id of this.#clusters.keys()) {
      this.settleCluster(id);
      yield;
    }
    for (const routes of this.#routes.values()) {
      for (const host of routes.hosts.keys()) {
        routes.settle(host);
        yield;
      }
    }
  }

  #runOut(steps: Generator<void>, untilUs: number): boolean {
    for (let done = 1; steps.next().done !== true; done++) {
      if (done % STRIDE === 0 && readClock() >= untilUs) return false;
    }
    return true;
  }

  #must(start: number): void {
    const change = this.#reader.again(start);
    const refusal = this.#target.apply(change);
    if (refusal !== null && !isRemoval(change)) throw new Error(`a change that is in force was refused: ${refusal}`);
  }

  #refuse(reason: string): void {
    this.refusal = reason;
    this.#phase = UNDOING;
  }

  #finish(): void {
    this.#target.follow(null);
    this.#reader.release();
    this.#phase = DONE;
  }
}

/** What is not there (it was refused when it came) is what a removal asks for. */
function isRemoval({ kind }: Change): boolean {
  return kind.startsWith("remove_");
}

/** The routes of one listener that a set adds and removes, by folded host. */
class RoutesOfListener implements Unsettled {
  readonly hosts: ShardedMap<number>;
  readonly #carryOut: (last: number) => void;

  constructor(carryOut: (last: number) => void) {
    this.hosts = new ShardedMap();
    this.#carryOut = carryOut;
  }

  settle(host: string): void {
    const last = this.hosts.get(host);
    if (last === undefined) return;
    this.hosts.delete(host);
    this.#carryOut(last);
  }

  /** A request finds these by matching, not by name, so they are in the tables before the set is in force. */
  settleShared(): void {
    for (const host of this.hosts.keys()) {
      const hostClass = hostClassOf(host);
      if (hostClass === HOST_REGEX || hostClass === HOST_ANY) this.settle(host);
    }
  }
}
