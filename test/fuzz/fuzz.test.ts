// The fuzzer itself: a short run without findings, the same run twice, and its reader on messages whose meaning is known.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzz } from "../../fuzz/lib/fuzz.ts";
import { runHelloCase } from "../../fuzz/lib/hello-mode.ts";
import { Random } from "../../fuzz/lib/random.ts";
import { readRequests, readResponse } from "../../fuzz/lib/strict.ts";

const HEAD = "POST /a HTTP/1.1\r\nHost: a\r\n";

test("a short run of both modes finds nothing, in as many executions as were asked for", () => {
  const report = fuzz({ seed: 20261120, from: 0, iterations: 600, seconds: 60, mode: null });
  assert.deepEqual(
    report.findings.map(({ finding, input }) => `${finding.message} ${JSON.stringify(input)}`),
    [],
  );
  assert.equal(report.cases, 600);
});

test("ClientHellos: the decoder says what a plain reading says, wherever they lie and however they come", () => {
  for (let index = 0; index < 3000; index++) {
    const found = runHelloCase(Random.of(20261121, index));
    assert.equal(found, null, found === null ? "" : `${found.reason} ${Buffer.from(found.message).toString("hex")}`);
  }
});

test("the reader takes what RFC 9112 says, whole and in order", () => {
  const text = `${HEAD}Content-Length: 5\r\n\r\nhello\r\nGET http://b/x?y HTTP/1.1\r\nHost:  a\t\r\n\r\n`;
  const { requests, end } = readRequests(text, false);
  assert.equal(end, "complete");
  assert.deepEqual(
    requests.map(({ method, host, target, body }) => [method, host, target, body]),
    [
      ["POST", "a", "/a", "hello"],
      ["GET", "b", "/x?y", ""],
    ],
  );
  const chunked = `${HEAD}Transfer-Encoding: chunked\r\n\r\n5;a="b;\\""\r\nhello\r\n0\r\nX: y\r\n\r\n`;
  assert.equal(readRequests(chunked, false).requests[0].body, "hello");
  assert.equal(readRequests(chunked.slice(0, -2), false).end, "incomplete");
});

test("the reader refuses what can be read in two ways", () => {
  const bad = [
    "GET / HTTP/1.1\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
    `${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`,
    `${HEAD}Content-Length: +5\r\n\r\n`,
    `${HEAD}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`,
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n`,
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n`,
  ];
  for (const text of bad) assert.equal(readRequests(text, false).end, "refused", JSON.stringify(text));
});

test("towards a backend the reader takes one spelling only", () => {
  const good = `${HEAD}Content-Length: 2\r\n\r\nhi`;
  assert.equal(readRequests(good, true).end, "complete");
  const spelt = [
    good.replace("Host: a", "Host:a"),
    good.replace("Host: a", "Host: a "),
    good.replace("/a", "http://b/a"),
    good.replace("\r\n\r\n", "\r\nConnection: X\r\n\r\n"),
    good.replace("\r\n\r\n", "\r\nKeep-Alive: timeout=5\r\n\r\n"),
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n2;a\r\nhi\r\n0\r\n\r\n`,
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n02\r\nhi\r\n0\r\n\r\n`,
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nHost: b\r\n\r\n`,
  ];
  for (const text of spelt) assert.equal(readRequests(text, true).end, "refused", JSON.stringify(text));
});

test("the reader knows where an answer ends", () => {
  const text = "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP";
  const { interims, final, at } = readResponse(text, 0, "GET", false, true);
  assert.equal(interims.length, 1);
  assert.equal(final?.body, "hello");
  assert.equal(at, text.length - 4);
  assert.equal(readResponse(text, 0, "HEAD", false, true).final?.body, "");
  assert.equal(readResponse("HTTP/1.1 200 OK\r\n\r\nx", 0, "GET", false, true).end, "incomplete");
  assert.equal(readResponse("HTTP/1.1 200 OK\r\n\r\nx", 0, "GET", true, true).end, "complete");
});
