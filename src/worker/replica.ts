// A worker's copy of the state: applies changes to the proxy and keeps the hash that main compares (decisions 13).
// Activation needs a socket: main hands it over before the change that uses it, and it waits in `held` until then.
// A frontend or certificate whose listener is not there (it was removed, or stands later in a saved state) belongs to the
// state all the same: it counts in the hash, and main sends it again with the listener.

import { formatAddress } from "../command/address-text.ts";
import { FLAT, FLAT_HEADER_BYTES } from "../command/flat.ts";
import { readU32 } from "../command/flat-bytes.ts";
import { type ClusterHash, StateMirror } from "../command/mirror.ts";
import type { Change, SocketAddress } from "../command/objects.ts";
import { followChanges } from "../command/snapshot.ts";
import type { Refusal } from "../command/worker-protocol.ts";
import { close } from "../os/sockets.ts";
import type { UnsettledSet } from "../proxy/unsettled.ts";
import { type SetTarget, StagedSet } from "./staged-set.ts";

/** What the replica does to the proxy. */
export interface ReplicaTarget {
  /** Why a change could never be applied, whatever else there is; null: it can be. */
  check(change: Change): string | null;
  /** A set of changes is in force, but not carried out; null: it is. */
  follow(set: UnsettledSet | null): void;
  /** null: applied; otherwise why not, and nothing has changed. */
  apply(change: Change): string | null;
  /**
   * The HTTP or (`secure`) HTTPS listener accepts on `fd`, which belongs to the proxy from then on, also when it refuses.
   * null or the reason.
   */
  activate(address: SocketAddress, fd: number, secure: boolean): string | null;
  /** Stops accepting; the descriptors, deregistered, are the caller's again. */
  deactivate(address: SocketAddress): readonly number[];
}

/** The state of one worker. */
export class Replica {
  readonly mirror: StateMirror;
  readonly #target: ReplicaTarget;
  /** Sockets by address that no active listener uses. */
  readonly #held: Map<string, OwnSocket>;
  /** Sockets that active listeners accept on. */
  readonly #active: Map<string, OwnSocket>;
  /** Sockets of siblings, by slot and address. */
  readonly #borrowed: Map<string, BorrowedSocket>;
  /** Addresses of the HTTP listeners that exist. */
  readonly #listeners: Set<string>;
  /** The same of HTTPS. */
  readonly #secureListeners: Set<string>;
  /** Addresses where the HTTPS listener is the active one: there is one socket for both. */
  readonly #secured: Set<string>;
  readonly #take: (change: Change) => string | null;
  readonly #set: SetTarget;
  /** A successor accepts: the state is followed, sockets are not taken any more. */
  #leaving: boolean;

  constructor(target: ReplicaTarget) {
    this.mirror = new StateMirror();
    this.#target = target;
    this.#held = new Map();
    this.#active = new Map();
    this.#borrowed = new Map();
    this.#listeners = new Set();
    this.#secureListeners = new Set();
    this.#secured = new Set();
    this.#leaving = false;
    this.#take = (change) => this.#apply(change);
    this.#set = {
      mirror: this.mirror,
      hasListener: (scheme, name) => (scheme === "http" ? this.#listeners : this.#secureListeners).has(name),
      check: (change) => target.check(change),
      apply: this.#take,
      follow: (set) => target.follow(set),
    };
  }

  /** The hashes of these clusters, null: of all; those that do not exist are left out. */
  hashes(clusterIds: readonly string[] | null): ClusterHash[] {
    if (clusterIds === null) return this.mirror.clusterSums();
    const hashes: ClusterHash[] = [];
    for (const id of clusterIds) {
      const hash = this.mirror.clusterSum(id);
      if (hash !== null) hashes.push(hash);
    }
    return hashes;
  }

  /** Takes a listening socket for a listener that is or will be activated. */
  hold(address: SocketAddress, fd: number): void {
    if (this.#leaving) {
      close(fd);
      return;
    }
    const key = formatAddress(address);
    const earlier = this.#held.get(key);
    if (earlier !== undefined) close(earlier.fd);
    this.#held.set(key, { address, fd });
  }

  /** Accepts on the socket of another slot too (decisions 26), until giveBack(). */
  borrow(address: SocketAddress, fd: number, slot: number): void {
    if (this.#leaving) {
      close(fd);
      return;
    }
    this.giveBack(address, slot);
    const name = formatAddress(address);
    const refusal = this.#target.activate(address, fd, this.#secured.has(name));
    if (refusal === null) this.#borrowed.set(`${slot} ${name}`, { address, fd, slot });
  }

  /** Stops accepting on a borrowed socket. Its queue stays: main has the socket too. */
  giveBack(address: SocketAddress, slot: number): void {
    const key = `${slot} ${formatAddress(address)}`;
    const fd = this.#borrowed.get(key)?.fd;
    if (fd === undefined) return;
    this.#borrowed.delete(key);
    for (const each of this.#target.deactivate(address)) {
      if (each === fd) close(each);
      else this.#target.activate(address, each, this.#secured.has(formatAddress(address)));
    }
  }

  /** From now on listeners are active elsewhere only: what is held for them is given up. */
  leave(): void {
    this.#leaving = true;
    for (const { fd } of this.#held.values()) close(fd);
    this.#held.clear();
    this.#active.clear();
    this.#borrowed.clear();
  }

  /** Every listening socket of its own. */
  get sockets(): readonly OwnSocket[] {
    return [...this.#held.values(), ...this.#active.values()];
  }

  /** Those of siblings on which it accepts, too. */
  get borrowed(): readonly BorrowedSocket[] {
    return [...this.#borrowed.values()];
  }

  /** Follows a whole state at start. What is refused is left out and reported; the rest serves. */
  replay(state: Uint8Array): Refusal[] {
    const reasons: string[] = [];
    const followed = followChanges(state, this.mirror, (change) => {
      const reason = this.#apply(change);
      if (reason !== null) reasons.push(`${change.kind}: ${reason}`);
      return null;
    });
    if (followed.result !== FLAT.END) reasons.push(`the encoded state is broken (${followed.result})`);
    else if (!followed.inStep) reasons.push("its hash differs from that of main");
    return reasons.map((reason) => ({ revision: followed.revision, reason }));
  }

  /**
   * Follows the blocks of changes at [from, to), one per request, each all or nothing. Refused ones are added to
   * `refusals`, which it returns; later ones are applied all the same. Takes as long as it takes: see ChangeQueue.
   */
  follow(blocks: Uint8Array, refusals: Refusal[] = [], from = 0, to: number = blocks.length): Refusal[] {
    let at = from;
    for (let end = blockEnd(blocks, at, to); end > 0; end = blockEnd(blocks, at, to)) {
      const set = this.begin(blocks, at, end, refusals);
      if (set !== null) {
        while (!set.step(Number.POSITIVE_INFINITY));
        if (set.refusal !== null) refusals.push({ revision: set.revision, reason: set.refusal });
      }
      at = end;
    }
    return refusals;
  }

  /** Follows the block of a single change at [at, end), or returns the set that a larger one is. */
  begin(blocks: Uint8Array, at: number, end: number, refusals: Refusal[]): StagedSet | null {
    if (isSet(blocks, at)) return new StagedSet(this.#set, blocks, at, end);
    const followed = followChanges(blocks, this.mirror, this.#take, at, end);
    const broken = followed.result < 0 ? `the encoded change is broken (${followed.result})` : null;
    const reason = followed.refusal ?? broken;
    if (reason !== null) refusals.push({ revision: followed.revision, reason });
    return null;
  }

  #apply(change: Change): string | null {
    switch (change.kind) {
      case "activate_http_listener":
        return this.#activate(change.address, false);
      case "activate_https_listener":
        return this.#activate(change.address, true);
      case "deactivate_http_listener":
      case "deactivate_https_listener":
        this.#release(change.address);
        return null;
      case "add_http_frontend":
      case "remove_http_frontend":
        return this.#listeners.has(formatAddress(change.frontend.address)) ? this.#target.apply(change) : null;
      case "add_https_frontend":
      case "remove_https_frontend":
        return this.#secureListeners.has(formatAddress(change.frontend.address)) ? this.#target.apply(change) : null;
      case "add_certificate":
        return this.#secureListeners.has(formatAddress(change.certificate.address)) ? this.#target.apply(change) : null;
      case "remove_certificate":
        return this.#secureListeners.has(formatAddress(change.address)) ? this.#target.apply(change) : null;
    }
    const refusal = this.#target.apply(change);
    if (refusal === null) this.#follow(change);
    return refusal;
  }

  #follow(change: Change): void {
    switch (change.kind) {
      case "add_http_listener":
        this.#listeners.add(formatAddress(change.listener.address));
        return;
      case "remove_http_listener":
        this.#listeners.delete(formatAddress(change.address));
        return;
      case "add_https_listener":
        this.#secureListeners.add(formatAddress(change.listener.address));
        return;
      case "remove_https_listener":
        this.#secureListeners.delete(formatAddress(change.address));
    }
  }

  #release(address: SocketAddress): void {
    this.#secured.delete(formatAddress(address));
    this.#active.delete(formatAddress(address));
    const released = this.#target.deactivate(address);
    for (const [key, { fd }] of this.#borrowed) {
      if (released.includes(fd)) this.#borrowed.delete(key);
    }
    for (const fd of released) close(fd);
  }

  #activate(address: SocketAddress, secure: boolean): string | null {
    if (this.#leaving) return null;
    const key = formatAddress(address);
    const fd = this.#held.get(key)?.fd;
    if (fd === undefined) return `main handed over no socket for ${key}`;
    this.#held.delete(key);
    const refusal = this.#target.activate(address, fd, secure);
    if (refusal === null) this.#active.set(key, { address, fd });
    if (secure && refusal === null) this.#secured.add(key);
    return refusal;
  }
}

interface OwnSocket {
  readonly address: SocketAddress;
  readonly fd: number;
}

interface BorrowedSocket extends OwnSocket {
  readonly slot: number;
}

/** Where the flat block at `at` ends: its header says so (flat.ts); 0: there is no whole one. */
export function blockEnd(bytes: Uint8Array, at: number, to: number): number {
  if (at + FLAT_HEADER_BYTES > to) return 0;
  const length = readU32(bytes, at + 20);
  return length < FLAT_HEADER_BYTES || at + length > to ? 0 : at + length;
}

/** Whether the block at `at` holds more than one change. */
export function isSet(bytes: Uint8Array, at: number): boolean {
  return readU32(bytes, at + 16) > 1;
}
