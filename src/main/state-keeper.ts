// Main's state and everything that follows from a change of it: listening sockets are bound before a listener is
// activated and closed after it is deactivated, and the change goes to the workers (change-log.ts). A request ends in
// exactly one of: applied everywhere, or refused with the reason and nothing changed anywhere.

import { addressFromMessage, formatAddress } from "../command/address.ts";
import { CommandError } from "../command/errors.ts";
import {
  type SocketAddress as AddressMessage,
  ListenerType,
  type Request,
  type Response,
} from "../command/gen/sozu_pb.ts";
import { failureResponse, okResponse } from "../command/messages.ts";
import { storedNotes } from "../command/notes.ts";
import type { Change, SocketAddress } from "../command/objects.ts";
import { encodeChanges, encodeState, encodingChanges } from "../command/snapshot.ts";
import type { Step } from "../command/state/table.ts";
import type { Applied, ConfigState, Origin, Refused } from "../command/state.ts";
import type { Trail } from "./audit.ts";
import { ChangeLog, type ChangeTargets, type Outcome } from "./change-log.ts";
import type { ListenSockets } from "./listen-sockets.ts";
import { packItem } from "./packed-requests.ts";
import { inSlices } from "./slices.ts";

const SNAPSHOT_KEPT_MS = 1000;
/** A worker's time for one of many changes that come at once, beyond its time for any. */
const CHANGE_MS = 0.1;

/** What the keeper needs besides the state. */
export interface StateKeeperOptions {
  /** The state to begin with; the keeper owns it from now on. */
  readonly state: ConfigState;
  readonly sockets: ListenSockets;
  /** How long workers may take to acknowledge, in milliseconds. */
  readonly workerTimeoutMs: number;
  /** The workers; asked for late, because they are started from this state. */
  readonly targets: ChangeTargets & { listenOn(address: SocketAddress): void };
  /** Called after each change of the state. */
  onChange(): void;
  /** What a later main must know of changes (journal.ts); null while nobody keeps it. */
  journal?(): ChangeJournal | null;
}

/** Hears of every request that was taken, before any worker does. */
export interface ChangeJournal {
  /** Items of packItem(), one change that made `revision`. */
  taken(items: readonly Uint8Array[], revision: number): void;
  undone(revision: number): void;
}

/** What became of a request on main. */
export type Submission =
  | { readonly kind: "refused"; readonly error: CommandError }
  /** A listening socket cannot be had; nothing has changed. */
  | { readonly kind: "unbound"; readonly reason: string }
  /** It is already so. */
  | { readonly kind: "unchanged" }
  /** Only main has it: workers do not serve such objects yet. */
  | { readonly kind: "stored" }
  | { readonly kind: "published"; readonly outcome: Promise<Outcome> };

/** What became of several requests on main, taken as one change. */
export type SetSubmission =
  /** The request at `index` was; nothing has changed. */
  | { readonly kind: "refused"; readonly index: number; readonly reason: string }
  | {
      readonly kind: "taken";
      /** Requests that changed something: for workers, for main alone. */
      readonly counts: { readonly published: number; readonly stored: number };
      readonly outcome: Promise<Outcome>;
    };

/** How several requests are taken. */
export interface SetOptions {
  readonly origin: Origin;
  /** Refuses frontends whose listener is not there. */
  readonly needsListeners?: boolean;
  /** Whether a request that the state refused is left out (true) or refuses all. */
  readonly isFine?: (request: Request, index: number, error: CommandError) => boolean;
}

/** Owns the state of main. */
export class StateKeeper {
  readonly state: ConfigState;
  readonly changes: ChangeLog;
  readonly #options: StateKeeperOptions;
  #flushScheduled: boolean;
  /** The last one, for a moment. */
  #snapshot: { readonly revision: number; readonly bytes: Uint8Array } | null;
  /** What is left to do of a change of many requests in main's state; null: nothing. */
  #running: Generator<void, void> | null;
  /** A change of many requests is under way, until workers have answered it. */
  #busy: boolean;
  #idle: Promise<void>;
  /** The entries that single changes touch which workers have not answered, by name. Such changes never reject. */
  readonly #unsettled: Map<string, Promise<Outcome>>;

  constructor(options: StateKeeperOptions) {
    this.state = options.state;
    this.changes = new ChangeLog(options.targets);
    this.#options = options;
    this.#flushScheduled = false;
    this.#snapshot = null;
    this.#running = null;
    this.#busy = false;
    this.#idle = Promise.resolve();
    this.#unsettled = new Map();
  }

  /** Binds the listeners that are active, before any worker runs. Returns null or the reason why one cannot be. */
  bindActive(): string | null {
    for (const address of this.activeListeners().values()) {
      const problem = this.#options.sockets.open(address);
      if (problem !== null) return problem;
    }
    return null;
  }

  /** The addresses of active listeners, by name. */
  activeListeners(): ReadonlyMap<string, SocketAddress> {
    const active = new Map<string, SocketAddress>();
    for (const table of [this.state.httpListeners, this.state.httpsListeners]) {
      for (const { object } of table.entries.values()) {
        if (object.active) active.set(formatAddress(object.address), object.address);
      }
    }
    return active;
  }

  /** Applies a request and resolves with its answer once every worker has it. */
  async apply(
    request: Request,
    origin: Origin,
    progress: (text: string) => void,
    trail: Trail | null = null,
  ): Promise<Response> {
    const submission = await this.#submitInTurn(request, origin);
    if (typeof submission === "string") return failureResponse(submission);
    switch (submission.kind) {
      case "refused":
        return failureResponse(`could not dispatch request on the main process state: ${submission.error.message}`);
      case "unbound":
        return failureResponse(submission.reason);
      case "unchanged":
        return okResponse(APPLIED);
      case "stored":
        return okResponse(APPLIED);
      case "published": {
        progress("Processing worker request...");
        trail?.published();
        const outcome = await submission.outcome;
        trail?.settled(outcome);
        const notes = outcome.kind === "applied" ? storedNotes(this.state, request, Date.now() / 1000) : [];
        return answerOf(outcome, notes, this.#options.workerTimeoutMs);
      }
    }
  }

  /**
   * Applies a request to main's state, binds what it activates and sends it to the workers with the next batch. It waits
   * while something that it builds on is on its way to workers: they may refuse that, and taking it back must not meet
   * what others made of it meanwhile. A string: there is no listener for it.
   */
  async #submitInTurn(request: Request, origin: Origin): Promise<Submission | string> {
    for (let patience = 1; ; patience--) {
      while (this.#busy) await this.#idle;
      const homeless = this.#missingListener(request);
      const prepared = homeless ?? this.state.prepare(request, origin);
      const earlier = this.#earlier(prepared, patience > 0);
      if (earlier !== null) {
        await earlier;
        continue;
      }
      if (typeof prepared === "string") return prepared;
      this.state.count(request.requestType.case);
      if (prepared instanceof CommandError) return { kind: "refused", error: prepared };
      const applied = this.state.take(prepared as readonly Step[]);
      const items = this.#journal === null || applied.steps.length === 0 ? NO_ITEMS : [packItem(request, origin)];
      const submission = this.#submit(applied, null, items);
      if (submission.kind === "published") this.#remember(prepared as readonly Step[], submission.outcome);
      return submission;
    }
  }

  /** What has to be settled before; null: nothing. What would do nothing may do so because of anything under way. */
  #earlier(prepared: readonly Step[] | CommandError | string, isPatient: boolean): Promise<unknown> | null {
    if (this.#unsettled.size === 0) return null;
    if (typeof prepared === "string" || prepared instanceof CommandError || prepared.length === 0) {
      return isPatient ? Promise.all(this.#unsettled.values()) : null;
    }
    for (const { name } of prepared) {
      const earlier = this.#unsettled.get(name);
      if (earlier !== undefined) return earlier;
    }
    return null;
  }

  #remember(steps: readonly Step[], outcome: Promise<Outcome>): void {
    for (const { name } of steps) if (name !== "") this.#unsettled.set(name, outcome);
    outcome.then(() => {
      for (const { name } of steps) this.#unsettled.delete(name);
    });
  }

  /**
   * The same for many requests, all or nothing, as one change. It begins when workers have answered everything before it,
   * is done in slices, and other changes wait until workers have answered it; who only looks sees what is there so far.
   * Their sockets must be open already (openFor).
   */
  async submitAll(requests: readonly Request[], options: SetOptions): Promise<SetSubmission> {
    const release = await this.#lock();
    const takeAll = this.#takeAll(requests, options);
    let taken: SetSubmission | null = null;
    const run = function* run(): Generator<void, void> {
      taken = yield* takeAll;
    };
    await this.#run(run()).catch((error: unknown) => {
      release();
      throw error;
    });
    const submission = taken as unknown as SetSubmission;
    if (submission.kind === "taken") submission.outcome.then(release);
    else release();
    return submission;
  }

  /** Everything under way is settled, and no change begins until the function that it resolves with is called. */
  async #lock(): Promise<() => void> {
    while (this.#busy) await this.#idle;
    this.#busy = true;
    let release = (): void => undefined;
    this.#idle = new Promise((resolve) => {
      release = () => {
        this.#busy = false;
        resolve();
      };
    });
    await Promise.all(this.#unsettled.values());
    return release;
  }

  async #run(steps: Generator<void, void>): Promise<void> {
    this.#running = steps;
    await inSlices(steps).finally(() => {
      this.#running = null;
    });
  }

  *#takeAll(
    requests: readonly Request[],
    { origin, needsListeners, isFine }: SetOptions,
  ): Generator<void, SetSubmission> {
    const changes: Change[] = [];
    const steps: Step[] = [];
    const items: Uint8Array[] = [];
    const counts = { published: 0, stored: 0 };
    for (let index = 0; index < requests.length; index++) {
      const request = requests[index]!;
      const homeless = needsListeners === true ? this.#missingListener(request) : null;
      const applied = homeless === null ? this.state.apply(request, origin) : null;
      if (applied === null || !applied.ok) {
        if (applied !== null && isFine?.(request, index, (applied as Refused).error) === true) continue;
        yield* this.state.reverting({ ok: true, changes, steps });
        return { kind: "refused", index, reason: homeless ?? (applied as Refused).error.message };
      }
      if (applied.changes.length > 0) counts.published += 1;
      else if (applied.steps.length > 0) counts.stored += 1;
      for (const change of applied.changes) changes.push(change);
      for (const step of applied.steps) steps.push(step);
      if (this.#journal !== null && applied.steps.length > 0) items.push(packItem(request, origin));
      yield;
    }
    const applied: Applied = { ok: true, changes, steps };
    const block = changes.length === 0 ? null : yield* encodingChanges(this.state, changes);
    const submission = this.#submit(applied, block, items);
    if (submission.kind === "unbound") return { kind: "refused", index: -1, reason: submission.reason };
    const outcome = submission.kind === "published" ? submission.outcome : Promise.resolve(NOTHING_SENT);
    return { kind: "taken", counts, outcome };
  }

  /** Runs steps during which the state stays as it is: changes wait. It may not need the workers. */
  async exclusively(steps: Generator<void, void>): Promise<void> {
    const release = await this.#lock();
    try {
      await this.#run(steps);
    } finally {
      release();
    }
  }

  /** Whoever needs the whole state now cannot wait for slices. */
  #finishRunning(): void {
    const running = this.#running;
    while (running !== null && running.next().done !== true);
  }

  get #journal(): ChangeJournal | null {
    return this.#options.journal?.() ?? null;
  }

  #submit(
    applied: Applied,
    block: Uint8Array | null,
    items: readonly Uint8Array[],
  ): Exclude<Submission, { kind: "refused" }> {
    if (applied.steps.length === 0) return { kind: "unchanged" };
    if (applied.changes.length === 0) {
      this.#journal?.taken(items, this.state.revision);
      this.#options.onChange();
      return { kind: "stored" };
    }
    const problem = this.#bind(applied);
    if (problem !== null) return { kind: "unbound", reason: problem };
    this.#journal?.taken(items, this.state.revision);
    for (const address of activated(applied.changes)) this.#options.targets.listenOn(address);
    this.#options.onChange();
    return { kind: "published", outcome: this.#followUp(applied, block ?? encodeChanges(this.state, applied.changes)) };
  }

  /** The listening sockets that a request would need and that are not open: opens them. Returns those, or the problem. */
  openFor(request: Request): readonly SocketAddress[] | string {
    const { requestType } = request;
    if (requestType.case !== "activateListener" || !SERVED.includes(requestType.value.proxy)) return [];
    const address = addressFromMessage(requestType.value.address);
    if (typeof address === "string" || this.#options.sockets.has(address)) return [];
    return this.#options.sockets.open(address) ?? [address];
  }

  /** Closes sockets of openFor() that no active listener uses. */
  closeUnused(addresses: readonly SocketAddress[]): void {
    this.#unbind(addresses);
  }

  /** The whole state for a new worker; whatever was recorded before it has been sent to the others. */
  snapshot(): { readonly revision: number; readonly bytes: Uint8Array } {
    this.#finishRunning();
    this.changes.flush();
    const { revision } = this.state;
    // Workers start together: the same bytes are for all of them.
    if (this.#snapshot?.revision !== revision) this.#snapshot = { revision, bytes: encodeState(this.state) };
    setTimeout(() => {
      this.#snapshot = null;
    }, SNAPSHOT_KEPT_MS).unref();
    return this.#snapshot;
  }

  async #followUp(applied: Applied, block: Uint8Array): Promise<Outcome> {
    const outcome = await this.#publish(applied, block);
    this.#unbind(outcome.kind === "refused" ? activated(applied.changes) : deactivated(applied.changes));
    return outcome;
  }

  /**
   * Sozu's workers refuse a frontend whose listener does not exist; here main says so itself. In a saved state it may
   * stand before its listener, or be left over from one that was removed: then it waits for it.
   */
  #missingListener({ requestType }: Request): string | null {
    const protocol = requestType.case === undefined ? undefined : FRONTEND_PROTOCOLS[requestType.case];
    if (protocol === undefined) return null;
    const address = addressFromMessage((requestType.value as { address?: AddressMessage }).address);
    if (typeof address === "string") return null;
    const name = formatAddress(address);
    if (this.state[`${protocol}Listeners`].get(name) !== undefined) return null;
    return `no listener found at ${name}; add it first: sozu listener ${protocol} add --address ${name}`;
  }

  #publish(applied: Applied, block: Uint8Array): Promise<Outcome> {
    const { state } = this;
    const { revision } = state;
    const outcome = this.changes.record({
      revision,
      hash: { low: state.mirror.hashLow, high: state.mirror.hashHigh },
      block,
      deadlineMs: performance.now() + this.#options.workerTimeoutMs + applied.changes.length * CHANGE_MS,
      undo: (refusers) => {
        const back = state.revert(applied);
        this.#journal?.undone(revision);
        this.#options.onChange();
        const hash = { low: state.mirror.hashLow, high: state.mirror.hashHigh };
        if (back.length > 0) this.changes.correct(encodeChanges(state, back), state.revision, hash, refusers);
      },
    });
    this.#scheduleFlush();
    return outcome;
  }

  // What arrives in one turn of Node's loop travels in one packet.
  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => {
      this.#flushScheduled = false;
      this.changes.flush();
    });
  }

  /** Binds what the change activates. When that fails the change is taken back; returns the reason. */
  #bind(applied: Applied): string | null {
    const bound: SocketAddress[] = [];
    for (const address of activated(applied.changes)) {
      const fresh = !this.#options.sockets.has(address);
      const problem = this.#options.sockets.open(address);
      if (problem !== null) {
        this.state.revert(applied);
        this.#unbind(bound);
        return problem;
      }
      if (fresh) bound.push(address);
    }
    return null;
  }

  // Somebody may have activated the listener again meanwhile: then its sockets are in use.
  #unbind(addresses: readonly SocketAddress[]): void {
    for (const address of addresses) {
      const name = formatAddress(address);
      const { httpListeners, httpsListeners } = this.state;
      if (httpListeners.get(name)?.object.active === true) continue;
      if (httpsListeners.get(name)?.object.active !== true) this.#options.sockets.close(address);
    }
  }
}

/** The listeners that requests for new objects need. */
const FRONTEND_PROTOCOLS: Readonly<Record<string, "http" | "https" | "tcp" | "udp">> = {
  addHttpFrontend: "http",
  addHttpsFrontend: "https",
  addCertificate: "https",
  addTcpFrontend: "tcp",
  addUdpFrontend: "udp",
};

/** The protocols whose listeners get a socket. */
const SERVED: readonly ListenerType[] = [ListenerType.HTTP, ListenerType.HTTPS];

const NO_ITEMS: readonly Uint8Array[] = [];
const NOTHING_SENT: Outcome = { kind: "applied", note: "", accepted: 0, failed: 0 };
const APPLIED = "Successfully applied request to all workers";

/** `notes`: what an operator should know besides, when it was applied. */
function answerOf(outcome: Outcome, notes: readonly string[], timeoutMs: number): Response {
  switch (outcome.kind) {
    case "applied":
      return okResponse([APPLIED, outcome.note, ...notes].filter((part) => part !== "").join("; "));
    case "refused":
      return failureResponse(outcome.reason);
    case "timed out": {
      const names = outcome.workers.join(", ");
      const late = `worker ${names} did not answer within ${timeoutMs} ms and is being replaced`;
      return failureResponse(`${late}; the change is part of the state and its successor starts with it`);
    }
  }
}

function activated(changes: readonly Change[]): SocketAddress[] {
  const addresses: SocketAddress[] = [];
  for (const change of changes) {
    if (change.kind === "activate_http_listener" || change.kind === "activate_https_listener") {
      addresses.push(change.address);
    }
  }
  return addresses;
}

function deactivated(changes: readonly Change[]): SocketAddress[] {
  const addresses: SocketAddress[] = [];
  for (const change of changes) {
    if (change.kind === "deactivate_http_listener" || change.kind === "deactivate_https_listener") {
      addresses.push(change.address);
    }
  }
  return addresses;
}
