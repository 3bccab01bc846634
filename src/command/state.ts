// The configuration state: main's truth about listeners, clusters, frontends and backends (spec 4.7). apply() either
// changes it and says what workers have to do, or refuses and changes nothing. It keeps the protobuf messages (for
// lists and saved states), the resolved records (for workers), origins, a revision, and the hash that workers must
// match. Pure: no clock, no files, no sockets. Kinds that are added later are siblings under state/.

import { create } from "@bufbuild/protobuf";
import { addressFromMessage, compareAddresses, formatAddress } from "./address.ts";
import { CommandError, type CommandErrorCode, commandError } from "./errors.ts";
import { ChangeWriter } from "./flat.ts";
import type {
  ActivateListener,
  DeactivateListener,
  HttpListenerConfig,
  RemoveListener,
  Request,
} from "./gen/sozu_pb.ts";
import { ListenerType, RequestSchema } from "./gen/sozu_pb.ts";
import { StateMirror } from "./mirror.ts";
import type { Change } from "./objects.ts";
import type { ShardedMap } from "./sharded-map.ts";
import * as clusters from "./state/clusters.ts";
import * as frontends from "./state/http-frontends.ts";
import * as listeners from "./state/http-listeners.ts";
import { reattachFrontends } from "./state/reattach.ts";
import type { Origin, Step } from "./state/table.ts";

export type { Entry, Origin } from "./state/table.ts";

/** A request that was taken. `changes` may be empty: it was already so. Hand it to revert() to take it back. */
export interface Applied {
  readonly ok: true;
  /** In the order in which workers have to apply them. */
  readonly changes: readonly Change[];
  readonly steps: readonly Step[];
}

/** A request that was refused; the state is as before. */
export interface Refused {
  readonly ok: false;
  readonly error: CommandError;
}

export type ApplyResult = Applied | Refused;

/** The state. */
export class ConfigState {
  /** Grows by one with each request that changed something, also with a revert. */
  revision = 0;
  readonly httpListeners: listeners.HttpListenerTable = listeners.httpListenerTable();
  readonly clusters: clusters.ClusterTable = clusters.clusterTable();
  readonly httpFrontends: frontends.HttpFrontendTable = frontends.httpFrontendTable();
  readonly backends: clusters.BackendTable = clusters.backendTable();
  /** Whole-state and per-cluster hashes. */
  readonly mirror: StateMirror = new StateMirror();
  /** How many requests of each name were dispatched, refused ones included (CountRequests). */
  readonly requestCounts: Map<string, number> = new Map();
  readonly #scratch: ChangeWriter = new ChangeWriter();

  /** Counts a request; apply() does it by itself. */
  count(name: Request["requestType"]["case"]): void {
    if (name === undefined) return;
    const key = requestName(name);
    this.requestCounts.set(key, (this.requestCounts.get(key) ?? 0) + 1);
  }

  /**
   * Why a request could never be applied, whatever the state holds; null when it is well-formed. Whether it would change
   * something (EXISTS, NOT_FOUND, NO_CHANGE) is left to apply().
   */
  check(request: Request): CommandError | null {
    const outcome = this.#dispatch(request.requestType, "socket", this.revision + 1);
    return outcome instanceof CommandError && !STATE_DEPENDENT.includes(outcome.code) ? outcome : null;
  }

  /** Applies one request, all or nothing. */
  apply(request: Request, origin: Origin): ApplyResult {
    this.count(request.requestType.case);
    const outcome = this.#dispatch(request.requestType, origin, this.revision + 1);
    if (outcome instanceof CommandError) return { ok: false, error: outcome };
    const changes: Change[] = [];
    for (const step of outcome) changes.push(...step.take());
    this.#follow(changes);
    return { ok: true, changes, steps: outcome };
  }

  /** Takes back what apply() did, but for objects that were changed again since; returns what workers have to do. */
  revert(applied: Applied): readonly Change[] {
    const changes: Change[] = [];
    for (let i = applied.steps.length - 1; i >= 0; i--) changes.push(...applied.steps[i]!.back());
    this.#follow(changes);
    return changes;
  }

  /** Gauges `configuration.*`. */
  get frontendCount(): number {
    return this.httpFrontends.size;
  }

  /** The requests that rebuild this state, in the order of spec 4.8; deterministic. */
  toRequests(): Request[] {
    const requests: Request[] = [];
    const push = (requestType: Request["requestType"]): void => {
      requests.push(create(RequestSchema, { requestType }));
    };
    const sortedListeners = [...this.httpListeners.entries.values()].sort((a, b) =>
      compareAddresses(a.object.address, b.object.address),
    );
    for (const { message } of sortedListeners) {
      push({ case: "addHttpListener", value: message });
      if (message.active) push({ case: "activateListener", value: activation(message.address!) });
    }
    for (const entry of sortedEntries(this.clusters.entries)) push({ case: "addCluster", value: entry.message });
    for (const entry of sortedEntries(this.httpFrontends.entries)) {
      push({ case: "addHttpFrontend", value: entry.message });
    }
    const sortedBackends = [...this.backends.entries.values()].sort((a, b) =>
      clusters.compareBackends(a.object, b.object),
    );
    for (const { message } of sortedBackends) push({ case: "addBackend", value: message });
    return requests;
  }

  /** The changes that rebuild this state in a worker, unsorted within a kind. */
  *toChanges(): Generator<Change> {
    const tables = [this.httpListeners, this.clusters, this.httpFrontends, this.backends];
    for (const table of tables) {
      const transition = table.transition as (before: undefined, after: unknown) => Change[];
      for (const entry of table.entries.values()) yield* transition(undefined, entry.object);
    }
  }

  #follow(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    this.revision += 1;
    const scratch = this.#scratch;
    for (const change of changes) {
      scratch.reset();
      scratch.change(change);
      this.mirror.apply(change, scratch.bytes, scratch.changeStart, scratch.identityEnd, scratch.changeEnd);
    }
  }

  #dispatch(request: Request["requestType"], origin: Origin, revision: number): clusters.Outcome {
    switch (request.case) {
      case "addCluster":
        return clusters.addCluster(this.clusters, request.value, origin, revision);
      case "removeCluster":
        return clusters.removeCluster(this.clusters, request.value);
      case "addBackend":
        return clusters.addBackend(this.backends, request.value, origin, revision);
      case "removeBackend":
        return clusters.removeBackend(this.backends, request.value);
      case "setHealthCheck":
        return clusters.setHealthCheck(this.clusters, request.value, origin, revision);
      case "removeHealthCheck":
        return clusters.removeHealthCheck(this.clusters, request.value, origin, revision);
      case "updateHttpListener":
        return listeners.updateHttpListener(this.httpListeners, request.value, origin, revision);
      case "addHttpFrontend":
        return frontends.addHttpFrontend(this.httpFrontends, request.value, origin, revision);
      case "removeHttpFrontend":
        return frontends.removeHttpFrontend(this.httpFrontends, request.value);
      case "addHttpListener":
        return this.#addHttpListener(request.value, origin, revision);
      case "removeListener":
      case "activateListener":
      case "deactivateListener":
        return this.#listener(request.case, request.value, revision);
      case undefined:
        return commandError("EMPTY_REQUEST");
      default:
        return commandError(LATER.has(request.case) ? "NOT_SUPPORTED" : "UNDISPATCHABLE", requestName(request.case));
    }
  }

  #addHttpListener(message: HttpListenerConfig, origin: Origin, revision: number): clusters.Outcome {
    const steps = listeners.addHttpListener(this.httpListeners, message, origin, revision);
    if (steps instanceof CommandError || message.address === undefined) return steps;
    const address = addressFromMessage(message.address);
    const again = typeof address === "string" ? null : reattachFrontends(this.httpFrontends, formatAddress(address));
    return again === null ? steps : [...steps, again];
  }

  #listener(
    verb: "removeListener" | "activateListener" | "deactivateListener",
    message: RemoveListener | ActivateListener | DeactivateListener,
    revision: number,
  ): clusters.Outcome {
    if (message.proxy !== ListenerType.HTTP) {
      return commandError("NOT_SUPPORTED", `a listener of type ${LISTENER_TYPES[message.proxy]}`);
    }
    if (verb === "removeListener") return listeners.removeHttpListener(this.httpListeners, message.address);
    const active = verb === "activateListener";
    return listeners.setHttpListenerActive(this.httpListeners, message.address, active, revision);
  }
}

/** `addHttpFrontend` -> `AddHttpFrontend`: the names of requests in ids, counts and refusals. */
export function requestName(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/** Whether main has to dispatch this kind of request to the state (spec 4.3, column S). */
export function changesState(name: Request["requestType"]["case"]): boolean {
  return name !== undefined && (HANDLED.has(name) || LATER.has(name));
}

const HANDLED: ReadonlySet<string> = new Set([
  "addCluster",
  "removeCluster",
  "addBackend",
  "removeBackend",
  "addHttpFrontend",
  "removeHttpFrontend",
  "addHttpListener",
  "removeListener",
  "activateListener",
  "deactivateListener",
  "updateHttpListener",
  "setHealthCheck",
  "removeHealthCheck",
]);

/** Requests for objects that are not built yet. */
const LATER: ReadonlySet<string> = new Set([
  "addHttpsFrontend",
  "removeHttpsFrontend",
  "addCertificate",
  "replaceCertificate",
  "removeCertificate",
  "addTcpFrontend",
  "removeTcpFrontend",
  "addUdpFrontend",
  "removeUdpFrontend",
  "addHttpsListener",
  "addTcpListener",
  "addUdpListener",
  "updateHttpsListener",
  "updateTcpListener",
  "updateUdpListener",
]);

const LISTENER_TYPES: readonly string[] = ["HTTP", "HTTPS", "TCP", "UDP"];

/** Refusals that the same request may not meet in another state. */
const STATE_DEPENDENT: readonly CommandErrorCode[] = ["NOT_FOUND", "EXISTS", "NO_CHANGE"];

function activation(address: NonNullable<ActivateListener["address"]>): ActivateListener {
  const value = { address, proxy: ListenerType.HTTP, fromScm: false };
  return create(RequestSchema, { requestType: { case: "activateListener", value } }).requestType
    .value as ActivateListener;
}

/** The entries of a table by the order of their keys. */
export function sortedEntries<E>(entries: ShardedMap<E>): E[] {
  return [...entries.keys()].sort().map((key) => entries.get(key)!);
}
