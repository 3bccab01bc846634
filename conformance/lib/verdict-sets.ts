// The sets whose cases are bytes and a verdict "accept" or "reject": gunicorn, llhttp, Go, Apache httpd, nginx. Where we
// are stricter by decision (Host is required, no CONNECT, no obs-fold) the expected verdict is derived here or the case is
// listed in known-failures.json with its reason.

import { type Lane, Probe } from "./lane.ts";
import { bytesOf, type CaseResult, load } from "./vectors.ts";

/** What must happen: served, refused (4xx or close, nothing forwarded after it), or either as long as it is safe. */
export type Expectation = "accept" | "reject" | "safe";

/** A case of one of these sets. */
export interface VerdictCase {
  readonly id: string;
  readonly bytes: Buffer;
  readonly expect: Expectation;
}

interface Gunicorn {
  readonly id: string;
  readonly base64: string;
  readonly gunicorn_verdict: string;
  readonly config_overrides: object;
  readonly expected_requests?: readonly { readonly headers: readonly (readonly [string, string])[] }[];
}

interface Llhttp {
  readonly id: string;
  readonly base64: string;
  readonly type: string;
  readonly strict: boolean;
  readonly verdict: string;
  readonly error_code: number | null;
  readonly messages_completed: number;
}

interface Simple {
  readonly id: string;
  readonly base64: string;
  readonly expect: string;
}

/** Settings that only exist in gunicorn (its own leniency) leave the verdict open. */
export function gunicornCases(): VerdictCase[] {
  return load<{ cases: Gunicorn[] }>("gunicorn").cases.map((vector) => {
    const hosts = (vector.expected_requests ?? []).map(
      ({ headers }) => headers.filter(([name]) => name === "HOST").length,
    );
    const accept = vector.gunicorn_verdict === "accept" && hosts.every((count) => count === 1);
    const open = Object.keys(vector.config_overrides).length > 0;
    return { id: vector.id, bytes: bytesOf(vector), expect: open ? "safe" : accept ? "accept" : "reject" };
  });
}

/** Requests in strict mode. What llhttp accepts needs a Host to be accepted here; cut messages leave the verdict open. */
export function llhttpCases(): VerdictCase[] {
  return load<{ cases: Llhttp[] }>("llhttp")
    .cases.filter((vector) => vector.type === "request" && vector.strict)
    .map((vector) => {
      const bytes = bytesOf(vector);
      const hosted = /\r\nhost:/i.test(bytes.toString("latin1"));
      const accepted = hosted && vector.messages_completed > 0 ? "accept" : hosted ? "safe" : "reject";
      // Codes 21 to 23 are pauses (CONNECT, Upgrade), not refusals.
      const paused = vector.error_code !== null && vector.error_code >= 21 && vector.error_code <= 23;
      return { id: vector.id, bytes, expect: paused ? "safe" : vector.verdict === "error" ? "reject" : accepted };
    });
}

/** Everything that Go accepts and a proxy should not is marked in the file with another word than "accept". */
export function goCases(): VerdictCase[] {
  const file = load<{ requests: Simple[]; chunk_size_lines: { line: string; value: string | null }[] }>("go-net-http");
  const requests = file.requests.map((vector) => simple(vector, vector.expect === "accept" ? "accept" : "reject"));
  const lines = file.chunk_size_lines.map(({ line, value }): VerdictCase => {
    const text = `POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n${line}\r\n\r\n`;
    return { id: `chunk-size-${line}`, bytes: Buffer.from(text), expect: value === "0" ? "accept" : "reject" };
  });
  return [...requests, ...lines];
}

export function apacheCases(): VerdictCase[] {
  return load<{ cases: Simple[] }>("apache-httpd-strict").cases.map((vector) =>
    simple(vector, vector.expect === "200" ? "accept" : "reject"),
  );
}

export function nginxCases(): VerdictCase[] {
  const hosts = load<{ cases: Simple[] }>("nginx-tests", "http_host.json").cases;
  const bodies = load<{ cases: Simple[] }>("nginx-tests", "body_chunked.json").cases;
  return [...hosts, ...bodies].map((vector) => simple(vector, vector.expect === "accept" ? "accept" : "reject"));
}

function simple(vector: Simple, expect: Expectation): VerdictCase {
  return { id: vector.id, bytes: bytesOf(vector), expect };
}

/** Sends the bytes, then FIN; compares what happened with the expectation. */
export async function runVerdictCase(vector: VerdictCase, lane: Lane): Promise<CaseResult> {
  lane.backend.requests.length = 0;
  lane.backend.violations.length = 0;
  const probe = await Probe.open(lane.port);
  const seen = await probe.step(vector.bytes);
  const ended = seen.state === "ClosedByServer" || (await probe.finish());
  probe.close();
  const statuses = seen.answers.map((answer) => answer.status);
  const forwarded = lane.backend.requests.length;
  // Every answer either comes from the backend or is a refusal that ends the connection.
  const served = statuses.length > 0 && forwarded === statuses.length;
  const refusal =
    forwarded === statuses.length - 1 && (statuses.at(-1) as number) >= 400 && seen.state === "ClosedByServer";
  const refused = statuses.length === 0 ? ended && forwarded === 0 : refusal;
  const violation = lane.backend.violations[0];
  const right = vector.expect === "safe" || (vector.expect === "accept" ? served : refused);
  const seenText = `${statuses.join(",") || "no answer"} ${seen.state}, ${forwarded} forwarded`;
  return {
    id: vector.id,
    verdict: right && violation === undefined && forwarded <= statuses.length ? "pass" : "fail",
    seen: `expected ${vector.expect}: ${seenText}${violation === undefined ? "" : `: ${violation}`}`,
  };
}
