// A soft stop (UP-16): what is in flight ends, what waits is served, what is idle closes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Rig } from "./rig.ts";
import { connect, RawBackend } from "./wire-peers.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

test("UP-16 a soft stop serves what is in flight and what lies in the socket, and closes what is idle", async () => {
  const rig = new Rig();
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port]);
  const idle = await connect(port);
  idle.send(GET);
  const first = await backend.connection();
  await first.has("\r\n\r\n");
  first.send(OK);
  await idle.has("hi");
  idle.clear();
  const busy = await connect(port);
  busy.send(GET);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const silent = await connect(port);
  const drained = new Promise<void>((resolve) => rig.proxy.softStop(resolve));
  assert.equal(await idle.end(), "");
  const carrier = backend.accepted.find((peer) => peer !== first || peer.text.split("GET").length > 2) ?? first;
  carrier.send(OK);
  assert.match(await busy.end(), /Connection: close\r\n[\s\S]*hi$/);
  assert.equal(await silent.end(), "");
  await drained;
  assert.equal(rig.proxy.sessions, 0);
  rig.stop();
  backend.close();
});

test("WS-11 tunnels outlive a soft stop until they end", async () => {
  const rig = new Rig();
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port]);
  const pairs: [Awaited<ReturnType<typeof connect>>, Awaited<ReturnType<typeof connect>>][] = [];
  for (let i = 0; i < 100; i++) {
    const client = await connect(port);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    const back = await backend.connection();
    await back.has("\r\n\r\n");
    back.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    await client.has("101 ");
    pairs.push([client, back]);
  }
  const drained = new Promise<void>((resolve) => rig.proxy.softStop(resolve));
  for (const [client, back] of pairs) {
    client.send("ping");
    await back.has("ping");
    back.send("pong");
    await client.has("pong");
  }
  assert.equal(rig.proxy.sessions, 100);
  for (const [client, back] of pairs) {
    client.socket.end();
    await back.end();
    back.socket.end();
  }
  await drained;
  rig.stop();
  backend.close();
});
