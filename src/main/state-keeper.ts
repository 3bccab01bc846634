// Main's state and everything that follows from a change of it: listening sockets are bound before a listener is
// activated and closed after it is deactivated, and the change goes to the workers (change-log.ts). A request ends in
// exactly one of: applied everywhere, or refused with the reason and nothing changed anywhere.

import { formatAddress } from "../command/address.ts";
import type { Request, Response } from "../command/gen/sozu_pb.ts";
import { failureResponse, okResponse } from "../command/messages.ts";
import type { Change, SocketAddress } from "../command/objects.ts";
import { encodeChanges, encodeState } from "../command/snapshot.ts";
import type { Applied, ConfigState, Origin } from "../command/state.ts";
import { ChangeLog, type ChangeTargets, type Outcome } from "./change-log.ts";
import type { ListenSockets } from "./listen-sockets.ts";

/** What the keeper needs besides the state. */
export interface StateKeeperOptions {
  /** The state to begin with; the keeper owns it from now on. */
  readonly state: ConfigState;
  readonly sockets: ListenSockets;
  /** How long workers may take to acknowledge, in milliseconds. */
  readonly workerTimeoutMs: number;
  /** The workers; asked for late, because they are started from this state. */
  readonly targets: ChangeTargets & { listenOn(address: SocketAddress): void };
}

/** Owns the state of main. */
export class StateKeeper {
  readonly state: ConfigState;
  readonly changes: ChangeLog;
  readonly #options: StateKeeperOptions;
  #flushScheduled: boolean;

  constructor(options: StateKeeperOptions) {
    this.state = options.state;
    this.changes = new ChangeLog(options.targets);
    this.#options = options;
    this.#flushScheduled = false;
  }

  /** Binds the listeners that are active, before any worker runs. Returns null or the reason why one cannot be. */
  bindActive(): string | null {
    for (const { object, message } of this.state.httpListeners.entries.values()) {
      const problem = message.active ? this.#options.sockets.open(object.address) : null;
      if (problem !== null) return problem;
    }
    return null;
  }

  /** Applies a request and resolves with its answer once every worker has it. */
  async apply(request: Request, origin: Origin, progress: (text: string) => void): Promise<Response> {
    const applied = this.state.apply(request, origin);
    if (!applied.ok) {
      return failureResponse(`could not dispatch request on the main process state: ${applied.error.message}`);
    }
    progress("Processing worker request...");
    if (applied.changes.length === 0) return okResponse(APPLIED);
    const problem = this.#bind(applied);
    if (problem !== null) return failureResponse(problem);
    for (const address of activated(applied.changes)) this.#options.targets.listenOn(address);
    const outcome = await this.#publish(applied);
    this.#unbind(outcome.kind === "refused" ? activated(applied.changes) : deactivated(applied.changes));
    return answerOf(outcome, this.#options.workerTimeoutMs);
  }

  /** The whole state for a new worker; whatever was recorded before it has been sent to the others. */
  snapshot(): { readonly revision: number; readonly bytes: Uint8Array } {
    this.changes.flush();
    return { revision: this.state.revision, bytes: encodeState(this.state) };
  }

  #publish(applied: Applied): Promise<Outcome> {
    const { state } = this;
    const outcome = this.changes.record({
      revision: state.revision,
      hash: { low: state.mirror.hashLow, high: state.mirror.hashHigh },
      block: encodeChanges(state, applied.changes),
      deadlineMs: performance.now() + this.#options.workerTimeoutMs,
      undo: () => state.revert(applied),
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
      const listener = this.state.httpListeners.get(formatAddress(address));
      if (listener?.message.active !== true) this.#options.sockets.close(address);
    }
  }
}

const APPLIED = "Successfully applied request to all workers";

function answerOf(outcome: Outcome, timeoutMs: number): Response {
  switch (outcome.kind) {
    case "applied":
      return okResponse(outcome.note === "" ? APPLIED : `${APPLIED}; ${outcome.note}`);
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
  return changes.filter((change) => change.kind === "activate_http_listener").map((change) => change.address);
}

function deactivated(changes: readonly Change[]): SocketAddress[] {
  return changes.filter((change) => change.kind === "deactivate_http_listener").map((change) => change.address);
}
