// What the content of an answer looks like: a table for people, exact JSON for programs (decisions 1 and 3). Pure.

import { addressFromMessage, formatAddress } from "../../command/address.ts";
import type { HealthCheckConfig, ResponseContent } from "../../command/gen/sozu_pb.ts";
import { ResponseContentSchema } from "../../command/gen/sozu_pb.ts";
import { oneofToPrettyJson } from "../../command/json.ts";
import { certificatesText, servedText } from "./certificates.ts";
import { changeReportText } from "./change-report.ts";
import { clustersText, hashesText } from "./clusters.ts";
import { detailText, metricsText, namesText } from "./metrics.ts";
import { frontendsText, listenersText, shown } from "./objects.ts";
import { renderTable } from "./table.ts";

const RUN_STATES: readonly string[] = ["RUNNING", "STOPPING", "STOPPED", "NOT_ANSWERING"];

/** The JSON of a content, ending in a newline; `{}` when there is none. */
export function contentJson(content: ResponseContent | undefined): string {
  return content === undefined ? "{}\n" : `${oneofToPrettyJson(ResponseContentSchema, content)}\n`;
}

/** The text of a content for people, ending in a newline; `No content` when there is none. */
export function contentText(content: ResponseContent | undefined): string {
  const held = content?.contentType;
  switch (held?.case) {
    case undefined:
      return "No content\n";
    case "workers":
      return renderTable(
        ["worker id", "pid", "run state", "sandbox"],
        [...held.value.vec].sort((a, b) => a.id - b.id).map(workerRow),
      );
    case "frontendList":
      return frontendsText(held.value);
    case "listenersList":
      return listenersText(held.value);
    case "requestCounts": {
      const counts = Object.entries(held.value.map).sort(([a], [b]) => (a < b ? -1 : 1));
      return renderTable(
        ["request type", "count"],
        counts.map(([name, count]) => [name, String(count)]),
      );
    }
    case "certificatesWithFingerprints":
      return certificatesText(held.value.certs);
    case "certificatesByAddress":
      return servedText(held.value.certificates);
    case "healthChecksList":
      return healthChecksText(held.value.map);
    case "maxConnectionsPerIpLimit":
      return held.value.limit === 0n ? "unlimited (0)\n" : `${held.value.limit}\n`;
    case "metrics":
      return metricsText(held.value);
    case "availableMetrics":
      return namesText(held.value);
    case "metricDetailStatus":
      return detailText(held.value);
    case "changeReport":
      return changeReportText(held.value);
    case "workerResponses":
      return responsesText(held.value.map);
    default:
      // A kind of answer that has no table yet is still shown, exactly.
      return contentJson(content);
  }
}

function workerRow(worker: { id: number; pid: number; runState: number; sandbox: string | undefined }): string[] {
  const state = RUN_STATES[worker.runState] ?? String(worker.runState);
  return [String(worker.id), String(worker.pid), state, shown(worker.sandbox ?? "")];
}

function healthChecksText(checks: Readonly<Record<string, HealthCheckConfig>>): string {
  const ids = Object.keys(checks).sort();
  if (ids.length === 0) return "No health checks configured.\n";
  return renderTable(
    ["cluster", "uri", "interval", "timeout", "healthy threshold", "unhealthy threshold", "expected status"],
    ids.map((id) => {
      const { uri, tcp, interval, timeout, healthyThreshold, unhealthyThreshold } = checks[id]!;
      const numbers = [`${interval}s`, `${timeout}s`, String(healthyThreshold), String(unhealthyThreshold)];
      return [shown(id), tcp ? "TCP connect" : shown(uri), ...numbers, expectedText(checks[id]!)];
    }),
  );
}

function expectedText({ tcp, acceptedStatuses, expectedStatus }: HealthCheckConfig): string {
  if (tcp) return "";
  if (acceptedStatuses.length > 0) return acceptedStatuses.map(shown).join(", ");
  return expectedStatus === 0 ? "any 2xx" : String(expectedStatus);
}

/** Answers of several processes: by what they answer, one table for all, or one after the other. */
function responsesText(map: Readonly<Record<string, ResponseContent>>): string {
  const names = Object.keys(map).sort(compareProcesses);
  const contents = names.map((name) => map[name].contentType);
  if (contents.some((content) => content.case === "clusters")) {
    return clustersText(names, (name) => {
      const { contentType } = map[name];
      return contentType.case === "clusters" ? contentType.value.vec : [];
    });
  }
  if (contents.some((content) => content.case === "clusterHashes")) {
    return hashesText(names, (name) => {
      const { contentType } = map[name];
      return contentType.case === "clusterHashes" ? contentType.value.map : {};
    });
  }
  if (contents.some((content) => content.case === "backendHealth")) return healthText(names, map);
  return names.map((name) => `${name === "main" ? "Main" : `Worker ${name}`}\n${contentText(map[name])}`).join("\n");
}

/** One row for each backend and worker: workers judge for themselves. */
function healthText(names: readonly string[], map: Readonly<Record<string, ResponseContent>>): string {
  const rows = names.flatMap((name) => {
    const { contentType } = map[name];
    const vec = contentType.case === "backendHealth" ? contentType.value.vec : [];
    return vec.map((each) => {
      const address = addressFromMessage(each.address);
      const where = typeof address === "string" ? "" : formatAddress(address);
      const verdict = each.available ? "available" : each.healthy ? "left out" : "unhealthy";
      const { clusterId, backendId, activeRequests, reason } = each;
      return [shown(clusterId), shown(backendId), where, name, verdict, String(activeRequests), shown(reason)];
    });
  });
  if (rows.length === 0) return "No backends.\n";
  rows.sort((a, b) => compareTexts(a[0]!, b[0]!) || compareTexts(a[1]!, b[1]!) || compareTexts(a[2]!, b[2]!));
  return renderTable(["cluster", "backend", "address", "worker", "verdict", "requests", "reason"], rows);
}

function compareTexts(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Main first, then workers by number. */
function compareProcesses(a: string, b: string): number {
  if (a === "main" || b === "main") return a === b ? 0 : a === "main" ? -1 : 1;
  return Number(a) - Number(b);
}
