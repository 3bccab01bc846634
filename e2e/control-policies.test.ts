// What the command line and the file say about answers, redirects, credentials and health checks, with real processes: it
// is served at once, by workers that come later too, and by a proxy that loads the saved state.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { httpBackend } from "./lib/backend.ts";
import { once } from "./lib/client.ts";
import { startProxy } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";

const request = (host: string, more = ""): string => `GET /a/b?c HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;
/** sha256 of "secret". */
const SECRET = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

test("oddity 9, listener_update: what was patched is served by later workers and from saved states", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const at = `127.0.0.1:${proxy.port}`;
  const template = "HTTP/1.1 404 Not Found\nX-Stamp: patched\nContent-Type: text/plain\n\nno %ROUTE\n";
  writeFileSync(join(proxy.folder, "404.http"), template);
  const file = join(proxy.folder, "404.http");
  const update = await proxy.run("listener", "http", "update", "--address", at, "--answer-404", file);
  assert.equal(update.code, 0, update.stderr);
  const check = async (port: number): Promise<void> => {
    const answer = await once(port, request("nowhere.test"));
    assert.equal(answer?.status, 404);
    assert.equal(answer.headers.get("x-stamp"), "patched");
    assert.equal(answer.body.toString(), "no GET nowhere.test/a/b?c\r\n");
  };
  await check(proxy.port);
  const victim = proxy.workerPids[0]!;
  process.kill(victim, "SIGKILL");
  await until("a successor runs", () => proxy.workerPids.length === 1 && proxy.workerPids[0] !== victim);
  await check(proxy.port);
  const saved = join(proxy.folder, "state.json");
  assert.equal((await proxy.run("state", "save", "--file", saved)).code, 0);
  await proxy.stop();
  const other = await startProxy(t, { toml: 'command_socket = "$FOLDER/sozu.sock"\nworker_count = 1\n' });
  assert.equal((await other.run("state", "load", "--file", saved)).code, 0);
  await check(proxy.port);
});

test("a broken template refuses the command with its line, and changes nothing", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const add = ["cluster", "add", "--id", "app", "--load-balancing-policy", "random"];
  const broken = await proxy.run(...add, "--answer", "503=HTTP/1.1 503 Sorry\nX-A: %ROUT\n\nlater");
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, /'answers\.503': line 2 of the template: .*%ROUT/);
  const check = await proxy.run("cluster", "health-check", "set", "--id", "app", "--uri", "health");
  assert.match(check.stderr, /'config\.uri': it must begin with "\/"/);
  const list = await proxy.run("cluster", "health-check", "list");
  assert.match(list.stdout, /No health checks configured\./);
  assert.equal((await once(proxy.port, request("localhost")))?.status, 200);
});

test("redirect_rewrite_auth: routes of the command line redirect, rewrite, edit and ask for credentials", async (t) => {
  const seen: string[] = [];
  const backend = await httpBackend(t, (incoming, response) => {
    seen.push(`${incoming.headers.host} ${incoming.url} ${incoming.headers["x-area"]}`);
    response.setHeader("Server", "secret");
    response.end("ok");
  });
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const run = async (...words: string[]): Promise<void> => {
    const { code, stderr } = await proxy.run(...words);
    assert.equal(code, 0, stderr);
  };
  const policy = ["--load-balancing-policy", "round_robin"];
  const credentials = ["--authorized-hash", `admin:${SECRET}`, "--www-authenticate", 'Basic realm="app"'];
  await run("cluster", "add", "--id", "app", ...policy, ...credentials);
  const rule = ["frontend", "http", "add", "--address", `127.0.0.1:${proxy.port}`];
  const moved = ["--redirect", "found", "--redirect-scheme", "use-https", "--rewrite-host", "new.test"];
  await run(...rule, "--hostname", "old.test", ...moved, "--rewrite-port", "8443", "deny");
  const edits = ["--header", "request=X-Area=admin", "--header", "response=Server="];
  const rewrite = ["--path-prefix", "/a", "--rewrite-path", "/v2$PATH[1]", "--rewrite-host", "inner.test"];
  await run(...rule, "--hostname", "new.test", ...rewrite, ...edits, "--required-auth", "id", "app");
  const redirect = await once(proxy.port, request("old.test"));
  assert.deepEqual([redirect?.status, redirect?.headers.get("location")], [302, "https://new.test:8443/a/b?c"]);
  const refused = await once(proxy.port, request("new.test"));
  assert.deepEqual([refused?.status, refused?.headers.get("www-authenticate")], [401, 'Basic realm="app"']);
  const allowed = `Authorization: Basic ${Buffer.from("admin:secret").toString("base64")}\r\n`;
  const served = await once(proxy.port, request("new.test", allowed));
  assert.deepEqual([served?.status, served?.headers.get("server")], [200, undefined]);
  assert.deepEqual(seen, ["inner.test /v2/b?c admin"]);
});
