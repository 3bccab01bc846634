// Which requests are audited and what the trail says of them (spec 12.9). Everything that is not known to be a question
// is audited, so a new verb cannot be forgotten: Sozu leaves out backends, health checks and limits (oddity 19).
// A change that goes to workers leaves two lines, the attempt once main's state has taken it and the completion; any
// other verb one. Targets name objects; values of fields, answers, hashes and keys are never part of them.

import { createHash, X509Certificate } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { addressFromMessage, formatAddress } from "../command/address.ts";
import {
  type Request,
  RequestSchema,
  type Response,
  ResponseStatus,
  type SocketAddress,
} from "../command/gen/sozu_pb.ts";
import type { ConfigState } from "../command/state.ts";
import { type AuditClient, type AuditEvent, type AuditLog, column } from "../observe/audit.ts";
import type { Actors } from "./actor.ts";
import { listenerChanges } from "./audit-listener.ts";
import type { Outcome } from "./change-log.ts";

/** What those who carry out a request tell the trail besides their answer. */
export interface Trail {
  /** Main's state has taken the change; it is on its way to the workers. */
  published(): void;
  settled(outcome: Outcome): void;
  /** How many messages a file held. */
  messages(count: number): void;
}

/** The audit trail of one main. */
export class Audit {
  readonly #log: AuditLog;
  readonly #actors: Actors;
  readonly #state: () => ConfigState;

  constructor(log: AuditLog, actors: Actors, state: () => ConfigState) {
    this.#log = log;
    this.#actors = actors;
    this.#state = state;
  }

  /** Begins the entry of a request; null: it is a question, nothing is audited. */
  begin(client: AuditClient, request: Request): AuditEntry | null {
    if (READ_ONLY.has(request.requestType.case)) return null;
    const listener = listenerChanges(request, this.#state());
    const entry = new AuditEntry(this.#log, client, this.#actors.ulid(), request, listener);
    // Nobody may be left to write it afterwards.
    if (request.requestType.case === "softStop" || request.requestType.case === "hardStop") entry.finish(null);
    return entry;
  }

  /** A request of a user who may not use the socket (CP-16), whatever it asks for. */
  refuse(client: AuditClient, request: Request, reason: string): void {
    new AuditEntry(this.#log, client, this.#actors.ulid(), request, "").refuse("UNAUTHORIZED", reason);
  }
}

/** One request on its way. */
export class AuditEntry implements Trail {
  readonly #log: AuditLog;
  readonly #base: Omit<AuditEvent, keyof typeof NOTHING | "target" | "ok">;
  readonly #begunMs: number;
  #target: string;
  #outcome: Outcome | null;
  #done: boolean;

  constructor(log: AuditLog, client: AuditClient, requestUlid: string, request: Request, changes: string) {
    const { clusterId, backendId } = subjectOf(request);
    const verb = verbOf(request);
    this.#log = log;
    const { case: name, value } = request.requestType;
    const lease = name === "setMetricDetail" ? { id: value.clientId, reason: value.reason } : null;
    this.#base = { client, requestUlid, verb, clusterId, backendId, requestSha256: digest(request), lease };
    this.#begunMs = performance.now();
    this.#target = `${targetOf(request)}${changes}`;
    this.#outcome = null;
    this.#done = false;
  }

  published(): void {
    this.#write({ ok: true });
  }

  settled(outcome: Outcome): void {
    this.#outcome = outcome;
  }

  messages(count: number): void {
    this.#target += ` messages:${count}`;
  }

  /** Ends the entry with the answer; null: it succeeds for certain. */
  finish(response: Response | null): void {
    if (this.#done) return;
    this.#done = true;
    const ok = response === null || response.status === ResponseStatus.OK;
    const outcome = this.#outcome;
    const elapsedMs = performance.now() - this.#begunMs;
    const reason = ok ? null : response.message;
    if (outcome === null) {
      this.#write({ ok, elapsedMs, reason, fanout: "local_only", errorCode: ok ? null : "REFUSED" });
      return;
    }
    const { accepted, failed } = outcome;
    const workers = { ok: accepted, err: failed, expected: accepted + failed };
    const fanout = outcome.kind === "timed out" ? "timeout" : failed === 0 ? "ok" : "partial";
    const errorCode = ok ? null : outcome.kind === "timed out" ? "WORKERS_TIMEOUT" : "WORKERS_REFUSED";
    this.#write({ ok, elapsedMs, reason, errorCode, fanout, workers });
  }

  refuse(errorCode: string, reason: string): void {
    this.#done = true;
    this.#write({ ok: false, errorCode, reason });
  }

  #write(rest: Partial<AuditEvent> & { readonly ok: boolean }): void {
    this.#log.record({ ...NOTHING, ...this.#base, target: this.#target, ...rest });
  }
}

const NOTHING = { errorCode: null, reason: null, elapsedMs: null, fanout: null, workers: null } as const;

type RequestCase = Request["requestType"]["case"];

/** Questions. */
const READ_ONLY: ReadonlySet<RequestCase> = new Set<RequestCase>([
  undefined,
  "status",
  "listWorkers",
  "listFrontends",
  "listListeners",
  "countRequests",
  "queryClusterById",
  "queryClustersByDomain",
  "queryClustersHashes",
  "queryMetrics",
  "queryCertificatesFromTheState",
  "queryCertificatesFromWorkers",
  "queryMaxConnectionsPerIp",
  "queryHealthChecks",
  "queryBackendHealth",
  "returnListenSockets",
]);

/** Whether requests of this kind change something, or try to. */
export function isAudited(name: RequestCase): boolean {
  return !READ_ONLY.has(name);
}

/** Verbs that are not the name of the request in the past. */
const VERBS: Readonly<Partial<Record<NonNullable<RequestCase>, string>>> = {
  saveState: "state_saved",
  loadState: "state_loaded",
  subscribeEvents: "events_subscribed",
  loadStateWith: "state_loaded",
  reloadConfiguration: "configuration_reloaded",
  reload: "configuration_reloaded",
  transaction: "transaction_applied",
  softStop: "sozu_stop_requested",
  hardStop: "sozu_stop_requested",
  Logging: "logging_level_changed",
  configureMetrics: "metrics_configured",
  setMetricDetail: "metric_detail_changed",
  setMaxConnectionsPerIp: "connection_limit_changed",
  setHealthCheck: "health_check_set",
  upgradeMain: "main_upgraded",
  upgradeWorker: "worker_upgraded",
  upgradeWorkerWith: "worker_upgraded",
  launchWorker: "worker_launched",
};

const PAST: Readonly<Record<string, string>> = {
  add: "added",
  remove: "removed",
  replace: "replaced",
  update: "updated",
  activate: "activated",
  deactivate: "deactivated",
};

/** `addHttpFrontend`: `http_frontend_added`, as the counters `config.<verb>` are called. */
export function verbOf({ requestType }: Request): string {
  const name = requestType.case;
  if (name === undefined) return "unknown";
  const words = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).split("_");
  const past = PAST[words[0]];
  return VERBS[name] ?? (past === undefined ? words.join("_") : [...words.slice(1), past].join("_"));
}

function subjectOf({ requestType }: Request): { clusterId: string | null; backendId: string | null } {
  const { case: name, value } = requestType;
  if (name === "removeCluster" || name === "removeHealthCheck") return { clusterId: value, backendId: null };
  const { clusterId, backendId } = (typeof value === "object" ? value : {}) as Record<string, unknown>;
  return { clusterId: textOr(clusterId), backendId: textOr(backendId) };
}

function textOr(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

const LISTENER_KINDS: readonly string[] = ["http", "https", "tcp", "udp"];

function targetOf({ requestType }: Request): string {
  const { case: name, value } = requestType;
  switch (name) {
    case undefined:
      return "-";
    case "addCluster":
    case "setHealthCheck":
      return `cluster:${column(value.clusterId)}`;
    case "removeCluster":
    case "removeHealthCheck":
      return `cluster:${column(value)}`;
    case "addBackend":
    case "removeBackend":
      return `backend:${column(value.clusterId)}:${column(value.backendId)}:${place(value.address)}`;
    case "addHttpFrontend":
    case "removeHttpFrontend":
      return `frontend:http:${column(value.hostname)}:${place(value.address)}`;
    case "addHttpsFrontend":
    case "removeHttpsFrontend":
      return `frontend:https:${column(value.hostname)}:${place(value.address)}`;
    case "removeListener":
    case "activateListener":
    case "deactivateListener":
      return `listener:${LISTENER_KINDS[value.proxy] ?? "unknown"}:${place(value.address)}`;
    case "addCertificate":
      return `certificate:${place(value.address)}:new=${fingerprint(value.certificate?.certificate)}`;
    case "replaceCertificate": {
      const old = column(value.oldFingerprint, FINGERPRINT_DIGITS);
      return `certificate:${place(value.address)}:old=${old}:new=${fingerprint(value.newCertificate?.certificate)}`;
    }
    case "removeCertificate":
      return `certificate:${place(value.address)}:old=${column(value.fingerprint, FINGERPRINT_DIGITS)}`;
    case "saveState":
    case "loadState":
    case "reloadConfiguration":
      return `file:${column(value)}`;
    case "loadStateWith":
      return `file:${column(value.path)}${value.replace ? ":replace" : ""}${value.dryRun ? ":dry-run" : ""}`;
    case "reload":
      return `file:${column(value.path)}${value.prune ? ":prune" : ""}${value.dryRun ? ":dry-run" : ""}`;
    case "transaction":
      return `transaction:${value.requests.length}`;
    case "Logging":
      return `logging:${column(value)}`;
    case "setMaxConnectionsPerIp":
      return `connection-limit:${value}`;
    case "configureMetrics":
      return `metrics:${METRICS_ORDERS[value] ?? value}`;
    case "setMetricDetail":
      return `metric-detail:${column(value.clientId)}`;
    case "softStop":
    case "hardStop":
      return name === "softStop" ? "proxy:soft" : "proxy:hard";
    case "upgradeWorker":
      return `worker:${value}`;
    case "upgradeWorkerWith":
      return `worker:${value.id}${value.force ? ":force" : ""}`;
    default:
      return otherTarget(name, value);
  }
}

/** Listeners and frontends of any kind by their address; what is left has no target. */
function otherTarget(name: string, value: unknown): string {
  const kind = /^(?:add|remove|update)(Http|Https|Tcp|Udp)(Listener|Frontend)$/.exec(name);
  if (kind === null) return "-";
  const { address } = value as { address?: SocketAddress };
  return `${kind[2].toLowerCase()}:${kind[1].toLowerCase()}:${place(address)}`;
}

/** MetricsConfiguration. */
const METRICS_ORDERS: readonly string[] = ["enabled", "disabled", "clear"];
const FINGERPRINT_DIGITS = 16;

/** The first eight bytes of the fingerprint. */
function fingerprint(pem: string | undefined): string {
  try {
    return new X509Certificate(pem ?? "").fingerprint256.replaceAll(":", "").slice(0, FINGERPRINT_DIGITS).toLowerCase();
  } catch {
    return "-";
  }
}

function place(message: SocketAddress | undefined): string {
  const address = message === undefined ? "" : addressFromMessage(message);
  return typeof address === "string" ? "-" : formatAddress(address);
}

function digest(request: Request): string | null {
  try {
    return createHash("sha256").update(toBinary(RequestSchema, request)).digest("hex").slice(0, 16);
  } catch {
    // A message that lacks a required field.
    return null;
  }
}
