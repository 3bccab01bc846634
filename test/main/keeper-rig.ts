// A state keeper whose workers acknowledge at once, without processes: what was sent is followed by replicas, so that the
// hashes they report are those of real workers.

import { formatAddress } from "../../src/command/address.ts";
import type { Change, SocketAddress } from "../../src/command/objects.ts";
import { ConfigState } from "../../src/command/state.ts";
import type { ChangeTargets } from "../../src/main/change-log.ts";
import type { ListenSockets } from "../../src/main/listen-sockets.ts";
import { StateKeeper } from "../../src/main/state-keeper.ts";
import { Replica } from "../../src/worker/replica.ts";

/** Open sockets by address, none of them real; `taken` cannot be opened. */
export class FakeSockets {
  readonly open_: Set<string> = new Set();
  readonly taken: Set<string> = new Set();

  has(address: SocketAddress): boolean {
    return this.open_.has(formatAddress(address));
  }

  open(address: SocketAddress): string | null {
    const name = formatAddress(address);
    if (this.taken.has(name)) return `cannot listen on ${name}: another process uses this port`;
    this.open_.add(name);
    return null;
  }

  close(address: SocketAddress): void {
    this.open_.delete(formatAddress(address));
  }
}

/** A keeper with two workers. */
export class KeeperRig {
  readonly state: ConfigState = new ConfigState();
  readonly sockets: FakeSockets = new FakeSockets();
  readonly keeper: StateKeeper;
  readonly replaced: string[] = [];
  /** Packets of changes that were sent. */
  sent = 0;
  changed = 0;
  /** Kinds of changes that reached a proxy. */
  readonly applied: string[] = [];
  /** Refuses changes; null takes them. */
  refuse: (change: Change) => string | null = () => null;
  readonly #replicas: Replica[];

  constructor() {
    const target = {
      check: (change: Change) => this.refuse(change),
      follow: () => undefined,
      apply: (change: Change) => {
        this.applied.push(change.kind);
        return this.refuse(change);
      },
      activate: () => null,
      deactivate: () => [],
    };
    this.#replicas = [new Replica(target), new Replica(target)];
    const targets: ChangeTargets & { listenOn(address: SocketAddress): void } = {
      serving: () => [0, 1],
      send: (blocks, revision, except) => this.#send(blocks, revision, except),
      replace: (_worker, reason) => void this.replaced.push(reason),
      // No descriptor is behind it: nobody accepts.
      listenOn: (address) => {
        for (const replica of this.#replicas) replica.hold(address, -1);
      },
    };
    const sockets = this.sockets as unknown as ListenSockets;
    const onChange = (): void => void this.changed++;
    this.keeper = new StateKeeper({ state: this.state, sockets, workerTimeoutMs: 1000, targets, onChange });
  }

  /** Whole-state hashes of the replicas and of main, all of them equal. */
  get inStep(): boolean {
    const { hashLow, hashHigh } = this.state.mirror;
    return this.#replicas.every(({ mirror }) => mirror.hashLow === hashLow && mirror.hashHigh === hashHigh);
  }

  #send(blocks: readonly Uint8Array[], revision: number, except?: ReadonlySet<number>): void {
    if (except === undefined || except.size < this.#replicas.length) this.sent += 1;
    this.#replicas.forEach((replica, worker) => {
      if (except?.has(worker) === true) return;
      const refusals = replica.follow(Buffer.concat(blocks));
      const { hashLow, hashHigh } = replica.mirror;
      this.keeper.changes.onAck(worker, revision, { hashLow, hashHigh, sessions: 0, refusals });
    });
  }
}
