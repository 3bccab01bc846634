// What connections wait for and what they leave behind is bounded (docs/limits.md).

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { METRIC_BACKEND_POOL_SIZE } from "../../src/observe/metrics.ts";
import type { Connection } from "../../src/proxy/connection.ts";
import { Rig } from "./rig.ts";
import { connect, type Peer, RawBackend } from "./wire-peers.ts";

const rig = new Rig({ maxBuffers: 8 });
after(() => rig.stop());

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

test("a connection stands in line for buffers once, however often it asks", () => {
  const { context } = rig.proxy;
  const taken = Array.from({ length: 8 }, () => context.buffers.take());
  const connection = { inLine: false, fd: -1, queued: false } as Connection;
  for (let i = 0; i < 1000; i++) assert.equal(context.mayRead(connection), false);
  assert.equal(context.waiting, 1);
  for (const buffer of taken) context.buffers.give(buffer);
  assert.equal(context.mayRead(connection), true);
});

test("backend connections of one client are found by their client and closed with it", async () => {
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port]);
  rig.must({
    kind: "add_cluster",
    cluster: { ...rig.clusterAt(port), sharedBackendConnections: false },
  });
  const clients: Peer[] = [];
  for (let i = 0; i < 3; i++) {
    const client = await connect(port);
    client.send(GET);
    const carrier = await backend.connection();
    await carrier.has("\r\n\r\n");
    carrier.send(OK);
    await client.has("hi");
    clients.push(client);
  }
  const { owned } = rig.proxy.http;
  assert.equal(owned.size, 3);
  // The backend closes the second one: only that client's list goes.
  backend.accepted[1].socket.end();
  while (owned.size > 2) await new Promise((resolve) => setTimeout(resolve, 5));
  clients[0].socket.destroy();
  await backend.accepted[0].end();
  assert.equal(owned.size, 1);
  for (const client of clients) client.socket.destroy();
  await backend.accepted[2].end();
  assert.equal(owned.size, 0);
  backend.close();
});

/** Clients with a request each in flight, every one on a backend connection of its own. */
async function inFlight(port: number, backend: RawBackend, count: number, head = GET) {
  const pairs: { client: Peer; carrier: Peer }[] = [];
  while (pairs.length < count) {
    const client = await connect(port);
    client.send(head);
    const carrier = await backend.connection();
    await carrier.has("\r\n\r\n");
    pairs.push({ client, carrier });
  }
  return pairs;
}

test("of the connections to a backend that become idle 512 are kept, the surplus closes", async () => {
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port]);
  const pairs = await inFlight(port, backend, 520);
  const { values } = rig.stats;
  assert.equal(values[METRIC_BACKEND_POOL_SIZE], 0);
  for (const [i, { client, carrier }] of pairs.entries()) {
    carrier.send(OK);
    await client.has("hi");
    assert.equal(values[METRIC_BACKEND_POOL_SIZE], Math.min(i + 1, 512));
  }
  for (const { carrier } of pairs.slice(512)) await carrier.end();
  for (const { client } of pairs) client.socket.destroy();
  backend.close();
});

test("heads of requests in flight use up their slots: 503 for the next one, served when one has ended", async () => {
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port]);
  const head = `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(14_000)}\r\n\r\n`;
  const { slots } = rig.proxy.context;
  const pairs = await inFlight(port, backend, slots.capacityBytes / 16_384, head);
  assert.equal(slots.bytesInUse, slots.capacityBytes);
  const late = await connect(port);
  late.send(head);
  assert.match(await late.has("\r\n\r\n"), /^HTTP\/1\.1 503 /);
  assert.equal(backend.accepted.length, pairs.length);
  pairs[0].carrier.send(OK);
  await pairs[0].client.has("hi");
  late.clear();
  late.send(head);
  await pairs[0].carrier.until((text) => text.split("\r\n\r\n").length === 3, "a second request");
  pairs[0].carrier.send(OK);
  await late.has("hi");
  for (const { client } of [...pairs, { client: late }]) client.socket.destroy();
  backend.close();
  while (slots.inUse > 0) await new Promise((resolve) => setTimeout(resolve, 5));
});

test("a client that goes on sending after its last answer is read for 256 kB or 2 s, then closed", async () => {
  const port = rig.listen([]);
  const client = await connect(port);
  client.send(`garbage\r\n\r\n${"x".repeat(100_000)}`);
  await client.has("400 Bad Request");
  while (rig.proxy.sessions > 0) {
    client.send("x".repeat(50_000));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  client.socket.destroy();
});
