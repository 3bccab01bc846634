// The kinds of objects of a state, as a difference sees them: which table they are in, what they are called, when two are
// the same, and the requests that put, change or remove one. A kind that is added to the state is added here.
// A request belongs to a phase; phases are carried out in order, so that nothing is ever without what it needs: listeners
// and clusters come before the frontends that use them, and go after them.

import { create, equals, type Message } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import { addressToMessage, formatAddress } from "./address.ts";
import { clusterAnswers } from "./answer-texts.ts";
import { fieldChanges } from "./diff-fields.ts";
import type {
  AddBackend,
  Cluster,
  HttpListenerConfig,
  HttpsListenerConfig,
  Request,
  RequestHttpFrontend,
  RequestTcpFrontend,
  RequestUdpFrontend,
  TcpListenerConfig,
  UdpListenerConfig,
} from "./gen/sozu_pb.ts";
import {
  AddBackendSchema,
  AddCertificateSchema,
  ClusterSchema,
  HttpListenerConfigSchema,
  HttpsListenerConfigSchema,
  ListenerType,
  RequestHttpFrontendSchema,
  RequestSchema,
  RequestTcpFrontendSchema,
  RequestUdpFrontendSchema,
  TcpListenerConfigSchema,
  UdpListenerConfigSchema,
} from "./gen/sozu_pb.ts";
import { setEntry } from "./map-entry.ts";
import { request } from "./messages.ts";
import type { HttpFrontendObject, SocketAddress, StreamFrontendObject } from "./objects.ts";
import type { CertificateObject } from "./objects-tls.ts";
import type { ShardedMap } from "./sharded-map.ts";
import { stateKey } from "./state/http-frontends.ts";
import { type Entry, sameObject } from "./state/table.ts";
import type { ConfigState } from "./state.ts";

/** When a request is carried out. */
export const PHASE = {
  LISTENERS: 0,
  CLUSTERS: 1,
  BACKENDS: 2,
  FRONTENDS: 3,
  /** Before another protocol takes the address over. */
  DEACTIVATE: 4,
  ACTIVATE: 5,
  REMOVE_FRONTENDS: 6,
  REMOVE_BACKENDS: 7,
  REMOVE_CLUSTERS: 8,
  REMOVE_LISTENERS: 9,
} as const;
export const PHASES = 10;

export type AnyEntry = Entry<Message, object>;

/** Requests that are applied together. */
export interface Planned {
  readonly phase: number;
  readonly requests: readonly Request[];
}

/** One kind of objects. */
export interface DiffKind {
  /** `listener`, `cluster`, `certificate`, `frontend` or `backend`. */
  readonly name: string;
  readonly schema: GenMessage<Message>;
  /** Whether adding an object that is there replaces it (spec 4.7). */
  readonly upserts: boolean;
  tableOf(state: ConfigState): ShardedMap<AnyEntry>;
  label(entry: AnyEntry): string;
  /** Apart from being active. */
  isSame(a: AnyEntry, b: AnyEntry): boolean;
  /** False for kinds that cannot be activated. */
  isActive(entry: AnyEntry): boolean;
  /** Makes `before`, or nothing, into `after`. */
  put(before: AnyEntry | undefined, after: AnyEntry): readonly Planned[];
  remove(before: AnyEntry): readonly Planned[];
}

/** A kind with its types; only the table they come from gives entries to these functions. */
interface TypedKind<M extends Message, O extends object> {
  readonly name: string;
  readonly schema: GenMessage<M>;
  readonly upserts: boolean;
  readonly tableOf: (state: ConfigState) => ShardedMap<Entry<M, O>>;
  readonly label: (object: O) => string;
  readonly isSame?: (a: Entry<M, O>, b: Entry<M, O>) => boolean;
  readonly isActive?: (object: O) => boolean;
  readonly put: (before: Entry<M, O> | undefined, after: Entry<M, O>) => readonly Planned[];
  readonly remove: (before: Entry<M, O>) => readonly Planned[];
}

function kind<M extends Message, O extends object>(typed: TypedKind<M, O>): DiffKind {
  const untyped = typed as unknown as TypedKind<Message, object>;
  return {
    ...untyped,
    label: (entry) => untyped.label(entry.object),
    isSame: untyped.isSame ?? ((a, b) => a === b || sameObject(a.object, b.object)),
    isActive: (entry) => untyped.isActive?.(entry.object) === true,
  };
}

/** What the listeners of one protocol ask for. */
interface ListenerRequests<M> {
  readonly type: ListenerType;
  readonly add: (message: M) => Request;
  readonly replace: (message: M) => Request;
}

function listenerKind<M extends Message, O extends { readonly address: SocketAddress; readonly active: boolean }>(
  schema: GenMessage<M>,
  tableOf: (state: ConfigState) => ShardedMap<Entry<M, O>>,
  { type, add, replace }: ListenerRequests<M>,
): DiffKind {
  const activate = ({ object }: Entry<M, O>): Request =>
    request({
      case: "activateListener",
      value: { address: addressToMessage(object.address), proxy: type, fromScm: false },
    });
  const deactivate = ({ object }: Entry<M, O>): Request =>
    request({
      case: "deactivateListener",
      value: { address: addressToMessage(object.address), proxy: type, toScm: false },
    });
  const remove = ({ object }: Entry<M, O>): Request =>
    request({ case: "removeListener", value: { address: addressToMessage(object.address), proxy: type } });
  // Some fields of the message are in no record yet.
  const isSame = (a: Entry<M, O>, b: Entry<M, O>): boolean =>
    a === b ||
    (sameObject({ ...a.object, active: false }, { ...b.object, active: false }) &&
      (equals(schema, a.message, b.message) ||
        fieldChanges(schema, a.message, b.message).every(({ field }) => field === "active")));
  return kind<M, O>({
    name: "listener",
    schema,
    upserts: false,
    tableOf,
    label: ({ address }) => protocolPrefix(type) + formatAddress(address),
    isSame,
    isActive: (object) => object.active,
    put: (before, after) => {
      const planned: Planned[] = [];
      if (before === undefined) planned.push({ phase: PHASE.LISTENERS, requests: [add(after.message)] });
      else if (!isSame(before, after)) planned.push({ phase: PHASE.LISTENERS, requests: [replace(after.message)] });
      const wasActive = before?.object.active === true;
      if (after.object.active && !wasActive) planned.push({ phase: PHASE.ACTIVATE, requests: [activate(after)] });
      if (!after.object.active && wasActive) {
        planned.push({ phase: PHASE.DEACTIVATE, requests: [deactivate(after)] });
      }
      return planned;
    },
    remove: (before) => {
      const removal = { phase: PHASE.REMOVE_LISTENERS, requests: [remove(before)] };
      if (!before.object.active) return [removal];
      return [{ phase: PHASE.DEACTIVATE, requests: [deactivate(before)] }, removal];
    },
  });
}

/** HTTP is what is meant when nothing is said. */
function protocolPrefix(type: ListenerType): string {
  return PREFIXES[type];
}

const PREFIXES: Readonly<Record<ListenerType, string>> = {
  [ListenerType.HTTP]: "",
  [ListenerType.HTTPS]: "https ",
  [ListenerType.TCP]: "tcp ",
  [ListenerType.UDP]: "udp ",
};

interface StreamRequests<M> {
  readonly type: ListenerType;
  readonly add: (message: M) => Request;
  readonly remove: (message: M) => Request;
}

function streamKind<M extends Message>(
  schema: GenMessage<M>,
  tableOf: (state: ConfigState) => ShardedMap<Entry<M, StreamFrontendObject>>,
  { type, add, remove }: StreamRequests<M>,
): DiffKind {
  return kind<M, StreamFrontendObject>({
    name: "frontend",
    schema,
    upserts: true,
    tableOf,
    label: ({ clusterId, address }) => `${protocolPrefix(type)}${formatAddress(address)} of ${clusterId}`,
    put: (_before, { message }) => [{ phase: PHASE.FRONTENDS, requests: [add(message)] }],
    remove: ({ message }) => [{ phase: PHASE.REMOVE_FRONTENDS, requests: [remove(message)] }],
  });
}

function frontendKind<O extends HttpFrontendObject>(
  tableOf: (state: ConfigState) => ShardedMap<Entry<RequestHttpFrontend, O>>,
  type: ListenerType,
  add: "addHttpFrontend" | "addHttpsFrontend",
  remove: "removeHttpFrontend" | "removeHttpsFrontend",
): DiffKind {
  return kind<RequestHttpFrontend, O>({
    name: "frontend",
    schema: RequestHttpFrontendSchema,
    upserts: false,
    tableOf,
    label: (object) => protocolPrefix(type) + stateKey(object),
    put: (before, { message }) => {
      const added = of({ case: add, value: message });
      const requests = before === undefined ? [added] : [of({ case: remove, value: before.message }), added];
      return [{ phase: PHASE.FRONTENDS, requests }];
    },
    remove: ({ message }) => [{ phase: PHASE.REMOVE_FRONTENDS, requests: [of({ case: remove, value: message })] }],
  });
}

/** Every kind there is. */
export const DIFF_KINDS: readonly DiffKind[] = [
  listenerKind(HttpListenerConfigSchema, (state) => state.httpListeners.entries, {
    type: ListenerType.HTTP,
    add: (value: HttpListenerConfig) => of({ case: "addHttpListener", value }),
    replace: (value) => request({ case: "replaceListener", value: { listener: { case: "http", value } } }),
  }),
  listenerKind(HttpsListenerConfigSchema, (state) => state.httpsListeners.entries, {
    type: ListenerType.HTTPS,
    add: (value: HttpsListenerConfig) => of({ case: "addHttpsListener", value }),
    replace: (value) => request({ case: "replaceListener", value: { listener: { case: "https", value } } }),
  }),
  listenerKind(TcpListenerConfigSchema, (state) => state.tcpListeners.entries, {
    type: ListenerType.TCP,
    add: (value: TcpListenerConfig) => of({ case: "addTcpListener", value }),
    replace: (value) => request({ case: "replaceListener", value: { listener: { case: "tcp", value } } }),
  }),
  listenerKind(UdpListenerConfigSchema, (state) => state.udpListeners.entries, {
    type: ListenerType.UDP,
    add: (value: UdpListenerConfig) => of({ case: "addUdpListener", value }),
    replace: (value) => request({ case: "replaceListener", value: { listener: { case: "udp", value } } }),
  }),
  kind({
    name: "cluster",
    schema: ClusterSchema,
    upserts: true,
    tableOf: (state) => state.clusters.entries,
    label: (object) => object.clusterId,
    put: (before, after) => [{ phase: PHASE.CLUSTERS, requests: [putCluster(before?.message, after.message)] }],
    remove: ({ object }) => [
      { phase: PHASE.REMOVE_CLUSTERS, requests: [of({ case: "removeCluster", value: object.clusterId })] },
    ],
  }),
  kind({
    name: "backend",
    schema: AddBackendSchema,
    upserts: true,
    tableOf: (state) => state.backends.entries,
    label: ({ clusterId, backendId, address }) => `${clusterId} ${backendId} ${formatAddress(address)}`,
    put: (_before, { message }) => [{ phase: PHASE.BACKENDS, requests: [of({ case: "addBackend", value: message })] }],
    remove: ({ message }) => [{ phase: PHASE.REMOVE_BACKENDS, requests: [removeBackend(message)] }],
  }),
  frontendKind((state) => state.httpFrontends.entries, ListenerType.HTTP, "addHttpFrontend", "removeHttpFrontend"),
  kind({
    name: "certificate",
    schema: AddCertificateSchema,
    // One that is there stays as it is, whatever else the request says (spec 4.7).
    upserts: false,
    tableOf: (state) => state.certificates.entries,
    label: ({ address, fingerprint }) => `${formatAddress(address)} ${fingerprint.slice(0, 16)}`,
    put: (before, { message }) => {
      const add = of({ case: "addCertificate", value: message });
      return [
        { phase: PHASE.BACKENDS, requests: before === undefined ? [add] : [removeCertificate(before.object), add] },
      ];
    },
    remove: ({ object }) => [{ phase: PHASE.REMOVE_BACKENDS, requests: [removeCertificate(object)] }],
  }),
  frontendKind((state) => state.httpsFrontends.entries, ListenerType.HTTPS, "addHttpsFrontend", "removeHttpsFrontend"),
  streamKind(RequestTcpFrontendSchema, (state) => state.tcpFrontends.entries, {
    type: ListenerType.TCP,
    add: (value: RequestTcpFrontend) => of({ case: "addTcpFrontend", value }),
    remove: (value) => of({ case: "removeTcpFrontend", value }),
  }),
  streamKind(RequestUdpFrontendSchema, (state) => state.udpFrontends.entries, {
    type: ListenerType.UDP,
    add: (value: RequestUdpFrontend) => of({ case: "addUdpFrontend", value }),
    remove: (value) => of({ case: "removeUdpFrontend", value }),
  }),
];

/** Answers that AddCluster does not mention stay (spec 5.9), so those that have to go are mentioned as empty. */
function putCluster(before: Cluster | undefined, after: Cluster): Request {
  if (before === undefined) return of({ case: "addCluster", value: after });
  const kept = clusterAnswers(after);
  const gone = [...clusterAnswers(before).keys()].filter((status) => !kept.has(status));
  if (gone.length === 0) return of({ case: "addCluster", value: after });
  const value: Cluster = { ...after, answers: { ...after.answers } };
  for (const status of gone) setEntry(value.answers, status, "");
  return of({ case: "addCluster", value });
}

function removeBackend({ clusterId, backendId, address }: AddBackend): Request {
  return request({ case: "removeBackend", value: { clusterId, backendId, address: address! } });
}

function removeCertificate({ address, fingerprint }: CertificateObject): Request {
  return request({ case: "removeCertificate", value: { address: addressToMessage(address), fingerprint } });
}

/** A request around a message of the state, which is never changed: no copy. */
function of(requestType: Request["requestType"]): Request {
  const message = create(RequestSchema);
  message.requestType = requestType;
  return message;
}
