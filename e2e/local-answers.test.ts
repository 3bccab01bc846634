// Answers that the proxy gives by itself: status, header set and order, Content-Length, and whether the connection lives on
// (decisions 17).

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { rawBackend } from "./lib/backend.ts";
import { type Answer, connectRaw } from "./lib/client.ts";
import { freePort } from "./lib/ports.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { fileScope } from "./lib/scope.ts";

const scope = fileScope();
let proxy: RunningProxy;

before(async () => {
  const backend = await rawBackend(scope);
  proxy = await startProxy(scope, {
    clusters: {
      app: { backends: [backend.port], frontends: [{ hostname: "localhost", path: "/app" }] },
      empty: { backends: [], frontends: [{ hostname: "localhost", path: "/empty" }] },
      dead: { backends: [await freePort()], frontends: [{ hostname: "localhost", path: "/dead" }] },
    },
  });
});

const requestFor = (path: string, host = "localhost", method = "GET"): string =>
  `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

async function ask(path: string, host?: string, method?: string): Promise<{ answer: Answer; closed: boolean }> {
  const client = await connectRaw(proxy.port);
  const answer = await client.request(requestFor(path, host, method), method);
  const next = await client.send(requestFor("/app")).then(
    () => client.answerOrClose(),
    () => null,
  );
  client.destroy();
  return { answer, closed: next === null };
}

function names(answer: Answer): string[] {
  return answer.lines.map((line) => line.slice(0, line.indexOf(":")));
}

function jsonOf(answer: Answer): Record<string, unknown> {
  const text = /<pre>\s*(\{[\s\S]*?\})\s*<\/pre>/.exec(answer.body.toString())?.[1] ?? "{}";
  return JSON.parse(text.replaceAll("&quot;", '"').replaceAll("&amp;", "&")) as Record<string, unknown>;
}

test("404: no route; the connection lives on", async () => {
  const { answer, closed } = await ask("/", "unknown.example");
  assert.equal(answer.statusLine, "HTTP/1.1 404 Not Found");
  assert.ok(answer.complete && answer.headers.has("content-length"));
  assert.equal(closed, false);
  assert.deepEqual(names(answer).slice(0, 1), ["Cache-Control"]);
  assert.ok(names(answer).includes("Sozu-Id"));
  assert.equal(jsonOf(answer)["status_code"], 404);
});

test("404: a path outside every frontend", async () => {
  assert.equal((await ask("/elsewhere")).answer.status, 404);
});

test("503: a cluster without backends, with its id in the page", async () => {
  const { answer, closed } = await ask("/empty");
  assert.equal(answer.status, 503);
  assert.equal(closed, false);
  assert.equal(jsonOf(answer)["cluster_id"], "empty");
  assert.equal(jsonOf(answer)["request_id"], answer.headers.get("sozu-id"));
});

test("503: no backend accepts a connection", async () => {
  assert.equal((await ask("/dead")).answer.status, 503);
});

test("400 and 405 close", async () => {
  const bad = await ask("/app bad");
  assert.equal(bad.answer.status, 400);
  assert.equal(bad.answer.headers.get("connection"), "close");
  assert.equal(bad.closed, true);
  const connect = await ask("localhost:80", "localhost:80", "CONNECT");
  assert.equal(connect.answer.status, 405);
  assert.ok(connect.answer.headers.has("allow"));
  assert.equal(connect.closed, true);
});

test("a local answer to HEAD has the length but no body", async () => {
  const { answer, closed } = await ask("/", "unknown.example", "HEAD");
  assert.equal(answer.status, 404);
  assert.ok(Number(answer.headers.get("content-length")) > 0);
  assert.equal(closed, false);
});

test("H1-59 nothing of a request can break out of the page or a header", async () => {
  const { answer } = await ask("/%0d%0aX:%20y/<script>alert(1)</script>", "unknown.example");
  assert.equal(answer.body.includes("<script>"), false);
  assert.equal(answer.headers.has("x"), false);
});

test("local answers have an access line with `-` for the backend", async () => {
  await ask("/empty?mark");
  const lines = await proxy.waitForAccessLines(1);
  const line =
    lines.find((text) => text.includes("/empty?mark")) ?? (await proxy.waitForAccessLines(lines.length + 1)).at(-1);
  assert.match(line as string, /\[\S+ \S+ empty -\] 127\.0\.0\.1:\d+ - /);
});
