// The global keys with every default resolved (spec 2.2), in the units that their names say, paths absolute. Pure: the
// folder of the file comes as an argument.

import type { SandboxMode, SocketAddress, WorkerSettings } from "../command/objects.ts";
import { METRIC_DETAILS } from "../command/words.ts";
import type { ValuesOf } from "./keys.ts";
import { parseTarget } from "./log-target.ts";
import { absolutePath, type SocketSettings } from "./socket.ts";
import type { GLOBAL_KEYS, METRICS_KEYS } from "./tables.ts";

/** The global settings. */
export interface GlobalSettings extends SocketSettings {
  readonly maxConnections: number;
  readonly minBuffers: number;
  readonly maxBuffers: number;
  readonly bufferSizeBytes: number;
  /** null: every user. */
  readonly commandAllowedUids: readonly number[] | null;
  readonly logLevel: string;
  /** As `parseTarget` reads it, paths absolute. */
  readonly logTarget: string;
  readonly logColored: boolean;
  /** null: as logTarget; `off`: none. */
  readonly accessLogsTarget: string | null;
  readonly accessLogsFormat: "ascii" | "protobuf";
  readonly accessLogsTls: boolean;
  /** Absolute paths of the audit log as text and as JSON lines; null: none. */
  readonly auditLogsTarget: string | null;
  readonly auditLogsJsonTarget: string | null;
  readonly workerCount: number;
  readonly workerAutomaticRestart: boolean;
  readonly workerTimeoutSeconds: number;
  readonly sandbox: SandboxMode;
  /** Resident memory of one worker; 0: any. */
  readonly workerMemoryLimitBytes: number;
  /** Of workers that were upgraded; 0 is for ever. */
  readonly drainTimeoutSeconds: number;
  /** Of a soft stop of the proxy; 0 is for ever. */
  readonly stopTimeoutSeconds: number;
  /** Of workers without a main; 0 is for ever. */
  readonly orphanTimeoutSeconds: number;
  readonly pidFilePath: string | null;
  /** Absolute path of the state file; null: none. */
  readonly savedState: string | null;
  /** Only with `savedState`. */
  readonly automaticStateSave: boolean;
  readonly activateListeners: boolean;
  /** Defaults of listeners, seconds; 0 is off. */
  readonly frontTimeoutSeconds: number;
  readonly backTimeoutSeconds: number;
  readonly connectTimeoutSeconds: number;
  readonly requestTimeoutSeconds: number;
  readonly zombieCheckIntervalSeconds: number;
  readonly acceptQueueTimeoutSeconds: number;
  readonly evictOnQueueFull: boolean;
  /** From 2 to 32. */
  readonly slabEntriesPerConnection: number;
  /** Connections of one source address to one cluster; 0: any number. */
  readonly maxConnectionsPerIp: number;
  /** `Retry-After` of 429; 0: none. */
  readonly retryAfterSeconds: number;
  readonly basicAuthMaxCredentialBytes: number;
  /** null: metrics are not sent anywhere. */
  readonly metricsSink: MetricsSink | null;
  /** What metrics record, to begin with: 0 process, 1 frontend, 2 cluster, 3 backend (spec 12.6). */
  readonly metricDetail: number;
  readonly clusterMetrics: boolean;
}

/** A statsd server. */
export interface MetricsSink {
  readonly address: SocketAddress;
  /** Tags in the form of InfluxDB. */
  readonly tagged: boolean;
  /** Without the dot behind it. */
  readonly prefix: string;
}

export function resolveSettings(
  values: ValuesOf<typeof GLOBAL_KEYS>,
  sockets: SocketSettings,
  folder: string,
  metrics: ValuesOf<typeof METRICS_KEYS> | null,
): GlobalSettings {
  const maxBuffers = values.max_buffers ?? 1000;
  return {
    ...sockets,
    maxConnections: values.max_connections ?? 10_000,
    // Spec 2.2: clamped.
    minBuffers: Math.min(values.min_buffers ?? 1, maxBuffers),
    maxBuffers,
    bufferSizeBytes: values.buffer_size ?? 16_393,
    commandAllowedUids: values.command_allowed_uids ?? null,
    logLevel: values.log_level ?? "info",
    logTarget: absoluteTarget(values.log_target ?? "stdout", folder),
    logColored: values.log_colored ?? false,
    accessLogsTarget:
      values.access_logs_target === undefined ? null : absoluteTarget(values.access_logs_target, folder),
    accessLogsFormat: values.access_logs_format ?? "ascii",
    accessLogsTls: values.access_logs_tls ?? false,
    auditLogsTarget: optionalPath(values.audit_logs_target, folder),
    auditLogsJsonTarget: optionalPath(values.audit_logs_json_target, folder),
    workerCount: values.worker_count ?? 2,
    workerAutomaticRestart: values.worker_automatic_restart ?? true,
    workerTimeoutSeconds: values.worker_timeout ?? 10,
    sandbox: values.sandbox ?? "on",
    workerMemoryLimitBytes: values.worker_memory_limit ?? 0,
    drainTimeoutSeconds: values.drain_timeout ?? 3600,
    stopTimeoutSeconds: values.stop_timeout ?? 0,
    orphanTimeoutSeconds: values.orphan_timeout ?? 0,
    pidFilePath: optionalPath(values.pid_file_path, folder),
    savedState: optionalPath(values.saved_state, folder),
    automaticStateSave: values.automatic_state_save ?? false,
    activateListeners: values.activate_listeners ?? true,
    frontTimeoutSeconds: values.front_timeout ?? 60,
    backTimeoutSeconds: values.back_timeout ?? 30,
    connectTimeoutSeconds: values.connect_timeout ?? 3,
    requestTimeoutSeconds: values.request_timeout ?? 10,
    zombieCheckIntervalSeconds: values.zombie_check_interval ?? 1800,
    acceptQueueTimeoutSeconds: values.accept_queue_timeout ?? 60,
    evictOnQueueFull: values.evict_on_queue_full ?? false,
    slabEntriesPerConnection: Math.min(Math.max(values.slab_entries_per_connection ?? 4, 2), 32),
    maxConnectionsPerIp: values.max_connections_per_ip ?? 0,
    retryAfterSeconds: values.retry_after ?? 60,
    // Spec 2.2: 0 keeps the default.
    basicAuthMaxCredentialBytes: values.basic_auth_max_credential_bytes || 4096,
    metricsSink: metricsSink(metrics),
    metricDetail: METRIC_DETAILS.indexOf(metrics?.detail ?? "cluster"),
    clusterMetrics: values.disable_cluster_metrics !== true,
  };
}

/** What one worker is told of the settings. */
export function workerSettings(settings: GlobalSettings, workerId: number): WorkerSettings {
  return {
    workerId,
    maxConnections: settings.maxConnections,
    minBuffers: settings.minBuffers,
    maxBuffers: settings.maxBuffers,
    bufferSize: settings.bufferSizeBytes,
    acceptQueueTimeout: settings.acceptQueueTimeoutSeconds,
    zombieCheckInterval: settings.zombieCheckIntervalSeconds,
    logLevel: settings.logLevel,
    logTarget: settings.logTarget,
    logColored: settings.logColored,
    evictOnQueueFull: settings.evictOnQueueFull,
    slabEntriesPerConnection: settings.slabEntriesPerConnection,
    maxConnectionsPerIp: settings.maxConnectionsPerIp,
    retryAfter: settings.retryAfterSeconds,
    basicAuthMaxCredentialBytes: settings.basicAuthMaxCredentialBytes,
    accessLogsTarget: settings.accessLogsTarget,
    accessLogsFormat: settings.accessLogsFormat,
    accessLogsTls: settings.accessLogsTls,
    sandbox: settings.sandbox,
    memoryLimit: settings.workerMemoryLimitBytes,
    orphanTimeout: settings.orphanTimeoutSeconds,
    metricDetail: settings.clusterMetrics ? settings.metricDetail : 0,
  };
}

function metricsSink(values: ValuesOf<typeof METRICS_KEYS> | null): MetricsSink | null {
  if (values?.address === undefined) return null;
  return { address: values.address, tagged: values.tagged_metrics ?? false, prefix: values.prefix ?? "sozu" };
}

function optionalPath(path: string | undefined, folder: string): string | null {
  return path === undefined ? null : absolutePath(path, folder);
}

function absoluteTarget(target: string, folder: string): string {
  const parsed = parseTarget(target);
  if (parsed.kind !== "file" && parsed.kind !== "unix") return target;
  return `${parsed.kind}://${absolutePath(parsed.path, folder)}`;
}
