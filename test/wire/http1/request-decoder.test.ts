// Request heads: the facts of good ones, the error of bad ones, each fed in every way (feed.ts).

import assert from "node:assert/strict";
import { test } from "node:test";
import { type WireError, wireErrors } from "../../../src/wire/http1/errors.ts";
import { RequestDecoder } from "../../../src/wire/http1/request-decoder.ts";
import { describeRequest } from "./describe.ts";
import { feed, latin1 } from "./feed.ts";

const decoder = new RequestDecoder();

function decode(text: string) {
  return feed(decoder, (d) => d.reset(), latin1(text), describeRequest);
}

/** The facts of a good head. */
function facts(text: string): ReturnType<typeof describeRequest> {
  const outcome = decode(text);
  assert.equal(
    outcome.result,
    text.length,
    `${JSON.stringify(text)}: ${wireErrors[Math.max(0, -outcome.result)].name}`,
  );
  return outcome.facts as ReturnType<typeof describeRequest>;
}

function refused(name: keyof typeof WireError, ...texts: string[]) {
  for (const text of texts) {
    const { result } = decode(text);
    const got = result < 0 ? wireErrors[-result].name : `accepted (${result})`;
    assert.equal(got, name, JSON.stringify(text.slice(0, 200)));
  }
}

const get = (...lines: string[]) => `GET / HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;

test("a simple request gives its facts", () => {
  const simple = facts("GET /index?x=1&y=?2 HTTP/1.1\r\nHost: Example.com:8080\r\nAccept: */*\r\n\r\n");
  assert.equal(simple.methodId, "GET");
  assert.equal(simple.path, "/index?x=1&y=?2");
  assert.equal(simple.query, "?x=1&y=?2");
  assert.equal(simple.authority, "Example.com:8080");
  assert.equal(simple.host, "Example.com");
  assert.equal(simple.port, 8080);
  assert.equal(simple.keepAlive, true);
  assert.equal(simple.hasBody, false);
  assert.deepEqual(simple.fields, ["Host: Example.com:8080", "Accept: */*"]);
});

test("H1-01 Content-Length with Transfer-Encoding is refused", () => {
  refused(
    "ContentLengthWithTransferEncoding",
    get("Content-Length: 5", "Transfer-Encoding: chunked"),
    get("Transfer-Encoding: chunked", "Content-Length: 5"),
  );
});

test("H1-35 one empty line before the request line is tolerated, two are not", () => {
  assert.equal(facts(`\r\n${get()}`).requestStart, 2);
  refused("LeadingBlankLines", `\r\n\r\n${get()}`, "\r\n".repeat(10_000));
});
