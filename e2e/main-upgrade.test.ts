// `sozu upgrade`: main becomes the release on disk, in place. Traffic does not notice, command clients neither; a release
// that does not start changes nothing.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { connect, ResponseStatus } from "../src/client/index.ts";
import type { Response } from "../src/command/gen/sozu_pb.ts";
import { request } from "../src/command/messages.ts";
import { httpBackend } from "./lib/backend.ts";
import { once } from "./lib/client.ts";
import { runLoad } from "./lib/load.ts";
import { commandLine, descriptorCount, isAlive } from "./lib/processes.ts";
import { currentRelease, type ProxyOptions, type RunningProxy, startProxy } from "./lib/proxy.ts";
import { Releases } from "./lib/releases.ts";
import { type Scope, until } from "./lib/scope.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/** A proxy that runs release `a`; `b` lies beside it and is current. */
async function startUpgradable(scope: Scope, options: Partial<ProxyOptions> = {}) {
  const backend = await httpBackend(scope, (_request, response) => response.end("ok"));
  let releases: Releases | null = null;
  const release = (folder: string): string => {
    releases = new Releases(currentRelease(), folder);
    releases.add("b");
    releases.use("b");
    return releases.add("a");
  };
  const clusters = { app: { backends: [backend.port] } };
  const proxy = await startProxy(scope, { workers: 2, clusters, ...options, release });
  return { proxy, backend, releases: releases as unknown as Releases };
}

async function hashes(proxy: RunningProxy): Promise<string> {
  const { code, stdout, stderr } = await proxy.run("cluster", "list", "--json");
  assert.equal(code, 0, stderr);
  return stdout;
}

test("UP-06 main is upgraded ten times under load: same pid, workers, state; nothing fails", async (t) => {
  const { proxy, backend } = await startUpgradable(t);
  const workers = proxy.workerPids.sort();
  const loads = [runLoad(t, proxy.port, { connections: 8 }), runLoad(t, proxy.port, { connections: 4, fresh: true })];
  const add = ["--id", "app", "--backend-id", "second", "--address", `127.0.0.1:${backend.port}`];
  assert.equal((await proxy.run("backend", "add", ...add)).code, 0);
  const before = await hashes(proxy);
  for (let round = 1; round <= 10; round++) {
    const { code, stdout, stderr } = await proxy.run("upgrade", "--main");
    assert.equal(code, 0, stderr + proxy.output);
    assert.match(stdout, new RegExp(`New main process has pid ${proxy.pid}`));
    assert.equal(await hashes(proxy), before);
  }
  assert.match(commandLine(proxy.pid), /releases\/b\/js\/cli\/main\.js main /);
  assert.deepEqual(proxy.workerPids.sort(), workers);
  assert.match(proxy.output, /verb=main_upgraded.* result=ok.* boot_generation=10\)/);
  const removed = await proxy.run("backend", "remove", ...add);
  assert.equal(removed.code, 0, removed.stderr);
  for (const load of loads) await until("the load goes on", () => load.served > 500);
  for (const load of loads) assert.deepEqual((await load.stop()).failures, []);
  process.kill(workers[0], "SIGKILL");
  await until("a worker of the old main is replaced", () => /worker 2 serves/.test(proxy.output));
});

test("UP-06 no descriptor is lost or left over by upgrades of main", async (t) => {
  const { proxy } = await startUpgradable(t);
  assert.equal((await proxy.run("upgrade", "--main")).code, 0);
  const count = await until("it settled", () => descriptorCount(proxy.pid));
  for (let round = 0; round < 3; round++) assert.equal((await proxy.run("upgrade", "--main")).code, 0);
  await until("as many as before", () => descriptorCount(proxy.pid) <= count);
});

test("the client that asks gets its answer, subscribers and other clients keep their connections", async (t) => {
  const { proxy } = await startUpgradable(t);
  const options = { socketPath: proxy.socketPath, timeoutMs: 5000 };
  const [asking, idle, listening] = await Promise.all([connect(options), connect(options), connect(options)]);
  t.after(() => {
    for (const client of [asking, idle, listening]) client.close();
  });
  const events: string[] = [];
  const onProcessing = ({ content }: Response): void => {
    if (content?.contentType.case === "event") events.push(String(content.contentType.value.kind));
  };
  void listening.send(request({ case: "subscribeEvents", value: {} }), { onProcessing, timeoutMs: 0 }).catch(() => 0);
  assert.equal((await idle.send(request({ case: "status", value: {} }))).status, ResponseStatus.OK);
  const answer = await asking.send(request({ case: "upgradeMain", value: {} }));
  assert.equal(answer.status, ResponseStatus.OK, answer.message);
  assert.equal((await asking.send(request({ case: "status", value: {} }))).status, ResponseStatus.OK);
  assert.equal((await idle.send(request({ case: "status", value: {} }))).status, ResponseStatus.OK);
  await until("the subscriber heard of it", () => events.includes("24"));
  const removed = await idle.send(request({ case: "removeCluster", value: "app" }));
  assert.equal(removed.status, ResponseStatus.OK, removed.message);
  await until("and hears of what follows", () => events.length >= 2);
});

test("a reload after an upgrade compares with the file as it was loaded before it", async (t) => {
  const { proxy } = await startUpgradable(t);
  const add = ["--id", "app", "--backend-id", "added", "--address", "127.0.0.1:1"];
  assert.equal((await proxy.run("backend", "add", ...add)).code, 0);
  assert.equal((await proxy.run("upgrade", "--main")).code, 0);
  const { code, stdout } = await proxy.run("reload");
  assert.equal(code, 0);
  assert.match(stdout, /Successfully reloaded/);
  assert.match((await proxy.run("cluster", "list", "--id", "app")).stdout, /added/);
});

test("sozu upgrade takes main and every worker to the release on disk", async (t) => {
  const { proxy } = await startUpgradable(t);
  const load = runLoad(t, proxy.port, { connections: 8 });
  const old = proxy.workerPids;
  const { code, stderr } = await proxy.run("upgrade", "--all");
  assert.equal(code, 0, stderr);
  assert.match(stderr, /worker 0, 1 of 2\n/);
  await until("the old workers end", () => old.every((pid) => !isAlive(pid)));
  for (const pid of [proxy.pid, ...proxy.workerPids]) assert.match(commandLine(pid), /releases\/b\//);
  assert.deepEqual((await load.stop()).failures, []);
});

const BROKEN: readonly (readonly [string, string, (text: string) => string, RegExp])[] = [
  ["does not parse", "js/main/resume.js", (text) => `${text}\n}`, /Unexpected token/],
  ["hangs", "js/cli/main.js", () => "setInterval(() => {}, 1000);\n", /not ready after 1\.\d s/],
  ["ends at once", "js/cli/main.js", () => "process.exit(3);\n", /exited with 3/],
  [
    "speaks another protocol",
    "js/command/worker-protocol.js",
    (text) => text.replace("WORKER_PROTOCOL_VERSION = 1", "WORKER_PROTOCOL_VERSION = 2"),
    /speak version 1 of the protocol, this release 2/,
  ],
];

for (const [what, file, change, reason] of BROKEN) {
  test(`UP-08 a release of main that ${what}: the old one goes on and the command says why`, async (t) => {
    const { proxy, releases } = await startUpgradable(t, { settings: { worker_timeout: 1 } });
    releases.edit("b", file, change);
    const before = await hashes(proxy);
    const { code, stderr } = await proxy.run("upgrade", "--main");
    assert.equal(code, 1);
    assert.match(stderr, /Upgrade of main process failed, the old one goes on: release b does not start: /);
    assert.match(stderr, reason);
    assert.equal(await hashes(proxy), before);
    assert.equal((await once(proxy.port, REQUEST))?.status, 200);
  });
}

test("UP-08 a configuration file that the new release refuses keeps the old one", async (t) => {
  const { proxy } = await startUpgradable(t, { before: () => undefined });
  const path = `${proxy.folder}/config.toml`;
  const text = readFileSync(path, "utf8");
  writeFileSync(path, `${text}\n[nonsense]\n`);
  // The verb itself needs only the socket's keys.
  const { code, stderr } = await proxy.run("upgrade", "--main");
  assert.equal(code, 1);
  assert.match(stderr, /it refuses the configuration file/);
});

test("log files that cannot be opened any more do not end an upgrade", async (t) => {
  const { proxy } = await startUpgradable(t, {
    before: (folder) => mkdirSync(`${folder}/logs`),
    toml: `command_socket = "$FOLDER/sozu.sock"
worker_count = 2
log_target = "file://$FOLDER/logs/main.log"
access_logs_target = "file://$FOLDER/logs/access.log"
audit_logs_target = "$FOLDER/logs/audit.log"
[[listeners]]
address = "127.0.0.1:$PORT"
protocol = "http"
[clusters.app]
protocol = "http"
frontends = [{ address = "127.0.0.1:$PORT", hostname = "localhost" }]
backends = []
`,
  });
  const load = runLoad(t, proxy.port, { connections: 4, status: 503 });
  // Folders that are missing are made again for the audit trail.
  rmSync(`${proxy.folder}/logs`, { recursive: true });
  writeFileSync(`${proxy.folder}/logs`, "");
  const { code, stderr } = await proxy.run("upgrade", "--all");
  assert.equal(code, 0, stderr + proxy.output);
  await until("it says so", () =>
    /main\.log" cannot be opened: ENOTDIR: logging to standard output/.test(proxy.output),
  );
  await until("and of the audit", () => proxy.output.includes("commands are audited in the log only"));
  assert.deepEqual((await load.stop()).failures, []);
});

test("decisions 27: a release that fails after the exec becomes the old one again", async (t) => {
  const { proxy, releases } = await startUpgradable(t);
  releases.edit("b", "js/main/main.js", (text) =>
    text.replace(
      "export async function resumeMain(",
      "export async function resumeMain() { throw new Error('oh no'); }\nasync function unused(",
    ),
  );
  const before = await hashes(proxy);
  const load = runLoad(t, proxy.port, { connections: 4 });
  const { code, stderr } = await proxy.run("upgrade", "--main");
  assert.equal(code, 1);
  assert.match(stderr, /the old one is back: oh no/);
  assert.equal(await hashes(proxy), before);
  assert.match(commandLine(proxy.pid), /releases\/a\//);
  assert.deepEqual((await load.stop()).failures, []);
});
