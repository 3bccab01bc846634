// What connections wait for and what they leave behind is bounded (docs/limits.md).

import assert from "node:assert/strict";
import { after, test } from "node:test";
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
