// Redirects, rewrites, edits and credentials through the real product (spec 14.2 redirect_rewrite_auth, and the HTTP/1
// cells of protocol_pair_matrix), and the example of docs/policies.md.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { ok, type RawBackend, type RecordedRequest, rawBackend } from "./lib/backend.ts";
import { type Answer, once } from "./lib/client.ts";
import { type RunningProxy, root, startProxy } from "./lib/proxy.ts";
import { fileScope } from "./lib/scope.ts";

const scope = fileScope();
let backend: RawBackend;
let proxy: RunningProxy;

const basic = (text: string): string => `Authorization: Basic ${Buffer.from(text).toString("base64")}\r\n`;
const ANSWER = ok("ok", ["X-Powered-By: test", "X-Old: 1"]);

before(async () => {
  backend = await rawBackend(scope, (_request, peer) => peer.send(ANSWER));
  const digest = createHash("sha256").update("secret").digest("hex");
  const address = "$ADDRESS";
  const edits = [
    '{ position = "request", key = "X-Tenant", value = "blue" }',
    '{ position = "request", key = "X-Secret", value = "" }',
    '{ position = "response", key = "X-Frame-Options", value = "DENY" }',
    '{ position = "response", key = "X-Old", value = "" }',
  ];
  const text = "HTTP/1.1 301 Gone\\r\\nLocation: %REDIRECT_LOCATION\\r\\nX-Stamp: here\\r\\n\\r\\n";
  const template = `redirect_scheme = "use-https", rewrite_host = "new.test", redirect_template = "${text}"`;
  const frontends = [
    `{ address = ${address}, hostname = "301.test", redirect = "permanent" }`,
    `{ address = ${address}, hostname = "302.test", redirect = "found" }`,
    `{ address = ${address}, hostname = "308.test", redirect = "permanent_redirect" }`,
    `{ address = ${address}, hostname = "401.test", redirect = "unauthorized" }`,
    `{ address = ${address}, hostname = "auth.test", required_auth = true }`,
    `{ address = ${address}, hostname = "host.test", rewrite_host = "inner.test" }`,
    `{ address = ${address}, hostname = "path.test", path = "/old", rewrite_path = "/new$PATH[1]" }`,
    `{ address = ${address}, hostname = "edit.test", headers = [${edits.join(", ")}] }`,
    `{ address = ${address}, hostname = "template.test", redirect = "permanent", ${template} }`,
  ];
  proxy = await startProxy(scope, {
    toml: `command_socket = "$FOLDER/sozu.sock"
worker_count = 1
access_logs_target = "file://$FOLDER/access.log"
[[listeners]]
address = "127.0.0.1:$PORT"
protocol = "http"
elide_x_real_ip = true
send_x_real_ip = true
[clusters.app]
protocol = "http"
authorized_hashes = ["admin:${digest}"]
www_authenticate = 'Basic realm="app"'
answers = { "503" = "HTTP/1.1 503 Busy\\r\\nX-Cluster: app\\r\\n\\r\\ncome back\\n" }
frontends = [${frontends.join(", ").replaceAll("$ADDRESS", '"127.0.0.1:$PORT"')}]
backends = [{ address = "127.0.0.1:${backend.port}" }]
[clusters.empty]
protocol = "http"
answers = { "503" = "HTTP/1.1 503 Busy\\r\\nX-Cluster: empty\\r\\n\\r\\ncome back\\n" }
frontends = [{ address = "127.0.0.1:$PORT", hostname = "503.test" }]
backends = []
`,
  });
});

/** The answer, and what the backend got for it; null: it was not asked. */
async function ask(host: string, path = "/", fields = ""): Promise<[Answer, RecordedRequest | null]> {
  const seen = backend.requests.length;
  const answer = await once(proxy.port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`);
  assert.ok(answer !== null);
  return [answer, backend.requests[seen] ?? null];
}

test("test_redirect_permanent_h1_skips_backend, test_redirect_found_h1_emits_302, test_redirect_permanent_redirect_h1_emits_308", async () => {
  for (const status of [301, 302, 308]) {
    const [answer, request] = await ask(`${status}.test`, "/a?b=c");
    assert.equal(answer.status, status);
    assert.equal(answer.headers.get("location"), `http://${status}.test/a?b=c`);
    assert.equal(request, null);
  }
});

test("test_redirect_unauthorized_h1_emits_401", async () => {
  const [answer, request] = await ask("401.test");
  assert.equal(answer.status, 401);
  assert.equal(request, null);
});

test("test_basic_auth_h1_h1: without 401, wrong 401, right 200", async () => {
  for (const fields of ["", basic("admin:wrong")]) {
    const [answer, request] = await ask("auth.test", "/", fields);
    assert.equal(answer.status, 401);
    assert.equal(answer.headers.get("www-authenticate"), 'Basic realm="app"');
    assert.equal(request, null);
  }
  const [answer, request] = await ask("auth.test", "/", basic("admin:secret"));
  assert.equal(answer.status, 200);
  assert.ok(request?.headers.has("authorization"));
});

test("test_rewrite_host_h1_h1", async () => {
  const [, request] = await ask("host.test:8080");
  assert.equal(request?.headers.get("host"), "inner.test");
  assert.equal(request?.headers.get("x-forwarded-host"), "host.test:8080");
});

test("test_rewrite_path_h1_h1", async () => {
  const [, request] = await ask("path.test", "/old/x?q");
  assert.equal(request?.target, "/new/x?q");
});

test("test_request_header_inject_h1_h1, test_request_header_delete_h1_h1", async () => {
  const [, request] = await ask("edit.test", "/", "X-Secret: s\r\nx-tenant: red\r\n");
  assert.equal(request?.headers.get("x-tenant"), "blue");
  assert.equal(request?.headers.has("x-secret"), false);
});

test("test_response_header_inject_h1_h1, test_response_header_delete_h1_h1", async () => {
  const [answer] = await ask("edit.test");
  assert.equal(answer.headers.get("x-frame-options"), "DENY");
  assert.equal(answer.headers.has("x-old"), false);
  assert.equal(answer.headers.get("x-powered-by"), "test");
});

test("test_per_cluster_503_template", async () => {
  const [answer] = await ask("503.test");
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get("x-cluster"), "empty");
});

test("test_redirect_permanent_uses_rewrite_host_and_template", async () => {
  const [answer] = await ask("template.test", "/p");
  assert.equal(answer.status, 301);
  assert.equal(answer.headers.get("location"), "https://new.test/p");
  assert.equal(answer.headers.get("x-stamp"), "here");
});

test("protocol_pair_matrix: X-Real-IP of the client is dropped, ours is sent", async () => {
  const [, request] = await ask("host.test", "/", "X-Real-IP: 6.6.6.6\r\n");
  assert.deepEqual(
    request?.lines.filter((line) => /^x-real-ip:/i.test(line)),
    ["X-Real-IP: 127.0.0.1"],
  );
});

test("H1-59: nothing in a request can add a line to a redirect or to what a backend gets", async () => {
  for (const path of ["/%0d%0aX-Evil:%201", "/%0D%0A%0D%0A", "/a?%0aX-Evil:1"]) {
    const [answer] = await ask("301.test", path);
    assert.equal(answer.headers.get("location"), `http://301.test${path}`);
    assert.equal(answer.headers.has("x-evil"), false);
    const [, request] = await ask("path.test", `/old${path}`);
    assert.equal(request?.target, `/new${path}`);
  }
  for (const host of ["a%0d%0aX-Evil:1", "301.test%0d%0aX-Evil", "301.test\rX-Evil: 1"]) {
    const [answer] = await ask(host);
    assert.equal(answer.status, 400, host);
    assert.equal(answer.headers.has("x-evil"), false);
  }
});

test("docs/policies.md: its configuration does what its comments say", async (t) => {
  const page = readFileSync(join(root, "docs", "policies.md"), "utf8");
  const toml = /^```toml\n([\s\S]*?)^```/m.exec(page)?.[1] as string;
  const example = await startProxy(t, {
    toml: toml.replaceAll("8081", "$PORT").replace("127.0.0.1:1027", `127.0.0.1:${backend.port}`),
  });
  const get = async (host: string, path: string, fields = ""): Promise<Answer> => {
    const answer = await once(example.port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`);
    assert.ok(answer !== null);
    return answer;
  };
  assert.equal((await get("example.localhost", "/api/users?id=7", "Cookie: a=b\r\n")).status, 200);
  const request = backend.requests.at(-1);
  assert.equal(request?.target, "/v2/users?id=7");
  assert.equal(request?.headers.get("host"), "api.internal");
  assert.equal(request?.headers.get("x-tenant"), "blue");
  assert.equal(request?.headers.has("cookie"), false);
  assert.equal((await get("example.localhost", "/admin")).status, 401);
  assert.equal((await get("example.localhost", "/admin", basic("admin:secret"))).status, 200);
  const moved = await get("shop.example.localhost", "/old/page");
  assert.equal(moved.status, 302);
  assert.equal(moved.headers.get("location"), "https://shop.example.localhost:8443/new/page");
});
