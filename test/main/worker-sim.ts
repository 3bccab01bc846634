// A state keeper and its workers without processes or time: what main sends waits in an inbox until the test lets a worker
// take it, what a worker acknowledges is told at once, and large changes are staged in slices of the test's choosing. A
// worker has the things that a proxy has (nothing else can be removed from it) and refuses what `refuses` says.

import { formatAddress } from "../../src/command/address-text.ts";
import type { Change, SocketAddress } from "../../src/command/objects.ts";
import { ConfigState } from "../../src/command/state.ts";
import type { Refusal, Standing } from "../../src/command/worker-protocol.ts";
import type { EventLoop } from "../../src/loop/event-loop.ts";
import type { ChangeTargets } from "../../src/main/change-log.ts";
import type { ListenSockets } from "../../src/main/listen-sockets.ts";
import { StateKeeper } from "../../src/main/state-keeper.ts";
import { ChangeQueue } from "../../src/worker/change-queue.ts";
import { Replica, type ReplicaTarget } from "../../src/worker/replica.ts";
import { FakeSockets } from "./keeper-rig.ts";

/** What a worker refuses and why; it depends on nothing but the change and the worker. */
export type Refuses = (worker: number, change: Change) => string | null;

/** The things of one proxy, by name. */
class FakeProxy implements ReplicaTarget {
  readonly #id: number;
  readonly #refuses: Refuses;
  readonly #there: Set<string> = new Set();

  constructor(id: number, refuses: Refuses) {
    this.#id = id;
    this.#refuses = refuses;
  }

  check(change: Change): string | null {
    return isActivation(change) ? null : this.#refuses(this.#id, change);
  }

  follow(): void {}

  activate(address: SocketAddress, _fd: number, secure: boolean): string | null {
    const kind = secure ? "activate_https_listener" : "activate_http_listener";
    return this.apply({ kind, address });
  }

  deactivate(): readonly number[] {
    return [];
  }

  apply(change: Change): string | null {
    const refusal = this.#refuses(this.#id, change);
    if (refusal !== null) return refusal;
    const name = nameOf(change);
    if (name === null) return null;
    if (change.kind.startsWith("add_")) this.#there.add(name);
    else if (!this.#there.has(name)) return `there is no ${name}`;
    if (!change.kind.startsWith("remove_")) return null;
    this.#there.delete(name);
    // Routes go with their listener.
    for (const each of this.#there) if (each.endsWith(` on ${name}`)) this.#there.delete(each);
    return null;
  }
}

function isActivation({ kind }: Change): boolean {
  return kind.startsWith("activate_") || kind.startsWith("deactivate_");
}

function nameOf(change: Change): string | null {
  switch (change.kind) {
    case "add_cluster":
      return `cluster ${change.cluster.clusterId}`;
    case "remove_cluster":
      return `cluster ${change.clusterId}`;
    case "add_backend":
      return backendName(change.backend);
    case "remove_backend":
      return backendName(change);
    case "add_http_frontend":
    case "remove_http_frontend":
    case "add_https_frontend":
    case "remove_https_frontend": {
      const { address, hostname, pathKind, path, method } = change.frontend;
      const scheme = change.kind.includes("https") ? "https" : "http";
      return `${hostname} ${pathKind} ${path} ${method} on ${scheme} ${formatAddress(address)}`;
    }
    case "add_http_listener":
      return `http ${formatAddress(change.listener.address)}`;
    case "add_https_listener":
      return `https ${formatAddress(change.listener.address)}`;
    case "activate_http_listener":
    case "remove_http_listener":
      return `http ${formatAddress(change.address)}`;
    case "activate_https_listener":
    case "remove_https_listener":
      return `https ${formatAddress(change.address)}`;
    default:
      return null;
  }
}

function backendName(of: { clusterId: string; backendId: string; address: SocketAddress }): string {
  return `backend ${of.clusterId} ${of.backendId} ${formatAddress(of.address)}`;
}

type Packet = { readonly bytes: Uint8Array; readonly revision: number } | { readonly listen: SocketAddress };

/** A worker whose inbox somebody else empties. */
export class SimWorker {
  readonly id: number;
  readonly replica: Replica;
  state: "starting" | "serving" | "leaving";
  readonly inbox: Packet[];
  readonly #sim: WorkerSim;
  readonly #queue: ChangeQueue;
  readonly #start: { readonly revision: number; readonly bytes: Uint8Array };
  #later: ChangeQueue | null;

  constructor(sim: WorkerSim, id: number, start: { readonly revision: number; readonly bytes: Uint8Array }) {
    this.id = id;
    this.state = "starting";
    this.inbox = [];
    this.#sim = sim;
    this.#start = start;
    this.#later = null;
    this.replica = new Replica(new FakeProxy(id, sim.refuses));
    const runLater = (queue: ChangeQueue): void => {
      this.#later = queue;
    };
    const loop = { runLater } as unknown as EventLoop;
    this.#queue = new ChangeQueue(loop, this.replica, {
      onFollowed: (revision, refusals) => this.#ack(revision, refusals),
    });
  }

  get isIdle(): boolean {
    return this.state !== "starting" && this.inbox.length === 0 && this.#later === null;
  }

  /** Does one thing: starts, takes a packet, or goes on with a set for one slice. */
  step(): void {
    if (this.state === "starting") {
      for (const packet of this.inbox) if ("listen" in packet) this.replica.hold(packet.listen, -1);
      this.replica.replay(this.#start.bytes);
      this.state = "serving";
      this.#sim.onReady(this);
      this.#ack(this.#start.revision, []);
      return;
    }
    const later = this.#later;
    const packet = later === null || this.#sim.chance() ? this.inbox.shift() : undefined;
    if (packet === undefined) {
      this.#later = null;
      later?.onReady();
    } else if ("listen" in packet) {
      this.replica.hold(packet.listen, -1);
    } else {
      this.#queue.take(packet.bytes, 0, packet.bytes.length, packet.revision, false);
    }
  }

  #ack(revision: number, refusals: readonly Refusal[]): void {
    const { hashLow, hashHigh } = this.replica.mirror;
    const standing: Standing = { hashLow, hashHigh, sessions: 0, refusals: [...refusals] };
    this.#sim.keeper.changes.onAck(this.id, revision, standing);
  }
}

/** A keeper with two places for workers. */
export class WorkerSim {
  readonly state: ConfigState;
  readonly sockets: FakeSockets;
  readonly keeper: StateKeeper;
  readonly refuses: Refuses;
  readonly chance: () => boolean;
  /** Why workers were replaced. */
  readonly replaced: string[];
  workers: SimWorker[];
  #nextId: number;

  constructor(refuses: Refuses, chance: () => boolean) {
    this.state = new ConfigState();
    this.sockets = new FakeSockets();
    this.refuses = refuses;
    this.chance = chance;
    this.replaced = [];
    this.workers = [];
    this.#nextId = 0;
    const targets: ChangeTargets & { listenOn(address: SocketAddress): void } = {
      serving: () => this.workers.filter(({ state }) => state === "serving").map(({ id }) => id),
      send: (blocks, revision, except) => {
        const bytes = Buffer.concat(blocks);
        for (const worker of this.workers) if (except?.has(worker.id) !== true) worker.inbox.push({ bytes, revision });
      },
      replace: (id, reason) => {
        this.replaced.push(reason);
        this.#leave(id);
      },
      listenOn: (listen) => {
        for (const { inbox } of this.workers) inbox.push({ listen });
      },
    };
    const sockets = this.sockets as unknown as ListenSockets;
    this.keeper = new StateKeeper({
      state: this.state,
      sockets,
      workerTimeoutMs: 1000,
      targets,
      onChange: () => undefined,
    });
    this.#launch();
    this.#launch();
  }

  /** A worker dies; another one starts in its place. */
  kill(worker: SimWorker): void {
    this.workers = this.workers.filter((other) => other !== worker);
    this.keeper.changes.onGone(worker.id);
    if (worker.state !== "leaving") this.#launch();
  }

  onReady(_worker: SimWorker): void {
    const leaving = this.workers.find(({ state }) => state === "leaving");
    if (leaving !== undefined) this.kill(leaving);
  }

  /** Lets everything that is under way come to its end. */
  async settle(): Promise<void> {
    for (let quiet = 0, rounds = 0; quiet < 3; quiet++) {
      if (++rounds > 2000) throw new Error("it never comes to rest");
      await new Promise(setImmediate);
      for (const worker of [...this.workers]) {
        if (worker.isIdle) continue;
        worker.step();
        quiet = 0;
      }
    }
  }

  /** Whether main and every worker that serves have the same state. */
  get inStep(): boolean {
    const { hashLow, hashHigh } = this.state.mirror;
    return this.workers.every(
      ({ state, replica: { mirror } }) =>
        state !== "serving" || (mirror.hashLow === hashLow && mirror.hashHigh === hashHigh),
    );
  }

  #leave(id: number): void {
    const worker = this.workers.find((each) => each.id === id);
    if (worker === undefined || worker.state === "leaving") return;
    worker.state = "leaving";
    this.#launch();
  }

  #launch(): void {
    const worker = new SimWorker(this, this.#nextId++, this.keeper.snapshot());
    for (const table of [this.state.httpListeners, this.state.httpsListeners]) {
      for (const { object } of table.entries.values()) if (object.active) worker.inbox.push({ listen: object.address });
    }
    this.workers.push(worker);
  }
}
