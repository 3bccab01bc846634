// What main does with a request of a client (spec 4.3, 4.4): asks the workers, changes the state, or ends the proxy.
// Requests of parts that are not built yet are refused by name; nothing is left without an answer (decisions 6).

import { isFieldSet } from "@bufbuild/protobuf";
import { normalizeFingerprint } from "../command/certificate.ts";
import { commandError } from "../command/errors.ts";
import type {
  QueryBackendHealth,
  QueryCertificatesFilters,
  QueryClusterByDomain,
  Request,
  Response,
} from "../command/gen/sozu_pb.ts";
import {
  QueryBackendHealthSchema,
  QueryClusterByDomainSchema,
  QueryHealthChecksSchema,
  ResponseStatus,
  RunState,
} from "../command/gen/sozu_pb.ts";
import { type ContentInit, failureResponse, okResponse } from "../command/messages.ts";
import { type ConfigState, changesState, requestName } from "../command/state.ts";
import type { AuditClient } from "../observe/audit.ts";
import { parseFilter } from "../observe/filter.ts";
import type { Logger } from "../observe/logger.ts";
import type { Audit, Trail } from "./audit.ts";
import { applyTransaction } from "./change-set.ts";
import type { Progress } from "./client-session.ts";
import { type ClusterQueryTargets, queryClusters, queryHashes } from "./cluster-queries.ts";
import { type EventHub, eventsOf } from "./events.ts";
import type { MetricsService } from "./metrics/service.ts";
import {
  clustersByDomain,
  countRequests,
  healthContent,
  listCertificates,
  listFrontends,
  listHealthChecks,
  listListeners,
  servedCertificates,
} from "./queries.ts";
import type { Reloader } from "./reload.ts";
import type { StateFiles } from "./state-files.ts";
import type { StateKeeper } from "./state-keeper.ts";
import type { Supervisor, WorkerReport } from "./supervisor.ts";
import { WORKER } from "./worker-process.ts";
import { upgradeWorker } from "./worker-upgrade.ts";

/** What requests act on. */
export interface RequestTargets {
  readonly keeper: StateKeeper;
  readonly supervisor: Supervisor;
  readonly files: StateFiles;
  readonly reloader: Reloader;
  readonly events: EventHub;
  readonly audit: Audit;
  readonly metrics: MetricsService;
  readonly logger: Logger;
  /** How long a worker may take to answer, in milliseconds. */
  readonly workerTimeoutMs: number;
  /** Ends the workers; resolves when they are gone. Main itself ends after the answer has left. */
  stop(hard: boolean): Promise<void>;
  /** Replaces main by the release on disk; resolves only when that fails. */
  upgradeMain(client: AuditClient, progress: (text: string) => void): Promise<Response>;
}

/** Answers one request, tells subscribers what it changed and the audit trail who asked; never rejects on input. */
export async function handleRequest(
  request: Request,
  targets: RequestTargets,
  progress: Progress,
  client: AuditClient,
): Promise<Response> {
  const trail = targets.audit.begin(client, request);
  const response = await answer(request, targets, progress, trail, client);
  trail?.finish(response);
  targets.metrics.onAnswer(request, response.status === ResponseStatus.OK);
  if (response.status !== ResponseStatus.OK || targets.events.subscribers === 0) return response;
  for (const event of eventsOf(request)) targets.events.emit(event);
  return response;
}

async function answer(
  request: Request,
  targets: RequestTargets,
  progress: Progress,
  trail: Trail | null,
  client: AuditClient,
): Promise<Response> {
  const { case: name, value } = request.requestType;
  const { state } = targets.keeper;
  switch (name) {
    case "status": {
      const reports = await targets.supervisor.status(targets.workerTimeoutMs);
      return okResponse("Successfully collected the status of workers", workerInfos(reports));
    }
    case "listWorkers":
      return okResponse("Successfully listed workers", workerInfos(targets.supervisor.list()));
    case "softStop":
    case "hardStop":
      await stop(name === "hardStop", targets, progress);
      return okResponse(`Successfully ${name === "softStop" ? "soft" : "hard"} stopped all workers`);
    case "Logging":
      state.count(name);
      return setLogging(value, targets);
    case "saveState":
      return targets.files.save(value, progress, trail);
    case "loadState":
      return targets.files.load(value, progress, trail);
    case "loadStateWith":
      return targets.files.loadWith(value, progress, trail);
    case "reloadConfiguration":
      return targets.reloader.reload({ path: value, prune: false, dryRun: false }, progress, trail);
    case "reload":
      return targets.reloader.reload(value, progress, trail);
    case "transaction":
      return applyTransaction(targets.keeper, value.requests, progress, trail);
    case "upgradeMain":
      return targets.upgradeMain(client, progress);
    case "upgradeWorker":
    case "upgradeWorkerWith":
      trail?.published();
      return upgradeWorker(targets.supervisor, value, progress);
    case "queryClusterById":
      progress(QUERYING);
      return queryClusters(queryTargets(targets), [value]);
    case "queryClustersByDomain":
      progress(QUERYING);
      return queryClusters(queryTargets(targets), idsByDomain(state, value));
    case "queryClustersHashes":
      progress(QUERYING);
      return queryHashes(queryTargets(targets));
    case "queryCertificatesFromWorkers":
      return queryCertificates(value, targets);
    case "queryBackendHealth":
      return queryHealth(value, targets);
    case "queryMetrics":
    case "configureMetrics":
    case "setMetricDetail":
      return targets.metrics.answer(request.requestType, state, client.actor.pid);
    case "setMaxConnectionsPerIp":
    case "queryMaxConnectionsPerIp":
      state.count(name);
      return limit(request, targets.supervisor);
    case undefined:
      return failureResponse(commandError("EMPTY_REQUEST").message);
    default:
      if (changesState(name)) return targets.keeper.apply(request, "socket", progress, trail);
      return list(state, request) ?? failureResponse(commandError("NOT_SUPPORTED", requestName(name)).message);
  }
}

/** What the state alone can tell; null: the request does not ask for that. */
function list(state: ConfigState, request: Request): Response | null {
  const { case: name, value } = request.requestType;
  switch (name) {
    case "listFrontends":
      return okResponse("Successfully listed frontends", listFrontends(state, value));
    case "listListeners":
      return okResponse("Successfully listed listeners", listListeners(state));
    case "queryCertificatesFromTheState":
      return okResponse(
        "Successfully queried certificates from the state of main process",
        listCertificates(state, value),
      );
    case "countRequests":
      return okResponse("Successfully counted requests received by the state", countRequests(state));
    case "queryHealthChecks": {
      const id = isFieldSet(value, QueryHealthChecksSchema.field.clusterId) ? value.clusterId : null;
      return okResponse("Successfully listed health check configurations", listHealthChecks(state, id));
    }
    default:
      return null;
  }
}

/** Ends the workers; says meanwhile what still keeps them. */
async function stop(hard: boolean, targets: RequestTargets, progress: (text: string) => void): Promise<void> {
  progress(hard ? "stopping the workers" : "waiting for requests in flight");
  const timer = setInterval(() => {
    const { connections } = targets.supervisor;
    if (!hard && connections > 0) progress(`${connections} connection${connections === 1 ? "" : "s"} left`);
  }, LEFT_LOOK_MS);
  try {
    await targets.stop(hard);
  } finally {
    clearInterval(timer);
  }
}

/** How often it is counted what a stop waits for. */
const LEFT_LOOK_MS = 250;
/** What the packet to workers holds; nobody has more addresses. */
const LIMIT_MAX = 0xffffffffn;
const QUERYING = "Querying cluster...";

function queryTargets({ keeper, supervisor, workerTimeoutMs }: RequestTargets): ClusterQueryTargets {
  return {
    state: keeper.state,
    flush: () => keeper.changes.flush(),
    queryHashes: (ids) => supervisor.queryHashes(ids, workerTimeoutMs),
  };
}

function limit({ requestType }: Request, supervisor: Supervisor): Response {
  if (requestType.case === "setMaxConnectionsPerIp") {
    const { value } = requestType;
    supervisor.setMaxConnectionsPerIp(value > LIMIT_MAX ? Number(LIMIT_MAX) : Number(value));
    return okResponse("Successfully applied request to all workers");
  }
  const limit = BigInt(supervisor.maxConnectionsPerIp);
  return okResponse("Successfully queried the limit", { case: "maxConnectionsPerIpLimit", value: { limit } });
}

/** What each worker knows of the backends of a cluster, or of all (null). */
async function queryHealth(message: QueryBackendHealth, targets: RequestTargets): Promise<Response> {
  const clusterId = isFieldSet(message, QueryBackendHealthSchema.field.clusterId) ? message.clusterId : null;
  if (clusterId !== null && targets.keeper.state.clusters.get(clusterId) === undefined) {
    return failureResponse(commandError("NOT_FOUND", "Cluster", clusterId).message);
  }
  const workers = await targets.supervisor.queryHealth(clusterId, targets.workerTimeoutMs);
  const map: Record<string, { contentType: ContentInit }> = {};
  for (const [worker, health] of workers) map[worker] = { contentType: healthContent(health) };
  return okResponse("Successfully queried the health of backends", { case: "workerResponses", value: { map } });
}

function idsByDomain(state: ConfigState, message: QueryClusterByDomain): string[] {
  const path = isFieldSet(message, QueryClusterByDomainSchema.field.path) ? message.path : null;
  return clustersByDomain(state, message.hostname, path);
}

/** What handshakes find in each worker: one certificate as main knows it, or names and fingerprints (spec 4.7). */
async function queryCertificates(filters: QueryCertificatesFilters, targets: RequestTargets): Promise<Response> {
  const fingerprint = filters.fingerprint === "" ? null : normalizeFingerprint(filters.fingerprint);
  const domain = filters.domain === "" ? null : filters.domain.toLowerCase();
  if (fingerprint === null && filters.fingerprint !== "") return failureResponse(NO_CERTIFICATE);
  targets.keeper.changes.flush();
  const workers = await targets.supervisor.queryCertificates({ domain, fingerprint }, targets.workerTimeoutMs);
  const map: Record<string, { contentType: ContentInit }> = {};
  for (const [worker, served] of workers) {
    if (fingerprint === null) map[worker] = { contentType: servedCertificates(served) };
    else if (served.length > 0) map[worker] = { contentType: listCertificates(targets.keeper.state, filters) };
  }
  if (fingerprint !== null && Object.keys(map).length === 0) return failureResponse(NO_CERTIFICATE);
  return okResponse("Successfully queried clusters", { case: "workerResponses", value: { map } });
}

const NO_CERTIFICATE = "Could not find certificate for this fingerprint";

function setLogging(directives: string, targets: RequestTargets): Response {
  const parsed = parseFilter(directives);
  if (parsed.filter === null) {
    return failureResponse(commandError("INVALID_VALUE", "logging", parsed.errors.join("; ")).message);
  }
  targets.logger.setDirectives(directives);
  targets.supervisor.setLogging(directives);
  return okResponse("Successfully applied request to all workers");
}

function workerInfos(reports: readonly WorkerReport[]) {
  const vec = reports.map(({ id, pid, state, answers, sandbox }) => {
    return { id, pid, runState: runState(state, answers), ...(sandbox === null ? {} : { sandbox }) };
  });
  return { case: "workers" as const, value: { vec } };
}

function runState(state: number, answers: boolean): RunState {
  if (state === WORKER.STOPPED) return RunState.STOPPED;
  if (state === WORKER.STOPPING) return RunState.STOPPING;
  return answers ? RunState.RUNNING : RunState.NOT_ANSWERING;
}
