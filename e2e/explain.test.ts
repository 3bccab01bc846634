// `sozu explain` against a running proxy and against its file: the same verdict as the proxy's own answer.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import { httpBackend } from "./lib/backend.ts";
import { once } from "./lib/client.ts";
import { freePort } from "./lib/ports.ts";
import { startProxy } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";

test("explain says what the running proxy does, also after changes over the socket", async (t) => {
  const backend = await httpBackend(t, (request, response) => response.end(request.url));
  const dead = await freePort();
  const hash = createHash("sha256").update("secret").digest("hex");
  const proxy = await startProxy(t, {
    workers: 2,
    clusters: {
      app: {
        frontends: [
          { hostname: "app.test", path: "/old", redirect: "permanent", rewrite_path: "/new$PATH[1]" },
          { hostname: "app.test", path: "/api", rewrite_path: "/v2$PATH[1]" },
          { hostname: "app.test" },
          { hostname: "auth.test", required_auth: true },
        ],
        backends: [backend.port],
        keys: { authorized_hashes: [`ann:${hash}`] },
      },
      down: { frontends: ["down.test"], backends: [dead] },
    },
  });
  const at = (host: string, path: string): string => `http://${host}:${proxy.port}${path}`;
  const explain = async (...args: string[]) => {
    const { code, stdout, stderr } = await proxy.run("explain", ...args, "--json");
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };
  const status = async (host: string, path: string): Promise<number | undefined> => {
    const head = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
    return (await once(proxy.port, head))?.status;
  };

  const active = await proxy.run("explain", "GET", at("app.test", "/"));
  assert.match(active.stdout, new RegExp(`^listener  127\\.0\\.0\\.1:${proxy.port}: it accepts`, "m"));

  const redirect = await explain("GET", at("app.test", "/old/x"));
  assert.equal(redirect.source, "the running proxy");
  assert.equal(redirect.answer.status, 301);
  assert.equal(redirect.answer.location, "http://app.test/new/x");
  assert.equal(await status("app.test", "/old/x"), 301);

  const api = await explain("GET", at("app.test", "/api/x"));
  assert.deepEqual(api.answer.forwarded, { path: "/v2/x", host: `app.test:${proxy.port}` });
  assert.equal(api.backends[0].workers.length, 2);
  assert.deepEqual(
    api.rules.tried.map((one: { matches: boolean }) => one.matches),
    [false, true].slice(-api.rules.tried.length),
  );
  assert.equal(await status("app.test", "/api/x"), 200);

  assert.equal((await explain("GET", at("auth.test", "/"))).answer.status, 401);
  const credentials = `Authorization: Basic ${btoa("ann:secret")}`;
  assert.equal((await explain("GET", at("auth.test", "/"), "-H", credentials)).answer.status, null);
  assert.equal((await explain("GET", at("nobody.test", "/"))).answer.status, 404);

  assert.equal(await status("down.test", "/"), 503);
  await until("a worker leaves the dead backend out", async () => {
    const { backends } = await explain("GET", at("down.test", "/"));
    return backends[0].workers.some((one: { available: boolean }) => !one.available);
  });
  const shown = await proxy.run("explain", "GET", at("down.test", "/"));
  assert.match(shown.stdout, /left out by/);

  const deny = ["frontend", "http", "add", "--address", `127.0.0.1:${proxy.port}`, "--hostname", "app.test"];
  assert.equal((await proxy.run(...deny, "--path-prefix", "/api/secret", "deny")).code, 0);
  assert.equal((await explain("GET", at("app.test", "/api/secret"))).answer.status, 401);
  assert.equal((await explain("GET", at("app.test", "/api/secret"), "--file")).answer.status, null);
  assert.equal(await status("app.test", "/api/secret"), 401);
});

test("explain judges the file when no proxy runs, and says what cannot be judged", async (t) => {
  const proxy = await startProxy(t, { clusters: { app: { backends: [] } } });
  await proxy.run("shutdown");
  await proxy.waitForExit();
  const { code, stdout } = await proxy.run("explain", "GET", `http://localhost:${proxy.port}/`, "--json");
  assert.equal(code, 0);
  const explanation = JSON.parse(stdout);
  assert.equal(explanation.source, join(proxy.folder, "config.toml"));
  assert.equal(explanation.answer.status, 503);
  for (const wrong of [
    ["GET", "https://localhost/"],
    ["GET", "nothing at all:x"],
    ["GET", "http://localhost/", "-H", "no colon"],
    ["GET", "http://localhost/", "--from", "somewhere"],
    ["GET", "http://localhost/", "--listener", "127.0.0.1:1"],
  ]) {
    const refused = await proxy.run("explain", ...wrong);
    assert.equal(refused.code, 1, wrong.join(" "));
    assert.notEqual(refused.stderr.trim(), "");
  }
});
