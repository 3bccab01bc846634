// An explanation for people and as JSON. Pure.

import { addressFromMessage, formatAddress } from "../../command/address.ts";
import type { FrontendPolicyObject, HeaderEditObject, SocketAddress } from "../../command/objects.ts";
import { LOAD_BALANCING } from "../../config/tables.ts";
import type { RouteRule } from "../../routing/router.ts";
import type { Explanation, WorkerHealth } from "../explain.ts";
import { shown } from "./objects.ts";
import { renderTable } from "./table.ts";

/** Ends in a newline. */
export function explanationText(explanation: Explanation): string {
  const { request, source, listener, listenerBecause, verdict, believed } = explanation;
  const lines = [
    `${shown(request)}   (${shown(source)})`,
    "",
    `listener  ${formatAddress(listener.address)}${listener.active ? "" : ", not active"}: ${listenerBecause}`,
    ...rulesText(explanation),
  ];
  const policy = verdict.frontend?.policy ?? null;
  if (policy !== null) lines.push(`policy    ${policyParts(policy).join("; ") || "none"}`);
  if (verdict.clusterId !== null) lines.push(`cluster   ${clusterText(explanation)}`);
  if (believed !== null) lines.push(`client    its X-Forwarded-* is ${believed ? "believed" : "dropped"}`);
  lines.push(`answer    ${answerText(explanation)}`, "");
  const backends = verdict.status === null ? `\n${backendsTable(explanation)}` : "";
  return `${lines.join("\n")}${backends}`;
}

function rulesText({ rules, verdict }: Explanation): string[] {
  const { tried } = verdict;
  if (tried.length === 0) return [`rules     none of ${rules} is for this host`];
  const head = `rules     in the order in which they are tried, of ${rules} of this listener`;
  const named = tried.map(({ rule, because }, index) => {
    const mark = because === null ? "->" : "  ";
    return `  ${mark} ${String(index + 1).padStart(3)}. ${ruleText(rule)}${because === null ? "" : `: ${because}`}`;
  });
  return [head, ...named];
}

const PATH_KINDS: readonly string[] = ["PREFIX", "REGEX", "EQUALS"];

function ruleText({ hostname, path, pathKind, method }: RouteRule): string {
  const where = path === "" ? "any path" : `${PATH_KINDS[pathKind]} ${shown(path)}`;
  return `${method === null ? "" : `${shown(method)} `}${shown(hostname)} ${where}`;
}

const REDIRECT_WORDS: readonly string[] = ["", "redirects (301)", "answers 401", "redirects (302)", "redirects (308)"];

function policyParts(policy: FrontendPolicyObject): string[] {
  const { redirect, rewriteHost, rewritePath, rewritePort, requiredAuth, headers } = policy;
  return [
    ...(redirect === 0 ? [] : [REDIRECT_WORDS[redirect] ?? ""]),
    ...(requiredAuth ? ["asks for credentials"] : []),
    ...(rewriteHost === null ? [] : [`rewrites the host: ${shown(rewriteHost)}`]),
    ...(rewritePath === null ? [] : [`rewrites the path: ${shown(rewritePath)}`]),
    ...(rewritePort === null ? [] : [`port ${rewritePort} in redirects`]),
    ...headers.map(editText),
  ];
}

const POSITIONS: readonly string[] = ["", "request", "response", "both"];

function editText({ position, name, value, append }: HeaderEditObject): string {
  const where = POSITIONS[position] ?? "";
  if (value === "") return `${where}: removes ${shown(name)}`;
  return `${where}: ${append ? "adds" : "sets"} ${shown(name)}: ${shown(value)}`;
}

function clusterText({ verdict }: Explanation): string {
  const { cluster, clusterId } = verdict;
  if (cluster === null) return `${shown(clusterId ?? "")}, which is not configured`;
  const sticky = cluster.stickySession ? ", sticky" : "";
  const limit = cluster.policy?.maxConnectionsPerIp ?? 0;
  const limited = limit === 0 ? "" : `, at most ${limit} connections of an address`;
  return `${shown(cluster.clusterId)}, ${LOAD_BALANCING[cluster.loadBalancing] ?? ""}${sticky}${limited}`;
}

function answerText({ verdict }: Explanation): string {
  const { status, reason, location, answeredBy, forwarded } = verdict;
  if (forwarded !== null)
    return `of a backend, which gets ${shown(forwarded.path)} with Host: ${shown(forwarded.host)}`;
  const where = location === null ? "" : `, Location: ${shown(location)}`;
  return `${status} by the proxy (${answeredBy}): ${reason}${where}`;
}

function backendsTable({ verdict, health }: Explanation): string {
  const rows = verdict.backends.map(({ backendId, address, weight, backup }) => {
    const cells = [shown(backendId), formatAddress(address), String(weight), backup ? "backup" : ""];
    return health === null ? cells : [...cells, healthOf(health, backendId, address)];
  });
  const header = ["backend", "address", "weight", ""];
  return renderTable(health === null ? header : [...header, "health"], rows);
}

function healthOf(health: readonly WorkerHealth[], backendId: string, address: SocketAddress): string {
  const own = health.filter((one) => isOf(one, backendId, address));
  const out = own.filter((one) => !one.health.available);
  if (own.length === 0) return "unknown";
  if (out.length === 0) return "available";
  const reasons = out.map(({ worker, health: { reason } }) => `worker ${worker}: ${shown(reason)}`);
  return `left out by ${out.length} of ${own.length} workers (${reasons.join(", ")})`;
}

function isOf({ health }: WorkerHealth, backendId: string, address: SocketAddress): boolean {
  const place = addressFromMessage(health.address);
  return health.backendId === backendId && typeof place !== "string" && formatAddress(place) === formatAddress(address);
}

/** One object; ends in a newline. */
export function explanationJson(explanation: Explanation): string {
  const { request, source, listener, rules, verdict, health, believed } = explanation;
  const { status, reason, answeredBy, location, forwarded, clusterId, frontend } = verdict;
  const json = {
    request,
    source,
    listener: {
      address: formatAddress(listener.address),
      active: listener.active,
      because: explanation.listenerBecause,
    },
    rules: {
      total: rules,
      tried: verdict.tried.map(({ rule, matches, because }) => ({
        hostname: rule.hostname,
        path_kind: PATH_KINDS[rule.pathKind],
        path: rule.path,
        method: rule.method,
        matches,
        because,
      })),
    },
    policy: frontend?.policy == null ? [] : policyParts(frontend.policy),
    cluster_id: clusterId,
    backends: verdict.backends.map(({ backendId, address, weight, backup }) => ({
      backend_id: backendId,
      address: formatAddress(address),
      weight,
      backup,
      workers: health === null ? null : workersOf(health, backendId, address),
    })),
    client: believed === null ? null : { believed },
    answer: { status, by: answeredBy, reason, location, forwarded },
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

function workersOf(health: readonly WorkerHealth[], backendId: string, address: SocketAddress) {
  const own = health.filter((one) => isOf(one, backendId, address));
  return own.map(({ worker, health: { available, healthy, reason } }) => ({ worker, available, healthy, reason }));
}
