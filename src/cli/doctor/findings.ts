// What the doctor makes of the facts it has collected: each finding says what it looked at, what follows for the proxy, and
// what to do next. Pure, so that every rule can be tested without a sick machine.

import type { SandboxMode } from "../../command/objects.ts";
import { isLoopback } from "./loopback.ts";

/** `problem`: it will not start or will fail under load; `warning`: it works, with less than it could. */
export type Level = "ok" | "warning" | "problem";

/** One line of the report. */
export interface Finding {
  readonly check: string;
  readonly level: Level;
  readonly message: string;
  /** What to do; null: nothing. */
  readonly next: string | null;
}

/** What is known of this machine. null: it cannot be read here. */
export interface SystemFacts {
  readonly openFilesSoft: number | null;
  readonly openFilesHard: number | null;
  readonly fileMax: number | null;
  readonly processes: number | null;
  readonly somaxconn: number | null;
  /** First and last port of outgoing connections. */
  readonly portRange: readonly [number, number] | null;
  /** Bytes that this control group may use. */
  readonly memoryMax: number | null;
  readonly clockSource: string | null;
  readonly nowMs: number;
  /** When this program was built. */
  readonly builtMs: number;
}

/** What the configuration asks of the machine. */
export interface Needs {
  readonly maxConnections: number;
  readonly workers: number;
  readonly bufferBytes: number;
  /** Different addresses of backends. */
  readonly backends: number;
}

/** Connections that wait to be accepted, as the workers ask for. */
const BACKLOG = 1024;
/** Threads of a process of Node, with those for files. */
const THREADS = 16;
/** Memory of a worker besides its buffers. */
const WORKER_BYTES = 100_000_000;
const MEGABYTE = 1_000_000;
const DISK_LOW = 1000 * MEGABYTE;
const DISK_FULL = 50 * MEGABYTE;
/** Clocks that are read without a system call. */
const FAST_CLOCKS: readonly string[] = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"];

export function ok(check: string, message: string): Finding {
  return { check, level: "ok", message, next: null };
}

export function warning(check: string, message: string, next: string): Finding {
  return { check, level: "warning", message, next };
}

export function problem(check: string, message: string, next: string): Finding {
  return { check, level: "problem", message, next };
}

export function judgeSystem(facts: SystemFacts, needs: Needs): Finding[] {
  return [
    judgeOpenFiles(facts, needs),
    judgeProcesses(facts, needs),
    judgeBacklog(facts),
    judgePorts(facts, needs),
    judgeMemory(facts, needs),
    judgeClock(facts),
  ];
}

function judgeOpenFiles({ openFilesHard: hard, openFilesSoft: soft, fileMax }: SystemFacts, needs: Needs): Finding {
  const check = "open files";
  const wanted = needs.maxConnections * 2;
  const ask = `max_connections = ${needs.maxConnections} needs ${wanted} in each worker`;
  if (hard === null || soft === null) return ok(check, `the limit cannot be read here; ${ask}`);
  const next = `raise it (ulimit -n, LimitNOFILE= of systemd) or lower max_connections to ${Math.floor(hard / 2)}`;
  if (hard < wanted) return problem(check, `the hard limit is ${hard}; ${ask}`, next);
  const all = wanted * needs.workers;
  if (fileMax !== null && fileMax < all) {
    return problem(check, `fs.file-max of this machine is ${fileMax}; ${ask}, ${all} in all`, "raise it with sysctl");
  }
  return ok(check, `soft ${soft}, hard ${hard}; ${ask}, and main raises the soft limit by itself`);
}

function judgeProcesses({ processes }: SystemFacts, { workers }: Needs): Finding {
  const check = "processes";
  const wanted = (workers + 1) * THREADS;
  if (processes === null || processes >= wanted) return ok(check, `main and ${workers} workers fit the limit`);
  const next = "raise it (ulimit -u, TasksMax= of systemd) or lower worker_count";
  return problem(check, `the limit is ${processes}; main and ${workers} workers have up to ${wanted} threads`, next);
}

function judgeBacklog({ somaxconn }: SystemFacts): Finding {
  const check = "somaxconn";
  if (somaxconn === null || somaxconn >= BACKLOG) return ok(check, `${somaxconn ?? "unknown"}`);
  const message = `net.core.somaxconn is ${somaxconn}: in a rush more connections than that wait for seconds`;
  return warning(check, message, `sysctl -w net.core.somaxconn=${4 * BACKLOG}`);
}

function judgePorts({ portRange }: SystemFacts, { maxConnections, workers, backends }: Needs): Finding {
  const check = "outgoing ports";
  if (portRange === null) return ok(check, "the range cannot be read here");
  const [from, to] = portRange;
  const each = to - from + 1;
  const wanted = maxConnections * workers;
  if (backends === 0 || each * backends >= wanted) return ok(check, `${each} to each backend address`);
  const message = `${from} to ${to} allow ${each * backends} connections to ${backends} backends, clients may be ${wanted}`;
  return warning(
    check,
    message,
    'sysctl -w net.ipv4.ip_local_port_range="1024 65535", or spread backends over addresses',
  );
}

function judgeMemory({ memoryMax }: SystemFacts, { workers, bufferBytes }: Needs): Finding {
  const check = "memory";
  const wanted = workers * (WORKER_BYTES + bufferBytes);
  const text = `${workers} workers may take ${megabytes(wanted)}, with every buffer in use`;
  if (memoryMax === null || memoryMax >= wanted) return ok(check, text);
  const next = "raise the limit of the container, or lower max_buffers or worker_count";
  return warning(check, `this control group may use ${megabytes(memoryMax)}; ${text}`, next);
}

function judgeClock({ nowMs, builtMs, clockSource }: SystemFacts): Finding {
  const check = "clock";
  const now = new Date(nowMs).toISOString();
  if (nowMs < builtMs) {
    return problem(check, `${now} is before this program was built`, "set the clock, and run an NTP client");
  }
  if (clockSource !== null && !FAST_CLOCKS.includes(clockSource)) {
    const message = `the clock source ${clockSource} costs a system call for each look at the time`;
    return warning(check, message, "see /sys/devices/system/clocksource/clocksource0/available_clocksource");
  }
  return ok(check, now);
}

/** A folder that something is written to. `free` and `inodes` are null where they cannot be read. */
export interface FolderFacts {
  readonly purpose: string;
  readonly folder: string;
  readonly exists: boolean;
  readonly writable: boolean;
  readonly freeBytes: number | null;
  readonly freeInodes: number | null;
}

export function judgeFolder({ purpose, folder, exists, writable, freeBytes, freeInodes }: FolderFacts): Finding {
  if (!exists) return problem(purpose, `the folder ${folder} does not exist`, `mkdir -p ${folder}`);
  if (!writable) return problem(purpose, `${folder} cannot be written to`, "change its owner or mode, or the path");
  if (freeInodes === 0) return problem(purpose, `no file can be made in ${folder}: no inodes are left`, "remove files");
  if (freeBytes === null) return ok(purpose, folder);
  const next = "make room, or write elsewhere: lines are dropped and states are not saved when it is full";
  const message = `${megabytes(freeBytes)} are free at ${folder}`;
  if (freeBytes < DISK_FULL) return problem(purpose, message, next);
  return freeBytes < DISK_LOW ? warning(purpose, message, next) : ok(purpose, message);
}

/** A listener as the doctor sees it. */
export interface ListenerFacts {
  readonly address: string;
  readonly ip: string;
  readonly trustedProxies: number;
}

export function judgeTrust({ address, ip, trustedProxies }: ListenerFacts): Finding {
  const check = `listener ${address}`;
  if (trustedProxies > 0) return ok(check, "X-Forwarded-* is believed of trusted_proxies only");
  if (isLoopback(ip)) return ok(check, "X-Forwarded-* is believed, of this machine only");
  const message = "X-Forwarded-* is believed of any client: backends can be told any address";
  return warning(
    check,
    message,
    'name the proxies before this one: trusted_proxies = ["10.0.0.0/8"], or ["127.0.0.1"]',
  );
}

/** A certificate of the configuration. */
export interface CertificateFacts {
  readonly address: string;
  readonly names: readonly string[];
  /** Seconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Certificates are renewed a month before their end; the last week is late. */
const RENEW_SECONDS = 30 * 86_400;

export function judgeCertificate({ address, names, notBefore, notAfter }: CertificateFacts, nowMs: number): Finding {
  const now = nowMs / 1000;
  const check = `certificate of ${names[0] ?? "no name"} at ${address}`;
  const days = Math.floor(Math.abs(notAfter - now) / 86_400);
  const next = "sozu certificate replace, and the file that the configuration names";
  if (notAfter <= now) return problem(check, `it expired ${days} days ago: clients refuse it`, next);
  if (notBefore > now) return problem(check, "it is not valid yet: clients refuse it", next);
  if (notAfter - now < RENEW_SECONDS) return warning(check, `it expires in ${days} days`, next);
  return ok(check, `it is valid for ${days} days`);
}

/** `obstacle`: why the kernel cannot have it; null: it can, undefined: that is not known. */
export function judgeSandbox(mode: SandboxMode, obstacle: string | null | undefined): Finding {
  const check = "sandbox";
  const next = 'set sandbox = "on"; docs/sandbox.md says what it keeps out';
  if (mode === "off" || mode === "log")
    return warning(check, `sandbox = "${mode}": nothing holds a broken worker back`, next);
  if (obstacle === undefined) return ok(check, "on; whether this kernel has it is not known");
  if (obstacle === null) return ok(check, "this kernel has what it needs");
  const allow = "allow seccomp in the container or the service";
  if (mode === "required") return problem(check, `workers will not start: ${obstacle}`, allow);
  return warning(check, `workers run without it: ${obstacle}`, allow);
}

/** What came of connecting to the backends of a cluster. */
export interface ClusterFacts {
  readonly id: string;
  readonly reached: number;
  /** `127.0.0.1:80: connection refused`. */
  readonly failed: readonly string[];
}

export function judgeCluster({ id, reached, failed }: ClusterFacts): Finding {
  const check = `cluster ${id}`;
  if (reached + failed.length === 0) {
    return warning(check, "it has no backend: it answers 503", "sozu backend add, or add one to the file");
  }
  if (failed.length === 0) return ok(check, `all ${reached} backends accept connections`);
  const message = `${failed.length} of ${reached + failed.length} backends do not accept: ${failed.slice(0, 5).join(", ")}`;
  const next = "start them, or look at addresses and firewalls";
  return reached === 0 ? problem(check, message, next) : warning(check, message, next);
}

function megabytes(bytes: number): string {
  return bytes >= 10_000 * MEGABYTE ? `${Math.floor(bytes / 1e9)} GB` : `${Math.floor(bytes / MEGABYTE)} MB`;
}
