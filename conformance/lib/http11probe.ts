// Http11Probe: the 161 scored cases, judged by the set's own tables; a forwarded request that is not canonical is a
// failure whatever the answer was.

import type { Answer } from "../../e2e/lib/answer.ts";
import { type Lane, type Observation, Probe } from "./lane.ts";
import { bytesOf, type CaseResult, load } from "./vectors.ts";

interface Verdicts {
  readonly pass: readonly (number | null)[];
  readonly warn: readonly (number | null)[];
  /** For these statuses the set looks at fields or the body, see `judgeByContent`. */
  readonly depends_on_headers_or_body?: readonly number[];
}

interface Row {
  readonly step1_status: number | null;
  readonly status_lines_in_step1_answer: number;
  readonly step1_connection: string;
  readonly later_steps?: string | number | null;
  readonly verdict: string;
}

/** A case of the file. */
export interface ProbeCase {
  readonly id: string;
  readonly suite: string;
  readonly scored: boolean;
  readonly rfc_level: string;
  readonly steps: readonly { readonly base64: string }[];
  readonly verdict_by_connection_state?: Readonly<Record<string, Verdicts>>;
  readonly verdict_table?: readonly Row[];
  readonly validator_source?: string;
}

/** The 161 cases that count. */
export function probeCases(): ProbeCase[] {
  const { cases } = load<{ readonly cases: readonly ProbeCase[] }>("http11probe");
  return cases.filter(({ scored, suite }) => scored && suite !== "Cookie" && suite !== "Capabilities");
}

export async function runProbeCase(vector: ProbeCase, lane: Lane): Promise<CaseResult> {
  lane.backend.requests.length = 0;
  lane.backend.violations.length = 0;
  const probe = await Probe.open(lane.port);
  const [first, ...rest] = vector.steps;
  const seen = await probe.step(bytesOf(first as { readonly base64: string }));
  let later: number | null | "not sent" = "not sent";
  for (const step of rest) {
    if (seen.state !== "Open") break;
    later = statusOf(await probe.step(bytesOf(step)));
  }
  probe.close();
  const violation = lane.backend.violations[0];
  const verdict = violation === undefined ? judge(vector, seen, later, lane) : "fail";
  const forwarded = lane.backend.requests.length;
  const text = `${statusOf(seen)} ${seen.state}, ${forwarded} forwarded${violation === undefined ? "" : `: ${violation}`}`;
  return { id: vector.id, verdict, seen: text };
}

function judge(
  vector: ProbeCase,
  seen: Observation,
  later: number | null | "not sent",
  lane: Lane,
): CaseResult["verdict"] {
  if (vector.verdict_table !== undefined) return judgeByTable(vector.verdict_table, seen, later);
  if (vector.verdict_by_connection_state === undefined) return judgeBySource(vector, seen, lane);
  const verdicts = vector.verdict_by_connection_state[seen.state];
  const status = statusOf(seen);
  if (status !== null && verdicts?.depends_on_headers_or_body?.includes(status) === true) {
    return judgeByContent(vector.id, seen) ? "pass" : "fail";
  }
  if (verdicts?.pass.includes(status) === true) return "pass";
  return verdicts?.warn.includes(status) === true ? "warn" : "fail";
}

/** Rows that are not listed are failures; every 2xx is the table's 200. */
function judgeByTable(
  rows: readonly Row[],
  seen: Observation,
  later: number | null | "not sent",
): CaseResult["verdict"] {
  const status = statusOf(seen);
  const lines = [...seen.raw.matchAll(/HTTP\/1\.[01] \d{3}/g)].length;
  const row = rows.find(
    (candidate) =>
      candidate.step1_status === coarse(status) &&
      candidate.status_lines_in_step1_answer === lines &&
      candidate.step1_connection === seen.state &&
      (candidate.later_steps === undefined || candidate.later_steps === (later === "not sent" ? later : coarse(later))),
  );
  if (row === undefined) return "fail";
  return row.verdict === "Pass" ? "pass" : "warn";
}

/** Cases whose good statuses are only good with the right fields or body, by what their descriptions say. */
function judgeByContent(id: string, seen: Observation): boolean {
  const { headers, body } = seen.answers[0] as Answer;
  const checks: Readonly<Record<string, () => boolean>> = {
    "COMP-CHUNKED-EXTENSION": () => body.toString() === "hello",
    "COMP-HEAD-NO-BODY": () => seen.raw.endsWith("\r\n\r\n"),
    "COMP-405-ALLOW": () => headers.has("allow"),
    "COMP-DATE-HEADER": () => headers.has("date"),
    "COMP-NO-CL-IN-204": () => !headers.has("content-length"),
    "COMP-OPTIONS-ALLOW": () => headers.has("allow"),
    "COMP-CONTENT-TYPE": () => headers.has("content-type"),
  };
  const check = checks[id];
  if (check === undefined) throw new Error(`${id}: no check of its content known`);
  return check();
}

/** The two validators that look at more than the status, as their source describes them. */
function judgeBySource(vector: ProbeCase, seen: Observation, lane: Lane): CaseResult["verdict"] {
  const echo = /^EchoValidator\("(.*)"\)$/.exec(vector.validator_source ?? "");
  const answer = seen.answers[0];
  if (echo !== null) {
    return answer !== undefined && answer.status < 300 && answer.body.toString() === echo[1] ? "pass" : "fail";
  }
  // MakeValidator(name, variant, value): reject or drop is a pass, keep the variant a warning, merge it a failure.
  const [, name, variant, value] =
    /^MakeValidator\("(.*)", "(.*)", "(.*)"\)$/.exec(vector.validator_source ?? "") ?? [];
  if (name === undefined || variant === undefined) throw new Error(`${vector.id}: no verdict known`);
  const request = lane.backend.requests[0];
  if (request === undefined) return answer === undefined || answer.status >= 400 ? "pass" : "fail";
  if (request.headers.get(name.toLowerCase()) === value) return "fail";
  return request.headers.has(variant.replace("\\t", "\t").toLowerCase()) ? "warn" : "pass";
}

function statusOf(seen: Observation): number | null {
  return seen.answers[0]?.status ?? null;
}

function coarse(status: number | null): number | null {
  return status !== null && status >= 200 && status < 300 ? 200 : status;
}
