// Response heads: facts, body kinds, and hostile backends, each fed in every way (feed.ts).

import assert from "node:assert/strict";
import { test } from "node:test";
import { statusOf, type WireError, wireErrors } from "../../../src/wire/http1/errors.ts";
import { BODY, ResponseDecoder } from "../../../src/wire/http1/response-decoder.ts";
import { describeResponse } from "./describe.ts";
import { feed, latin1 } from "./feed.ts";

const decoder = new ResponseDecoder();

function decode(text: string, head = false) {
  return feed(decoder, (d) => d.begin(head), latin1(text), describeResponse);
}

function facts(text: string, head = false): ReturnType<typeof describeResponse> {
  const outcome = decode(text, head);
  assert.equal(
    outcome.result,
    text.length,
    `${JSON.stringify(text)}: ${wireErrors[Math.max(0, -outcome.result)].name}`,
  );
  return outcome.facts as ReturnType<typeof describeResponse>;
}

function refused(name: keyof typeof WireError, ...texts: string[]) {
  for (const text of texts) {
    const { result } = decode(text);
    assert.equal(result < 0 ? wireErrors[-result].name : `not refused (${result})`, name, JSON.stringify(text));
    assert.equal(statusOf(result, true), 502);
  }
}

const answer = (status: string, ...fields: string[]) =>
  `HTTP/1.1 ${status}\r\n${fields.map((line) => `${line}\r\n`).join("")}\r\n`;

test("a simple response gives its facts", () => {
  const simple = facts(
    answer("200 OK", "Server: nginx", "Content-Length: 95", "Connection: keep-alive", "Keep-Alive: timeout=5, max=9"),
  );
  assert.equal(simple.status, 200);
  assert.equal(simple.reason, "OK");
  assert.equal(simple.bodyKind, BODY.LENGTH);
  assert.equal(simple.contentLength, 95);
  assert.equal(simple.keepAlive, true);
  assert.equal(simple.keepAliveTimeoutS, 5);
  assert.equal(simple.interim, false);
  assert.deepEqual(simple.fields, [
    "Server: nginx",
    "drop Content-Length: 95",
    "drop Connection: keep-alive",
    "drop Keep-Alive: timeout=5, max=9",
  ]);
});

test("reasons may be empty, missing, or hold any text", () => {
  for (const reason of ["", "Not Found", "d\xe9j\xe0 vu", "a\tb"])
    assert.equal(facts(answer(`404 ${reason}`)).reason, reason);
  assert.equal(facts("HTTP/1.1 200\r\n\r\n").reason, "");
  refused("InvalidReason", answer("200 O\0K"), answer("200 O\x1bK"), answer("200 \x7f"));
});

test("BE-12 status lines of another shape are refused", () => {
  refused(
    "InvalidStatus",
    answer("20 OK"),
    answer("2000 OK"),
    answer("099 X"),
    answer("2x0 OK"),
    answer(" 200 OK"),
    answer("200\tOK"),
    answer("-20 OK"),
  );
  refused(
    "InvalidStatusLine",
    "HTTP/9.9 200 OK\r\n\r\n",
    "ICY 200 OK\r\n\r\n",
    "HTTP/1.2 200 OK\r\n\r\n",
    "http/1.1 200 OK\r\n\r\n",
    "\r\nHTTP/1.1 200 OK\r\n\r\n",
  );
  refused("InvalidStatusLine", "HTTP/1.1\t200 OK\r\n\r\n", "<html>", "HTTP/2 200\r\n\r\n");
  refused("InvalidStatusLine", "HHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.HTTP/1.1 200 OK\r\n\r\n");
  assert.equal(facts(answer("999 Custom")).status, 999);
});

test("the kind of the body follows status, method and framing in order", () => {
  const kind = (head: boolean, status: string, ...fields: string[]) => {
    const { bodyKind, contentLength, chunked, keepAlive } = facts(answer(status, ...fields), head);
    return { bodyKind, contentLength, chunked, keepAlive };
  };
  const none = { bodyKind: BODY.NONE, contentLength: -1, chunked: false, keepAlive: true };
  assert.deepEqual(kind(false, "200 OK", "Content-Length: 0"), { ...none, bodyKind: BODY.LENGTH, contentLength: 0 });
  assert.deepEqual(kind(false, "200 OK", "Transfer-Encoding: chunked"), {
    ...none,
    bodyKind: BODY.CHUNKED,
    chunked: true,
  });
  assert.deepEqual(kind(false, "200 OK"), { ...none, bodyKind: BODY.UNTIL_CLOSE, keepAlive: false });
  assert.deepEqual(kind(true, "200 OK", "Content-Length: 7"), { ...none, contentLength: 7 });
  assert.deepEqual(kind(true, "200 OK", "Transfer-Encoding: chunked"), { ...none, chunked: true });
  assert.deepEqual(kind(true, "200 OK"), none);
  assert.deepEqual(kind(false, "304 Not Modified", "Content-Length: 7"), { ...none, contentLength: 7 });
  assert.deepEqual(kind(false, "204 No Content"), none);
  assert.deepEqual(kind(false, "204 No Content", "Content-Length: 0"), none);
});

test("BE-07 a 204 or 1xx with framing has no body and ends the connection", () => {
  for (const status of ["204 No Content", "103 Early Hints", "101 Switching Protocols"]) {
    for (const framing of ["Content-Length: 5", "Transfer-Encoding: chunked"]) {
      const { bodyKind, contentLength, chunked, keepAlive } = facts(answer(status, framing));
      assert.deepEqual(
        { bodyKind, contentLength, chunked, keepAlive },
        { bodyKind: BODY.NONE, contentLength: -1, chunked: false, keepAlive: false },
      );
    }
  }
});

test("interim heads are 1xx other than 101", () => {
  for (const [status, interim] of [
    ["100 Continue", true],
    ["103 Early Hints", true],
    ["199 X", true],
    ["101 Switching Protocols", false],
    ["200 OK", false],
  ] as const) {
    assert.equal(facts(answer(status)).interim, interim, status);
  }
});

test("BE-01 framing that can be read in two ways is refused", () => {
  refused(
    "InvalidContentLength",
    answer("200 OK", "Content-Length: foo"),
    answer("200 OK", "Content-Length: "),
    answer("200 OK", "Content-Length: 010"),
  );
  refused(
    "DuplicateContentLength",
    answer("200 OK", "Content-Length: 0", "Content-Length: 0"),
    answer("200 OK", "Content-Length: 1, 1"),
  );
  refused("ContentLengthWithTransferEncoding", answer("200 OK", "Content-Length: 0", "Transfer-Encoding: chunked"));
  refused(
    "UnsupportedTransferEncoding",
    answer("200 OK", "Transfer-Encoding: foo"),
    answer("200 OK", "Transfer-Encoding: gzip, chunked"),
  );
  refused("UnsupportedTransferEncoding", answer("200 OK", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"));
  refused("TransferEncodingInHttp10", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
});

test("white space around a backend's Content-Length is tolerated", () => {
  assert.equal(facts(answer("200 OK", "Content-Length:    12 ")).contentLength, 12);
});

test("BE-10 too many fields are refused", () => {
  const text = answer("200 OK", ...new Array(129).fill("A: b"));
  decoder.begin(false);
  assert.equal(wireErrors[-decoder.decode(latin1(text), 0, 0, text.length)].name, "TooManyFields");
});

test("BE-11 NUL, bare CR, bare LF and folding are refused", () => {
  refused("InvalidFieldValue", answer("200 OK", "A: b\0c"));
  refused("BareCarriageReturn", answer("200 OK", "A: b\rc"), "HTTP/1.1 200 OK\rA: b\r\n\r\n");
  refused("BareLineFeed", "HTTP/1.1 200 OK\nA: b\n\n", "HTTP/1.1 200\n\n", "HTTP/1.1 200 OK\r\nA: b\n\r\n");
  refused("ObsoleteFolding", answer("200 OK", "A: b", " c"));
});

test("keep-alive follows version, Connection and framing", () => {
  const keepAlive = (text: string) => facts(text).keepAlive;
  assert.equal(keepAlive(answer("200 OK", "Content-Length: 1")), true);
  assert.equal(keepAlive(answer("200 OK", "Content-Length: 1", "Connection: close")), false);
  assert.equal(keepAlive("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"), false);
  assert.equal(keepAlive("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n"), true);
  assert.equal(keepAlive("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"), false);
});

test("Keep-Alive timeouts are read when they are numbers", () => {
  const seconds = (value: string) => facts(answer("200 OK", `Keep-Alive: ${value}`)).keepAliveTimeoutS;
  assert.deepEqual(
    [
      "timeout=5",
      "max=3, Timeout=75",
      "timeout=0",
      "timeout=",
      "timeout=x",
      "timeout=-1",
      "timeout=9999999",
      "max=3",
      "",
      "timeout=5 , x",
    ].map(seconds),
    [5, 75, 0, -1, -1, -1, -1, -1, -1, 5],
  );
});

test("hop-by-hop fields of the backend are dropped, the rest is as it came", () => {
  const hop = facts(
    answer(
      "200 OK",
      "Connection: x-hop, keep-alive",
      "X-Hop: 1",
      "Upgrade: h2c",
      "TE: x",
      "Set-Cookie: a_b=1",
      "X_Forwarded_For: 1",
      "Trailer: z",
    ),
  );
  assert.deepEqual(
    hop.fields.filter((line) => !line.startsWith("drop ")),
    ["Set-Cookie: a_b=1", "X_Forwarded_For: 1", "Trailer: z"],
  );
});

test("NTLM and Negotiate challenges bind the connection", () => {
  const bound = (...fields: string[]) => facts(answer("401 Unauthorized", ...fields)).connectionAuth;
  assert.equal(bound("WWW-Authenticate: NTLM"), true);
  assert.equal(bound('WWW-Authenticate: Basic realm="x"', "WWW-Authenticate: Negotiate"), true);
  assert.equal(bound('WWW-Authenticate: Basic realm="x", Negotiate'), true);
  assert.equal(bound("Proxy-Authenticate: negotiate"), true);
  assert.equal(bound('WWW-Authenticate: Basic realm="NTLM"'), false);
});
