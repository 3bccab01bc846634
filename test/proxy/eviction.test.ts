// At the connection limit, the clients that were idle for longest make room (spec 13.4, spec 14 `eviction`).

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { METRIC_ACCEPT_QUEUE_BACKPRESSURE, METRIC_SESSIONS_EVICTED } from "../../src/observe/metrics.ts";
import { Rig } from "./rig.ts";
import { connect, type Peer, RawBackend } from "./wire-peers.ts";

const rig = new Rig({ maxConnections: 4, evictOnQueueFull: true });
after(() => rig.stop());

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** A request that gets a 404: it needs no backend. */
async function served(peer: Peer): Promise<Peer> {
  peer.clear();
  peer.send(GET);
  await peer.has("404 Not Found");
  return peer;
}

/** Activity is measured in ticks of the timer wheel. */
async function nextTick(): Promise<void> {
  const { wheel } = rig.loop;
  const tick = wheel.tick;
  while (wheel.tick === tick) await new Promise((resolve) => setTimeout(resolve, 10));
}

test("test_evict_on_queue_full_accepts_after_eviction: the client with the oldest activity goes", async () => {
  const { values } = rig.stats;
  const port = rig.listen([]);
  rig.must({ kind: "remove_http_frontend", frontend: rig.frontendAt(port) });
  const clients: Peer[] = [];
  for (let i = 0; i < 4; i++) clients.push(await served(await connect(port)));
  await nextTick();
  await served(clients[0]);
  const newcomer = await served(await connect(port));
  await clients[1].end();
  assert.equal(values[METRIC_SESSIONS_EVICTED], 1);
  assert.equal(values[METRIC_ACCEPT_QUEUE_BACKPRESSURE], 0);
  const last = await served(await connect(port));
  await clients[2].end();
  assert.equal(values[METRIC_SESSIONS_EVICTED], 2);
  for (const peer of [clients[0], clients[3], newcomer, last]) {
    await served(peer);
    peer.socket.destroy();
  }
});

test("a request in flight is as old as its last byte", async () => {
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port]);
  const waiting = await connect(port);
  waiting.send(GET);
  const carrier = await backend.connection();
  await carrier.has("\r\n\r\n");
  const idle: Peer[] = [];
  for (let i = 0; i < 3; i++) idle.push(await connect(port));
  while (rig.proxy.sessions < 4) await nextTick();
  await nextTick();
  carrier.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi");
  await waiting.has("hi");
  const newcomer = await connect(port);
  await idle[0].end();
  carrier.send("hi");
  await waiting.has("hihi");
  for (const peer of [waiting, newcomer, ...idle]) peer.socket.destroy();
  backend.close();
});

test("while the worker stops nobody is evicted", async () => {
  const evicted = rig.stats.values[METRIC_SESSIONS_EVICTED];
  while (rig.proxy.sessions > 0) await nextTick();
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port]);
  const clients: Peer[] = [];
  for (let i = 0; i < 4; i++) {
    const client = await connect(port);
    client.send(GET);
    clients.push(client);
    await (await backend.connection()).has("\r\n\r\n");
  }
  rig.proxy.softStop(() => {});
  const late = await connect(port).catch(() => null);
  for (const peer of backend.accepted) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  for (const client of clients) assert.match(await client.end(), /hi$/);
  assert.equal(rig.stats.values[METRIC_SESSIONS_EVICTED], evicted);
  late?.socket.destroy();
  backend.close();
});
