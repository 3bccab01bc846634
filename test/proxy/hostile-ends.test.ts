// Ends that leave doubt, and what must not be left behind: cut answers to clients that only see the end of the connection,
// backend connections that belong to a client which goes away.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, afterEach, beforeEach, test } from "node:test";
import { METRIC_BACKEND_CONNECTIONS, METRIC_BACKEND_POOL_SIZE } from "../../src/observe/metrics.ts";
import { Rig } from "./rig.ts";
import { connect, type Peer, RawBackend } from "./wire-peers.ts";

const rig = new Rig();
after(() => rig.stop());

let backend: RawBackend;
let port: number;
const clients: Peer[] = [];

beforeEach(async () => {
  backend = await RawBackend.start();
  port = rig.listen([backend.port]);
});

afterEach(() => {
  for (const client of clients.splice(0)) client.socket.destroy();
  backend.close();
});

async function client(): Promise<Peer> {
  const peer = await connect(port);
  clients.push(peer);
  return peer;
}

test("BE-04 an HTTP/1.0 client sees a reset, not an end, when a chunked answer is cut", async () => {
  for (const rest of ["5\r\nhel", "5\r\nhelloXX", "zz\r\n"]) {
    const peer = await client();
    const reset = once(peer.socket, "error");
    peer.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    const back = await backend.connection();
    await back.has("\r\n\r\n");
    back.send(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n`);
    await peer.has("first");
    back.send(rest);
    back.socket.end();
    const [error] = (await reset) as [NodeJS.ErrnoException];
    assert.equal(error.code, "ECONNRESET", JSON.stringify(rest));
  }
});

test("a client that leaves takes its own idle backend connection along, and the gauges with it", async () => {
  const { values } = rig.stats;
  const [connections, idle] = [values[METRIC_BACKEND_CONNECTIONS], values[METRIC_BACKEND_POOL_SIZE]];
  const peer = await client();
  peer.send("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: NTLM x\r\n\r\n");
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  await peer.has("hi");
  assert.equal(values[METRIC_BACKEND_POOL_SIZE], idle + 1);
  peer.socket.destroy();
  await back.end();
  assert.equal(values[METRIC_BACKEND_POOL_SIZE], idle);
  assert.equal(values[METRIC_BACKEND_CONNECTIONS], connections);
});

test("H1-44 one-byte chunks of a backend may go on, its extensions may not", async () => {
  const answers: readonly (readonly [string, RegExp])[] = [
    [`${"1\r\nx\r\n".repeat(20_000)}0\r\n\r\n`, /0\r\n\r\n$/],
    [`${`1;${"e".repeat(1000)}\r\nx\r\n`.repeat(100)}0\r\n\r\n`, /[^0]\r\n$/],
  ];
  for (const [body, ending] of answers) {
    const peer = await client();
    peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    const back = await backend.connection();
    await back.has("\r\n\r\n");
    back.send(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${body}`);
    assert.match(await peer.end(), ending);
  }
});

test("the refusal of a HEAD has no body, wherever the head went wrong", async () => {
  const heads = [
    "HEAD / HTTP/1.1\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\nX\r\n",
    "HEAD \\",
    "HEAD / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
  ];
  for (const head of heads) {
    const peer = await client();
    peer.send(head);
    assert.match(await peer.end(), /^HTTP\/1.1 400 /);
    assert.equal(peer.text.endsWith("\r\n\r\n"), true, head);
  }
});
