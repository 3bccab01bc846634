// Active health checks with real sockets (spec 7.5, rows test_health_check_* of spec 14): what passes, what fails, what a
// verdict changes, and what hostile backends can do to a probe.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { after, test } from "node:test";
import {
  EVENT_HEALTH_CHECK_HEALTHY,
  EVENT_HEALTH_CHECK_UNHEALTHY,
  EVENT_NO_AVAILABLE_BACKENDS,
  type HealthCheckObject,
} from "../../src/command/objects.ts";
import {
  ROW_BACKENDS_FAIL_OPEN,
  ROW_HEALTH_CHECK_DOWN,
  ROW_HEALTH_CHECK_FAILURE,
  ROW_HEALTH_CHECK_HEALTHY_BACKENDS,
  ROW_HEALTH_CHECK_SUCCESS,
  ROW_HEALTH_CHECK_UP,
} from "../../src/observe/metrics.ts";
import { backendOf, clusterOf, Rig } from "./rig.ts";

const rig = new Rig();
const closing: (() => void)[] = [];
/** Log lines of a level. */
const lines: string[] = [];
const { logger } = rig.proxy.context;
for (const level of ["error", "warn", "info"] as const) {
  logger[level] = (_module, message) => lines.push(`${level}: ${message}`);
}
after(() => {
  rig.stop();
  for (const close of closing) close();
});

const CHECK: HealthCheckObject = {
  uri: "/health",
  interval: 1,
  timeout: 1,
  healthyThreshold: 1,
  unhealthyThreshold: 1,
  expectedStatus: 0,
  tcp: false,
  acceptedStatuses: [],
};

/** A backend whose health and answers the test decides. */
class Sample {
  status = 200;
  probes: string[] = [];
  readonly server: http.Server;
  port = 0;

  constructor() {
    this.server = http.createServer((request, response) => {
      const isProbe = request.url === "/health";
      if (isProbe) this.probes.push(`${request.method} ${request.rawHeaders.join(" ")}`);
      response.writeHead(isProbe ? this.status : 200).end(`${this.port}`);
    });
    closing.push(() => {
      this.server.close();
      this.server.closeAllConnections();
    });
  }

  answer(status: number): void {
    this.status = status;
  }

  static async start(): Promise<Sample> {
    const sample = new Sample();
    sample.server.listen(0, "127.0.0.1");
    await once(sample.server, "listening");
    sample.port = (sample.server.address() as net.AddressInfo).port;
    return sample;
  }
}

/** A backend that does as it likes with a connection. */
async function hostile(onSocket: (socket: net.Socket) => void): Promise<number> {
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    onSocket(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as net.AddressInfo).port;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 8000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`no ${what} in time`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function cluster(port: number) {
  const found = rig.proxy.clusters.get(`app-${port}`);
  if (found === null) throw new Error("no cluster");
  return found;
}

function events(port: number): (string | number)[] {
  return rig.events
    .filter((event) => event.clusterId === `app-${port}`)
    .map((event) => `${event.kind} ${event.backendId}`);
}

async function get(port: number): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } });
  return { status: response.status, body: await response.text() };
}

test("test_health_check_excludes_unhealthy, test_health_check_recovery", async () => {
  const good = await Sample.start();
  const bad = await Sample.start();
  bad.status = 500;
  const port = rig.listen([good.port, bad.port], { cluster: { healthCheck: CHECK } });
  await until(() => events(port).length === 1, "verdict");
  assert.deepEqual(events(port), [`${EVENT_HEALTH_CHECK_UNHEALTHY} b-${bad.port}`]);
  for (let i = 0; i < 6; i++) assert.equal((await get(port)).body, `${good.port}`);
  const [first, second] = rig.proxy.backendHealth(`app-${port}`);
  assert.deepEqual([first.available, first.healthy, first.reason], [true, true, ""]);
  assert.deepEqual([second.available, second.healthy, second.reason], [false, false, "health check: status 500"]);
  assert.equal(rig.stats.values[cluster(port).row + ROW_HEALTH_CHECK_HEALTHY_BACKENDS], 1);
  bad.status = 204;
  await until(() => events(port).length === 2, "recovery");
  assert.equal(events(port)[1], `${EVENT_HEALTH_CHECK_HEALTHY} b-${bad.port}`);
  const bodies = new Set([(await get(port)).body, (await get(port)).body]);
  assert.equal(bodies.size, 2);
  const { row } = cluster(port);
  const { values } = rig.stats;
  assert.equal(values[row + ROW_HEALTH_CHECK_HEALTHY_BACKENDS], 2);
  assert.equal(values[row + ROW_HEALTH_CHECK_UP], 1);
  assert.equal(values[row + ROW_HEALTH_CHECK_DOWN], 1);
  assert.ok(values[row + ROW_HEALTH_CHECK_SUCCESS] > 0 && values[row + ROW_HEALTH_CHECK_FAILURE] > 0);
  assert.equal(bad.probes[0], `GET Host 127.0.0.1:${bad.port} Connection close`);
});

test("test_health_check_fail_open: with nothing healthy left every backend is asked, told once", async () => {
  const bad = await Sample.start();
  bad.status = 503;
  const port = rig.listen([bad.port], { cluster: { healthCheck: CHECK } });
  await until(() => events(port).length === 2, "verdict");
  assert.equal(events(port)[1], `${EVENT_NO_AVAILABLE_BACKENDS} null`);
  assert.equal((await get(port)).status, 200);
  assert.equal((await get(port)).status, 200);
  assert.equal(rig.stats.values[cluster(port).row + ROW_BACKENDS_FAIL_OPEN], 2);
  assert.equal(rig.stats.values[cluster(port).row + ROW_HEALTH_CHECK_HEALTHY_BACKENDS], 0);
  assert.equal(cluster(port).failOpenNoted, true);
  bad.status = 200;
  await until(() => events(port).length === 4, "recovery");
  assert.equal((await get(port)).status, 200);
  assert.equal(cluster(port).failOpenNoted, false);
  assert.equal(rig.stats.values[cluster(port).row + ROW_BACKENDS_FAIL_OPEN], 2);
});

test("people are told of each change once: verdicts, half of a cluster, fail-open and its end", async () => {
  const samples = [await Sample.start(), await Sample.start(), await Sample.start()];
  const port = rig.listen(
    samples.map((sample) => sample.port),
    { cluster: { healthCheck: CHECK } },
  );
  const [a, b, c] = samples.map((sample) => `b-${sample.port}`);
  const told = () =>
    lines.filter((line) => line.includes(`app-${port}`)).map((line) => line.replace(`cluster app-${port}: `, ""));
  await until(() => samples.every((sample) => sample.probes.length > 0), "first round");
  const expected: string[] = [];
  const after = async (change: () => void, ...then: string[]): Promise<void> => {
    change();
    expected.push(...then);
    await until(() => told().length >= expected.length, then.join(", "));
    assert.deepEqual(told(), expected);
  };
  const unhealthy = (id: string) => `warn: backend ${id} is unhealthy: status 500`;
  await after(() => samples[0].answer(500), unhealthy(a));
  await after(() => samples[1].answer(500), unhealthy(b), "warn: only 1 of 3 backends are healthy");
  await after(
    () => samples[2].answer(500),
    unhealthy(c),
    "warn: only 0 of 3 backends are healthy",
    "error: all 3 backends are down",
  );
  await get(port);
  await get(port);
  await after(() => {}, "warn: no healthy backend can be used, unhealthy ones get requests (fail-open)");
  await after(
    () => samples[0].answer(200),
    `info: backend ${a} is healthy again`,
    "info: backends recovered (1/3 available)",
  );
  await get(port);
  await get(port);
  await after(() => {}, "info: a healthy backend can be used again, health counts again");
});

test("many backends are probed at once, each exactly once", async () => {
  const target = await hostile((socket) => socket.end("HTTP/1.1 200 OK\r\n\r\n"));
  const port = rig.listen([], { cluster: { healthCheck: { ...CHECK, interval: 60 } } });
  const added = Array.from({ length: 40 }, (_, at) => ({ ...backendOf(`app-${port}`, target), backendId: `b${at}` }));
  for (const backend of added) rig.must({ kind: "add_backend", backend });
  await until(() => rig.stats.values[cluster(port).row + ROW_HEALTH_CHECK_SUCCESS] === added.length, "successes");
  assert.deepEqual(events(port), []);
  // The rig's stats page has 64 rows.
  for (const { clusterId, backendId, address } of added) {
    rig.must({ kind: "remove_backend", clusterId, backendId, address });
  }
});

test("test_health_check_remove: verdicts go with the check, and nothing is probed any more (oddities 44)", async () => {
  const bad = await Sample.start();
  bad.status = 500;
  const port = rig.listen([bad.port, 9], { cluster: { healthCheck: CHECK } });
  await until(() => events(port).length === 3, "verdicts");
  rig.must({ kind: "add_cluster", cluster: clusterOf(`app-${port}`) });
  assert.equal(rig.proxy.backendHealth(`app-${port}`)[0].available, true);
  assert.equal(cluster(port).availableBackends, 2);
  assert.equal(rig.stats.values[cluster(port).row + ROW_HEALTH_CHECK_HEALTHY_BACKENDS], 0, "nothing is checked");
  const before = bad.probes.length;
  // Two intervals of the check that is gone.
  await new Promise((resolve) => setTimeout(resolve, 2400));
  assert.equal(bad.probes.length, before);
});

test("test_health_check_expected_status: exactly that status, or the accepted ranges (addition)", async () => {
  const sample = await Sample.start();
  sample.status = 418;
  const expected = rig.listen([sample.port], { cluster: { healthCheck: { ...CHECK, expectedStatus: 418 } } });
  const other = rig.listen([sample.port], { cluster: { healthCheck: { ...CHECK, expectedStatus: 200 } } });
  const listed: HealthCheckObject = {
    ...CHECK,
    expectedStatus: 200,
    acceptedStatuses: [
      [200, 204],
      [400, 499],
    ],
  };
  const ranges = rig.listen([sample.port], { cluster: { healthCheck: listed } });
  await until(() => events(other).length > 0, "verdict");
  await until(() => sample.probes.length >= 3, "probes");
  const success = (port: number) => rig.stats.values[cluster(port).row + ROW_HEALTH_CHECK_SUCCESS];
  await until(() => success(expected) > 0 && success(ranges) > 0, "successes");
  assert.deepEqual([events(expected), events(ranges)], [[], []]);
});

test("test_health_check_invalid_config: refused, and nothing has changed", () => {
  for (const wrong of [
    { uri: "health" },
    { uri: "/a b" },
    { uri: "/a\r\nx: y" },
    { uri: "/é" },
    { uri: `/${"a".repeat(3000)}` },
    { interval: 0 },
    { timeout: 0 },
    { healthyThreshold: 0 },
    { unhealthyThreshold: 0 },
    { expectedStatus: 1000 },
    { acceptedStatuses: [[300, 200]] as const },
  ]) {
    const refused = rig.proxy.apply({
      kind: "add_cluster",
      cluster: { ...clusterOf("refused"), healthCheck: { ...CHECK, ...wrong } },
    });
    assert.match(refused ?? "", /^health check: /);
    assert.equal(rig.proxy.clusters.get("refused"), null);
  }
});

test("a TCP check only connects (addition)", async () => {
  let accepted = 0;
  const open = await hostile(() => accepted++);
  const closed = await hostile(() => {});
  closing.pop()?.();
  const port = rig.listen([open, closed], { cluster: { healthCheck: { ...CHECK, tcp: true } } });
  await until(() => events(port).length === 1 && accepted > 0, "verdict");
  assert.deepEqual(events(port), [`${EVENT_HEALTH_CHECK_UNHEALTHY} b-${closed}`]);
  assert.match(rig.proxy.backendHealth(`app-${port}`)[1].reason, /^health check: connection refused/);
});

test("thresholds count results in a row", async () => {
  const sample = await Sample.start();
  const check = { ...CHECK, unhealthyThreshold: 2 };
  const port = rig.listen([sample.port], { cluster: { healthCheck: check } });
  const failures = () => rig.stats.values[cluster(port).row + ROW_HEALTH_CHECK_FAILURE];
  await until(() => sample.probes.length === 1, "first probe");
  sample.status = 500;
  await until(() => failures() === 1, "failure");
  assert.deepEqual(events(port), []);
  await until(() => events(port).length > 0, "verdict");
  assert.equal(failures(), 2);
});

for (const [name, onSocket, reason] of [
  ["closes at once", (socket: net.Socket) => socket.end(), /it closes without a complete answer|reset|broken pipe/i],
  ["resets", (socket: net.Socket) => socket.resetAndDestroy(), /reset|closes without|pipe/i],
  ["says nothing", () => {}, /no answer within 1 s/],
  ["speaks no HTTP", (socket: net.Socket) => socket.write("SSH-2.0-OpenSSH_9.6\r\n"), /not an answer of HTTP\/1/],
  ["has an endless head", endlessHead, /the head has more than 4096 bytes/],
  ["drips its head", dripHead, /no answer within 1 s|more than 64 pieces/],
  ["sends interim answers for ever", interims, /the head has more than 4096 bytes/],
  ["switches protocols", (socket: net.Socket) => socket.write("HTTP/1.1 101 Yes\r\n\r\n"), /status 101/],
  ["sends half a status line", (socket: net.Socket) => socket.end("HTTP/1.1 2"), /closes without a complete answer/],
] as const) {
  test(`a backend that ${name} fails its check, bounded`, async () => {
    const sample = await hostile(onSocket);
    const port = rig.listen([sample], { cluster: { healthCheck: CHECK } });
    await until(() => events(port).length === 2, "verdict");
    assert.match(rig.proxy.backendHealth(`app-${port}`)[0].reason, reason);
    rig.must({ kind: "add_cluster", cluster: clusterOf(`app-${port}`) });
    await until(() => rig.proxy.context.buffers.inUse === 0, "buffers back");
  });
}

test("an interim answer before the final one is no failure, and a long answer is not read to its end", async () => {
  const long = await hostile((socket) => {
    socket.write("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    socket.write(`HTTP/1.1 200 OK\r\n\r\n${"x".repeat(1_000_000)}`);
  });
  const port = rig.listen([long], { cluster: { healthCheck: CHECK } });
  await until(() => rig.stats.values[cluster(port).row + ROW_HEALTH_CHECK_SUCCESS] > 0, "success");
  assert.deepEqual(events(port), []);
});

test("a new backend is healthy and probed at once; a removed one is not probed any more", async () => {
  const port = rig.listen([], { cluster: { healthCheck: { ...CHECK, interval: 60 } } });
  const added = await Sample.start();
  rig.must({ kind: "add_backend", backend: backendOf(`app-${port}`, added.port) });
  assert.equal(rig.proxy.backendHealth(`app-${port}`)[0].available, true);
  await until(() => added.probes.length === 1, "probe");
  await until(() => rig.stats.values[cluster(port).row + ROW_HEALTH_CHECK_HEALTHY_BACKENDS] === 1, "gauge");
  const gone = await hostile(() => {});
  const { inFlight } = rig.proxy.health;
  rig.must({ kind: "add_backend", backend: backendOf(`app-${port}`, gone) });
  await until(() => rig.proxy.health.inFlight > inFlight, "probe in flight");
  rig.must({
    kind: "remove_backend",
    clusterId: `app-${port}`,
    backendId: `b-${gone}`,
    address: backendOf("", gone).address,
  });
  assert.ok(rig.proxy.health.inFlight <= inFlight);
  assert.equal(rig.stats.values[cluster(port).row + ROW_HEALTH_CHECK_HEALTHY_BACKENDS], 1);
});

test("the same check again changes nothing, another one begins anew and keeps the verdicts", async () => {
  const bad = await Sample.start();
  bad.status = 500;
  const port = rig.listen([bad.port], { cluster: { healthCheck: { ...CHECK, interval: 60 } } });
  await until(() => events(port).length === 2, "verdict");
  const same = { ...clusterOf(`app-${port}`), healthCheck: { ...CHECK, interval: 60 } };
  rig.must({ kind: "add_cluster", cluster: same });
  assert.equal(bad.probes.length, 1);
  rig.must({ kind: "add_cluster", cluster: { ...same, healthCheck: { ...CHECK, interval: 60, expectedStatus: 500 } } });
  assert.equal(rig.proxy.backendHealth(`app-${port}`)[0].healthy, false);
  await until(() => events(port).length === 4, "recovery by the new check");
});

function endlessHead(socket: net.Socket): void {
  socket.write("HTTP/1.1 200 OK\r\n");
  for (let i = 0; i < 100; i++) socket.write(`x-${i}: ${"y".repeat(100)}\r\n`);
}

function dripHead(socket: net.Socket): void {
  socket.setNoDelay(true);
  socket.write("HTTP/1.1 200 OK\r\nx: ");
  const timer = setInterval(() => socket.write("a"), 20);
  socket.on("close", () => clearInterval(timer));
}

function interims(socket: net.Socket): void {
  for (let i = 0; i < 200; i++) socket.write("HTTP/1.1 102 Processing\r\nx: 012345678901234567890\r\n\r\n");
}
