// Group H1 of the hardening catalogue, through real processes: whatever a client sends, the outcome is a refusal that closes
// (nothing of it reaches a backend) or a canonical request. Every refused input is sent whole and cut in two at several
// places; the outcome must not depend on the cut. The wire tests do the same at every byte.

import assert from "node:assert/strict";
import { before, beforeEach, test } from "node:test";
import { type RawBackend, rawBackend } from "./lib/backend.ts";
import { connectRaw } from "./lib/client.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { fileScope, sleep } from "./lib/scope.ts";

const scope = fileScope();
let backend: RawBackend;
let proxy: RunningProxy;

before(async () => {
  backend = await rawBackend(scope);
  proxy = await startProxy(scope, {
    clusters: { app: { frontends: ["localhost", "*"], backends: [backend.port] } },
    listener: { request_timeout: 2 },
  });
});

beforeEach(() => {
  backend.requests.length = 0;
  backend.violations.length = 0;
  backend.count = 0;
});

/** A GET with the given extra lines; the lines are raw. */
const get = (...lines: string[]): string => `GET / HTTP/1.1\r\n${["Host: localhost", ...lines].join("\r\n")}\r\n\r\n`;
const post = (body: string, ...lines: string[]): string =>
  `POST / HTTP/1.1\r\n${["Host: localhost", ...lines].join("\r\n")}\r\n\r\n${body}`;
const chunked = (body: string, ...lines: string[]): string => post(body, "Transfer-Encoding: chunked", ...lines);
const codes = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Refused whole and split: 4xx or 5xx and a close, or (with `silent`) a close without an answer. */
async function refused(input: string, statuses: readonly number[] = [400], silent = false): Promise<void> {
  const cuts = [0, 1, Math.floor(input.length / 2), input.length - 1].filter((cut) => cut < input.length);
  for (const cut of new Set(cuts)) {
    const client = await connectRaw(proxy.port);
    await client.send(input.slice(0, cut));
    if (cut > 0) await sleep(2);
    client.send(input.slice(cut)).catch(() => undefined);
    const answer = await client.answerOrClose();
    const name = `${JSON.stringify(input.slice(0, 200))} cut at ${cut}`;
    if (answer === null) assert.ok(silent, `closed without an answer: ${name}`);
    else assert.ok(statuses.includes(answer.status), `${answer.status}: ${name}`);
    await client.closedByPeer();
    assert.equal(client.pending.length, 0, `more than one answer: ${name}`);
    client.destroy();
    assert.equal(backend.count, 0, `reached the backend: ${name}`);
  }
}

/** Either refused, or served as one canonical request on which both sides agree. */
async function safe(input: string): Promise<void> {
  const before = backend.count;
  const client = await connectRaw(proxy.port);
  client.send(input).catch(() => undefined);
  const answer = await client.answerOrClose();
  const name = JSON.stringify(input.slice(0, 200));
  assert.deepEqual(backend.violations, [], name);
  assert.equal(backend.count - before, answer !== null && answer.status < 400 ? 1 : 0, name);
  client.destroy();
}

/** Served, as one request. */
async function served(input: string): Promise<void> {
  const before = backend.count;
  const client = await connectRaw(proxy.port);
  await client.send(input);
  const answer = await client.answer();
  assert.equal(answer.status, 200, JSON.stringify(input.slice(0, 200)));
  assert.equal(backend.count - before, 1);
  assert.deepEqual(backend.violations, []);
  client.destroy();
}

async function allRefused(inputs: readonly string[], statuses?: readonly number[], silent?: boolean): Promise<void> {
  for (const input of inputs) await refused(input, statuses, silent);
}

test("H1-01 Content-Length and Transfer-Encoding together", () =>
  allRefused([
    post("0\r\n\r\n", "Content-Length: 5", "Transfer-Encoding: chunked"),
    post("0\r\n\r\n", "Transfer-Encoding: chunked", "Content-Length: 5"),
  ]));

test("H1-02 two different Content-Lengths", () =>
  allRefused([post("0123456789", "Content-Length: 5", "Content-Length: 10")]));

test("H1-03 the same Content-Length twice is never forwarded twice", async () => {
  await safe(post("abcde", "Content-Length: 5", "Content-Length: 5"));
  await safe(post("abcde", "Content-Length: 5, 5"));
});

test("H1-04 Content-Lengths that are not decimal", () =>
  allRefused(
    ["+5", "-5", "0x5", "5e0", "5.0", "5 5", "5_0", "0o5"].map((value) => post("abcde", `Content-Length: ${value}`)),
  ));

test("H1-05 empty Content-Length", () =>
  allRefused([post("", "Content-Length:"), post("", "Content-Length: ", "Content-Length: 43")]));

test("H1-06 leading zeros of a Content-Length are not forwarded", async () => {
  await safe(post("0123456789", "Content-Length: 010"));
  await safe(post("abcde", "Content-Length: 0000000005"));
});

test("H1-07 a Content-Length beyond exact numbers", () =>
  allRefused(
    ["9007199254740993", "9223372036854775808", "18446744073709551616", "99999999999999999999"].map((value) =>
      post("x", `Content-Length: ${value}`),
    ),
    [400, 413],
  ));

test("H1-08 transfer codings other than chunked", () =>
  allRefused(
    ["xchunked", "identity", "gzip", "chunked, gzip", ""].map((value) =>
      post("0\r\n\r\n", `Transfer-Encoding: ${value}`),
    ),
    [400, 501],
  ));

test("H1-09 chunked twice", () =>
  allRefused([
    post("0\r\n\r\n", "Transfer-Encoding: chunked, chunked"),
    post("0\r\n\r\n", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
  ]));

test("H1-10 list elements that are empty", () =>
  allRefused([",chunked", "chunked,"].map((value) => post("0\r\n\r\n", `Transfer-Encoding: ${value}`))));

test("H1-11 chunked with a parameter or in quotes", () =>
  allRefused(
    ["chunked;q=1", '"chunked"', "'chunked'"].map((value) => post("0\r\n\r\n", `Transfer-Encoding: ${value}`)),
  ));

test("H1-12 any byte around chunked but space and tab", async () => {
  for (const code of codes(0, 255)) {
    if (code === 9 || code === 32 || code === 10 || code === 13) continue;
    const byte = String.fromCharCode(code);
    for (const value of [`${byte}chunked`, `chunked${byte}`]) {
      const client = await connectRaw(proxy.port);
      const answer = await client.request(post("0\r\n\r\n", `Transfer-Encoding: ${value}`));
      assert.ok([400, 501].includes(answer.status), `${code}: ${answer.status}`);
      client.destroy();
    }
  }
  assert.equal(backend.count, 0);
});

test("H1-13 space or tab before the colon", () =>
  allRefused([post("0\r\n\r\n", "Transfer-Encoding : chunked"), post("0\r\n\r\n", "Transfer-Encoding\t: chunked")]));

test("H1-14 a line that begins with a space", () =>
  allRefused([
    "POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: localhost\r\n\r\n0\r\n\r\n",
    post("0\r\n\r\n", "X: y", " Transfer-Encoding: chunked"),
    post("0\r\n\r\n", "Transfer-Encoding:", "\tchunked"),
  ]));

test("H1-15 HTTP/1.0 with Transfer-Encoding", () =>
  allRefused(["POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]));

test("H1-16 names with an underscore are never merged with framing fields", async () => {
  await served(post("abcde", "Content-Length: 5", "Transfer_Encoding: chunked"));
  await served(post("abcde", "Content-Length: 5", "Content_Length: 9"));
  for (const request of backend.requests) assert.equal(request.body.toString(), "abcde");
});

test("H1-17 Connection cannot name framing or Host away", async () => {
  await safe(post("abcde", "Content-Length: 5", "Connection: Content-Length"));
  await safe(chunked("5\r\nabcde\r\n0\r\n\r\n", "Connection: Transfer-Encoding"));
  await safe(get("Connection: Host"));
  for (const request of backend.requests) {
    assert.ok(request.headers.has("host"));
    if (request.method === "POST") assert.equal(request.body.toString(), "abcde");
  }
});

test("H1-18 bare LF", () =>
  allRefused([
    "GET / HTTP/1.1\nHost: localhost\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\n\n",
    "GET / HTTP/1.1\nHost: localhost\n\n",
  ]));

test("H1-19 bare CR", () =>
  allRefused([get("X: a\rb"), get("Foo: 1\rBar: 2"), "GET /\r HTTP/1.1\r\nHost: localhost\r\n\r\n"]));

test("H1-20 control bytes in a value, but tab", async () => {
  for (const code of [...codes(0, 31), 127]) {
    if (code === 9 || code === 10 || code === 13) continue;
    const client = await connectRaw(proxy.port);
    assert.equal((await client.request(get(`X: a${String.fromCharCode(code)}b`))).status, 400, String(code));
    client.destroy();
  }
  assert.equal(backend.count, 0);
  await served(get("X: a\tb"));
});

test("H1-21 bytes that no name has", async () => {
  for (const code of [...'[]()"/\\<>@,;?={}'].map((text) => text.charCodeAt(0)).concat(codes(128, 255))) {
    const client = await connectRaw(proxy.port);
    assert.equal((await client.request(get(`X${String.fromCharCode(code)}Y: 1`))).status, 400, String(code));
    client.destroy();
  }
  assert.equal(backend.count, 0);
});

test("H1-22 an empty name", () => allRefused([get(": value"), get(":")]));

test("H1-23 a line without a colon", () => allRefused([get("Transfer-", "Encoding: chunked"), get("nocolon")]));

test("H1-24 no Host, two Hosts", () =>
  allRefused([
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    get("Host: localhost"),
    get("Host: other"),
    "GET http://localhost/ HTTP/1.1\r\n\r\n",
  ]));

test("H1-25 Hosts that are no authority", () =>
  allRefused(
    [
      "a, b",
      "a/b",
      "u@a",
      "a b",
      "[::1",
      "a:99999",
      "a:0",
      "a:8080:80",
      "a:b",
      "",
      "::1",
      "a\\b",
      "%61",
      "a?b",
      "a#b",
    ].map((host) => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
  ));

test("H1-27 a host that looks like an odd IPv4 address is never taken for one", async () => {
  for (const host of ["017700000001", "0x7f.1", "127.01.0.1"])
    await safe(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
});

test("H1-28 targets without a slash", () =>
  allRefused(
    ["foo", "../etc", "", "*", "*/x", "?q", "http:/x", "http://", "ftp://localhost/"].map(
      (t) => `GET ${t} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    ),
  ));

test("H1-29 bytes that no target has", () =>
  allRefused(
    ["#frag", "a b", "a\tb", "\x7f", "\x80", "\xff", "\x00"].map(
      (t) => `GET /${t} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    ),
  ));

test("H1-30 CONNECT never tunnels", () =>
  allRefused(
    ["CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", "CONNECT / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    [400, 405, 501],
  ));

test("H1-31 TRACE is not answered by us", async () => {
  const client = await connectRaw(proxy.port);
  const answer = await client.request("TRACE / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic c2VjcmV0\r\n\r\n");
  assert.equal(answer.body.includes("c2VjcmV0"), false);
  client.destroy();
});

test("H1-32 versions other than HTTP/1.0 and HTTP/1.1", () =>
  allRefused(
    [
      "HTTP/1.2",
      "HTTP/2.0",
      "HTTP/0.9",
      "HTTP/1.10",
      "HTTP/01.1",
      "http/1.1",
      "HTTP/1. 1",
      "HTTP/3",
      "HTTP",
      "HTTP/1,1",
    ].map((version) => `GET / ${version}\r\nHost: localhost\r\n\r\n`),
    [400, 505],
  ));

test("H1-33 an HTTP/0.9 request", () => allRefused(["GET /\r\n\r\n", "GET /\r\n"], [400, 505], true));

test("H1-34 separators of the request line", () =>
  allRefused([
    "GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET\t/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /\x0bHTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET / HTTP/1.1 \r\nHost: localhost\r\n\r\n",
    " GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
  ]));

test("H1-35 one empty line before a request is tolerated, a flood is not", async () => {
  await served(`\r\n${get()}`);
  backend.count = 0;
  await refused("\r\n".repeat(10_000), [400], true);
});

test("H1-36 methods that are no token; lower case is a method of its own", async () => {
  await allRefused(
    ["G/T", "GET\0", "G\xe9T", "(GET)", ""].map((method) => `${method} / HTTP/1.1\r\nHost: localhost\r\n\r\n`),
  );
  await refused(`${"A".repeat(100_000)} / HTTP/1.1\r\nHost: localhost\r\n\r\n`, [400, 431, 501]);
  await served("get / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  assert.equal(backend.requests[0]?.method, "get");
});

test("H1-37 large heads: 8 kB of target pass, more than a buffer does not", async () => {
  await served(`GET /${"a".repeat(8000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  backend.count = 0;
  const statuses = [400, 413, 414, 431];
  await refused(`GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, statuses);
  await refused(get(`X: ${"a".repeat(100_000)}`), statuses);
  await refused(get(`${"a".repeat(100_000)}: x`), statuses);
  await refused(get(...Array.from({ length: 10_000 }, (_, i) => `X-${i}: y`)), statuses);
  await refused(get(...Array.from({ length: 130 }, (_, i) => `X${i}: y`)), statuses);
});

test("H1-38 chunk sizes that are not hexadecimal", () => {
  const sizes = ["0x5", "+5", "-5", "5_0", " 5", "5 ", "", "12345678901234567", "FFFFFFFFFFFFFFFF", "g", "5\t"];
  return badChunks(sizes.map((size) => `${size}\r\nabcde\r\n0\r\n\r\n`));
});

test("H1-39 leading zeros of a chunk size are not forwarded", () =>
  safe(chunked("00000000000000005\r\nabcde\r\n0\r\n\r\n")));

test("H1-40 chunk data longer or shorter than its size", () =>
  badChunks(["4\r\nSEE-THIS\r\n0\r\n\r\n", "4\r\nSEE\r\n0\r\n\r\n"]));

test("H1-41 chunk line ends that are not CRLF", () =>
  badChunks(["5\rX\r\nabcde\r\n0\r\n\r\n", "5\nabcde\r\n0\r\n\r\n", "5\r\nabcde\n0\r\n\r\n", "5\r\nabcde\r\n0\n\r\n"]));

test("H1-42 chunk extensions that no grammar knows", () =>
  badChunks([
    "5;\r\nabcde\r\n0\r\n\r\n",
    "5;[\r\nabcde\r\n0\r\n\r\n",
    "5;a=\r\nb\r\nabcde\r\n0\r\n\r\n",
    "5\r\r;a\r\nabcde\r\n0\r\n\r\n",
    "5;a\0\r\nabcde\r\n0\r\n\r\n",
    "5;a=b\rc\r\nabcde\r\n0\r\n\r\n",
    "5;a\nabcde\r\n0\r\n\r\n",
  ]));

/**
 * A chunked body that goes wrong after a good head: the head may be at the backend by then, but the client gets 400 (or 502
 * once the backend has lost its request) and a close, and the backend never sees a complete request.
 */
async function badChunks(bodies: readonly string[]): Promise<void> {
  for (const body of bodies) {
    for (const pause of [false, true]) {
      const client = await connectRaw(proxy.port);
      await client.send(chunked(""));
      if (pause) await sleep(5);
      client.send(body).catch(() => undefined);
      const answer = await client.answerOrClose();
      assert.ok(answer === null || answer.status >= 400, JSON.stringify(body));
      await client.closedByPeer();
      client.destroy();
    }
  }
  assert.equal(backend.count, 0);
  assert.deepEqual(backend.violations, []);
}

test("H1-43 chunk extensions that are valid are accepted and not forwarded", async () => {
  await served(chunked('5;a=b;c="d"\r\nabcde\r\n0;last\r\n\r\n'));
  assert.equal(/a=b|last/.test(String(backend.requests[0]?.bytes)), false);
});

test("H1-44 overhead of chunks has a budget", async () => {
  await badChunks([`5;${"x".repeat(65_536)}\r\nabcde\r\n0\r\n\r\n`]);
  await badChunks([`${`1;${"x".repeat(1024)}\r\na\r\n`.repeat(2000)}0\r\n\r\n`]);
});

test("H1-46 a missing last line end is waited for, never guessed", async () => {
  const client = await connectRaw(proxy.port);
  await client.send(chunked("5\r\nabcde\r\n0\r\n"));
  await client.send("GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const answer = await client.answerOrClose();
  if (answer !== null && answer.status === 200)
    assert.equal(
      backend.requests.some((r) => r.target === "/smuggled"),
      false,
    );
  client.destroy();
});

test("H1-47 embedded requests are never answered", () =>
  allRefused([
    post("0\r\n\r\nGET /x HTTP/1.1\r\nHost: localhost\r\n\r\n", "Content-Length: 45", "Transfer-Encoding: chunked"),
    post("5c\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n0\r\n\r\n", "Content-Length: 4", "Transfer-Encoding: chunked"),
    post("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n", "Content-Length: 0", "Content-Length: 40"),
  ]));

test("H1-48 the body of a request that is answered early is never a request", async () => {
  const own = await startProxy(scope, { clusters: { empty: { frontends: ["localhost"], backends: [] } } });
  const smuggled = "GET /x HTTP/1.1\r\nHost: nowhere\r\n\r\n";
  for (const host of ["nowhere", "localhost"]) {
    const client = await connectRaw(own.port);
    await client.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`);
    assert.equal((await client.answer()).status, host === "nowhere" ? 404 : 503);
    // Either the connection goes on, cleanly, or it is closed; there is no second answer.
    client.send("GET /next HTTP/1.1\r\nHost: nowhere\r\nConnection: close\r\n\r\n").catch(() => undefined);
    const rest = (await client.closedByPeer()).toString("latin1");
    assert.ok([...rest.matchAll(/HTTP\/1\.1 \d/g)].length <= 1, rest);
    client.destroy();
  }
});

test("H1-60 the preface of HTTP/2", () => allRefused(["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], [400, 505]));

test("H1-61 a TLS ClientHello on a plain listener", () =>
  refused(`\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03${"\x00".repeat(32)}`, [400], true));

test("refusals are counted and the worker still serves", async () => {
  await served(get());
  assert.equal(proxy.workerPids.length, 1);
});
