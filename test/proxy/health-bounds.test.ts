// Probes of backends that hang: how many are in flight, and that they cost neither traffic nor other checks their turn.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, test } from "node:test";
import type { HealthCheckObject } from "../../src/command/objects.ts";
import { ROW_HEALTH_CHECK_FAILURE } from "../../src/observe/metrics.ts";
import { backendOf, Rig } from "./rig.ts";
import { connect } from "./wire-peers.ts";

const rig = new Rig({ maxConnections: 10 });
const sockets: net.Socket[] = [];
const servers: net.Server[] = [];
after(() => {
  rig.stop();
  for (const server of servers) server.close();
  for (const socket of sockets) socket.destroy();
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

async function listen(onSocket: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    onSocket(socket);
  });
  servers.push(server);
  server.listen(0, "0.0.0.0");
  await once(server, "listening");
  return (server.address() as net.AddressInfo).port;
}

test("hanging backends: 8 probes at a time, all get their turn, traffic and other checks too", async () => {
  const hanging = await listen(() => {});
  const port = rig.listen([], { cluster: { healthCheck: CHECK } });
  for (let at = 0; at < 10; at++) {
    for (const ip of ["127.0.0.1", "127.0.0.2"]) {
      const backend = { ...backendOf(`app-${port}`, hanging), backendId: `b${at}`, address: { ip, port: hanging } };
      rig.must({ kind: "add_backend", backend });
    }
  }
  let probed = 0;
  const working = await listen((socket) => {
    socket.on("data", (data) => {
      if (data.includes("/health")) probed++;
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
  });
  const served = rig.listen([working], { cluster: { healthCheck: CHECK } });
  const row = rig.proxy.clusters.get(`app-${port}`)?.row ?? 0;
  const client = await connect(served);
  let most = 0;
  const deadline = Date.now() + 10_000;
  while (rig.stats.values[row + ROW_HEALTH_CHECK_FAILURE] < 24 && Date.now() < deadline) {
    most = Math.max(most, rig.proxy.health.inFlight);
    client.clear();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.has("200 OK");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.ok(rig.stats.values[row + ROW_HEALTH_CHECK_FAILURE] >= 24, "every backend at least once");
  assert.equal(most, 8);
  assert.ok(probed >= 1);
  assert.equal(rig.proxy.clusters.get(`app-${port}`)?.availableBackends, 0);
  client.socket.destroy();
});
