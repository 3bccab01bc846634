// Request heads: the facts of good ones, the error of bad ones, each fed in every way (feed.ts). Names carry the cases of
// the hardening catalogue that they prove.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type WireError, wireErrors } from "../../../src/wire/http1/errors.ts";
import * as field from "../../../src/wire/http1/head.ts";
import { BODY_BYTES_MAX, FIELDS_MAX, METHOD_BYTES_MAX } from "../../../src/wire/http1/limits.ts";
import { RequestDecoder, TARGET_FORM } from "../../../src/wire/http1/request-decoder.ts";
import { describeRequest } from "./describe.ts";
import { feed, latin1 } from "./feed.ts";

const decoder = new RequestDecoder();

function decode(text: string) {
  return feed(decoder, (d) => d.reset(), latin1(text), describeRequest);
}

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
    const got = result < 0 ? wireErrors[-result].name : `not refused (${result})`;
    assert.equal(got, name, JSON.stringify(text.slice(0, 200)));
  }
}

const lines = (...fields: string[]) => `${fields.map((line) => `${line}\r\n`).join("")}\r\n`;
const get = (...fields: string[]) => `GET / HTTP/1.1\r\n${lines("Host: a", ...fields)}`;
const post = (...fields: string[]) => `POST / HTTP/1.1\r\n${lines("Host: a", ...fields)}`;
const target = (text: string, method = "GET") => `${method} ${text} HTTP/1.1\r\nHost: a\r\n\r\n`;
const host = (text: string) => `GET / HTTP/1.1\r\nHost: ${text}\r\n\r\n`;

test("a simple request gives its facts", () => {
  const simple = facts("GET /index?x=1&y=?2 HTTP/1.1\r\nHost: Example.com:8080\r\nAccept: */*\r\n\r\n");
  assert.deepEqual(simple, {
    method: "GET",
    methodId: "GET",
    requestStart: 0,
    target: "/index?x=1&y=?2",
    form: TARGET_FORM.ORIGIN,
    path: "/index?x=1&y=?2",
    query: "?x=1&y=?2",
    authority: "Example.com:8080",
    host: "Example.com",
    port: 8080,
    hostRewrite: false,
    versionMinor: 1,
    contentLength: -1,
    chunked: false,
    hasBody: false,
    keepAlive: true,
    expectContinue: false,
    upgrade: false,
    teTrailers: false,
    connectionAuth: false,
    fields: ["Host: Example.com:8080", "Accept: */*"],
    present: (1 << field.HOST) | (1 << field.UNKNOWN),
    repeated: 0,
  });
});

test("nothing of a request leaks into the next one", () => {
  const full = post(
    "Connection: close, upgrade",
    "Upgrade: x",
    "Content-Length: 3",
    "Expect: 100-continue",
    "TE: trailers",
    "Authorization: NTLM x",
  );
  assert.deepEqual([facts(get()), facts(full), facts(get())][2], facts(get()));
  decoder.reset();
  assert.ok(decoder.decode(latin1("BAD@"), 0, 0, 4) < 0);
  assert.equal(facts(get()).keepAlive, true);
});

test("methods have ids, and are tokens of bounded length", () => {
  for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"]) {
    assert.equal(facts(target("/", method)).methodId, method);
  }
  for (const method of ["get", "GETX", "GE", "PROPFIND", "M-SEARCH", "X".repeat(METHOD_BYTES_MAX)]) {
    assert.deepEqual([facts(target("/", method)).methodId, facts(target("/", method)).method], ["OTHER", method]);
  }
});

test("H1-36 a method that is no token, or endless, is refused", () => {
  refused(
    "InvalidMethod",
    target("/", "G/T"),
    target("/", "GET\0"),
    target("/", "G\xc4T"),
    target("/", "GET\t"),
    " GET / HTTP/1.1",
  );
  refused("InvalidMethod", "GET\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
  refused("MethodTooLong", target("/", "X".repeat(METHOD_BYTES_MAX + 1)), "X".repeat(1000));
});

test("H1-30 CONNECT is refused with its own error, whatever its target", () => {
  refused(
    "ConnectRefused",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    target("/", "CONNECT"),
    "CONNECT a:443 HTTP/1.0\r\n\r\n",
  );
});

test("H1-31 TRACE passes without a body only", () => {
  assert.equal(facts(target("/", "TRACE")).methodId, "TRACE");
  refused("BodyInTrace", `TRACE / HTTP/1.1\r\n${lines("Host: a", "Content-Length: 1")}`);
  refused("BodyInTrace", `TRACE / HTTP/1.1\r\n${lines("Host: a", "Transfer-Encoding: chunked")}`);
});

test("absolute-form names authority and path", () => {
  const absolute = facts("GET http://B.example:81/p?q HTTP/1.1\r\nHost: B.example:81\r\n\r\n");
  assert.equal(absolute.form, TARGET_FORM.ABSOLUTE);
  assert.deepEqual(
    [absolute.authority, absolute.host, absolute.port, absolute.path, absolute.query, absolute.hostRewrite],
    ["B.example:81", "B.example", 81, "/p?q", "?q", false],
  );
  assert.equal(facts("GET HTTPS://a HTTP/1.1\r\nHost: a\r\n\r\n").path, "");
  const queryOnly = facts("GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.deepEqual([queryOnly.path, queryOnly.query, queryOnly.host], ["?q", "?q", "a"]);
});

test("H1-26 the authority of an absolute-form target wins and Host is to be rewritten", () => {
  const other = facts("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.deepEqual([other.host, other.hostRewrite, other.fields], ["b", true, ["drop Host: a"]]);
  const old = facts("GET http://b/ HTTP/1.0\r\n\r\n");
  assert.deepEqual([old.host, old.hostRewrite], ["b", true]);
  refused("InvalidHost", "GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n");
});

test("H1-28 targets that are no target are refused", () => {
  refused(
    "InvalidTarget",
    target("foo"),
    target("../etc"),
    target(""),
    target("*/x"),
    target("http:/a/"),
    target("a:80"),
  );
  refused(
    "InvalidTarget",
    target("ftp://a/"),
    target("http://"),
    target("http"),
    target("**", "OPTIONS"),
    target("?q"),
  );
  refused("InvalidHost", target("http:///"), target("http://?q"));
  refused("AsteriskTargetRefused", target("*"), target("*", "POST"));
  assert.equal(facts(target("*", "OPTIONS")).form, TARGET_FORM.ASTERISK);
});

test("H1-29 bytes that no target holds are refused", () => {
  refused("FragmentInTarget", target("/a#b"), target("/?a#b"), target("http://a#b"));
  for (const c of ["\x00", "\x09", "\x0b", "\x1f", "\x7f", "\x80", "\xff"]) {
    refused("InvalidTarget", target(`/a${c}b`), target(`/?${c}`), target(`${c}/`));
  }
  refused("InvalidTarget", target("/a\\b"), target("http://\\e/x"));
  refused("InvalidVersion", target("/a b"));
  assert.equal(facts(target("/?a\\b|{}\"^`<>'")).query, "?a\\b|{}\"^`<>'");
});

test("H1-58 escapes and dots in a path pass as they are", () => {
  for (const path of ["/%0d%0aX:%20y", "/%00", "/..%2f", "/a/../b", "/%c0%af", "//x@y/z", "/:", "/;p=1"]) {
    assert.equal(facts(target(path)).path, path);
  }
});

test("H1-32 H1-60 versions other than HTTP/1.1 and HTTP/1.0 are refused", () => {
  const version = (text: string) => `GET / ${text}\r\nHost: a\r\n\r\n`;
  for (const text of [
    "HTTP/1.2",
    "HTTP/2.0",
    "HTTP/0.9",
    "HTTP/1.10",
    "HTTP/01.1",
    "http/1.1",
    "HTTP/1. 1",
    "HTTP/1.1 ",
    "HTTP/1",
    "HTP",
  ]) {
    refused("InvalidVersion", version(text));
  }
  refused("InvalidVersion", version("HHTTP/1.1"), version("HTTHTTP/1.1"), version("HTTP/1.HTTP/1.1"));
  refused("InvalidVersion", "GET / HTTP/1.1\tHost: a\r\n\r\n", "GET / HTTP/1.1\0\r\n\r\n");
  refused("AsteriskTargetRefused", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  assert.equal(facts("GET / HTTP/1.0\r\nHost: a\r\n\r\n").versionMinor, 0);
});

test("H1-33 HTTP/0.9 request lines are refused", () => {
  refused("MissingVersion", "GET /\r\n", "GET /\n", "GET / \r\n", "GET /?q\r\n");
});

test("H1-34 one space separates the parts of a request line", () => {
  refused(
    "InvalidTarget",
    "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET \t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n",
  );
  refused("InvalidVersion", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "GET / \x0bHTTP/1.1\r\nHost: a\r\n\r\n");
  refused("InvalidMethod", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET\x0b/ HTTP/1.1\r\nHost: a\r\n\r\n");
});

test("H1-35 one empty line before the request line is tolerated, two are not", () => {
  assert.equal(facts(`\r\n${get()}`).requestStart, 2);
  assert.equal(facts(`\r\n${target("/", "PATCH")}`).method, "PATCH");
  refused("LeadingBlankLines", `\r\n\r\n${get()}`, "\r\n".repeat(100));
  refused("BareLineFeed", `\n${get()}`, `\r\n\n${get()}`);
  refused("BareCarriageReturn", `\r${get()}`, "\r\r\n");
});

test("H1-18 H1-19 bare LF and bare CR end nothing", () => {
  refused(
    "BareLineFeed",
    "GET / HTTP/1.1\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\n",
  );
  refused(
    "BareCarriageReturn",
    "GET / HTTP/1.1\rHost: a\r\n\r\n",
    get("Foo: 1\rBar: 2"),
    "GET / HTTP/1.1\r\nHost: a\r\n\rX",
  );
  refused("BareCarriageReturn", get("Foo: 1\r"), get("Foo:\r"));
  refused("MissingColon", get("Foo\r: 1"));
});

test("H1-20 control characters in a value are refused, HTAB is not", () => {
  for (let c = 0; c < 256; c++) {
    const value = `v${String.fromCharCode(c)}w, and long enough to be read in words`;
    const text = get(`Foo: ${value}`);
    if (c === 0x0a) refused("BareLineFeed", text);
    else if (c === 0x0d) refused("BareCarriageReturn", text);
    else if ((c < 0x20 && c !== 0x09) || c === 0x7f) refused("InvalidFieldValue", text);
    else assert.deepEqual(facts(text).fields[1], `Foo: ${value}`);
  }
});

test("H1-21 every byte in a name is a token byte or refused", () => {
  for (let c = 0; c < 256; c++) {
    const name = `Na${String.fromCharCode(c)}me`;
    const text = get(`${name}: value`);
    if (/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) assert.equal(facts(text).fields[1], `${name}: value`);
    else if (c === 0x20 || c === 0x09) refused("SpaceBeforeColon", text);
    else if (c === 0x0a || c === 0x0d) refused("MissingColon", text);
    else if (c === 0x3a) assert.equal(facts(text).fields[1], "loose Na: me: value");
    else refused("InvalidFieldName", text);
  }
});

test("H1-13 H1-22 H1-23 a field line is a name, a colon at once, a value", () => {
  refused("SpaceBeforeColon", get("Transfer-Encoding : chunked"), get("Host2\t: x"), get("a : b"));
  refused("EmptyFieldName", get(": value"), get(":"));
  refused("MissingColon", get("no colon here".replaceAll(" ", "-")), get("Transfer-", "Encoding: chunked"), get("A"));
});

test("H1-14 folded lines are refused, also as the first field", () => {
  refused("ObsoleteFolding", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n");
  refused("ObsoleteFolding", get("Foo: 1", " Bar: 2"), get("Transfer-Encoding:", " chunked"), get("Foo: 1", "\t"));
});

test("values lose the white space around them and say whether the line is canonical", () => {
  const { fields } = facts(
    get("A: 1", "B:2", "C:  3", "D: 4 ", "E:\t5\t ", "F:", "G: ", "H:  ", "I: 6\t7", "J: \xe9\xff"),
  );
  assert.deepEqual(fields.slice(1), [
    "A: 1",
    "loose B: 2",
    "loose C: 3",
    "loose D: 4",
    "loose E: 5",
    "loose F: ",
    "G: ",
    "loose H: ",
    "I: 6\t7",
    "J: \xe9\xff",
  ]);
});

test("H1-37 129 fields are too many, 128 are not", () => {
  const many = (count: number) => get(...new Array(count - 1).fill("X-Y: value"));
  decoder.reset();
  const good = latin1(many(FIELDS_MAX));
  assert.equal(decoder.decode(good, 0, 0, good.length), good.length);
  assert.equal(decoder.head.count, FIELDS_MAX);
  const bad = latin1(many(FIELDS_MAX + 1));
  for (const step of [bad.length, 1, 7]) {
    decoder.reset();
    let result = 0;
    for (let at = 0; at < bad.length && result === 0; at += step) {
      result = decoder.decode(bad, 0, at, Math.min(bad.length, at + step));
    }
    assert.equal(wireErrors[-result].name, "TooManyFields");
  }
});

test("H1-24 exactly one Host, in HTTP/1.0 too", () => {
  refused(
    "MissingHost",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\n\r\n",
    "GET http://a/ HTTP/1.1\r\n\r\n",
  );
  refused("DuplicateHost", get("Host: a"), get("host: b"), "GET http://a/ HTTP/1.1\r\nHost: a\r\nHOST: a\r\n\r\n");
});

test("H1-25 Host is a host and a port, nothing else", () => {
  refused(
    "InvalidHost",
    host("a, b"),
    host("a/b"),
    host("a b"),
    host("[::1"),
    host(""),
    host("a\tb"),
    host("a?b"),
    host("\xe9.fr"),
    host("%61"),
  );
  refused(
    "InvalidPort",
    host("a:99999"),
    host("a:0"),
    host("a:8080:80"),
    host("a:"),
    host("a:-1"),
    host("a:080808"),
    host("[::1]:x"),
  );
  refused(
    "UserinfoInAuthority",
    host("u@a"),
    host("u:p@a"),
    host("@a"),
    target("http://u:p@a/"),
    target("http://u@[::1]/"),
  );
  assert.deepEqual([facts(host("A_b.example.:1")).host, facts(host("[::1]:65535")).port], ["A_b.example.", 65535]);
});

test("H1-03 H1-04 H1-05 H1-06 Content-Length is one plain number", () => {
  for (const value of [
    "+5",
    "-5",
    "0x5",
    "5e0",
    "5.0",
    "5 5",
    "5_0",
    "0o5",
    "",
    "010",
    "0000000005",
    "00",
    "\xb2",
    "five",
  ]) {
    refused("InvalidContentLength", post(`Content-Length: ${value}`));
  }
  refused("DuplicateContentLength", post("Content-Length: 5, 5"), post("Content-Length: 5", "Content-Length: 5"));
  refused(
    "DuplicateContentLength",
    post("Content-Length: 5", "Content-Length: 10"),
    post("Content-Length: ", "Content-Length: 43"),
  );
  for (const [value, length, body] of [
    ["0", 0, false],
    ["5", 5, true],
    [String(BODY_BYTES_MAX), BODY_BYTES_MAX, true],
  ] as const) {
    const good = facts(post(`Content-Length: ${value}`));
    assert.deepEqual(
      [good.contentLength, good.hasBody, good.fields[1]],
      [length, body, `drop Content-Length: ${value}`],
    );
  }
  assert.equal(facts(post("content-length:5")).contentLength, 5);
});

test("white space around a framing value is refused beyond one leading space", () => {
  refused(
    "InvalidContentLength",
    post("Content-Length:  5"),
    post("Content-Length: 5 "),
    post("Content-Length:\t5"),
    post("Content-Length: 5\t"),
  );
  refused("UnsupportedTransferEncoding", post("Transfer-Encoding: chunked "), post("Transfer-Encoding:\tchunked"));
});

test("H1-07 a Content-Length beyond 2^53 - 1 is refused, whatever its digits", () => {
  for (const value of [
    "9007199254740992",
    "9007199254740993",
    "9223372036854775808",
    "18446744073709551616",
    "9".repeat(400),
  ]) {
    refused("ContentLengthTooLarge", post(`Content-Length: ${value}`));
  }
});

test("H1-01 H1-47 Content-Length with Transfer-Encoding is refused", () => {
  refused("ContentLengthWithTransferEncoding", post("Content-Length: 5", "Transfer-Encoding: chunked"));
  refused("ContentLengthWithTransferEncoding", post("Transfer-Encoding: chunked", "content-length: x"));
});

test("H1-08 to H1-12 Transfer-Encoding is exactly chunked", () => {
  for (const value of [
    "xchunked",
    "identity",
    "gzip",
    "chunked, gzip",
    "gzip, chunked",
    "",
    "chunked, chunked",
    ",chunked",
    "chunked,",
  ]) {
    refused("UnsupportedTransferEncoding", post(`Transfer-Encoding: ${value}`));
  }
  for (const value of ["chunked;q=1", '"chunked"', "'chunked'", "chunke", "chunkedd", "chun ked"]) {
    refused("UnsupportedTransferEncoding", post(`Transfer-Encoding: ${value}`));
  }
  refused("UnsupportedTransferEncoding", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"));
  refused("UnsupportedTransferEncoding", post("Transfer-Encoding: chunked", "Transfer-Encoding: identity"));
  for (let c = 0; c < 256; c++) {
    const byte = String.fromCharCode(c);
    for (const value of [`${byte}chunked`, `chunked${byte}`]) {
      const outcome = decode(post(`Transfer-Encoding: ${value}`));
      assert.ok(outcome.result < 0, `0x${c.toString(16)}`);
    }
  }
  const good = facts(post("transfer-encoding:CHUNKED"));
  assert.deepEqual(
    [good.chunked, good.hasBody, good.contentLength, good.fields[1]],
    [true, true, -1, "drop loose transfer-encoding: CHUNKED"],
  );
});

test("H1-15 Transfer-Encoding in HTTP/1.0 is refused", () => {
  refused("TransferEncodingInHttp10", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
});

test("H1-16 names that shadow known ones with _ are not forwarded and frame nothing", () => {
  const shadowed = facts(
    post(
      "Transfer_Encoding: chunked",
      "Content_Length: 9",
      "X_Forwarded_For: x",
      "x_real-IP:1",
      "My_Field: 1",
      "Content-Length: 1",
    ),
  );
  assert.equal(shadowed.contentLength, 1);
  assert.equal(shadowed.chunked, false);
  assert.deepEqual(shadowed.fields.slice(1), [
    "drop Transfer_Encoding: chunked",
    "drop Content_Length: 9",
    "drop X_Forwarded_For: x",
    "drop loose x_real-IP: 1",
    "My_Field: 1",
    "drop Content-Length: 1",
  ]);
});

test("keep-alive follows version and Connection", () => {
  const keepAlive = (version: string, ...fields: string[]) =>
    facts(`GET / HTTP/1.${version}\r\n${lines("Host: a", ...fields)}`).keepAlive;
  assert.equal(keepAlive("1"), true);
  assert.equal(keepAlive("0"), false);
  assert.equal(keepAlive("1", "Connection: close"), false);
  assert.equal(keepAlive("1", "Connection: x , CLOSE,"), false);
  assert.equal(keepAlive("1", "Connection: keep-alive", "Connection: close"), false);
  assert.equal(keepAlive("1", "Connection: closed"), true);
  assert.equal(keepAlive("0", "Connection: Keep-Alive"), true);
  assert.equal(keepAlive("0", "Connection: keep-alive, close"), false);
  assert.equal(keepAlive("0", "Proxy-Connection: keep-alive"), false);
});

test("RX-24 Connection names no more fields than a request can have", () => {
  const names = (count: number): string => Array.from({ length: count }, (_, i) => `x${i}`).join(",");
  facts(`GET / HTTP/1.1\r\n${lines("Host: a", `Connection: close, ${names(FIELDS_MAX)}`)}`);
  refused("TooManyFields", get(`Connection: ${names(FIELDS_MAX + 1)}`));
  refused("TooManyFields", get(`Connection: ${names(FIELDS_MAX)}`, "Connection: y"));
});

test("H1-17 hop-by-hop fields and those named by Connection are dropped, Host and framing stay", () => {
  const hop = facts(
    post(
      "Connection: Host, Content-Length, x-one,,X-Two ,keep-alive, not a token, te",
      "X-One: 1",
      "x-two: 2",
      "X-Three: 3",
      "X-One: 4",
      "Keep-Alive: timeout=5",
      "Proxy-Connection: keep-alive",
      "HTTP2-Settings: x",
      "Trailer: y",
      "Content-Length: 2",
    ),
  );
  assert.equal(hop.contentLength, 2);
  assert.deepEqual(
    hop.fields.filter((line) => !line.startsWith("drop ")),
    ["Host: a", "X-Three: 3", "Trailer: y"],
  );
});

test("H1-17 what the proxy answers for cannot be named away", () => {
  const names = [
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "Forwarded",
    "X-Real-IP",
    "X-Request-Id",
    "Cookie",
    "Authorization",
  ];
  const { fields } = facts(get(`Connection: ${names.join(", ")}`, ...names.map((name) => `${name}: 1`)));
  assert.deepEqual(
    fields.slice(2),
    names.map((name) => `${name}: 1`),
  );
});

test("TE is read for trailers and dropped", () => {
  const te = (...fields: string[]) => facts(get(...fields)).teTrailers;
  assert.equal(te("TE: trailers"), true);
  assert.equal(te("TE: deflate;q=0.5, Trailers"), true);
  assert.equal(te("TE: gzip", "te: trailers;q=1"), true);
  assert.equal(te("TE: xtrailers"), false);
  assert.equal(te("TE: "), false);
  assert.deepEqual(facts(get("TE: trailers")).fields, ["Host: a", "drop TE: trailers"]);
});

test("Upgrade counts when Connection names it, and never for h2c", () => {
  const upgrade = (...fields: string[]) => facts(get(...fields)).upgrade;
  assert.equal(upgrade("Connection: Upgrade", "Upgrade: websocket"), true);
  assert.equal(upgrade("Connection: keep-alive, upgrade", "Upgrade: websocket"), true);
  assert.equal(upgrade("Connection: keep-alive", "Upgrade: websocket"), false);
  assert.equal(upgrade("Connection: Upgrade"), false);
  assert.equal(upgrade("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x"), false);
  assert.equal(upgrade("Connection: Upgrade", "Upgrade: websocket, H2C"), false);
  const old = "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
  assert.equal(facts(old).upgrade, false);
  assert.deepEqual(facts(get("Connection: Upgrade", "Upgrade: x")).fields, [
    "Host: a",
    "drop Connection: Upgrade",
    "drop Upgrade: x",
  ]);
});

test("H1-50 H1-51 Expect is 100-continue once, or refused", () => {
  const continued = facts(post("Expect: 100-Continue", "Content-Length: 1"));
  assert.deepEqual([continued.expectContinue, continued.fields[1]], [true, "Expect: 100-Continue"]);
  refused(
    "UnsupportedExpectation",
    post("Expect: y 100-continue"),
    post("Expect: 100-continue, 100-continue"),
    post("Expect: "),
  );
  refused("UnsupportedExpectation", post("Expect: 100-continue", "Expect: 100-continue"));
  const old = facts("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
  assert.deepEqual([old.expectContinue, old.fields[1]], [false, "drop Expect: 100-continue"]);
});

test("NTLM and Negotiate credentials bind the connection", () => {
  const bound = (...fields: string[]) => facts(get(...fields)).connectionAuth;
  assert.equal(bound("Authorization: NTLM TlRMTVNTUAAB"), true);
  assert.equal(bound("authorization: negotiate YII="), true);
  assert.equal(bound("Proxy-Authorization: Negotiate YII="), true);
  assert.equal(bound("Authorization: Basic bnRsbTo="), false);
  assert.equal(bound("Authorization: NTLMv9 x"), false);
});

test("an incomplete head says whether a request has begun", () => {
  decoder.reset();
  const bytes = latin1(`\r\n${get()}`);
  assert.equal(decoder.decode(bytes, 0, 0, 2), 0);
  assert.equal(decoder.begun, false);
  assert.equal(decoder.decode(bytes, 0, 2, 3), 0);
  assert.equal(decoder.begun, true);
  decoder.reset();
  assert.equal(decoder.begun, false);
});
