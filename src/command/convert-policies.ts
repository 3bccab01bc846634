// What frontends and clusters do beyond forwarding (spec 5.7 to 5.10), from messages to records. null when a message asks
// for none of it, so that plain objects stay small. Fields are named in refusals as they are in the schema, with the
// index of an item: `headers[1].val`.

import { checkHash, HASHES_MAX } from "../policies/credentials.ts";
import { checkHeaderEdit, checkHeaderEdits, EDIT_VALUE_BYTES_MAX, EDITS_MAX } from "../policies/header-edits.ts";
import { compileRewrite, type RewriteTarget } from "../policies/rewrite.ts";
import { checkTemplate, clusterAnswers, toAnswers } from "./answer-texts.ts";
import { hostGroups, pathGroups } from "./captures.ts";
import { checkField, has } from "./convert-checks.ts";
import { CommandError, commandError } from "./errors.ts";
import type { Cluster, Header, RequestHttpFrontend } from "./gen/sozu_pb.ts";
import { TIMEOUT_SECONDS_MAX, WWW_AUTHENTICATE_BYTES_MAX } from "./limits.ts";
import {
  type ClusterPolicyObject,
  type FrontendPolicyObject,
  HEADER_BOTH,
  HEADER_REQUEST,
  type HeaderEditObject,
  REDIRECT_FORWARD,
  SCHEME_SAME,
} from "./objects.ts";
import { checkFieldValue } from "./text.ts";

/** What of a frontend's rule decides which captures a rewrite has. */
export interface CapturingRule {
  /** Normalised. */
  readonly hostname: string;
  readonly pathKind: number;
  readonly path: string;
}

export function toFrontendPolicy(
  message: RequestHttpFrontend,
  rule: CapturingRule,
): FrontendPolicyObject | null | CommandError {
  const headers = toHeaderEdits(message.headers);
  if (headers instanceof CommandError) return headers;
  const { redirectTemplate, rewriteHost, rewritePath, rewritePort } = message;
  const bad =
    (redirectTemplate === "" ? null : checkField("redirect_template", checkTemplate("", redirectTemplate))) ??
    checkRewrite("rewrite_host", rewriteHost, "host", rule) ??
    checkRewrite("rewrite_path", rewritePath, "path", rule) ??
    (has(message, "rewritePort") ? checkPort("rewrite_port", rewritePort) : null);
  if (bad !== null) return bad;
  const policy: FrontendPolicyObject = {
    redirect: message.redirect,
    redirectScheme: message.redirectScheme,
    redirectTemplate: orNull(message.redirectTemplate),
    rewriteHost: orNull(message.rewriteHost),
    rewritePath: orNull(message.rewritePath),
    rewritePort: has(message, "rewritePort") ? message.rewritePort : null,
    requiredAuth: message.requiredAuth,
    headers,
  };
  return isPlain(policy) ? null : policy;
}

export function toClusterPolicy(message: Cluster): ClusterPolicyObject | null | CommandError {
  const answers = toAnswers(clusterAnswers(message));
  if (answers instanceof CommandError) return answers;
  const perIp = has(message, "maxConnectionsPerIp") ? message.maxConnectionsPerIp : null;
  const retryAfter = has(message, "retryAfter") ? message.retryAfter : null;
  const bad =
    checkHashes(message.authorizedHashes) ??
    checkField("www_authenticate", checkFieldValue(message.wwwAuthenticate, WWW_AUTHENTICATE_BYTES_MAX)) ??
    checkLimitPerIp(perIp) ??
    checkField("retry_after", checkRetryAfter(retryAfter ?? 0));
  if (bad !== null) return bad;
  const wwwAuthenticate = orNull(message.wwwAuthenticate);
  const { authorizedHashes } = message;
  if (
    answers.length === 0 &&
    authorizedHashes.length === 0 &&
    wwwAuthenticate === null &&
    perIp === null &&
    retryAfter === null
  ) {
    return null;
  }
  const maxConnectionsPerIp = perIp === null ? null : Number(perIp);
  return { answers, authorizedHashes, wwwAuthenticate, maxConnectionsPerIp, retryAfter };
}

export function checkPort(field: string, port: number): CommandError | null {
  if (port >= 1 && port <= 65_535) return null;
  return commandError("INVALID_VALUE", field, `it must be from 1 to 65535, got ${port}`);
}

/** Connections per source address: what a counter holds. */
export const PER_IP_MAX = 0xffffffff;

function checkRewrite(field: string, text: string, target: RewriteTarget, rule: CapturingRule): CommandError | null {
  if (text === "") return null;
  const compiled = compileRewrite(text, hostGroups(rule.hostname), pathGroups(rule.pathKind, rule.path), target);
  return "reason" in compiled ? commandError("INVALID_VALUE", field, compiled.reason) : null;
}

function toHeaderEdits(headers: readonly Header[]): HeaderEditObject[] | CommandError {
  if (headers.length > EDITS_MAX) {
    return commandError("INVALID_VALUE", "headers", `there are more than ${EDITS_MAX}`);
  }
  const edits: HeaderEditObject[] = [];
  for (let i = 0; i < headers.length; i++) {
    const { position, key: name, val: value, append } = headers[i]!;
    const edit = { position, name, value, append };
    const bad =
      checkField(`headers[${i}].position`, checkPosition(position)) ??
      checkField(`headers[${i}].val`, checkFieldValue(value, EDIT_VALUE_BYTES_MAX)) ??
      checkField(`headers[${i}]`, checkHeaderEdit(edit));
    if (bad !== null) return bad;
    edits.push(edit);
  }
  return checkField("headers", checkHeaderEdits(edits)) ?? edits;
}

function checkPosition(position: number): string | null {
  const known = position >= HEADER_REQUEST && position <= HEADER_BOTH;
  return known ? null : "it must be request, response or both";
}

function checkHashes(hashes: readonly string[]): CommandError | null {
  if (hashes.length > HASHES_MAX) {
    return commandError("INVALID_VALUE", "authorized_hashes", `there are more than ${HASHES_MAX}`);
  }
  for (let i = 0; i < hashes.length; i++) {
    const bad = checkField(`authorized_hashes[${i}]`, checkHash(hashes[i]!));
    if (bad !== null) return bad;
  }
  return null;
}

function checkLimitPerIp(limit: bigint | null): CommandError | null {
  if (limit === null || limit <= BigInt(PER_IP_MAX)) return null;
  return commandError("INVALID_VALUE", "max_connections_per_ip", `it must be at most ${PER_IP_MAX}, got ${limit}`);
}

function checkRetryAfter(seconds: number): string | null {
  if (seconds <= TIMEOUT_SECONDS_MAX) return null;
  return `it must be at most ${TIMEOUT_SECONDS_MAX} seconds, got ${seconds}`;
}

function isPlain(policy: FrontendPolicyObject): boolean {
  return (
    policy.redirect === REDIRECT_FORWARD &&
    policy.redirectScheme === SCHEME_SAME &&
    policy.redirectTemplate === null &&
    policy.rewriteHost === null &&
    policy.rewritePath === null &&
    policy.rewritePort === null &&
    !policy.requiredAuth &&
    policy.headers.length === 0
  );
}

function orNull(text: string): string | null {
  return text === "" ? null : text;
}
