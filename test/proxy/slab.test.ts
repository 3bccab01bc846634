// Registered descriptors are the entries of the slab (spec 13.1): accepting stops at the gate, connections to backends at
// the capacity, and idle connections to backends go first.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  METRIC_ACCEPT_QUEUE_BACKPRESSURE,
  METRIC_BACKEND_POOL_SIZE,
  METRIC_SLAB_ACCEPT_THRESHOLD_PERCENT,
  METRIC_SLAB_CAPACITY,
  METRIC_SLAB_ENTRIES,
  METRIC_SLAB_USAGE_PERCENT,
} from "../../src/observe/metrics.ts";
import { EPOLLIN } from "../../src/os/epoll.ts";
import { close } from "../../src/os/sockets.ts";
import { eventfdCreate } from "../../src/os/timerfd.ts";
import { Rig } from "./rig.ts";
import { connect, RawBackend } from "./wire-peers.ts";

const rig = new Rig({ maxConnections: 5, slabEntriesPerConnection: 4 });
after(() => rig.stop());

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const { values } = rig.stats;

/** Registers descriptors until so many are. */
function fill(entries: number): () => void {
  const held: { token: number; fd: number }[] = [];
  while (rig.loop.registered < entries) {
    const fd = eventfdCreate();
    held.push({ token: rig.loop.register(fd, { onReady: () => {} }, EPOLLIN), fd });
  }
  return () => {
    for (const { token, fd } of held) {
      rig.loop.unregister(token, fd);
      close(fd);
    }
  };
}

test("at the gate accepting pauses, whatever the number of clients, and goes on when entries are free", async () => {
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port]);
  assert.equal(values[METRIC_SLAB_CAPACITY], 30);
  assert.equal(values[METRIC_SLAB_ACCEPT_THRESHOLD_PERCENT], 66);
  const first = await connect(port);
  first.send(GET);
  const carrier = await backend.connection();
  await carrier.has("\r\n\r\n");
  carrier.send(OK);
  await first.has("hi");
  const empty = fill(20);
  assert.equal(values[METRIC_BACKEND_POOL_SIZE], 1);
  const second = await connect(port);
  second.send(GET);
  // The idle connection to the backend has made room.
  const next = await backend.connection();
  await next.has("\r\n\r\n");
  next.send(OK);
  await second.has("hi");
  next.clear();
  const again = fill(20);
  const third = await connect(port);
  third.send(GET);
  while (values[METRIC_ACCEPT_QUEUE_BACKPRESSURE] === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  empty();
  again();
  await next.has("\r\n\r\n");
  next.send(OK);
  await third.has("hi");
  for (const peer of [first, second, third]) peer.socket.destroy();
  backend.close();
});

test("at the capacity a request that needs a new connection to a backend gets 503", async () => {
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port]);
  const client = await connect(port);
  client.send("GET / HTTP/1.1\r\n");
  while (rig.proxy.sessions === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  const empty = fill(30);
  rig.proxy.onTimeout();
  assert.equal(values[METRIC_SLAB_ENTRIES], 30);
  assert.equal(values[METRIC_SLAB_USAGE_PERCENT], 100);
  const address = { ip: "127.0.0.1", port: 9 };
  const refusal = rig.proxy.apply({ kind: "add_http_listener", listener: rig.listenerAt(address) });
  assert.equal(refusal, "session list is full, cannot add a listener");
  client.send("Host: a\r\n\r\n");
  await client.has("503 Service Unavailable");
  empty();
  client.clear();
  client.send(GET);
  const carrier = await backend.connection();
  await carrier.has("\r\n\r\n");
  carrier.send(OK);
  await client.has("hi");
  client.socket.destroy();
  backend.close();
});
