// Events from workers and from main to whoever asked for them, the limit of connections at runtime, and the health of
// backends as each worker sees it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createConnection } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Client, connect, ResponseStatus, request } from "../src/client/index.ts";
import { EventKind } from "../src/command/gen/sozu_pb.ts";
import { eventName } from "../src/command/messages.ts";
import { httpBackend } from "./lib/backend.ts";
import { hashes, httpListener, local, order } from "./lib/changes.ts";
import { once } from "./lib/client.ts";
import { emptyRequest, frame } from "./lib/control.ts";
import { freePort } from "./lib/ports.ts";
import { currentRelease, type RunningProxy, startProxy } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";

const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/** Field of Request. */
const SUBSCRIBE_EVENTS = 10;

/** A subscriber; what it has heard so far. */
async function subscribe(t: TestContext, proxy: RunningProxy): Promise<{ heard: string[]; client: Client }> {
  const client = await connect({ socketPath: proxy.socketPath, timeoutMs: 10_000 });
  const heard: string[] = [];
  t.after(() => client.close());
  const subscription = client.send(request({ case: "subscribeEvents", value: {} }), {
    timeoutMs: 0,
    onProcessing: ({ message, content }) => {
      const held = content?.contentType;
      assert.ok(held?.case === "event");
      assert.match(message, /^(main|\d+)$/);
      const { kind, clusterId } = held.value;
      const about = /^WORKER_/.test(eventName(kind)) ? `(${message})` : clusterId;
      heard.push(`${eventName(kind)} ${about}`.trim());
    },
  });
  subscription.catch(() => undefined);
  return { heard, client };
}

/** A subscriber that is entered for sure: nobody is told of his own subscription, so another one has to come. */
async function entered(t: TestContext, proxy: RunningProxy) {
  const first = await subscribe(t, proxy);
  await until("the first subscriber is entered", async () => {
    const probe = await subscribe(t, proxy);
    await new Promise(setImmediate);
    await order(proxy.socketPath, { case: "listWorkers", value: {} });
    probe.client.close();
    return first.heard.length > 0;
  });
  first.heard.length = 0;
  return first;
}

test("spec 12.7: subscribers hear of changes, of backends and of the end; decisions 6: nothing else", async (t) => {
  const dead = await freePort();
  const spare = await freePort();
  const proxy = await startProxy(t, { clusters: { app: { backends: [dead] } } });
  const { heard } = await entered(t, proxy);
  await order(proxy.socketPath, { case: "addHttpListener", value: httpListener(spare) });
  const cluster = { clusterId: "new", stickySession: false, httpsRedirect: false, loadBalancing: 0 } as const;
  await order(proxy.socketPath, { case: "addCluster", value: cluster });
  await order(proxy.socketPath, { case: "status", value: {} });
  await order(proxy.socketPath, { case: "removeCluster", value: "new" });
  await assert.rejects(order(proxy.socketPath, { case: "removeCluster", value: "new" }));
  await order(proxy.socketPath, { case: "saveState", value: join(proxy.folder, "state") });
  await until("the four events", () => heard.length === 4);
  assert.deepEqual(heard, ["LISTENER_ADDED", "CLUSTER_ADDED new", "CLUSTER_REMOVED new", "STATE_SAVED"]);
  heard.length = 0;
  const address = local(dead);
  await order(proxy.socketPath, { case: "addBackend", value: { clusterId: "new", backendId: "b", address } });
  await order(proxy.socketPath, { case: "removeBackend", value: { clusterId: "new", backendId: "b", address } });
  proxy.kill("SIGTERM");
  await proxy.waitForExit();
  assert.deepEqual(heard.slice(-1), ["SOZU_STOP_REQUESTED"]);
});

test("events of health checks reach clients, and status shows the verdict of each worker", async (t) => {
  let status = 200;
  const backend = await httpBackend(t, (_request, response) => {
    response.statusCode = status;
    response.end("ok");
  });
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [backend.port] } } });
  const { heard } = await entered(t, proxy);
  const config = { uri: "/", interval: 1, timeout: 1, healthyThreshold: 1, unhealthyThreshold: 1, expectedStatus: 0 };
  await order(proxy.socketPath, { case: "setHealthCheck", value: { clusterId: "app", config } });
  status = 500;
  const down = (): number => heard.filter((text) => text === "HEALTH_CHECK_UNHEALTHY app").length;
  await until("both workers call it unhealthy", () => down() === 2, 20_000);
  const shown = await proxy.run("cluster", "health-check", "status", "-i", "app");
  assert.equal(shown.code, 0);
  assert.equal(shown.stdout.match(/unhealthy/g)?.length, 2, shown.stdout);
  const json = await proxy.run("--json", "cluster", "health-check", "status");
  const map = JSON.parse(json.stdout).WORKER_RESPONSES.map;
  assert.deepEqual(Object.keys(map), ["0", "1"]);
  const [found] = map["0"].content_type.BACKEND_HEALTH.vec;
  assert.equal(found.cluster_id, "app");
  assert.equal(found.healthy, false);
  assert.match(found.reason, /health check/);
  const unknown = await proxy.run("cluster", "health-check", "status", "-i", "nobody");
  assert.equal(unknown.code, 1);
  status = 200;
  await until(
    "it is healthy again",
    () => heard.filter((text) => text === "HEALTH_CHECK_HEALTHY app").length === 2,
    20_000,
  );
});

/** `sozu events` with these flags, entered for sure; what it has printed so far. */
async function watch(t: TestContext, proxy: RunningProxy, ...flags: string[]): Promise<() => string> {
  const release = currentRelease();
  const all = [join(release, "js", "cli", "main.js"), "-c", join(proxy.folder, "config.toml"), ...flags, "events"];
  const child = spawn(join(release, "bin", "node"), all, { stdio: ["ignore", "pipe", "ignore"] });
  t.after(() => child.kill());
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  await until("it has heard something", async () => {
    await order(proxy.socketPath, { case: "Logging", value: "info" });
    return output.includes("\n");
  });
  return () => output;
}

test("sozu events prints a line for each event, with --json an object", async (t) => {
  const proxy = await startProxy(t, { clusters: { app: { backends: [] } } });
  const [plain, json] = [await watch(t, proxy), await watch(t, proxy, "--json")];
  assert.match(plain(), /^\d{4}-\d\d-\d\dT[0-9:.]+Z LOGGING_LEVEL_CHANGED$/m);
  assert.equal(JSON.parse(json().split("\n")[0] ?? "").EVENT.kind, EventKind.LOGGING_LEVEL_CHANGED);
});

/** The events of `output`, about what they are, those about log levels left out. */
function told(output: string): string[] {
  const events = output
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line).EVENT);
  return events
    .filter(({ kind }) => kind !== EventKind.LOGGING_LEVEL_CHANGED)
    .map((event) => {
      const about = event.backend_id === null ? "" : ` ${event.backend_id} ${event.address.port}`;
      return `${eventName(event.kind)} ${event.cluster_id}${about}`;
    });
}

// Six connections with back-off between them must fail until a backend is down, which takes from 5 s to a minute, by
// chance: of 200 clusters the first few are awaited.
test("spec 7.3, 7.6: backends that go down and come back, in sozu events --json", async (t) => {
  const port = await freePort();
  const names = Array.from({ length: 200 }, (_, i) => `c${i}`);
  const clusters = names.map((id) => [id, { frontends: [`${id}.test`], backends: [{ port, id: "b0" }] }]);
  const proxy = await startProxy(t, { clusters: Object.fromEntries(clusters) });
  const output = await watch(t, proxy, "--json");
  const ask = async (): Promise<void> => {
    for (const id of names) await once(proxy.port, GET.replace("localhost", `${id}.test`));
  };
  await until("ten are down", () => ask().then(() => told(output()).length >= 20), 60_000);
  const clock = told(output()).length;
  const backend = createServer((_request, response) => response.end("ok"));
  await new Promise<void>((resolve) => backend.listen(port, "127.0.0.1", resolve));
  t.after(() => void backend.close().closeAllConnections());
  await until("one is up", () => ask().then(() => told(output()).length > clock + 1), 60_000);
  const all = told(output());
  const recovered = all.find((text) => text.startsWith("BACKEND_UP"))?.split(" ")[1];
  assert.deepEqual(
    all.filter((text) => text.split(" ")[1] === recovered),
    [
      `BACKEND_DOWN ${recovered} b0 ${port}`,
      `NO_AVAILABLE_BACKENDS ${recovered}`,
      `BACKEND_UP ${recovered} b0 ${port}`,
      `CLUSTER_RECOVERED ${recovered}`,
    ],
  );
});

test("spec 7.6: verdicts of health checks and what they mean to the cluster, in sozu events --json", async (t) => {
  let status = 500;
  const { port } = await httpBackend(t, (_request, response) => {
    response.statusCode = status;
    response.end("ok");
  });
  const proxy = await startProxy(t, { clusters: { app: { backends: [{ port, id: "b0" }] } } });
  const output = await watch(t, proxy, "--json");
  const config = { uri: "/", interval: 1, timeout: 1, healthyThreshold: 1, unhealthyThreshold: 1, expectedStatus: 0 };
  await order(proxy.socketPath, { case: "setHealthCheck", value: { clusterId: "app", config } });
  await until("it is unhealthy", () => told(output()).length >= 2);
  status = 200;
  await until("it is healthy", () => told(output()).length >= 4);
  assert.deepEqual(told(output()), [
    `HEALTH_CHECK_UNHEALTHY app b0 ${port}`,
    "NO_AVAILABLE_BACKENDS app",
    `HEALTH_CHECK_HEALTHY app b0 ${port}`,
    "CLUSTER_RECOVERED app",
  ]);
});

test("spec 12.7: a worker that dies and its successor are told, with its id", async (t) => {
  const proxy = await startProxy(t, { clusters: { app: { backends: [] } } });
  const { heard } = await entered(t, proxy);
  process.kill(proxy.workerPids[0] as number, "SIGKILL");
  await until("both events", () => heard.length >= 2);
  assert.deepEqual(heard, ["WORKER_KILLED (0)", "WORKER_RELAUNCHED (1)"]);
});

test("CP-05 a subscriber that does not read is dropped, the others and the changes go on", async (t) => {
  const proxy = await startProxy(t, { clusters: { app: { backends: [] } } });
  const { heard } = await entered(t, proxy);
  const slow = createConnection(proxy.socketPath);
  t.after(() => slow.destroy());
  slow.pause();
  slow.write(frame(emptyRequest(SUBSCRIBE_EVENTS)));
  await until("the slow one is entered", () => heard.includes("EVENTS_SUBSCRIBED"));
  heard.length = 0;
  const client = await connect({ socketPath: proxy.socketPath, timeoutMs: 10_000 });
  const clusterId = "x".repeat(200);
  const cluster = { clusterId, stickySession: false, httpsRedirect: false, loadBalancing: 0 } as const;
  let changes = 0;
  while (!proxy.output.includes("a subscriber did not read its events and was dropped (1 so far)")) {
    assert.ok(changes < 50_000, "the slow subscriber is still there");
    const init = changes % 2 === 0 ? ({ case: "addCluster", value: cluster } as const) : remove(clusterId);
    assert.equal((await client.send(request(init))).status, ResponseStatus.OK);
    changes += 1;
  }
  client.close();
  await until("the other subscriber has heard all", () => heard.length === changes);
});

function remove(clusterId: string) {
  return { case: "removeCluster", value: clusterId } as const;
}

test("the global limit of connections per address: set, shown, and given to workers started later", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const ask = async (): Promise<bigint> => {
    const { content } = await order(proxy.socketPath, { case: "queryMaxConnectionsPerIp", value: {} });
    const held = content?.contentType;
    assert.ok(held?.case === "maxConnectionsPerIpLimit");
    return held.value.limit;
  };
  assert.equal(await ask(), 0n);
  await order(proxy.socketPath, { case: "setMaxConnectionsPerIp", value: 1n });
  assert.equal(await ask(), 1n);
  const [pid] = proxy.workerPids;
  process.kill(pid as number, "SIGKILL");
  await until(
    "a successor",
    async () => !proxy.workerPids.includes(pid as number) && (await hashes(proxy.socketPath)).size === 2,
  );
  const first = await connect({ socketPath: proxy.socketPath });
  first.close();
  await assertLimited(proxy);
  await order(proxy.socketPath, { case: "setMaxConnectionsPerIp", value: 2n ** 63n });
  assert.equal(await ask(), 2n ** 32n - 1n);
  assert.equal((await once(proxy.port, GET))?.status, 200);
});

/** A second connection of this address gets a 429 while the first one lives. */
async function assertLimited(proxy: RunningProxy): Promise<void> {
  const holder = createConnection({ port: proxy.port, host: "127.0.0.1" });
  const answer = new Promise<string>((resolve) =>
    holder.once("data", (chunk: Buffer) => resolve(chunk.toString("latin1"))),
  );
  holder.write(GET);
  assert.match(await answer, /^HTTP\/1.1 200/);
  assert.equal((await once(proxy.port, GET))?.status, 429);
  holder.destroy();
  await until("the place is free again", async () => (await once(proxy.port, GET))?.status === 200);
}
