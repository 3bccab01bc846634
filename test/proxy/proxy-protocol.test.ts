// Listeners that expect a PROXY protocol header (spec 10.3, mux rows of spec 14; hardening PP-06, PP-12 to PP-17).

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, afterEach, beforeEach, test } from "node:test";
import {
  METRIC_CLIENT_CONNECTIONS,
  METRIC_HTTP_FRONTEND_PARSE_ERRORS,
  METRIC_PROTOCOL_HTTP,
  METRIC_PROTOCOL_PROXY_EXPECT,
  METRIC_PROXY_PROTOCOL_ERRORS,
} from "../../src/observe/metrics.ts";
import { MemoryTarget } from "../observe/memory-target.ts";
import { type ListenerOptions, Rig } from "./rig.ts";
import { connect, type Peer, RawBackend } from "./wire-peers.ts";

const log = new MemoryTarget();
const rig = new Rig({}, log);
const { values } = rig.stats;
after(() => rig.stop());

let backend: RawBackend;
let clients: Peer[] = [];

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const TEXT = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 8443\r\n";
const SIGNATURE = "\r\n\r\n\0\r\nQUIT\n";
const BINARY = `${SIGNATURE}\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x20\xfb`;
const LOCAL = `${SIGNATURE}\x20\0\0\0`;
const UNSPECIFIED = `${SIGNATURE}\x21\0\0\0`;
const TEXT6 = "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n";

beforeEach(async () => {
  backend = await RawBackend.start();
});

afterEach(async () => {
  for (const peer of clients) peer.socket.destroy();
  clients = [];
  backend.close();
  for (let i = 0; i < 500 && rig.proxy.sessions > 0; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(values[METRIC_CLIENT_CONNECTIONS], 0);
  assert.equal(values[METRIC_PROTOCOL_HTTP], 0);
  assert.equal(values[METRIC_PROTOCOL_PROXY_EXPECT], 0);
  assert.equal(rig.proxy.context.buffers.inUse, 0);
  assert.equal(rig.proxy.context.records.inUse, 0);
  assert.equal(rig.proxy.http.exchanges.active, 0);
});

async function client(options: ListenerOptions = {}): Promise<Peer> {
  const peer = await connect(rig.listen([backend.port], { expectProxy: true, ...options }));
  clients.push(peer);
  return peer;
}

/** How often the counter grew while `run` ran. */
async function counted(metric: number, run: () => Promise<unknown>): Promise<number> {
  const before = values[metric] as number;
  await run();
  return (values[metric] as number) - before;
}

for (const [name, header] of [
  ["a text", TEXT],
  ["a binary", BINARY],
]) {
  test(`test_proxy_protocol_request: ${name} header says who the client is and what it called`, async () => {
    const peer = await client();
    for (let requests = 0; requests < 2; requests++) {
      peer.send(requests === 0 ? header + GET : GET);
      const back = requests === 0 ? await backend.connection() : (backend.accepted[0] as Peer);
      const request = await back.has("\r\n\r\n");
      assert.match(request, /^X-Forwarded-For: 192\.0\.2\.1\r$/m);
      assert.match(request, /^Forwarded: proto=http;for="192\.0\.2\.1:56324";by=198\.51\.100\.2\r$/m);
      assert.match(request, /^X-Forwarded-Port: 8443\r$/m);
      back.clear();
      back.send(OK);
      await peer.has("hi");
      peer.clear();
    }
    assert.equal(values[METRIC_PROTOCOL_HTTP], 1);
    rig.sink.flush();
    assert.match(log.writes.join(""), / 192\.0\.2\.1:56324 127\.0\.0\.1:/);
  });
}

test("IPv6 addresses of the header are written as forwarding fields want them", async () => {
  const peer = await client();
  peer.send(TEXT6 + GET.replace("Host: a", "Host: a\r\nX-Forwarded-For: 1.1.1.1"));
  const request = await (await backend.connection()).has("\r\n\r\n");
  assert.match(request, /^X-Forwarded-For: 1\.1\.1\.1, 2001:db8::1\r$/m);
  assert.match(request, /^Forwarded: proto=http;for="\[2001:db8::1\]:1";by="\[2001:db8::2\]"\r$/m);
  assert.match(request, /^X-Forwarded-Port: 2\r$/m);
});

test("PP-12 test_proxy_protocol_partial_header: one byte at a time", async () => {
  const peer = await client();
  peer.socket.setNoDelay(true);
  for (const byte of BINARY + GET) {
    peer.send(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const back = await backend.connection();
  assert.match(await back.has("\r\n\r\n"), /^X-Forwarded-For: 192\.0\.2\.1\r$/m);
  back.send(OK);
  await peer.has("hi");
});

for (const [name, header] of [
  ["local", LOCAL],
  ["af_unspec", UNSPECIFIED],
  ["text UNKNOWN", "PROXY UNKNOWN\r\n"],
]) {
  test(`test_proxy_protocol_${name}_healthcheck: a header without addresses and nothing more is closed in silence`, async () => {
    const errors = await counted(METRIC_PROXY_PROTOCOL_ERRORS, async () => {
      const peer = await client({ requestTimeout: 4 });
      peer.send(header as string);
      assert.equal(await peer.end(), "");
    });
    assert.equal(errors, 0);
  });

  test(`PP-06 ${name}: a request behind a header without addresses is served, with the peer's own address`, async () => {
    const peer = await client();
    peer.send(header + GET);
    const back = await backend.connection();
    assert.match(await back.has("\r\n\r\n"), /^X-Forwarded-For: 127\.0\.0\.1\r$/m);
    back.send(OK);
    await peer.has("hi");
  });
}

test("test_rapid_proxy_protocol_healthchecks, _mixed_traffic: no gauge drifts", async () => {
  const port = rig.listen([backend.port], { expectProxy: true });
  const all: Promise<unknown>[] = [];
  for (let i = 0; i < 60; i++) {
    const peer = await connect(port);
    clients.push(peer);
    peer.send(i % 3 === 0 ? LOCAL : i % 3 === 1 ? UNSPECIFIED : TEXT.slice(0, i % 40));
    peer.socket.end();
    all.push(peer.end());
  }
  await Promise.all(all);
});

test("PP-13 a header that stalls is closed without an answer, and counted", async () => {
  const errors = await counted(METRIC_PROXY_PROTOCOL_ERRORS, async () => {
    const peer = await client({ requestTimeout: 0.3 });
    peer.send(TEXT.slice(0, 20));
    assert.equal(await peer.end(), "");
  });
  assert.equal(errors, 1);
});

test("PP-14 a request without the header is closed without an answer; a header where none is expected is a 400", async () => {
  const errors = await counted(METRIC_PROXY_PROTOCOL_ERRORS, async () => {
    const peer = await client();
    peer.send(GET);
    assert.equal(await peer.end(), "");
  });
  assert.equal(errors, 1);
  for (const header of [TEXT, BINARY]) {
    const peer = await client({ expectProxy: false });
    peer.send(header + GET);
    assert.match(await peer.end(), /^HTTP\/1.1 400 /);
  }
  assert.equal(backend.accepted.length, 0);
});

test("PP-15 a second header is payload: 400, and the address stays the first", async () => {
  const parseErrors = await counted(METRIC_HTTP_FRONTEND_PARSE_ERRORS, async () => {
    const peer = await client();
    peer.send(TEXT + TEXT6 + GET);
    assert.match(await peer.end(), /^HTTP\/1.1 400 /);
  });
  assert.equal(parseErrors, 1);
});

test("PP-17 test_proxy_protocol_hup, _keepalive_hup: a client that goes away leaves nothing behind", async () => {
  const silent = await counted(METRIC_PROXY_PROTOCOL_ERRORS, async () => {
    const peer = await client();
    peer.socket.end();
    await peer.end();
    const reset = await client();
    reset.socket.resetAndDestroy();
  });
  assert.equal(silent, 0);
  const errors = await counted(METRIC_PROXY_PROTOCOL_ERRORS, async () => {
    const peer = await client();
    peer.send(TEXT.slice(0, 10));
    peer.socket.end();
    await peer.end();
  });
  assert.equal(errors, 1);
  const served = await client();
  served.send(TEXT + GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send(OK);
  await served.has("hi");
  served.socket.end();
  await served.end();
});

test("test_proxy_protocol_websocket_upgrade", async () => {
  const peer = await client();
  peer.send(`${TEXT}GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
  const back = await backend.connection();
  assert.match(await back.has("\r\n\r\n"), /^X-Forwarded-For: 192\.0\.2\.1\r$/m);
  back.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  await peer.has("\r\n\r\n");
  peer.send("frame");
  await back.has("frame");
});

const file = new URL("../../../shared/vectors/proxy-protocol/vectors.json", import.meta.url);

interface Vector {
  readonly id: string;
  readonly header_base64: string;
  readonly followed_by: string | null;
  readonly expect: string;
  readonly source: string | null;
}

test("the shared vectors, each on a connection", {
  skip: existsSync(file) ? false : "no ../shared/vectors",
}, async () => {
  const { cases } = JSON.parse(readFileSync(file, "utf8")) as { cases: Vector[] };
  backend.server.on("connection", (socket) => socket.on("data", () => socket.write(OK)));
  const port = rig.listen([backend.port], { expectProxy: true, requestTimeout: 1 });
  await Promise.all(
    cases.map(async (vector) => {
      if (vector.id === "v2-then-tls") return;
      const peer = await connect(port);
      clients.push(peer);
      const stalls = vector.expect.startsWith("abort-after");
      peer.send(Buffer.from(vector.header_base64, "base64"));
      if (!stalls && vector.followed_by !== null) peer.send(Buffer.from(vector.followed_by, "base64"));
      const text = await peer.has("hi").catch(() => peer.text);
      const { expect } = vector;
      if (expect.startsWith("400")) assert.match(text, /^HTTP\/1.1 400 /, vector.id);
      else if (expect.startsWith("abort")) assert.equal(text, "", vector.id);
      else if (!expect.includes("abort")) assert.notEqual(text, "", vector.id);
    }),
  );
});
