// `sozu doctor`: what on this machine, in the configuration or behind it stands in the way of the proxy. Changes nothing.

import { lstatSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { ClientError, connect } from "../client/index.ts";
import { formatAddress } from "../command/address.ts";
import type { BackendObject, SocketAddress } from "../command/objects.ts";
import type { ConfigState } from "../command/state.ts";
import { loadConfig } from "../config/load.ts";
import type { GlobalSettings } from "../config/settings.ts";
import { shown } from "./display/objects.ts";
import {
  type Finding,
  judgeCertificate,
  judgeCluster,
  judgeFolder,
  judgeSandbox,
  judgeSystem,
  judgeTrust,
  ok,
  problem,
  warning,
} from "./doctor/findings.ts";
import { readFolder, readSandbox, readSystem, tryBind, tryConnect } from "./doctor/system.ts";
import { EXIT_FAILURE } from "./errors.ts";
import type { GlobalOptions } from "./options.ts";

/** Prints the findings; sets exit code 1 when one of them is a problem. */
export async function doctor(options: GlobalOptions): Promise<void> {
  const config = await loadConfig(options.config, { unknownKeys: "warn" });
  const findings: Finding[] = [];
  if (config.ok) {
    const { settings, state, warnings } = config;
    findings.push(
      warnings.length === 0
        ? ok("configuration", `${options.config} is valid`)
        : warning("configuration", `${options.config} has ${warnings.length} warnings`, "sozu config check shows them"),
      ...judgeSystem(readSystem(builtMs()), needsOf(settings, state)),
      judgeSandbox(settings.sandbox, await readSandbox()),
      ...(await judgePlaces(options, settings, state)),
      ...folders(settings).map(([purpose, folder]) => judgeFolder(readFolder(purpose, folder))),
      ...[...state.httpListeners.entries.values(), ...state.httpsListeners.entries.values()].map(
        ({ object: { address, trustedProxies } }) =>
          judgeTrust({ address: formatAddress(address), ip: address.ip, trustedProxies: trustedProxies.length }),
      ),
      ...[...state.certificates.entries.values()].map(({ object }) =>
        judgeCertificate({ ...object, address: formatAddress(object.address) }, Date.now()),
      ),
      ...(await judgeBackends(state)),
    );
  } else {
    findings.push(
      problem("configuration", config.text.split("\n", 1)[0] ?? "", "sozu config check shows every problem"),
    );
  }
  const bad = findings.some(({ level }) => level === "problem");
  process.stdout.write(options.json ? `${JSON.stringify({ ok: !bad, findings }, null, 2)}\n` : report(findings));
  if (bad) process.exitCode = EXIT_FAILURE;
}

function builtMs(): number {
  return statSync(import.meta.filename).mtimeMs;
}

function needsOf(settings: GlobalSettings, state: ConfigState) {
  const { maxConnections, workerCount, maxBuffers, bufferSizeBytes } = settings;
  const places = [...state.backends.entries.values()].map(({ object }) => formatAddress(object.address));
  return {
    maxConnections,
    workers: workerCount,
    bufferBytes: maxBuffers * bufferSizeBytes,
    backends: new Set(places).size,
  };
}

/** The command socket and the ports; a proxy that runs has them by right. */
async function judgePlaces(options: GlobalOptions, settings: GlobalSettings, state: ConfigState): Promise<Finding[]> {
  const path = settings.commandSocket;
  const timeoutMs = options.timeout ?? settings.ctlCommandTimeoutMs;
  try {
    (await connect({ socketPath: path, timeoutMs })).close();
    return [judgeSocketMode(path), ok("ports", "a proxy runs with this configuration and has its ports")];
  } catch (error) {
    const code = error instanceof ClientError ? error.code : "";
    const ports = await judgePorts(state);
    if (code === "SOCKET_MISSING") return [ok("command socket", `${path}: nothing is in its place`), ...ports];
    if (code === "NOT_RUNNING") return [ok("command socket", `${path} is left over and will be replaced`), ...ports];
    const message = error instanceof Error ? error.message : String(error);
    return [
      problem("command socket", message, "use the user that runs the proxy, or another command_socket"),
      ...ports,
    ];
  }
}

function judgeSocketMode(path: string): Finding {
  const mode = lstatSync(path).mode & 0o777;
  if ((mode & 0o077) === 0) return ok("command socket", `${path}: a proxy answers, mode ${mode.toString(8)}`);
  const message = `${path} has mode ${mode.toString(8)}: others than its owner can change the proxy`;
  return problem("command socket", message, `chmod 600 ${path}`);
}

async function judgePorts(state: ConfigState): Promise<Finding[]> {
  const findings: Finding[] = [];
  const listeners = [...state.httpListeners.entries.values(), ...state.httpsListeners.entries.values()];
  for (const { object, message } of listeners) {
    if (!message.active) continue;
    const { ip, port } = object.address;
    const name = `port of ${formatAddress(object.address)}`;
    const code = await tryBind(ip, port);
    findings.push(code === null ? ok(name, "free") : takenPort(name, code, port));
  }
  return findings;
}

function takenPort(name: string, code: string, port: number): Finding {
  switch (code) {
    case "EADDRINUSE":
      return problem(name, "another process listens there", `find it: ss -ltnp 'sport = :${port}'`);
    case "EACCES":
      return problem(name, "this user may not use it", "take a port from 1024, or give CAP_NET_BIND_SERVICE");
    case "EADDRNOTAVAIL":
      return problem(name, "this machine has no such address", "ip address shows those it has");
    default:
      return problem(name, `it cannot be used: ${code}`, "look at the address");
  }
}

/** Where files are written, by what for. */
function folders(settings: GlobalSettings): [purpose: string, folder: string][] {
  const { commandSocket, pidFilePath, savedState, logTarget, accessLogsTarget } = settings;
  const file = (target: string | null): string | null =>
    target?.startsWith("file://") === true ? target.slice("file://".length) : null;
  const all: [string, string | null][] = [
    ["folder of command_socket", commandSocket],
    ["folder of pid_file_path", pidFilePath],
    ["folder of saved_state", savedState],
    ["folder of log_target", file(logTarget)],
    ["folder of access_logs_target", file(accessLogsTarget)],
  ];
  // Missing folders of audit files are made at start.
  return all.flatMap(([purpose, path]) => (path === null ? [] : [[purpose, dirname(path)] as [string, string]]));
}

/** Backends that are tried, and how many at once. */
const BACKENDS_MAX = 500;
const AT_ONCE = 32;
const CONNECT_MS = 1000;

async function judgeBackends(state: ConfigState): Promise<Finding[]> {
  const all = [...state.backends.entries.values()].map(({ object }) => object);
  const tried = all.slice(0, BACKENDS_MAX);
  const reached = await reach(tried.map(({ address }) => address));
  const clusters = new Map<string, BackendObject[]>();
  for (const id of state.clusters.entries.keys()) clusters.set(id, []);
  for (const backend of all) clusters.get(backend.clusterId)?.push(backend);
  const findings: Finding[] = [];
  for (const [id, backends] of clusters) {
    const known = backends.filter(({ address }) => reached.has(formatAddress(address)));
    if (backends.length > 0 && known.length === 0) continue;
    const failed = known.flatMap(({ address }) => {
      const name = formatAddress(address);
      const reason = reached.get(name) ?? null;
      return reason === null ? [] : [`${name}: ${reason}`];
    });
    findings.push(judgeCluster({ id: shown(id), reached: known.length - failed.length, failed }));
  }
  if (all.length <= BACKENDS_MAX) return findings;
  return [...findings, ok("backends", `${BACKENDS_MAX} of ${all.length} were tried`)];
}

/** Why an address cannot be connected to, by its text; null: it can. */
async function reach(addresses: readonly SocketAddress[]): Promise<Map<string, string | null>> {
  const waiting = new Map(addresses.map((address) => [formatAddress(address), address]));
  const results = new Map<string, string | null>();
  const entries = waiting.entries();
  const work = async (): Promise<void> => {
    for (const [name, { ip, port }] of entries) results.set(name, await tryConnect(ip, port, CONNECT_MS));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return results;
}

function report(findings: readonly Finding[]): string {
  const lines = findings.flatMap(({ check, level, message, next }) => [
    `${level.padEnd(8)} ${check}: ${message}`,
    ...(next === null ? [] : [`         next: ${next}`]),
  ]);
  const count = (level: string): number => findings.filter((one) => one.level === level).length;
  return `${lines.join("\n")}\n\n${count("problem")} problems, ${count("warning")} warnings\n`;
}
