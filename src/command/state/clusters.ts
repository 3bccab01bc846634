// Clusters and backends of the state (spec 4.7). AddCluster and AddBackend replace, but answers are laid over those that
// the cluster had (spec 5.9); removing a cluster leaves its frontends and backends in place; a backend may come before
// its cluster.

import { clearField, clone } from "@bufbuild/protobuf";
import { compareAddresses } from "../address.ts";
import { clusterAnswers } from "../answer-texts.ts";
import { toBackend, toBackendIdentity, toCluster } from "../convert.ts";
import { isError } from "../convert-checks.ts";
import { toHealthCheck } from "../convert-health.ts";
import { CommandError, commandError } from "../errors.ts";
import type { AddBackend, Cluster, HealthCheckConfig, RemoveBackend, SetHealthCheck } from "../gen/sozu_pb.ts";
import { ClusterSchema } from "../gen/sozu_pb.ts";
import { setEntry } from "../map-entry.ts";
import type { BackendObject, Change, ClusterObject } from "../objects.ts";
import { backendKey } from "./keys.ts";
import { type Entry, type Origin, type Step, sameObject, Table } from "./table.ts";

export type ClusterTable = Table<Cluster, ClusterObject>;
export type BackendTable = Table<AddBackend, BackendObject>;
export type ClusterEntry = Entry<Cluster, ClusterObject>;
export type BackendEntry = Entry<AddBackend, BackendObject>;

export function clusterTable(): ClusterTable {
  return new Table("Cluster", (before, after): Change[] => {
    if (after !== undefined) return [{ kind: "add_cluster", cluster: after }];
    return before === undefined ? [] : [{ kind: "remove_cluster", clusterId: before.clusterId }];
  });
}

export function backendTable(): BackendTable {
  return new Table("Backend", (before, after): Change[] => {
    if (after !== undefined) return [{ kind: "add_backend", backend: after }];
    if (before === undefined) return [];
    const { clusterId, backendId, address } = before;
    return [{ kind: "remove_backend", clusterId, backendId, address }];
  });
}

export function addCluster(table: ClusterTable, message: Cluster, origin: Origin, revision: number): Outcome {
  const before = table.get(message.clusterId);
  if (before === undefined) return putCluster(table, message, origin, revision);
  return putCluster(table, keepKey(before.message, keepAnswers(before.message, message)), origin, revision);
}

/** Lists of clusters leave the key out, so what was listed and comes back with its certificate keeps it. */
function keepKey(before: Cluster, message: Cluster): Cluster {
  const { tls } = message;
  if (tls === undefined || tls.certificate === "" || tls.key !== "") return message;
  if (before.tls?.certificate !== tls.certificate) return message;
  const kept = clone(ClusterSchema, message);
  kept.tls!.key = before.tls.key;
  return kept;
}

export function setHealthCheck(
  table: ClusterTable,
  message: SetHealthCheck,
  origin: Origin,
  revision: number,
): Outcome {
  const { clusterId, config } = message;
  if (config === undefined) return commandError("INVALID_VALUE", "config", "it is missing");
  const checked = toHealthCheck(config, "config");
  if (checked instanceof CommandError) return checked;
  return changeHealthCheck(table, clusterId, config, origin, revision);
}

export function removeHealthCheck(table: ClusterTable, clusterId: string, origin: Origin, revision: number): Outcome {
  return changeHealthCheck(table, clusterId, undefined, origin, revision);
}

export function removeCluster(table: ClusterTable, clusterId: string): Outcome {
  if (table.get(clusterId) === undefined) return commandError("NOT_FOUND", table.kind, clusterId);
  return [table.step(clusterId, undefined)];
}

export function addBackend(table: BackendTable, message: AddBackend, origin: Origin, revision: number): Outcome {
  const object = toBackend(message);
  if (isError(object)) return object;
  const key = backendKey(object.clusterId, object.backendId, object.address);
  const before = table.get(key);
  if (before !== undefined && sameObject(before.object, object)) return [];
  return [table.step(key, { message, object, origin, revision })];
}

export function removeBackend(table: BackendTable, message: RemoveBackend): Outcome {
  const identity = toBackendIdentity(message);
  if (isError(identity)) return identity;
  const key = backendKey(identity.clusterId, identity.backendId, identity.address);
  if (table.get(key) !== undefined) return [table.step(key, undefined)];
  for (const entry of table.entries.values()) {
    if (entry.object.clusterId === identity.clusterId) return commandError("NO_CHANGE");
  }
  return commandError("NOT_FOUND", table.kind, identity.backendId);
}

function putCluster(table: ClusterTable, message: Cluster, origin: Origin, revision: number): Outcome {
  const object = toCluster(message);
  if (isError(object)) return object;
  const before = table.get(object.clusterId);
  if (before !== undefined && sameObject(before.object, object)) return [];
  return [table.step(object.clusterId, { message, object, origin, revision })];
}

function changeHealthCheck(
  table: ClusterTable,
  clusterId: string,
  config: HealthCheckConfig | undefined,
  origin: Origin,
  revision: number,
): Outcome {
  const before = table.get(clusterId);
  if (before === undefined) return commandError("NOT_FOUND", table.kind, clusterId);
  const message = clone(ClusterSchema, before.message);
  delete message.healthCheck;
  if (config !== undefined) message.healthCheck = config;
  return putCluster(table, message, origin, revision);
}

/** Spec 5.9: answers that `after` does not mention stay; one that it gives as an empty text goes. */
function keepAnswers(before: Cluster, after: Cluster): Cluster {
  const earlier = clusterAnswers(before);
  if (earlier.size === 0) return after;
  const merged = clone(ClusterSchema, after);
  const later = clusterAnswers(after);
  for (const [status, text] of earlier) if (!later.has(status)) setEntry(merged.answers, status, text);
  for (const [status, text] of later) {
    if (text !== "") continue;
    delete merged.answers[status];
    // Without the empty text that stood before it, the deprecated field would count.
    if (status === "503") clearField(merged, ClusterSchema.field.answer503);
  }
  return merged;
}

/** What tells backends apart. */
type BackendIdentity = Pick<BackendObject, "clusterId" | "backendId" | "address">;

/** The order of backends in lists and saved states: cluster, id, address. */
export function compareBackends(a: BackendIdentity, b: BackendIdentity): number {
  if (a.clusterId !== b.clusterId) return a.clusterId < b.clusterId ? -1 : 1;
  if (a.backendId !== b.backendId) return a.backendId < b.backendId ? -1 : 1;
  return compareAddresses(a.address, b.address);
}

/** The steps of an accepted request (none: it is already so), or the refusal. */
export type Outcome = Step[] | CommandError;
