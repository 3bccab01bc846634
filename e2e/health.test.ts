// Health checks through the configuration and the command line (spec 7.5, rows test_health_check_* of spec 14), and what
// backends that fail mean to clients.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ok, type RawBackend, rawBackend } from "./lib/backend.ts";
import { once } from "./lib/client.ts";
import { type RunningProxy, root, startProxy } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";

const GET = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const CHECK = "interval = 1\ntimeout = 1\nhealthy_threshold = 1\nunhealthy_threshold = 1";

/** A backend whose probes get `status`; everything else gets its name. */
interface Sample {
  status: number;
  probes: number;
  readonly backend: RawBackend;
  readonly port: number;
}

async function sample(t: TestContext, name: string): Promise<Sample> {
  const state = { status: 200, probes: 0 };
  const backend = await rawBackend(t, (request, peer) => {
    if (request.target !== "/health") {
      peer.send(ok(name));
      return;
    }
    state.probes++;
    peer.end(`HTTP/1.1 ${state.status} Status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
  });
  return Object.assign(state, { backend, port: backend.port });
}

function start(t: TestContext, samples: readonly Sample[], check = `uri = "/health"\n${CHECK}`): Promise<RunningProxy> {
  const backends = samples.map(({ port }, at) => `{ address = "127.0.0.1:${port}", backend_id = "b${at}" }`);
  const table = check === "" ? "" : `[clusters.app.health_check]\n${check}\n`;
  return startProxy(t, {
    toml: `command_socket = "$FOLDER/sozu.sock"
worker_count = 1
[[listeners]]
protocol = "http"
address = "127.0.0.1:$PORT"
[clusters.app]
protocol = "http"
frontends = [{ address = "127.0.0.1:$PORT", hostname = "localhost" }]
backends = [${backends.join(", ")}]
${table}`,
  });
}

async function answers(proxy: RunningProxy, count: number): Promise<string[]> {
  const found: string[] = [];
  for (let i = 0; i < count; i++) {
    const answer = await once(proxy.port, GET);
    found.push(answer === null ? "closed" : answer.status === 200 ? answer.body.toString() : `${answer.status}`);
  }
  return found;
}

async function said(proxy: RunningProxy, text: string): Promise<void> {
  await until(text, () => proxy.output.includes(text));
}

test("test_health_check_excludes_unhealthy, test_health_check_recovery", async (t) => {
  const [good, bad] = [await sample(t, "good"), await sample(t, "bad")];
  bad.status = 500;
  const proxy = await start(t, [good, bad]);
  await said(proxy, "cluster app: backend b1 is unhealthy: status 500");
  assert.deepEqual(await answers(proxy, 6), new Array(6).fill("good"));
  const shown = await proxy.run("cluster", "health-check", "status");
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stdout, /b1.*status 500/);
  bad.status = 200;
  await said(proxy, "cluster app: backend b1 is healthy again");
  assert.deepEqual([...new Set(await answers(proxy, 4))].sort(), ["bad", "good"]);
});

test("test_health_check_fail_open: nothing healthy is better than nothing at all", async (t) => {
  const one = await sample(t, "one");
  one.status = 500;
  const proxy = await start(t, [one]);
  await said(proxy, "cluster app: all 1 backends are down");
  assert.deepEqual(await answers(proxy, 3), ["one", "one", "one"]);
  await said(proxy, "(fail-open)");
  await answers(proxy, 1);
  one.status = 200;
  await said(proxy, "cluster app: backend b0 is healthy again");
  await answers(proxy, 1);
  await said(proxy, "cluster app: a healthy backend can be used again");
  assert.equal(proxy.output.split("(fail-open)").length, 2, "one warning");
});

test("test_health_check_expected_status", async (t) => {
  const [teapot, usual] = [await sample(t, "teapot"), await sample(t, "usual")];
  teapot.status = 418;
  const proxy = await start(t, [teapot, usual], `uri = "/health"\nexpected_status = 418\n${CHECK}`);
  await said(proxy, "cluster app: backend b1 is unhealthy: status 200");
  assert.deepEqual(await answers(proxy, 4), new Array(4).fill("teapot"));
});

test("a TCP check and a list of statuses (additions)", async (t) => {
  const [moved, closed] = [await sample(t, "moved"), await sample(t, "closed")];
  moved.status = 301;
  const listed = await start(t, [moved], `uri = "/health"\naccepted_statuses = ["200", "300-399"]\n${CHECK}`);
  await until("a probe", () => moved.probes > 1);
  assert.equal(listed.output.includes("unhealthy"), false);
  await closed.backend.close();
  const tcp = await start(t, [moved, closed], `tcp = true\n${CHECK}`);
  await said(tcp, "cluster app: backend b1 is unhealthy: connection refused");
  assert.deepEqual(await answers(tcp, 2), ["moved", "moved"]);
});

test("test_health_check_remove: by command; verdicts are forgotten and probes end", async (t) => {
  const [good, bad] = [await sample(t, "good"), await sample(t, "bad")];
  bad.status = 500;
  const proxy = await start(t, [good, bad], "");
  const set = ["--uri", "/health", "--interval", "1", "--timeout", "1", "--unhealthy-threshold", "1"];
  const added = await proxy.run("cluster", "health-check", "set", "--id", "app", ...set);
  assert.equal(added.code, 0, added.stderr);
  await said(proxy, "cluster app: backend b1 is unhealthy: status 500");
  assert.deepEqual(await answers(proxy, 4), new Array(4).fill("good"));
  const listed = await proxy.run("cluster", "health-check", "list");
  assert.match(listed.stdout, /app.*\/health/);
  const removed = await proxy.run("cluster", "health-check", "remove", "--id", "app");
  assert.equal(removed.code, 0, removed.stderr);
  assert.deepEqual([...new Set(await answers(proxy, 4))].sort(), ["bad", "good"]);
  const { probes } = bad;
  // Two intervals of the check that is gone.
  await new Promise((resolve) => setTimeout(resolve, 2400));
  assert.equal(bad.probes, probes);
});

test("test_health_check_invalid_config: refused, by command and in the file", async (t) => {
  const proxy = await start(t, [await sample(t, "one")]);
  for (const wrong of [
    ["--uri", "health"],
    ["--uri", "/a b"],
    ["--uri", "/", "--interval", "0"],
  ]) {
    const { code, stderr, stdout } = await proxy.run("cluster", "health-check", "set", "--id", "app", ...wrong);
    assert.notEqual(code, 0, `${wrong.join(" ")}: ${stdout}${stderr}`);
  }
  const nobody = await proxy.run("cluster", "health-check", "set", "--id", "nobody", "--uri", "/");
  assert.notEqual(nobody.code, 0);
  assert.deepEqual(await answers(proxy, 1), ["one"]);
});

test("the configuration of docs/health-checks.md does what the page says", async (t) => {
  const [a, b, spare] = [await sample(t, "a"), await sample(t, "b"), await sample(t, "spare")];
  const shown = /```toml\n([\s\S]*?)```/.exec(readFileSync(join(root, "docs", "health-checks.md"), "utf8"))?.[1] ?? "";
  const toml = shown
    .replace("./sozu.sock", "$FOLDER/sozu.sock")
    .replaceAll("127.0.0.1:8080", "127.0.0.1:$PORT")
    .replace("127.0.0.1:1026", `127.0.0.1:${a.port}`)
    .replace("127.0.0.1:1027", `127.0.0.1:${b.port}`)
    .replace("127.0.0.1:1028", `127.0.0.1:${spare.port}`)
    .replace("interval = 10", "interval = 1")
    .replace("timeout = 5", "timeout = 1")
    .replaceAll("threshold = 3", "threshold = 1");
  // One worker: each finds out for itself.
  const proxy = await startProxy(t, { toml: `worker_count = 1\n${toml}` });
  a.status = 500;
  await said(proxy, "backend a is unhealthy: status 500");
  assert.deepEqual(await answers(proxy, 3), ["b", "b", "b"]);
  b.status = 500;
  await said(proxy, "backend b is unhealthy: status 500");
  assert.deepEqual(await answers(proxy, 3), ["spare", "spare", "spare"]);
  a.status = 200;
  await said(proxy, "backend a is healthy again");
  assert.deepEqual(await answers(proxy, 3), ["a", "a", "a"]);
});
