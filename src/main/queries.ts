// What main answers from its state: lists of frontends and listeners, clusters with all that belongs to them, counts of
// requests (spec 4.5, 4.7). Pure: a state in, the content of an answer out. Lists are sorted, so that equal states give
// equal answers.

import { clearField, clone, isFieldSet } from "@bufbuild/protobuf";
import { addressToMessage, compareAddresses, formatAddress } from "../command/address.ts";
import { coversHost, normalizeFingerprint } from "../command/certificate.ts";
import type {
  AddBackend,
  SocketAddress as AddressMessage,
  CertificateAndKey,
  Cluster,
  FrontendFilters,
  HealthCheckConfig,
  QueryCertificatesFilters,
  RequestHttpFrontend,
  RequestTcpFrontend,
  RequestUdpFrontend,
} from "../command/gen/sozu_pb.ts";
import { BackendTlsSchema, ClusterSchema, HttpsListenerConfigSchema } from "../command/gen/sozu_pb.ts";
import { setEntry } from "../command/map-entry.ts";
import type { ContentInit } from "../command/messages.ts";
import type { BackendHealth, HttpFrontendObject } from "../command/objects.ts";
import { compareBackends } from "../command/state/clusters.ts";
import type { Table } from "../command/state/table.ts";
import { type ConfigState, sortedEntries } from "../command/state.ts";
import type { ServedCertificate } from "../command/worker-protocol.ts";

/** Frontends by protocol (none chosen: all) and by a part of the host name, which TCP and UDP frontends have none of. */
export function listFrontends(state: ConfigState, filters: FrontendFilters): ContentInit {
  const all = !filters.http && !filters.https && !filters.tcp;
  const part = filters.domain.toLowerCase();
  const httpFrontends = filters.http || all ? ofDomain(state.httpFrontends, part) : [];
  const httpsFrontends = filters.https || all ? ofDomain(state.httpsFrontends, part) : [];
  const streams = (filters.tcp || all) && filters.domain === "";
  const tcpFrontends = streams ? messagesOf(state.tcpFrontends) : [];
  const udpFrontends = streams ? messagesOf(state.udpFrontends) : [];
  return { case: "frontendList", value: { httpFrontends, httpsFrontends, tcpFrontends, udpFrontends } };
}

function ofDomain<O extends HttpFrontendObject>(
  table: Table<RequestHttpFrontend, O>,
  part: string,
): RequestHttpFrontend[] {
  const found = sortedEntries(table.entries).filter(({ object }) => object.hostname.includes(part));
  return found.map(({ message }) => message);
}

/** All listeners, by address; private keys are left out. */
export function listListeners(state: ConfigState): ContentInit {
  const httpListeners = byKey(state.httpListeners);
  const httpsListeners = byKey(state.httpsListeners);
  for (const [address, listener] of Object.entries(httpsListeners)) {
    if (!isFieldSet(listener, HttpsListenerConfigSchema.field.key)) continue;
    const shown = clone(HttpsListenerConfigSchema, listener);
    clearField(shown, HttpsListenerConfigSchema.field.key);
    httpsListeners[address] = shown;
  }
  const tcpListeners = byKey(state.tcpListeners);
  const udpListeners = byKey(state.udpListeners);
  return { case: "listenersList", value: { httpListeners, httpsListeners, tcpListeners, udpListeners } };
}

function messagesOf<M, O extends object>(table: Table<M, O>): M[] {
  return sortedEntries(table.entries).map((entry) => entry.message);
}

function byKey<M, O extends object>(table: Table<M, O>): Record<string, M> {
  const map: Record<string, M> = {};
  for (const [key, { message }] of table.entries.entries()) map[key] = message;
  return map;
}

/**
 * Certificates by fingerprint: all, one, or those that are chosen for a host name. Private keys are left out: what can be
 * asked for ends up in terminals and logs.
 */
export function listCertificates(state: ConfigState, filters: QueryCertificatesFilters): ContentInit {
  const wanted = filters.fingerprint === "" ? null : normalizeFingerprint(filters.fingerprint);
  const host = filters.domain.toLowerCase();
  const certs: Record<string, CertificateAndKey> = {};
  for (const { message, object } of sortedEntries(state.certificates.entries)) {
    if (filters.fingerprint !== "" && object.fingerprint !== wanted) continue;
    if (host !== "" && !coversHost(object.names, host)) continue;
    certs[object.fingerprint] = { ...message.certificate!, key: "" };
  }
  return { case: "certificatesWithFingerprints", value: { certs } };
}

/** What a worker shows for which names, by address. */
export function servedCertificates(served: readonly ServedCertificate[]): ContentInit {
  const sorted = [...served].sort((a, b) => compareAddresses(a.address, b.address) || compareTexts(a.domain, b.domain));
  const certificates: { address: AddressMessage; certificateSummaries: { domain: string; fingerprint: string }[] }[] =
    [];
  let last = "";
  for (const { address, domain, fingerprint } of sorted) {
    const name = formatAddress(address);
    if (name !== last) certificates.push({ address: addressToMessage(address), certificateSummaries: [] });
    last = name;
    certificates.at(-1)!.certificateSummaries.push({ domain, fingerprint });
  }
  return { case: "certificatesByAddress", value: { certificates } };
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The health checks of all clusters, or of one. */
export function listHealthChecks(state: ConfigState, clusterId: string | null): ContentInit {
  const map: Record<string, HealthCheckConfig> = {};
  for (const { message, object } of sortedEntries(state.clusters.entries)) {
    if (message.healthCheck === undefined || (clusterId !== null && object.clusterId !== clusterId)) continue;
    setEntry(map, object.clusterId, message.healthCheck);
  }
  return { case: "healthChecksList", value: { map } };
}

/** What a worker knows of its backends, sorted by cluster, id and address. */
export function healthContent(health: readonly BackendHealth[]): ContentInit {
  const sorted = [...health].sort(compareBackends);
  return {
    case: "backendHealth",
    value: { vec: sorted.map((each) => ({ ...each, address: addressToMessage(each.address) })) },
  };
}

/** How often each kind of request was dispatched. */
export function countRequests(state: ConfigState): ContentInit {
  return { case: "requestCounts", value: { map: Object.fromEntries(state.requestCounts) } };
}

/** A cluster and what belongs to it, as ClusterInformation takes it. */
export interface ClusterFacts {
  readonly configuration: Cluster;
  readonly httpFrontends: RequestHttpFrontend[];
  readonly httpsFrontends: RequestHttpFrontend[];
  readonly tcpFrontends: RequestTcpFrontend[];
  readonly udpFrontends: RequestUdpFrontend[];
  readonly backends: AddBackend[];
}

/** Everything about the clusters with these ids that exist, in the order of the ids. */
export function describeClusters(state: ConfigState, ids: Iterable<string>): Map<string, ClusterFacts> {
  const found = new Map<string, ClusterFacts>();
  for (const id of ids) {
    const entry = state.clusters.get(id);
    if (entry === undefined) continue;
    const configuration = withoutKey(entry.message);
    found.set(id, {
      configuration,
      httpFrontends: [],
      httpsFrontends: [],
      tcpFrontends: [],
      udpFrontends: [],
      backends: [],
    });
  }
  if (found.size === 0) return found;
  for (const { message, object } of sortedEntries(state.httpFrontends.entries)) {
    if (object.clusterId !== null) found.get(object.clusterId)?.httpFrontends.push(message);
  }
  for (const { message, object } of sortedEntries(state.httpsFrontends.entries)) {
    if (object.clusterId !== null) found.get(object.clusterId)?.httpsFrontends.push(message);
  }
  for (const { message } of sortedEntries(state.tcpFrontends.entries)) {
    found.get(message.clusterId)?.tcpFrontends.push(message);
  }
  for (const { message } of sortedEntries(state.udpFrontends.entries)) {
    found.get(message.clusterId)?.udpFrontends.push(message);
  }
  const backends = [...state.backends.entries.values()].filter(({ object }) => found.has(object.clusterId));
  for (const { message, object } of backends.sort((a, b) => compareBackends(a.object, b.object))) {
    found.get(object.clusterId)?.backends.push(message);
  }
  return found;
}

/** The key with which backends are told who asks. */
function withoutKey(message: Cluster): Cluster {
  if (message.tls === undefined || message.tls.key === "") return message;
  const shown = clone(ClusterSchema, message);
  clearField(shown.tls!, BackendTlsSchema.field.key);
  return shown;
}

/** Ids of the clusters with a frontend for exactly this host and, if given, this path rule; sorted. */
export function clustersByDomain(state: ConfigState, hostname: string, path: string | null): string[] {
  const host = hostname.toLowerCase();
  const ids = new Set<string>();
  for (const table of [state.httpFrontends, state.httpsFrontends]) {
    for (const { object } of table.entries.values()) {
      if (object.clusterId === null || object.hostname !== host) continue;
      if (path === null || object.path === path) ids.add(object.clusterId);
    }
  }
  return [...ids].sort();
}
