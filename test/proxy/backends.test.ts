// What becomes of backends while requests use them, with real sockets: down and up (spec 7.3), events (7.6), draining,
// ejection, affinity, and gauges that never go below zero.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, test } from "node:test";
import type { Backend } from "../../src/balancing/backend.ts";
import type { Cluster } from "../../src/balancing/cluster.ts";
import * as events from "../../src/command/objects.ts";
import {
  KIND_GAUGE,
  METRICS,
  ROW_BACKEND_EJECTED,
  ROW_CONNECTIONS_PER_BACKEND,
  ROW_METRICS,
} from "../../src/observe/metrics.ts";
import { clusterOf, Rig } from "./rig.ts";
import { connect, RawBackend } from "./wire-peers.ts";

const rig = new Rig();
const backends: RawBackend[] = [];
after(() => {
  rig.stop();
  for (const backend of backends) backend.close();
});

const TUNING: events.BalancingTuningObject = {
  affinity: events.AFFINITY_SOURCE_IP,
  affinityName: "",
  slowStart: 0,
  ejectAfter: 0,
  ejectionTime: 30,
};

async function raw(): Promise<RawBackend> {
  const backend = await RawBackend.start();
  backends.push(backend);
  return backend;
}

/** A backend that answers every request with its port, or with what `answer` says. */
async function answering(answer: { status: string } = { status: "200 OK" }): Promise<number> {
  const backend = await raw();
  backend.server.on("connection", (socket) => {
    socket.on("error", () => {});
    socket.on("data", () => {
      const body = `${backend.port}`;
      socket.write(`HTTP/1.1 ${answer.status}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    });
  });
  return backend.port;
}

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function get(port: number, fields = ""): Promise<string> {
  const client = await connect(port);
  client.send(`GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${fields}\r\n`);
  const text = await client.end();
  client.socket.destroy();
  return text;
}

async function bodyOf(port: number, fields = ""): Promise<string> {
  const text = await get(port, fields);
  return text.slice(text.indexOf("\r\n\r\n") + 4);
}

function cluster(port: number): Cluster {
  const found = rig.proxy.clusters.get(`app-${port}`);
  if (found === null) throw new Error("no cluster");
  return found;
}

function kinds(port: number): number[] {
  return rig.events.filter((event) => event.clusterId === `app-${port}`).map((event) => event.kind);
}

/** Five failed connections long ago: the next one is the sixth. */
function failFiveTimes(backend: Backend): void {
  for (let i = 0; i < 5; i++) backend.onConnectFailed(rig.loop.nowMs - 1_000_000 + i * 100_000, () => 0);
}

function assertGauges(): void {
  const { values } = rig.stats;
  const wrong: string[] = [];
  for (const { name, kind, at } of METRICS) if (kind === KIND_GAUGE && values[at] < 0) wrong.push(name);
  for (const one of rig.proxy.clusters.all()) {
    for (const row of [one.row, ...one.backends.map((backend) => backend.row)]) {
      for (const { name, kind, at } of ROW_METRICS) if (kind === KIND_GAUGE && values[row + at] < 0) wrong.push(name);
    }
  }
  assert.deepEqual(wrong, []);
}

test("a backend goes down at the sixth failed connection and is up again at the first that succeeds, each told once", async () => {
  const dead = await closedPort();
  const port = rig.listen([dead]);
  const [backend] = cluster(port).backends;
  failFiveTimes(backend);
  assert.match(await get(port), /^HTTP\/1.1 503/);
  assert.deepEqual(kinds(port), [events.EVENT_BACKEND_DOWN, events.EVENT_NO_AVAILABLE_BACKENDS]);
  assert.match(await get(port), /^HTTP\/1.1 503/, "in back-off");
  const [known] = rig.proxy.backendHealth(`app-${port}`);
  assert.equal(known.available, false);
  assert.equal(known.healthy, true, "no check speaks against it");
  assert.match(known.reason, /^connection refused.*, next attempt in [0-9]+ s$/);
  assert.deepEqual(rig.events.at(-2), {
    kind: events.EVENT_BACKEND_DOWN,
    clusterId: `app-${port}`,
    backendId: `b-${dead}`,
    address: { ip: "127.0.0.1", port: dead },
  });
  const server = net.createServer((socket) => {
    socket.on("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  });
  server.listen(dead, "127.0.0.1");
  await once(server, "listening");
  // The wait is over.
  (backend as unknown as { waitUntilMs: number }).waitUntilMs = 0;
  assert.match(await get(port), /^HTTP\/1.1 200/);
  assert.deepEqual(kinds(port).slice(2), [events.EVENT_BACKEND_UP, events.EVENT_CLUSTER_RECOVERED]);
  assert.equal(rig.proxy.backendHealth(`app-${port}`)[0].reason, "");
  server.close();
});

test("backendHealth: every cluster for null, nothing for a cluster that does not exist", () => {
  assert.ok(rig.proxy.backendHealth(null).length > 0);
  assert.deepEqual(rig.proxy.backendHealth("nobody"), []);
});

test("draining: a removed backend ends what it has begun, its idle connections close at once, its end is told", async () => {
  const backend = await raw();
  const port = rig.listen([backend.port]);
  const one = await connect(port);
  const two = await connect(port);
  one.send("GET /idle HTTP/1.1\r\nHost: a\r\n\r\n");
  const idle = await backend.connection();
  await idle.has("/idle");
  two.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  const slow = await backend.connection();
  await slow.has("/slow");
  idle.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  await one.has("200 OK");
  const removed = {
    clusterId: `app-${port}`,
    backendId: `b-${backend.port}`,
    address: { ip: "127.0.0.1", port: backend.port },
  };
  rig.must({ kind: "remove_backend", ...removed });
  await idle.end();
  const drained = () => rig.events.filter((event) => event.kind === events.EVENT_REMOVED_BACKEND_HAS_NO_CONNECTIONS);
  assert.deepEqual(drained(), []);
  one.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
  await one.has("503");
  slow.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  await two.has("\r\n\r\nok");
  await slow.end();
  assert.deepEqual(drained(), [
    {
      kind: events.EVENT_REMOVED_BACKEND_HAS_NO_CONNECTIONS,
      clusterId: null,
      backendId: removed.backendId,
      address: removed.address,
    },
  ]);
  assertGauges();
  one.socket.destroy();
  two.socket.destroy();
});

test("a backend without connections that is removed is told at once", async () => {
  const port = rig.listen([9]);
  const before = rig.events.length;
  rig.must({
    kind: "remove_backend",
    clusterId: `app-${port}`,
    backendId: "b-9",
    address: { ip: "127.0.0.1", port: 9 },
  });
  assert.deepEqual(
    rig.events.slice(before).map((event) => event.kind),
    [events.EVENT_REMOVED_BACKEND_HAS_NO_CONNECTIONS],
  );
});

test("idle connections of single clients close with the backend, too", async () => {
  const backend = await raw();
  const port = rig.listen([backend.port], { cluster: { sharedBackendConnections: false } });
  const client = await connect(port);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const connection = await backend.connection();
  await connection.has("GET /");
  connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  await client.has("200 OK");
  const address = { ip: "127.0.0.1", port: backend.port };
  rig.must({ kind: "remove_backend", clusterId: `app-${port}`, backendId: `b-${backend.port}`, address });
  await connection.end();
  assert.equal(rig.events.at(-1)?.kind, events.EVENT_REMOVED_BACKEND_HAS_NO_CONNECTIONS);
  client.socket.destroy();
});

test("gauges stay right when a cluster is removed and added again under open connections", async () => {
  const backend = await raw();
  const port = rig.listen([backend.port]);
  const client = await connect(port);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const connection = await backend.connection();
  await connection.has("GET /");
  rig.must({ kind: "remove_cluster", clusterId: `app-${port}` });
  rig.must({ kind: "add_cluster", cluster: clusterOf(`app-${port}`) });
  const { row } = cluster(port).backends[0];
  assert.equal(rig.stats.values[row + ROW_CONNECTIONS_PER_BACKEND], 1);
  connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  await client.has("200 OK");
  await connection.end();
  assert.equal(rig.stats.values[row + ROW_CONNECTIONS_PER_BACKEND], 0);
  assertGauges();
  client.socket.destroy();
});

test("ejection: answers 5xx in a row leave a backend out until its time is over (addition)", async () => {
  const answer = { status: "500 No" };
  const bad = await answering(answer);
  const good = await answering();
  const tuning = { ...TUNING, ejectAfter: 3, ejectionTime: 1 };
  const port = rig.listen([bad, good], { cluster: { tuning } });
  for (let i = 0; i < 6; i++) await get(port);
  const [first] = cluster(port).backends;
  assert.equal(first.ejected, true);
  assert.equal(rig.stats.values[first.row + ROW_BACKEND_EJECTED], 1);
  assert.equal(rig.proxy.backendHealth(`app-${port}`)[0].reason, "ejected: its requests failed one after the other");
  answer.status = "200 OK";
  for (let body = ""; first.ejected; ) {
    if (body !== "") assert.equal(body, `${good}`);
    body = await bodyOf(port);
  }
  assert.deepEqual(new Set([await bodyOf(port), await bodyOf(port)]), new Set([`${bad}`, `${good}`]));
});

test("ejection: so do answers that do not come or make no sense; a client that leaves counts for nothing", async () => {
  const backend = await raw();
  const good = await answering();
  const tuning = { ...TUNING, ejectAfter: 3, ejectionTime: 60 };
  const port = rig.listen([backend.port, good], { backTimeout: 1, cluster: { tuning } });
  const [first, second] = cluster(port).backends;
  second.setVerdict(false, "kept out of the way");
  const open = async (): Promise<{
    client: Awaited<ReturnType<typeof connect>>;
    peer: Awaited<ReturnType<RawBackend["connection"]>>;
  }> => {
    const client = await connect(port);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    const peer = await backend.connection();
    await peer.has("POST /");
    return { client, peer };
  };
  const gone = await open();
  gone.client.socket.resetAndDestroy();
  await gone.peer.end();
  assert.equal(first.failedRequests, 0);
  const silent = await open();
  await silent.client.has("504");
  assert.equal(first.failedRequests, 1);
  const odd = await open();
  odd.peer.send("nonsense\r\n\r\n");
  await odd.client.has("502");
  assert.equal(first.failedRequests, 2);
  const cut = await open();
  second.setVerdict(true, "");
  cut.peer.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
  await cut.client.end();
  assert.equal(first.ejected, true);
  rig.must({ kind: "add_cluster", cluster: clusterOf(`app-${port}`) });
  assert.equal(first.ejected, false, "without the setting nobody stays out");
  for (const { client } of [silent, odd, cut]) client.socket.destroy();
});

for (const [name, loadBalancing] of [
  ["HRW", 4],
  ["MAGLEV", 5],
] as const) {
  test(`${name}: requests of one client, header or cookie stay together (oddities 43)`, async () => {
    const ports = await Promise.all([answering(), answering(), answering()]);
    const source = rig.listen(ports, { cluster: { loadBalancing } });
    const bySource = new Set<string>();
    for (let i = 0; i < 6; i++) bySource.add(await bodyOf(source));
    assert.equal(bySource.size, 1);
    const headers = { ...TUNING, affinity: events.AFFINITY_HEADER, affinityName: "x-user" };
    const cookies = { ...TUNING, affinity: events.AFFINITY_COOKIE, affinityName: "user" };
    for (const [tuning, field] of [
      [headers, (user: string) => `X-User: ${user}\r\n`],
      [cookies, (user: string) => `Cookie: a=b; user=${user}; c=d\r\n`],
    ] as const) {
      const port = rig.listen(ports, { cluster: { loadBalancing, tuning } });
      const used = new Set<string>();
      for (let user = 0; user < 40; user++) {
        const first = await bodyOf(port, field(`u${user}`));
        assert.equal(await bodyOf(port, field(`u${user}`)), first);
        used.add(first);
      }
      assert.equal(used.size, 3, "and users spread over all backends");
      const without = await bodyOf(port);
      assert.equal(await bodyOf(port, "X-User: \r\nCookie: user=\r\n"), without, "no header, no cookie: by address");
    }
  });
}
