// Health checks and the additions to balancing, from messages to records (spec 2.9, 7.5). Texts such as `200-399` and
// `header:X-User` become numbers here; the worker sees no text that could be wrong.

import { checkField, checkTimeout, has } from "./convert-checks.ts";
import { CommandError, commandError } from "./errors.ts";
import type { Cluster, HealthCheckConfig } from "./gen/sozu_pb.ts";
import { LoadBalancingAlgorithms } from "./gen/sozu_pb.ts";
import { HEADER_NAME_BYTES_MAX, PROBE_URI_BYTES_MAX, STATUS_RANGES_MAX } from "./limits.ts";
import {
  AFFINITY_COOKIE,
  AFFINITY_HEADER,
  AFFINITY_SOURCE_IP,
  type BalancingTuningObject,
  type HealthCheckObject,
} from "./objects.ts";
import { checkToken } from "./text.ts";

/** Default of `ejection_time`, in seconds. */
export const EJECTION_TIME_DEFAULT = 30;

/** `field` is what refusals call the message: `health_check` of a cluster, `config` of SetHealthCheck. */
export function toHealthCheck(message: HealthCheckConfig, field: string): HealthCheckObject | CommandError {
  const bad =
    (message.tcp && message.uri === "" ? null : checkField(`${field}.uri`, checkProbeUri(message.uri))) ??
    checkAtLeastOne(`${field}.interval`, message.interval) ??
    checkAtLeastOne(`${field}.timeout`, message.timeout) ??
    checkTimeout(`${field}.interval`, message.interval) ??
    checkTimeout(`${field}.timeout`, message.timeout) ??
    checkAtLeastOne(`${field}.healthy_threshold`, message.healthyThreshold) ??
    checkAtLeastOne(`${field}.unhealthy_threshold`, message.unhealthyThreshold) ??
    checkField(`${field}.expected_status`, checkExpectedStatus(message.expectedStatus));
  if (bad !== null) return bad;
  const acceptedStatuses = toStatusRanges(message.acceptedStatuses, `${field}.accepted_statuses`);
  if (acceptedStatuses instanceof CommandError) return acceptedStatuses;
  const { uri, interval, timeout, healthyThreshold, unhealthyThreshold, expectedStatus, tcp } = message;
  return { uri, interval, timeout, healthyThreshold, unhealthyThreshold, expectedStatus, tcp, acceptedStatuses };
}

/** null: everything as it is by default. */
export function toTuning(message: Cluster): BalancingTuningObject | null | CommandError {
  const ejectionTime = has(message, "ejectionTime") ? message.ejectionTime : EJECTION_TIME_DEFAULT;
  const affinity = parseAffinity(message.affinity);
  if (typeof affinity === "string") return commandError("INVALID_VALUE", "affinity", affinity);
  const bad =
    checkTimeout("slow_start", message.slowStart) ??
    checkAtLeastOne("ejection_time", ejectionTime) ??
    checkTimeout("ejection_time", ejectionTime);
  if (bad !== null) return bad;
  const keyed =
    message.loadBalancing === LoadBalancingAlgorithms.HRW || message.loadBalancing === LoadBalancingAlgorithms.MAGLEV;
  if (affinity.kind !== AFFINITY_SOURCE_IP && !keyed) {
    return commandError("INVALID_VALUE", "affinity", "only the policies HRW and MAGLEV look at it");
  }
  const { slowStart, ejectAfter } = message;
  const plain = affinity.kind === AFFINITY_SOURCE_IP && slowStart === 0 && ejectAfter === 0;
  if (plain && ejectionTime === EJECTION_TIME_DEFAULT) return null;
  return { affinity: affinity.kind, affinityName: affinity.name, slowStart, ejectAfter, ejectionTime };
}

/** The range of `200` or `200-399`; null when it is none. */
export function parseStatusRange(text: string): readonly [from: number, to: number] | null {
  const match = /^([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?$/.exec(text);
  if (match === null) return null;
  const from = Number(match[1]);
  const to = match[2] === undefined ? from : Number(match[2]);
  return from <= to ? [from, to] : null;
}

function toStatusRanges(
  texts: readonly string[],
  field: string,
): (readonly [from: number, to: number])[] | CommandError {
  if (texts.length > STATUS_RANGES_MAX) {
    return commandError("INVALID_VALUE", field, `there are more than ${STATUS_RANGES_MAX}`);
  }
  const ranges: (readonly [from: number, to: number])[] = [];
  for (let i = 0; i < texts.length; i++) {
    const range = parseStatusRange(texts[i]!);
    if (range === null) {
      return commandError("INVALID_VALUE", `${field}[${i}]`, 'expected a status or a range such as "200-399"');
    }
    ranges.push(range);
  }
  return ranges;
}

/** The target of a request (RFC 9112 3.2.1): visible ASCII, for anything else would be a malformed probe. */
function checkProbeUri(uri: string): string | null {
  if (uri.length > PROBE_URI_BYTES_MAX) return `it is longer than ${PROBE_URI_BYTES_MAX} bytes`;
  if (!uri.startsWith("/")) return 'it must begin with "/"';
  return /^[!"$-~]+$/.test(uri) ? null : "it has other characters than visible ASCII, or a #: percent-encode them";
}

function checkExpectedStatus(status: number): string | null {
  return status === 0 || (status >= 100 && status <= 599) ? null : `it must be 0 or from 100 to 599, got ${status}`;
}

function checkAtLeastOne(field: string, value: number): CommandError | null {
  return value >= 1 ? null : commandError("INVALID_VALUE", field, "it must be at least 1");
}

function parseAffinity(text: string): { readonly kind: number; readonly name: string } | string {
  if (text === "" || text === "source-ip") return { kind: AFFINITY_SOURCE_IP, name: "" };
  const match = /^(header|cookie):(.*)$/s.exec(text);
  if (match === null) return "expected source-ip, header:NAME or cookie:NAME";
  const name = match[2]!;
  const reason = checkToken(name, HEADER_NAME_BYTES_MAX);
  if (reason !== null) return `the name of the ${match[1]}: ${reason}`;
  // Field names are compared without case (RFC 9110 5.1), names of cookies exactly.
  if (match[1] === "header") return { kind: AFFINITY_HEADER, name: name.toLowerCase() };
  return { kind: AFFINITY_COOKIE, name };
}
