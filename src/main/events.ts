// Events and who listens (spec 12.7): what workers report and what main did for its clients goes to every client that
// asked with SubscribeEvents. An event is encoded once, however many listen, and not at all when nobody does. A
// subscriber that does not read is dropped: its events would have to wait in main's memory.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { addressToMessage } from "../command/address.ts";
import {
  EventKind,
  type MetricDetailTransitionSchema,
  type Request,
  ResponseSchema,
  type SocketAddress,
} from "../command/gen/sozu_pb.ts";
import { encodeMessage, processingResponse } from "../command/messages.ts";
import type { WorkerEvent } from "../command/objects.ts";
import type { Logger } from "../observe/logger.ts";

/** What happened. */
export interface MainEvent {
  readonly kind: EventKind;
  readonly clusterId?: string;
  readonly backendId?: string;
  readonly address?: SocketAddress;
  readonly metricDetail?: MessageInitShape<typeof MetricDetailTransitionSchema>;
}

/** A client that listens. */
export interface Subscriber {
  /** Sends a frame; false when too much waits already: the subscriber is then dropped, by itself. */
  push(frame: Uint8Array): boolean;
}

/** The subscribers of one main. */
export class EventHub {
  readonly #logger: Logger;
  readonly #subscribers: Set<Subscriber>;
  /** Called when the first subscriber comes and when the last one goes. */
  readonly #onListening: (anybody: boolean) => void;
  /** Subscribers that were dropped because they did not read. */
  dropped: number;

  constructor(logger: Logger, onListening: (anybody: boolean) => void) {
    this.#logger = logger;
    this.#onListening = onListening;
    this.#subscribers = new Set();
    this.dropped = 0;
  }

  get subscribers(): number {
    return this.#subscribers.size;
  }

  /** From now on `subscriber` gets events; the others are told of it. */
  subscribe(subscriber: Subscriber): void {
    this.emit({ kind: EventKind.EVENTS_SUBSCRIBED });
    this.#subscribers.add(subscriber);
    if (this.#subscribers.size === 1) this.#onListening(true);
  }

  /** The same for one that listened to an earlier main already. */
  resume(subscriber: Subscriber): void {
    this.#subscribers.add(subscriber);
    if (this.#subscribers.size === 1) this.#onListening(true);
  }

  unsubscribe(subscriber: Subscriber): void {
    if (this.#subscribers.delete(subscriber) && this.#subscribers.size === 0) this.#onListening(false);
  }

  /** Sends an event. The text beside it says whose it is, as in Sozu: `main`, or the id of a worker. */
  emit(event: MainEvent, source = "main"): void {
    if (this.#subscribers.size === 0) return;
    const response = processingResponse(source, { case: "event", value: event });
    const frame = encodeMessage(ResponseSchema, response);
    if (frame === null) return;
    for (const subscriber of this.#subscribers) {
      if (subscriber.push(frame)) continue;
      this.unsubscribe(subscriber);
      this.dropped += 1;
      this.#logger.warn("events", `a subscriber did not read its events and was dropped (${this.dropped} so far)`);
    }
  }

  /** What a worker reported. */
  emitOf(worker: number, { kind, clusterId, backendId, address }: WorkerEvent): void {
    if (this.#subscribers.size === 0) return;
    const event = {
      kind: kind as EventKind,
      ...(clusterId === null ? {} : { clusterId }),
      ...(backendId === null ? {} : { backendId }),
      ...(address === null ? {} : { address: addressToMessage(address) }),
    };
    this.emit(event, String(worker));
  }
}

/** The events of a request that was carried out; a transaction has those of its parts. */
export function eventsOf(request: Request): MainEvent[] {
  const { requestType } = request;
  const parts = requestType.case === "transaction" ? requestType.value.requests : [request];
  return parts.map(eventOf).filter((event) => event !== null);
}

/** The event of a request that was carried out; null: it has none. Backends, health checks and limits have none. */
export function eventOf({ requestType }: Request): MainEvent | null {
  switch (requestType.case) {
    case "addCluster":
      return { kind: EventKind.CLUSTER_ADDED, clusterId: requestType.value.clusterId };
    case "removeCluster":
      return { kind: EventKind.CLUSTER_REMOVED, clusterId: requestType.value };
    case "addHttpFrontend":
    case "addHttpsFrontend":
    case "addTcpFrontend":
    case "addUdpFrontend":
      return about(EventKind.FRONTEND_ADDED, requestType.value);
    case "removeHttpFrontend":
    case "removeHttpsFrontend":
    case "removeTcpFrontend":
    case "removeUdpFrontend":
      return about(EventKind.FRONTEND_REMOVED, requestType.value);
    case "addCertificate":
      return about(EventKind.CERTIFICATE_ADDED, requestType.value);
    case "replaceCertificate":
      return about(EventKind.CERTIFICATE_REPLACED, requestType.value);
    case "removeCertificate":
      return about(EventKind.CERTIFICATE_REMOVED, requestType.value);
    case "addHttpListener":
    case "addHttpsListener":
    case "addTcpListener":
    case "addUdpListener":
      return about(EventKind.LISTENER_ADDED, requestType.value);
    case "updateHttpListener":
    case "updateHttpsListener":
    case "updateTcpListener":
    case "updateUdpListener":
      return about(EventKind.LISTENER_UPDATED, requestType.value);
    case "replaceListener":
      return about(EventKind.LISTENER_UPDATED, requestType.value.listener.value ?? {});
    case "removeListener":
      return about(EventKind.LISTENER_REMOVED, requestType.value);
    case "activateListener":
      return about(EventKind.LISTENER_ACTIVATED, requestType.value);
    case "deactivateListener":
      return about(EventKind.LISTENER_DEACTIVATED, requestType.value);
    case "configureMetrics":
      return { kind: EventKind.METRICS_CONFIGURED };
    case "upgradeMain":
      return { kind: EventKind.MAIN_UPGRADED };
    case "upgradeWorker":
    case "upgradeWorkerWith":
      return { kind: EventKind.WORKER_UPGRADED };
    case "Logging":
      return { kind: EventKind.LOGGING_LEVEL_CHANGED };
    case "saveState":
      return { kind: EventKind.STATE_SAVED };
    case "loadState":
      return { kind: EventKind.STATE_LOADED };
    case "loadStateWith":
      return requestType.value.dryRun ? null : { kind: EventKind.STATE_LOADED };
    case "reloadConfiguration":
      return { kind: EventKind.CONFIGURATION_RELOADED };
    case "reload":
      return requestType.value.dryRun ? null : { kind: EventKind.CONFIGURATION_RELOADED };
    default:
      return null;
  }
}

interface Subject {
  readonly clusterId?: string;
  readonly address?: SocketAddress | undefined;
}

function about(kind: EventKind, value: Subject): MainEvent {
  // An optional field that is not set reads as its default: a denying frontend has no cluster.
  const { clusterId = "", address } = value;
  return { kind, ...(clusterId === "" ? {} : { clusterId }), ...(address === undefined ? {} : { address }) };
}
