// Packets of changes on their way into a worker's state. A single change is followed where it lies. A set is staged and
// settled in slices between which traffic has its turn, and what comes meanwhile waits behind it, in its order. A packet is
// acknowledged once everything in it is in force.

import type { Refusal } from "../command/worker-protocol.ts";
import type { Deferrable, EventLoop } from "../loop/event-loop.ts";
import { readClock } from "../os/clock.ts";
import { blockEnd, isSet, type Replica } from "./replica.ts";
import type { StagedSet } from "./staged-set.ts";

/** How long traffic waits for a slice. */
const SLICE_US = 2500;

/** Who hears of what was followed. */
export interface ChangeQueueOwner {
  /** Everything up to this revision is in force, but for what was refused. */
  onFollowed(revision: number, refusals: readonly Refusal[]): void;
}

interface Waiting {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;
  readonly revision: number;
}

/** The changes of one worker. */
export class ChangeQueue implements Deferrable {
  queued: boolean;
  readonly #loop: EventLoop;
  readonly #replica: Replica;
  readonly #owner: ChangeQueueOwner;
  readonly #waiting: Waiting[];
  #set: StagedSet | null;
  /** The packet of the set was acknowledged: the set is in force, and the last one there. */
  #told: boolean;
  #refusals: Refusal[];

  constructor(loop: EventLoop, replica: Replica, owner: ChangeQueueOwner) {
    this.queued = false;
    this.#loop = loop;
    this.#replica = replica;
    this.#owner = owner;
    this.#waiting = [];
    this.#set = null;
    this.#told = false;
    this.#refusals = [];
  }

  /** Everything that was taken is in force. */
  get isIdle(): boolean {
    return this.#waiting.length === 0;
  }

  /** Takes the blocks at [start, end). What cannot be followed at once is copied, unless the bytes are `lasting`. */
  take(bytes: Uint8Array, start: number, end: number, revision: number, lasting: boolean): void {
    if (this.#waiting.length === 0) {
      const at = this.#follow(bytes, start, end);
      if (at === end) {
        this.#tell(revision);
        return;
      }
      start = at;
    }
    if (lasting) this.#waiting.push({ bytes, at: start, end, revision });
    else this.#waiting.push({ bytes: bytes.slice(start, end), at: 0, end: end - start, revision });
    this.#loop.runLater(this);
  }

  onReady(): void {
    const untilUs = readClock() + SLICE_US;
    while (this.#waiting.length > 0) {
      const packet = this.#waiting[0];
      if (!this.#advance(packet, untilUs)) {
        this.#loop.runLater(this);
        return;
      }
      this.#waiting.shift();
    }
  }

  /** Follows single changes up to a set or the end; returns where it is. */
  #follow(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    for (let next = blockEnd(bytes, at, end); next > 0; next = blockEnd(bytes, at, end)) {
      if (isSet(bytes, at)) return at;
      this.#replica.begin(bytes, at, next, this.#refusals);
      at = next;
    }
    return end;
  }

  /** True: the packet is done with. */
  #advance(packet: Waiting, untilUs: number): boolean {
    for (;;) {
      if (this.#set === null) {
        packet.at = this.#follow(packet.bytes, packet.at, packet.end);
        if (packet.at === packet.end) {
          this.#tell(packet.revision);
          return true;
        }
        this.#set = this.#replica.begin(packet.bytes, packet.at, blockEnd(packet.bytes, packet.at, packet.end), []);
        this.#told = false;
      }
      const set = this.#set!;
      const done = set.step(untilUs);
      const next = blockEnd(packet.bytes, packet.at, packet.end);
      if (set.isInForce && next === packet.end && !this.#told) {
        this.#told = true;
        this.#tell(packet.revision);
      }
      if (!done) {
        if (readClock() >= untilUs) return false;
        continue;
      }
      if (set.refusal !== null) this.#refusals.push({ revision: set.revision, reason: set.refusal });
      this.#set = null;
      packet.at = next;
      if (this.#told && next === packet.end) return true;
    }
  }

  #tell(revision: number): void {
    this.#owner.onFollowed(revision, this.#refusals);
    if (this.#refusals.length > 0) this.#refusals = [];
  }
}
