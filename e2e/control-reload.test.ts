// Reload, transactions and replaced states with real processes: what did not change is not touched (connections,
// WebSockets, requests under way), and nothing is half-applied.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { httpBackend } from "./lib/backend.ts";
import { hashes, order } from "./lib/changes.ts";
import { connectRaw, once } from "./lib/client.ts";
import { Load } from "./lib/load.ts";
import { freePort } from "./lib/ports.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";
import { webSocketBackend } from "./lib/websocket.ts";

const request = (host: string): string => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

async function bodyOf(port: number, host: string): Promise<string> {
  const answer = await once(port, request(host));
  return answer?.status === 200 ? `200 ${answer.body.toString()}` : String(answer?.status);
}

/** A cluster `id` for the host `id.test`. */
function cluster(id: string, port: number, backendPort: number, more = ""): string {
  return `
[clusters.${id}]
protocol = "http"
${more}
frontends = [{ address = "127.0.0.1:${port}", hostname = "${id === "socket" ? "localhost" : `${id}.test`}" }]
backends = [{ address = "127.0.0.1:${backendPort}", backend_id = "b0" }]
`;
}

/** Replaces the text behind the global keys of the proxy's file. */
function rewrite(proxy: RunningProxy, objects: string): void {
  const path = join(proxy.folder, "config.toml");
  const globals = readFileSync(path, "utf8").split("\n[")[0];
  writeFileSync(path, `${globals}\n${objects}`);
}

function listener(port: number, more = ""): string {
  return `[[listeners]]\nprotocol = "http"\naddress = "127.0.0.1:${port}"\n${more}\n`;
}

test("a reload under load: unrelated requests, keep-alive connections and WebSockets do not notice", async (t) => {
  const steady = await httpBackend(t, (_request, response) => response.end("steady"));
  const other = await httpBackend(t, (_request, response) => response.end("other"));
  const sockets = await webSocketBackend(t);
  const proxy = await startProxy(t, { workers: 2 });
  const { port } = proxy;
  const secondPort = await freePort();
  const kept = cluster("steady", port, steady.port) + cluster("socket", port, sockets.port);
  rewrite(proxy, listener(port) + kept);
  assert.equal((await proxy.run("reload")).code, 0);
  const keptAlive = await connectRaw(port);
  await keptAlive.send(request("steady.test"));
  assert.equal((await keptAlive.answer()).status, 200);
  const webSocket = await openWebSocket(port);
  const load = new Load(port, { request: request("steady.test"), connections: 8 });
  t.after(() => load.stop());
  for (let round = 0; round < 8; round++) {
    // Adds, changes and removes clusters, a listener's timeouts and a whole listener, back and forth.
    const even = round % 2 === 0;
    const changing = even
      ? cluster("even", port, other.port, 'load_balancing = "MAGLEV"') + cluster("both", port, other.port)
      : cluster("odd", secondPort, other.port) + cluster("both", port, steady.port, "sticky_session = true");
    const listeners = listener(port, `front_timeout = ${30 + round}`) + (even ? "" : listener(secondPort));
    rewrite(proxy, listeners + kept + changing);
    const { code, stdout, stderr } = await proxy.run("reload");
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`~ listener 127.0.0.1:${port} front_timeout \\d+ -> ${30 + round}`));
    assert.doesNotMatch(stdout, /steady|socket\.test/);
    assert.equal(await bodyOf(port, "both.test"), even ? "200 other" : "200 steady");
    assert.equal(await bodyOf(port, "even.test"), even ? "200 other" : "404");
    if (!even) assert.equal(await bodyOf(secondPort, "odd.test"), "200 other");
    else await assert.rejects(once(secondPort, request("odd.test")));
    const reply = next(webSocket);
    webSocket.send(`round ${round}`);
    assert.equal(await reply, `round ${round}`);
  }
  const { served, failures } = await load.stop();
  assert.deepEqual(failures, []);
  assert.ok(served > 100);
  await keptAlive.send(request("steady.test"));
  assert.equal((await keptAlive.answer()).status, 200);
  webSocket.close();
  const all = await hashes(proxy.socketPath);
  for (const [, own] of all) assert.deepEqual(own, all.get("main"));
  assert.doesNotMatch(proxy.output, /being replaced/);
});

test("a large file is reloaded while requests flow and other clients are answered", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [backend.port] } } });
  const { port } = proxy;
  const own = readFileSync(join(proxy.folder, "config.toml"), "utf8");
  const many = (more: string): string =>
    own +
    Array.from({ length: 2000 }, (_, index) => cluster(`c${index}`, port, backend.port, index < 50 ? more : "")).join(
      "",
    );
  const load = new Load(port, { connections: 4 });
  t.after(() => load.stop());
  for (const [more, counts] of [
    ["", "6000 added, 0 changed, 0 removed"],
    ["sticky_session = true", "0 added, 50 changed, 0 removed"],
  ] as const) {
    writeFileSync(join(proxy.folder, "config.toml"), many(more));
    const reload = proxy.run("reload");
    const status = await proxy.run("status");
    assert.equal(status.code, 0, status.stderr);
    const { code, stdout, stderr } = await reload;
    assert.equal(code, 0, stderr);
    assert.ok(stdout.includes(counts), stdout.slice(0, 200));
    assert.equal(await bodyOf(port, "c1999.test"), "200 ok");
  }
  const { served, failures } = await load.stop();
  assert.deepEqual(failures, []);
  assert.ok(served > 10);
  const all = await hashes(proxy.socketPath);
  for (const [, found] of all) assert.deepEqual(found, all.get("main"));
});

test("decisions 10: what was changed over the socket stays unless the file changed it, too; --prune drops it", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const proxy = await startProxy(t, {});
  const { port } = proxy;
  rewrite(proxy, listener(port) + cluster("a", port, backend.port) + cluster("b", port, backend.port));
  assert.equal((await proxy.run("reload")).code, 0);
  assert.equal((await proxy.run("cluster", "add", "--id", "mine", "--load-balancing-policy", "random")).code, 0);
  for (const id of ["a", "b"]) {
    assert.equal((await proxy.run("cluster", "add", "--id", id, "--load-balancing-policy", "random")).code, 0);
  }
  rewrite(
    proxy,
    listener(port) + cluster("a", port, backend.port) + cluster("b", port, backend.port, 'load_balancing = "HRW"'),
  );
  const dry = await proxy.run("reload", "--dry-run");
  assert.match(
    dry.stdout,
    /^Success: Nothing was changed; .*: 0 added, 1 changed, 0 removed; the file won over changes of/,
  );
  assert.match(dry.stdout, /\n~ cluster b load_balancing RANDOM -> HRW \(was changed since the file was loaded\)\n/);
  const json = await proxy.run("reload", "--json");
  assert.equal(JSON.parse(json.stdout).CHANGE_REPORT.changed, 1);
  assert.equal((await proxy.run("reload", "--prune", "--dry-run")).stdout.includes("- cluster mine"), true);
  assert.equal((await proxy.run("reload", "--prune")).code, 0);
  const ids = Object.keys((await hashes(proxy.socketPath)).get("main") ?? {}).sort();
  assert.deepEqual(ids, ["a", "b"]);
  assert.match((await proxy.run("reload", "--prune")).stdout, /0 added, 0 changed, 0 removed\nno object differs\n$/);
});

test("a broken file, a port in use: every problem is said, nothing changes; SIGHUP reloads", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const { port } = proxy;
  const path = join(proxy.folder, "config.toml");
  const good = readFileSync(path, "utf8");
  const before = (await hashes(proxy.socketPath)).get("main");
  writeFileSync(
    path,
    `nonsense = 1\n${good}\n[clusters.bad]\nprotocol = "http"\nbackends = [{ address = "nowhere" }]\n`,
  );
  const broken = await proxy.run("reload");
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, /config\.toml:1:1: .*nonsense/);
  assert.match(broken.stderr, /config\.toml:\d+:\d+: .*address/);
  proxy.kill("SIGHUP");
  await until("the log tells of it", () => /ERROR.*nonsense|nonsense[\s\S]*was not loaded/.test(proxy.output));
  // The port of the backend is in use.
  writeFileSync(path, good + cluster("new", port, backend.port) + listener(backend.port));
  const taken = await proxy.run("reload");
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, new RegExp(`127.0.0.1:${backend.port}.*nothing was applied`));
  assert.deepEqual((await hashes(proxy.socketPath)).get("main"), before);
  assert.equal(await bodyOf(port, "localhost"), "200 ok");
  writeFileSync(path, good + cluster("new", port, backend.port));
  proxy.kill("SIGHUP");
  await until("the new cluster serves", async () => (await bodyOf(port, "new.test")) === "200 ok");
  const absent = await proxy.run("reload", "-f", "absent.toml");
  assert.match(absent.stderr, /absent\.toml: there is no such file/);
});

test("a reload after a start with a saved state compares with the file, not with the state", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const settings = { saved_state: "state.json", automatic_state_save: true };
  const proxy = await startProxy(t, { settings, clusters: { app: { backends: [backend.port] } } });
  await order(proxy.socketPath, {
    case: "addCluster",
    value: { clusterId: "saved", stickySession: false, httpsRedirect: false, loadBalancing: 0 },
  });
  await until("it is saved", () => {
    const path = join(proxy.folder, "state.json");
    return existsSync(path) && readFileSync(path, "utf8").includes('"saved"');
  });
  await proxy.run("shutdown");
  await proxy.waitForExit();
  const started = proxy.run("start");
  await until("it serves again", async () => (await hashes(proxy.socketPath).catch(() => null))?.get("main"));
  assert.match((await proxy.run("reload")).stdout, /0 added, 0 changed, 0 removed/);
  assert.match((await proxy.run("reload", "--prune", "--dry-run")).stdout, /\n- cluster saved /);
  assert.equal((await proxy.run("shutdown")).code, 0);
  await started;
});

test("state load --replace and transactions: as one change, or not at all", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  assert.equal((await proxy.run("state", "save", "-f", "state.json")).code, 0);
  const state = join(proxy.folder, "state.json");
  const wanted = (await hashes(proxy.socketPath)).get("main");
  const lines = [
    '{"request_type":{"ADD_CLUSTER":{"cluster_id":"two","sticky_session":false,"https_redirect":false,"load_balancing":0}}}',
    '{"request_type":{"REMOVE_CLUSTER":"app"}}',
  ];
  const done = await proxy.runWith(`${lines.join("\n")}\n`, "transaction");
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /^Success: Successfully applied 2 requests as one change\n/);
  const again = await proxy.runWith(`${lines.join("\n")}\n`, "transaction");
  assert.equal(again.code, 1);
  assert.match(again.stderr, /request 2 \(RemoveCluster\): Did not find Cluster .*'app'; nothing was applied/);
  const nonsense = await proxy.runWith(`${lines[0]}\n\n{"request_type":{"NONSENSE":1}}\n{\n`, "transaction");
  assert.match(nonsense.stderr, /nothing was sent: line 3: .*NONSENSE.*; line 4: /);
  const dry = await proxy.run("state", "load", "-f", state, "--replace", "--dry-run");
  assert.match(dry.stdout, /\n\+ cluster app\n- cluster two\n|\n- cluster two\n\+ cluster app\n/);
  assert.match(
    (await proxy.run("state", "load", "-f", state, "--dry-run")).stdout,
    /: 1 added, 0 changed, 0 removed\n/,
  );
  assert.equal((await proxy.run("state", "load", "-f", state, "--replace")).code, 0);
  for (const [name, own] of await hashes(proxy.socketPath)) assert.deepEqual(own, wanted, name);
  assert.equal(await bodyOf(proxy.port, "localhost"), "200 ok");
});

async function openWebSocket(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://localhost:${port}/`);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  return socket;
}

function next(socket: WebSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.onmessage = (event) => resolve(event.data as string);
    socket.onclose = () => reject(new Error("closed"));
  });
}
