// The configuration state: main's truth about listeners, clusters, frontends and backends (spec 4.7). apply() either
// changes it and says what workers have to do, or refuses and changes nothing. It keeps the protobuf messages (for
// lists and saved states), the resolved records (for workers), origins, a revision, and the hash that workers must
// match. Objects whose traffic is not built yet stay here (state/stored.ts). Pure: no clock, no files, no sockets. Kinds
// that are added later are siblings under state/.

import { create } from "@bufbuild/protobuf";
import { addressFromMessage, compareAddresses, formatAddress } from "./address.ts";
import { toHttpFrontend } from "./convert.ts";
import { toHttpsFrontend } from "./convert-https.ts";
import { CommandError, type CommandErrorCode, commandError } from "./errors.ts";
import { ChangeWriter } from "./flat.ts";
import type { ActivateListener, ReplaceListener, Request, SocketAddress } from "./gen/sozu_pb.ts";
import { ListenerType, RequestSchema } from "./gen/sozu_pb.ts";
import { StateMirror } from "./mirror.ts";
import type { Change } from "./objects.ts";
import type { ShardedMap } from "./sharded-map.ts";
import * as certificates from "./state/certificates.ts";
import * as clusters from "./state/clusters.ts";
import * as frontends from "./state/http-frontends.ts";
import { httpListeners, httpsListeners } from "./state/http-listeners.ts";
import { reattach } from "./state/reattach.ts";
import * as stored from "./state/stored.ts";
import type { Entry, Origin, Step, Table } from "./state/table.ts";
import { type HashHalves, StoredHash } from "./stored-hash.ts";

export type { Entry, Origin } from "./state/table.ts";

/** A request that was taken. Hand it to revert() to take it back. */
export interface Applied {
  readonly ok: true;
  /** In the order in which workers have to apply them; empty when workers have nothing to do. */
  readonly changes: readonly Change[];
  /** What changed in the state; empty: it was already so. */
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
  /** The hash of what workers do not get. */
  readonly stored: StoredHash = new StoredHash();
  readonly #http = httpListeners();
  readonly #https = httpsListeners();
  readonly #tcp = stored.tcpListeners(this.stored);
  readonly #udp = stored.udpListeners(this.stored);
  readonly #tcpFrontends = stored.tcpFrontends(this.stored);
  readonly #udpFrontends = stored.udpFrontends(this.stored);
  readonly httpListeners = this.#http.table;
  readonly httpsListeners = this.#https.table;
  readonly tcpListeners = this.#tcp.table;
  readonly udpListeners = this.#udp.table;
  readonly clusters: clusters.ClusterTable = clusters.clusterTable();
  readonly httpFrontends: frontends.HttpFrontendTable = frontends.httpFrontendTable();
  readonly httpsFrontends: frontends.HttpsFrontendTable = frontends.httpsFrontendTable();
  readonly certificates: certificates.CertificateTable = certificates.certificateTable();
  readonly tcpFrontends = this.#tcpFrontends.table;
  readonly udpFrontends = this.#udpFrontends.table;
  readonly backends: clusters.BackendTable = clusters.backendTable();
  /** What workers have, with hashes of all of it and of each cluster. */
  readonly mirror: StateMirror = new StateMirror();
  /** How many requests of each name were dispatched, refused ones included (CountRequests). */
  readonly requestCounts: Map<string, number> = new Map();
  readonly #scratch: ChangeWriter = new ChangeWriter();
  readonly #isServed: boolean;

  /** `isServed` false: no worker will follow it, so what they have is not kept track of. */
  constructor(isServed = true) {
    this.#isServed = isServed;
  }

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
    const steps = this.prepare(request, origin);
    return steps instanceof CommandError ? { ok: false, error: steps } : this.take(steps);
  }

  /** What a request would change, or its refusal. It has to be taken before anything else changes. */
  prepare({ requestType }: Request, origin: Origin): readonly Step[] | CommandError {
    return this.#dispatch(requestType, origin, this.revision + 1);
  }

  take(steps: readonly Step[]): Applied {
    const changes: Change[] = [];
    for (const step of steps) changes.push(...step.take());
    if (steps.length > 0) {
      this.revision += 1;
      this.#mirror(changes);
    }
    return { ok: true, changes, steps };
  }

  /** Takes back what apply() did, but for objects that were changed again since; returns what workers have to do. */
  revert(applied: Applied): readonly Change[] {
    const steps = this.reverting(applied);
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    return step.value;
  }

  /** The same in steps; nothing else may change the state before the last one. */
  *reverting(applied: Applied): Generator<void, readonly Change[]> {
    const changes: Change[] = [];
    if (applied.steps.length > 0) this.revision += 1;
    for (let i = applied.steps.length - 1; i >= 0; i--) {
      const back = applied.steps[i]!.back();
      this.#mirror(back);
      for (const change of back) changes.push(change);
      yield;
    }
    return changes;
  }

  /** Gauges `configuration.*`. */
  get frontendCount(): number {
    return this.httpFrontends.size + this.httpsFrontends.size + this.tcpFrontends.size + this.udpFrontends.size;
  }

  /** The hash of everything, workers' and stored. */
  hash(): HashHalves {
    const { mirror, stored } = this;
    return {
      low: (mirror.hashLow + stored.hashLow) >>> 0,
      high: (mirror.hashHigh + stored.hashHigh) >>> 0,
    };
  }

  /** The hash of one cluster (spec 4.7); null when it does not exist. */
  clusterHash(id: string): bigint | null {
    if (this.clusters.get(id) === undefined) return null;
    const served = this.mirror.partOfCluster(id);
    const kept = this.stored.clusterSum(id);
    return (BigInt((served.high + kept.high) >>> 0) << 32n) | BigInt((served.low + kept.low) >>> 0);
  }

  /** The requests that rebuild this state, in the order of spec 4.8; deterministic. */
  toRequests(): Request[] {
    return Array.from(this.entries(), ([request]) => request);
  }

  /** The same, with where each object comes from. The state must not change meanwhile. */
  *entries(): Generator<readonly [request: Request, origin: Origin]> {
    const made = (requestType: Request["requestType"], { origin }: { readonly origin: Origin }) =>
      [create(RequestSchema, { requestType }), origin] as const;
    for (const entry of byAddress(this.httpListeners)) {
      const { message } = entry;
      yield made({ case: "addHttpListener", value: message }, entry);
      if (!message.active) continue;
      yield made({ case: "activateListener", value: activation(message.address!, ListenerType.HTTP) }, entry);
    }
    for (const entry of byAddress(this.httpsListeners)) {
      const { message } = entry;
      yield made({ case: "addHttpsListener", value: message }, entry);
      if (!message.active) continue;
      yield made({ case: "activateListener", value: activation(message.address!, ListenerType.HTTPS) }, entry);
    }
    for (const entry of byAddress(this.tcpListeners))
      yield made({ case: "addTcpListener", value: entry.message }, entry);
    for (const entry of byAddress(this.udpListeners))
      yield made({ case: "addUdpListener", value: entry.message }, entry);
    for (const entry of sortedEntries(this.clusters.entries)) {
      yield made({ case: "addCluster", value: entry.message }, entry);
    }
    for (const entry of sortedEntries(this.httpFrontends.entries)) {
      yield made({ case: "addHttpFrontend", value: entry.message }, entry);
    }
    for (const entry of sortedEntries(this.certificates.entries)) {
      yield made({ case: "addCertificate", value: entry.message }, entry);
    }
    for (const entry of sortedEntries(this.httpsFrontends.entries)) {
      yield made({ case: "addHttpsFrontend", value: entry.message }, entry);
    }
    for (const entry of byAge(this.tcpFrontends)) yield made({ case: "addTcpFrontend", value: entry.message }, entry);
    for (const entry of byAge(this.udpFrontends)) yield made({ case: "addUdpFrontend", value: entry.message }, entry);
    const sortedBackends = [...this.backends.entries.values()].sort((a, b) =>
      clusters.compareBackends(a.object, b.object),
    );
    for (const entry of sortedBackends) yield made({ case: "addBackend", value: entry.message }, entry);
  }

  /** The changes that rebuild this state in a worker, unsorted within a kind. */
  *toChanges(): Generator<Change> {
    yield* changesOf(this.httpListeners);
    yield* changesOf(this.httpsListeners);
    yield* changesOf(this.clusters);
    yield* changesOf(this.certificates);
    yield* changesOf(this.httpFrontends);
    yield* changesOf(this.httpsFrontends);
    yield* changesOf(this.backends);
  }

  #mirror(changes: readonly Change[]): void {
    if (!this.#isServed) return;
    const scratch = this.#scratch;
    for (const change of changes) {
      scratch.reset();
      scratch.change(change);
      this.mirror.apply(change, scratch.bytes, scratch.changeStart, scratch.identityEnd, scratch.hashedEnd);
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
        return this.#http.update(request.value, origin, revision);
      case "addTcpListener":
        return this.#tcp.add(request.value, origin, revision);
      case "updateTcpListener":
        return this.#tcp.update(request.value, origin, revision);
      case "addUdpListener":
        return this.#udp.add(request.value, origin, revision);
      case "updateUdpListener":
        return this.#udp.update(request.value, origin, revision);
      case "addTcpFrontend":
        return this.#tcpFrontends.add(request.value, origin, revision);
      case "removeTcpFrontend":
        return this.#tcpFrontends.remove(request.value);
      case "addUdpFrontend":
        return this.#udpFrontends.add(request.value, origin, revision);
      case "removeUdpFrontend":
        return this.#udpFrontends.remove(request.value);
      case "replaceListener":
        return this.#replaceListener(request.value.listener, origin, revision);
      case "addHttpFrontend":
        return frontends.addHttpFrontend(this.httpFrontends, toHttpFrontend, request.value, origin, revision);
      case "removeHttpFrontend":
        return frontends.removeHttpFrontend(this.httpFrontends, request.value);
      case "addHttpListener": {
        const steps = this.#http.add(request.value, origin, revision);
        return withWaiting(steps, request.value.address, (at) => [reattach(this.httpFrontends, at)]);
      }
      case "removeListener": {
        const kind = this.#listenersOf(request.value.proxy);
        return kind instanceof CommandError ? kind : kind.remove(request.value.address);
      }
      case "activateListener":
      case "deactivateListener": {
        const kind = this.#listenersOf(request.value.proxy);
        if (kind instanceof CommandError) return kind;
        const active = request.case === "activateListener";
        return (
          (active ? this.#occupied(request.value) : null) ?? kind.setActive(request.value.address, active, revision)
        );
      }
      case undefined:
        return commandError("EMPTY_REQUEST");
      default:
        return this.#dispatchTls(request, origin, revision);
    }
  }

  #dispatchTls(request: Request["requestType"], origin: Origin, revision: number): clusters.Outcome {
    switch (request.case) {
      case "addHttpsFrontend":
        return frontends.addHttpFrontend(this.httpsFrontends, toHttpsFrontend, request.value, origin, revision);
      case "removeHttpsFrontend":
        return frontends.removeHttpFrontend(this.httpsFrontends, request.value);
      case "addHttpsListener": {
        const steps = this.#https.add(request.value, origin, revision);
        const waiting = (at: string) => [reattach(this.certificates, at), reattach(this.httpsFrontends, at)];
        return withWaiting(steps, request.value.address, waiting);
      }
      case "updateHttpsListener":
        return this.#https.update(request.value, origin, revision);
      case "addCertificate":
        return certificates.addCertificate(this.certificates, request.value, origin, revision);
      case "replaceCertificate":
        return certificates.replaceCertificate(this.certificates, request.value, origin, revision);
      case "removeCertificate":
        return certificates.removeCertificate(this.certificates, request.value);
      default:
        return commandError("UNDISPATCHABLE");
    }
  }

  /** HTTP and HTTPS listeners may share an address, but only one of them has its socket. */
  #occupied({ address, proxy }: ActivateListener): CommandError | null {
    const where = address === undefined ? "" : addressFromMessage(address);
    if (typeof where === "string") return null;
    const other = proxy === ListenerType.HTTPS ? this.httpListeners : this.httpsListeners;
    const name = formatAddress(where);
    if (proxy !== ListenerType.HTTP && proxy !== ListenerType.HTTPS) return null;
    return other.get(name)?.object.active === true ? commandError("ADDRESS_IN_USE", other.kind, name) : null;
  }

  #replaceListener(listener: ReplaceListener["listener"], origin: Origin, revision: number): clusters.Outcome {
    switch (listener.case) {
      case "http":
        return this.#http.replace(listener.value, origin, revision);
      case "https":
        return this.#https.replace(listener.value, origin, revision);
      case "tcp":
        return this.#tcp.replace(listener.value, origin, revision);
      case "udp":
        return this.#udp.replace(listener.value, origin, revision);
      case undefined:
        return commandError("INVALID_VALUE", "listener", "it is missing");
    }
  }

  #listenersOf(type: ListenerType) {
    switch (type) {
      case ListenerType.HTTP:
        return this.#http;
      case ListenerType.TCP:
        return this.#tcp;
      case ListenerType.UDP:
        return this.#udp;
      case ListenerType.HTTPS:
        return this.#https;
    }
  }
}

/** A listener that was added, and once more what waits at its address. */
function withWaiting(
  steps: clusters.Outcome,
  message: SocketAddress | undefined,
  waiting: (address: string) => readonly (Step | null)[],
): clusters.Outcome {
  const address = message === undefined ? "" : addressFromMessage(message);
  if (steps instanceof CommandError || typeof address === "string") return steps;
  return [...steps, ...waiting(formatAddress(address)).filter((step) => step !== null)];
}

/** `addHttpFrontend` -> `AddHttpFrontend`: the names of requests in ids, counts and refusals. */
export function requestName(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/** Whether main has to dispatch this kind of request to the state (spec 4.3, column S). */
export function changesState(name: Request["requestType"]["case"]): boolean {
  return name !== undefined && HANDLED.has(name);
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
  "replaceListener",
  "setHealthCheck",
  "removeHealthCheck",
  "addHttpsListener",
  "updateHttpsListener",
  "addHttpsFrontend",
  "removeHttpsFrontend",
  "addCertificate",
  "replaceCertificate",
  "removeCertificate",
  "addTcpListener",
  "updateTcpListener",
  "addUdpListener",
  "updateUdpListener",
  "addTcpFrontend",
  "removeTcpFrontend",
  "addUdpFrontend",
  "removeUdpFrontend",
]);

/** Refusals that the same request may not meet in another state, or another version. */
const STATE_DEPENDENT: readonly CommandErrorCode[] = [
  "NOT_FOUND",
  "EXISTS",
  "NO_CHANGE",
  "NOT_BUILT",
  "ADDRESS_IN_USE",
];

function activation(address: SocketAddress, proxy: ListenerType): ActivateListener {
  const value = { address, proxy, fromScm: false };
  return create(RequestSchema, { requestType: { case: "activateListener", value } }).requestType
    .value as ActivateListener;
}

/** The entries of a table by the order of their keys. */
export function sortedEntries<E>(entries: ShardedMap<E>): E[] {
  return [...entries.keys()].sort().map((key) => entries.get(key)!);
}

/** The entries of a table of listeners. */
function byAddress<M, O extends { readonly address: Parameters<typeof compareAddresses>[0] }>(
  table: Table<M, O>,
): Entry<M, O>[] {
  return [...table.entries.values()].sort((a, b) => compareAddresses(a.object.address, b.object.address));
}

/** The entries of a table in the order in which they came. */
export function byAge<M, O extends object>(table: Table<M, O>): Entry<M, O>[] {
  return [...table.entries.values()].sort((a, b) => a.revision - b.revision);
}

function* changesOf<M, O extends object>(table: Table<M, O>): Generator<Change> {
  for (const { object } of table.entries.values()) yield* table.transition(undefined, object);
}
