// Public vectors, at the level of the codec: what their own software accepts and refuses against what this codec does.
// Differences are listed with reasons in known-differences.ts. The vectors live outside this repository (folder
// `../shared/vectors` from its root, see the README there); without them the tests are skipped.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { WireError, wireErrors } from "../../../src/wire/http1/errors.ts";
import { RequestDecoder } from "../../../src/wire/http1/request-decoder.ts";
import { ResponseDecoder } from "../../../src/wire/http1/response-decoder.ts";
import { isRefusal, type Reading, readRequests, readResponses } from "./connection.ts";
import { describeRequest, describeResponse } from "./describe.ts";
import { feed, latin1 } from "./feed.ts";
import { knownDifferences } from "./known-differences.ts";

const folder = new URL("../../../../shared/vectors/", import.meta.url);
const skip = existsSync(folder) ? false : "no ../shared/vectors beside the project";

/** The members of a case that any of the tests reads. */
interface Case {
  id: string;
  base64: string;
  type: string;
  verdict: string;
  error_code: number | null;
  log: string[];
  gunicorn_verdict: string;
  expected_requests?: { method: string; uri: { raw: string }; body: string | null }[];
  expect: string;
  nginx_normalised_host: string | null;
  steps: { base64?: string }[];
  verdict_by_connection_state?: Record<string, { pass: (number | null)[]; warn: (number | null)[] }>;
}

function load<T = { cases: Case[] }>(file: string): T {
  return JSON.parse(readFileSync(new URL(file, folder), "utf8")) as T;
}

const textOf = (base64: string) => Buffer.from(base64, "base64").toString("latin1");

const requestLines = /^([!-~]+ [!-~]+ HTTP\/1\.[01]\r\n)/m;

/**
 * Most vectors are older than the duty to send Host: when that is what is wrong, a head without one gets one; later
 * heads too, unless they are the body of the first.
 */
function readHosted(text: string): Reading {
  const plain = readRequests(latin1(text));
  if (plain.outcome !== "MissingHost") return plain;
  const first = readRequests(latin1(text.replace(requestLines, "$1Host: a\r\n")));
  if (first.outcome !== "MissingHost") return first;
  return readRequests(latin1(text.replace(new RegExp(requestLines, "gm"), "$1Host: a\r\n")));
}

/** Compares a set with its known differences. `differs` says how a case differs, or null. */
function compare<T>(set: string, cases: readonly T[], id: (item: T) => string, differs: (item: T) => string | null) {
  const known = knownDifferences[set];
  const seen = new Set<string>();
  const surprises: string[] = [];
  for (const item of cases) {
    const difference = differs(item);
    if (difference === null) continue;
    seen.add(id(item));
    if (known[id(item)] === undefined) surprises.push(`${id(item)}: ${difference}`);
  }
  assert.deepEqual(surprises, [], `${set}: unexpected differences`);
  assert.deepEqual(
    Object.keys(known).filter((key) => !seen.has(key)),
    [],
    `${set}: no longer different`,
  );
}

function verdict(reading: Reading, accept: boolean): string | null {
  return isRefusal(reading.outcome) === accept
    ? `expected ${accept ? "accepted" : "refused"}, got ${reading.outcome}`
    : null;
}

test("llhttp: verdicts, and spans where both accept", { skip }, () => {
  const cases = load("llhttp/vectors.json").cases.filter(({ type }) => type === "request" || type === "response");
  assert.ok(cases.length >= 200);
  compare(
    "llhttp",
    cases,
    ({ id }) => id,
    (item) => {
      const original = textOf(item.base64);
      const isRequest = item.type === "request";
      const reading = isRequest ? readHosted(original) : readResponses(latin1(original));
      // 21, 22 and 23 are pauses for an upgrade, not refusals.
      const accepted = item.verdict === "ok" || [21, 22, 23].includes(item.error_code ?? 0);
      const difference = verdict(reading, accepted);
      if (difference !== null || !accepted || reading.outcome === "incomplete") return difference;
      return sameSpans(item.log, original, reading, isRequest);
    },
  );
});

/** Compares methods, targets and fields with the spans of llhttp's event log. */
function sameSpans(log: readonly string[], text: string, reading: Reading, isRequest: boolean): string | null {
  const theirs: string[] = [];
  for (const line of log) {
    const span = /^off=(\d+) len=(\d+) span\[(method|url|header_field|header_value)\]/.exec(line);
    if (span === null) continue;
    const piece = text.slice(Number(span[1]), Number(span[1]) + Number(span[2])).trim();
    if (piece !== "" || span[3] !== "header_value") theirs.push(piece);
  }
  const hosted = /^host:/im.test(text) || !isRequest;
  const ours = reading.messages.flatMap(({ start, fields }) => [
    ...(isRequest ? start : []),
    ...fields
      .filter(([name]) => hosted || name !== "Host")
      .flat()
      .filter((piece) => piece !== ""),
  ]);
  // llhttp also reports what follows the last message that we read from this connection.
  return JSON.stringify(theirs.slice(0, ours.length)) === JSON.stringify(ours)
    ? null
    : `spans differ: ${theirs} | ${ours}`;
}

test("gunicorn: verdicts, and messages where both accept", { skip }, () => {
  const { cases } = load("gunicorn/vectors.json");
  assert.equal(cases.length, 137);
  compare(
    "gunicorn",
    cases,
    ({ id }) => id,
    (item) => {
      const reading = readHosted(textOf(item.base64));
      const accepted = item.gunicorn_verdict === "accept";
      // What is cut off counts as refused in these files.
      const refused = isRefusal(reading.outcome) || reading.outcome === "incomplete";
      if (refused === accepted) return `expected ${item.gunicorn_verdict}, got ${reading.outcome}`;
      if (!accepted) return null;
      const theirs = (item.expected_requests ?? []).map(({ method, uri, body }) => [method, uri.raw, body ?? ""]);
      const ours = reading.messages.map(({ start, body }) => [...start, body]);
      return JSON.stringify(ours) === JSON.stringify(theirs.slice(0, ours.length))
        ? null
        : `${JSON.stringify(ours)} | ${JSON.stringify(theirs)}`;
    },
  );
});

test("go net/http: requests and chunk sizes", { skip }, () => {
  const file = load<{ requests: Case[]; chunk_size_lines: { line: string; value: string | null }[] }>(
    "go-net-http/vectors.json",
  );
  const requests = file.requests.map((item) => ({
    id: item.id,
    difference: verdict(readHosted(textOf(item.base64)), item.expect !== "reject"),
  }));
  const chunk = (line: string) =>
    readRequests(latin1(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${line}\r\n`));
  const lines = file.chunk_size_lines.map(({ line, value }) => ({
    id: line,
    difference: verdict(chunk(line), value !== null),
  }));
  compare(
    "go-net-http",
    [...requests, ...lines],
    ({ id }) => id,
    ({ difference }) => difference,
  );
});

test("Apache httpd strict: requests", { skip }, () => {
  const { cases } = load("apache-httpd-strict/vectors.json");
  compare(
    "apache-httpd-strict",
    cases,
    ({ id }) => id,
    (item) => verdict(readRequests(latin1(textOf(item.base64))), item.expect === "200"),
  );
});

test("nginx: hosts are accepted alike and read alike", { skip }, () => {
  const { cases } = load("nginx-tests/http_host.json");
  assert.equal(cases.length, 56);
  compare(
    "nginx http_host",
    cases,
    ({ id }) => id,
    (item) => {
      const reading = readRequests(latin1(textOf(item.base64)));
      const difference = verdict(reading, item.expect === "accept");
      if (difference !== null || item.expect !== "accept") return difference;
      const host = reading.messages[0].host.toLowerCase().replace(/\.$/, "");
      return host === item.nginx_normalised_host ? null : `host ${host}`;
    },
  );
});

test("nginx: chunked requests that it refuses are refused", { skip }, () => {
  for (const item of load("nginx-tests/body_chunked.json").cases) {
    assert.ok(isRefusal(readRequests(latin1(textOf(item.base64))).outcome), item.id);
  }
});

test("nginx: hostile backends are refused, or give exactly their body", { skip }, () => {
  const expected: Record<string, [outcome: string, body?: string]> = {
    "up-normal": ["close", ""],
    "up-extra-after-cl": ["InvalidStatusLine", "SEE-THIS"],
    "up-short": ["incomplete", "SEE-THIS-TOO-SHORT-RESPONSE\n"],
    "up-empty-short": ["incomplete", ""],
    "up-zero-with-body": ["InvalidStatusLine", ""],
    "up-chunked-unfinished": ["incomplete"],
    "up-chunked-extra-after-end": ["close", "SEE-THIS"],
  };
  for (const item of load("nginx-tests/upstream_responses.json").cases) {
    const reading = readResponses(latin1(textOf(item.base64)));
    if (item.expect === "502") {
      assert.ok(isRefusal(reading.outcome) && reading.messages.length === 0, item.id);
      continue;
    }
    const [outcome, body] = expected[item.id];
    assert.equal(reading.outcome, outcome, item.id);
    if (body !== undefined) assert.equal(reading.messages[0].body, body, item.id);
  }
});

test("Http11Probe: a refusal has the status that passes, what is accepted may be", { skip }, () => {
  const { cases } = load("http11probe/vectors.json");
  // Limits on bytes and the end of an incomplete body are the caller's.
  const callers = /^(MAL-LONG-(URL|HEADER-VALUE|HEADER-NAME)|.*-(UNDERSEND|NO-BODY))$/;
  compare(
    "http11probe",
    cases.filter(({ steps, id }) => steps.length === 1 && !/^(COOK|CAP)/.test(id) && !callers.test(id)),
    ({ id }) => id,
    (item) => {
      const states = Object.values(item.verdict_by_connection_state ?? {});
      const pass = states.flatMap((state) => state.pass);
      const possible = [...pass, ...states.flatMap((state) => state.warn)];
      const { base64 } = item.steps[0];
      if (!base64) return null;
      const { outcome } = readRequests(latin1(textOf(base64)));
      if (states.length === 0 || outcome === "incomplete") return null;
      if (!isRefusal(outcome)) return possible.includes(200) || !pass.includes(400) ? null : `accepted (${outcome})`;
      const { status } = wireErrors[WireError[outcome as keyof typeof WireError]];
      return pass.includes(status) ? null : `${outcome} is ${status}, passes: ${pass}`;
    },
  );
});

test("every vector's first head: the verdict does not depend on the cuts", { skip }, () => {
  const requests = new RequestDecoder();
  const responses = new ResponseDecoder();
  const inputs = [
    ...load("llhttp/vectors.json").cases,
    ...load("gunicorn/vectors.json").cases,
    ...load("nginx-tests/http_host.json").cases,
    ...load("http11probe/vectors.json").cases.flatMap(({ steps }) => steps),
  ];
  for (const { base64 } of inputs) {
    // (Some steps of Http11Probe come in timed parts instead.)
    if (base64 === undefined) continue;
    const bytes = latin1(textOf(base64));
    if (bytes.length === 0 || bytes.length > 700) continue;
    feed(requests, (d) => d.reset(), bytes, describeRequest);
    feed(responses, (d) => d.begin(false), bytes, describeResponse);
  }
});
