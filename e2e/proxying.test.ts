// The basics of HTTP/1.1 proxying: methods, body framings both ways, interim answers, HTTP/1.0, trailers.

import assert from "node:assert/strict";
import { before, beforeEach, test } from "node:test";
import { ok, type RawBackend, rawBackend } from "./lib/backend.ts";
import { connectRaw, once } from "./lib/client.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { fileScope } from "./lib/scope.ts";

const scope = fileScope();

let backend: RawBackend;
let proxy: RunningProxy;

before(async () => {
  backend = await rawBackend(scope);
  proxy = await startProxy(scope, { clusters: { app: { backends: [backend.port] } } });
});

beforeEach(() => {
  backend.requests.length = 0;
  backend.count = 0;
  backend.handler = (_request, peer) => peer.send(ok());
});

const request = (line: string, ...fields: string[]): string =>
  `${[line, "Host: localhost", ...fields].join("\r\n")}\r\n\r\n`;

test("a GET is answered by the backend", async () => {
  backend.handler = (_request, peer) => peer.send(ok("hello", ["X-From: backend"]));
  const answer = await once(proxy.port, request("GET /path?query=1 HTTP/1.1", "X-To: backend"));
  assert.equal(answer?.statusLine, "HTTP/1.1 200 OK");
  assert.equal(answer.body.toString(), "hello");
  assert.equal(answer.headers.get("x-from"), "backend");
  assert.equal(backend.requests[0]?.requestLine, "GET /path?query=1 HTTP/1.1");
  assert.equal(backend.requests[0]?.headers.get("x-to"), "backend");
  assert.equal(backend.requests[0]?.headers.get("host"), "localhost");
});

test("a HEAD has no body, whatever the length says", async () => {
  backend.handler = (_request, peer) => peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  const client = await connectRaw(proxy.port);
  const answer = await client.request(request("HEAD / HTTP/1.1"), "HEAD");
  assert.equal(answer.headers.get("content-length"), "1000");
  backend.handler = (_request, peer) => peer.send(ok("next"));
  assert.equal((await client.request(request("GET / HTTP/1.1"))).body.toString(), "next");
  client.destroy();
});

for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "GET", "PURGE"]) {
  test(`H1-49 a ${method} with a body arrives whole and the next request is clean`, async () => {
    const client = await connectRaw(proxy.port);
    const first = await client.request(`${request(`${method} / HTTP/1.1`, "Content-Length: 5")}abcde`);
    assert.equal(first.status, 200);
    assert.equal((await client.request(request("GET /next HTTP/1.1"))).status, 200);
    assert.equal(backend.requests[0]?.method, method);
    assert.equal(backend.requests[0]?.body.toString(), "abcde");
    assert.equal(backend.requests[0]?.headers.get("content-length"), "5");
    assert.equal(backend.requests[1]?.target, "/next");
    client.destroy();
  });
}

test("a chunked request arrives chunked, extensions gone, trailers kept", async () => {
  const body = '5;name=value;q="x"\r\nhello\r\n6\r\n world\r\n0\r\nX-Checksum: abc\r\n\r\n';
  const answer = await once(
    proxy.port,
    request("POST / HTTP/1.1", "Transfer-Encoding: chunked", "Trailer: X-Checksum") + body,
  );
  assert.equal(answer?.status, 200);
  const seen = backend.requests[0];
  assert.equal(seen?.body.toString(), "hello world");
  assert.deepEqual(seen?.trailers, ["X-Checksum: abc"]);
  assert.equal(seen?.headers.get("transfer-encoding"), "chunked");
  assert.equal(seen?.bytes.includes("name=value"), false);
});

test("H1-45 trailers that frame, route or authorise are dropped", async () => {
  const trailers = ["Content-Length: 5", "Transfer-Encoding: chunked", "Host: evil", "Authorization: x", "X-Fine: yes"];
  const body = `5\r\nhello\r\n0\r\n${trailers.join("\r\n")}\r\n\r\n`;
  const answer = await once(proxy.port, request("POST / HTTP/1.1", "Transfer-Encoding: chunked") + body);
  if (answer?.status === 400) return;
  assert.deepEqual(backend.requests[0]?.trailers, ["X-Fine: yes"]);
});

test("a chunked answer arrives chunked, with its trailers", async () => {
  backend.handler = (_request, peer) =>
    peer.send(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
  const client = await connectRaw(proxy.port);
  const answer = await client.request(request("GET / HTTP/1.1"));
  assert.equal(answer.headers.get("transfer-encoding"), "chunked");
  assert.equal(answer.body.toString(), "abcdefg");
  assert.deepEqual(answer.trailers, ["X-Sum: 1"]);
  backend.handler = (_request, peer) => peer.send(ok("next"));
  assert.equal((await client.request(request("GET / HTTP/1.1"))).body.toString(), "next");
  client.destroy();
});

test("a close-delimited answer arrives whole", async () => {
  for (const size of [0, 10, 48 * 1024]) {
    backend.handler = (_request, peer) =>
      peer.end(Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\n\r\n"), Buffer.alloc(size, 97)]));
    const answer = await once(proxy.port, request("GET / HTTP/1.1"));
    assert.equal(answer?.status, 200);
    assert.equal(answer.body.length, size);
    assert.equal(answer.complete, true);
  }
});

test("204 and 304 have no body and leave the connection usable", async () => {
  const client = await connectRaw(proxy.port);
  for (const status of ["204 No Content", "304 Not Modified"]) {
    backend.handler = (_request, peer) => peer.send(`HTTP/1.1 ${status}\r\nETag: "x"\r\n\r\n`);
    const answer = await client.request(request("GET / HTTP/1.1"));
    assert.equal(answer.status, Number(status.slice(0, 3)));
    assert.equal(answer.headers.get("etag"), '"x"');
  }
  client.destroy();
});

test("interim answers are forwarded at once and in order", async () => {
  backend.handler = (_request, peer) => {
    peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n");
    setTimeout(() => peer.send(ok("done")), 50);
  };
  const client = await connectRaw(proxy.port);
  const hints = await client.request(request("GET / HTTP/1.1"));
  assert.equal(hints.status, 103);
  assert.equal(hints.headers.get("link"), "</a.css>");
  assert.equal((await client.answer()).status, 102);
  assert.equal((await client.answer()).body.toString(), "done");
  client.destroy();
});

test("H1-50 Expect: 100-continue is relayed and 100 comes back before the body is sent", async (t) => {
  const origin = await rawBackend(
    t,
    (head, peer) => {
      if (head.headers.get("expect") !== "100-continue") return;
      peer.send("HTTP/1.1 100 Continue\r\n\r\n");
      peer.socket.once("data", () => peer.end(ok("thanks")));
    },
    { onHead: true },
  );
  const own = await startProxy(t, { clusters: { app: { backends: [origin.port] } } });
  const client = await connectRaw(own.port);
  const go = await client.request(request("POST / HTTP/1.1", "Content-Length: 5", "Expect: 100-continue"));
  assert.equal(go.status, 100);
  assert.equal((await client.request("hello")).body.toString(), "thanks");
  client.destroy();
});

test("H1-51 an expectation nobody knows is 417 and a close", async () => {
  const answer = await once(proxy.port, request("GET / HTTP/1.1", "Expect: tea"));
  assert.equal(answer?.status, 417);
  assert.equal(backend.count, 0);
});

test("HTTP/1.0 without keep-alive is answered and closed", async () => {
  const client = await connectRaw(proxy.port);
  const answer = await client.request(request("GET / HTTP/1.0"));
  assert.equal(answer.body.toString(), "ok");
  await client.closedByPeer();
});

test("HTTP/1.0 with Connection: keep-alive keeps the connection", async () => {
  const client = await connectRaw(proxy.port);
  for (let i = 0; i < 3; i++) {
    const answer = await client.request(request("GET / HTTP/1.0", "Connection: keep-alive"));
    assert.equal(answer.body.toString(), "ok");
    assert.equal(answer.headers.get("connection")?.toLowerCase(), "keep-alive");
  }
  client.destroy();
});

test("an HTTP/1.0 client gets a chunked answer without chunks", async () => {
  backend.handler = (_request, peer) =>
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  const client = await connectRaw(proxy.port);
  await client.send(request("GET / HTTP/1.0", "Connection: keep-alive"));
  const answer = await client.answer();
  assert.equal(answer.headers.has("transfer-encoding"), false);
  assert.equal(answer.body.toString(), "abc");
  client.destroy();
});

test("an HTTP/1.0 backend without a length is read to its end", async () => {
  backend.handler = (_request, peer) => peer.end("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold");
  const answer = await once(proxy.port, request("GET / HTTP/1.1"));
  assert.equal(answer?.statusLine, "HTTP/1.1 200 OK");
  assert.equal(answer.body.toString(), "old");
  assert.equal(answer.complete, true);
});

test("hop-by-hop fields and those that Connection names are removed both ways", async () => {
  backend.handler = (_request, peer) =>
    peer.send(
      ok("x", ["Connection: X-Private", "X-Private: 1", "Keep-Alive: timeout=5", "Proxy-Connection: x", "X-Public: 1"]),
    );
  const fields = [
    "Connection: X-Secret, keep-alive",
    "X-Secret: 1",
    "Keep-Alive: timeout=3",
    "Proxy-Connection: y",
    "X-Open: 1",
  ];
  const answer = await once(proxy.port, request("GET / HTTP/1.1", ...fields));
  for (const name of ["x-private", "keep-alive", "proxy-connection"])
    assert.equal(answer?.headers.has(name), false, name);
  assert.equal(answer?.headers.get("x-public"), "1");
  const seen = backend.requests[0]?.headers;
  for (const name of ["x-secret", "keep-alive", "proxy-connection", "connection"])
    assert.equal(seen?.has(name), false, name);
  assert.equal(seen?.get("x-open"), "1");
});

test("BE-09 an Upgrade that Connection does not name is stripped, and a 101 to it is a 502", async () => {
  const fields = ["Upgrade: websocket", "Sec-WebSocket-Version: 13"];
  const first = await once(proxy.port, request("GET / HTTP/1.1", ...fields));
  assert.equal(first?.status, 200);
  assert.equal(backend.requests[0]?.headers.has("upgrade"), false);
  backend.handler = (_request, peer) =>
    peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  const second = await once(proxy.port, request("GET / HTTP/1.1", ...fields));
  assert.equal(second?.status, 502);
});

test("H1-26 absolute-form: the authority of the target counts and Host is rewritten", async () => {
  const answer = await once(proxy.port, "GET http://localhost/abs?x=1 HTTP/1.1\r\nHost: other\r\n\r\n");
  if (answer?.status === 400) return;
  assert.equal(answer?.status, 200);
  assert.equal(backend.requests[0]?.headers.get("host"), "localhost");
  assert.equal(backend.requests[0]?.target, "/abs?x=1");
});

test("H1-58 escapes in the path pass through as they are", async () => {
  const target = "/a%0d%0aX:%20y/%00/a%2fb/%c0%af?q=%zz/..%2f";
  const answer = await once(proxy.port, request(`GET ${target} HTTP/1.1`));
  assert.equal(answer?.status, 200);
  assert.equal(backend.requests[0]?.target, target);
  for (const dots of ["/..%2f", "/a/../b", "/%2e%2E"]) {
    assert.equal((await once(proxy.port, request(`GET ${dots} HTTP/1.1`)))?.status, 400, dots);
  }
  assert.equal(backend.count, 1);
});

test("H1-56 a client that half-closes after its request still gets the answer", async () => {
  backend.handler = (_request, peer) => void setTimeout(() => peer.send(ok("late")), 100);
  const client = await connectRaw(proxy.port);
  await client.send(request("GET / HTTP/1.1"));
  client.halfClose();
  assert.equal((await client.answer()).body.toString(), "late");
  await client.closedByPeer();
});

test("H1-57 one byte per packet gives the same answer", async () => {
  const client = await connectRaw(proxy.port);
  await client.sendSlowly(`${request("POST /slow HTTP/1.1", "Transfer-Encoding: chunked")}3\r\nabc\r\n0\r\n\r\n`, 1, 1);
  assert.equal((await client.answer()).status, 200);
  assert.equal(backend.requests[0]?.body.toString(), "abc");
  client.destroy();
});

test("an answer that arrives in pieces is the same answer", async () => {
  const whole = ok("piecemeal", ["X-A: 1", "X-B: 2"]);
  backend.handler = (_request, peer) => {
    let at = 0;
    const next = (): void => {
      peer.send(whole.subarray(at, at + 1));
      if (++at < whole.length) setTimeout(next, 1);
    };
    next();
  };
  const answer = await once(proxy.port, request("GET / HTTP/1.1"));
  assert.equal(answer?.body.toString(), "piecemeal");
  assert.equal(answer?.headers.get("x-b"), "2");
});
