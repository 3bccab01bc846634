// What HTTPS adds to answers and requests: Strict-Transport-Security, redirects to https, WebSocket, the PROXY header
// before TLS, labels of access lines (spec 5.11, 8.7, 8.8, 10.3, 12.2).

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, afterEach, beforeEach, test } from "node:test";
import nodeTls from "node:tls";
import type { HstsObject } from "../../src/command/objects-tls.ts";
import { METRIC_CLIENT_CONNECTIONS } from "../../src/observe/metrics.ts";
import * as metric from "../../src/observe/metrics-tls.ts";
import { tlsHandles } from "../../src/os/tls.ts";
import { MemoryTarget } from "../observe/memory-target.ts";
import { FORWARD, frontendOf, Rig } from "./rig.ts";
import { authority, connectSecure, listenSecure, type SecureOptions, secureListenerAt } from "./secure.ts";
import { connect, Peer, RawBackend } from "./wire-peers.ts";

const log = new MemoryTarget();
const rig = new Rig({}, log);
const { values } = rig.stats;
after(() => rig.stop());

let backend: RawBackend;
const sockets: net.Socket[] = [];

const GET = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const HSTS: HstsObject = {
  enabled: true,
  maxAge: 1000,
  includeSubdomains: true,
  preload: false,
  forceReplaceBackend: false,
};
const FIELD = "Strict-Transport-Security: max-age=1000; includeSubDomains\r\n";

beforeEach(async () => {
  backend = await RawBackend.start();
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  backend.close();
  for (let i = 0; i < 500 && values[METRIC_CLIENT_CONNECTIONS] > 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(tlsHandles().sessions, 0);
  for (const gauge of [
    metric.METRIC_PROTOCOL_HTTPS,
    metric.METRIC_PROTOCOL_WSS,
    metric.METRIC_PROTOCOL_TLS_HANDSHAKE,
  ]) {
    assert.equal(values[gauge], 0);
  }
  assert.equal(rig.proxy.context.buffers.inUse, 0);
});

function listen(options: SecureOptions = {}): number {
  return listenSecure(rig, [backend.port], options);
}

async function secure(port: number, options: nodeTls.ConnectionOptions = {}): ReturnType<typeof connectSecure> {
  const peer = await connectSecure(port, options);
  sockets.push(peer.socket);
  return peer;
}

/** The head of the answer to a request whose backend answers with `answer`. */
async function answered(peer: Peer, answer: string, request = GET): Promise<string> {
  peer.clear();
  peer.send(request);
  const back = backend.accepted.at(-1) ?? (await backend.connection());
  await back.has("\r\n\r\n");
  back.clear();
  back.send(answer);
  return await peer.has("\r\n\r\n");
}

function count(text: string): number {
  return text.toLowerCase().split("strict-transport-security:").length - 1;
}

test("5.11: the listener's policy is on every answer, once, and a backend's own stays", async () => {
  const peer = await secure(listen({ listener: { hsts: HSTS } }));
  assert.ok((await answered(peer, OK)).includes(FIELD));
  const own = await answered(peer, OK.replace("\r\n\r\n", "\r\nstrict-transport-security: max-age=5\r\n\r\n"));
  assert.equal(count(own), 1);
  assert.ok(own.includes("max-age=5"));
});

test("5.11: force_replace_backend takes the place of what the backend says", async () => {
  const peer = await secure(listen({ listener: { hsts: { ...HSTS, forceReplaceBackend: true } } }));
  const answer = OK.replace("\r\n\r\n", "\r\nStrict-Transport-Security: a\r\nstrict-transport-security: b\r\n\r\n");
  const head = await answered(peer, answer);
  assert.equal(count(head), 1);
  assert.ok(head.includes(FIELD));
});

test("5.11: a frontend's own word counts, also when it is no; local answers of a route carry it", async () => {
  const port = listen({ listener: { hsts: HSTS } });
  const address = { ip: "127.0.0.1", port };
  const frontend = { ...frontendOf(`app-${port}`, address), hostname: "www.example.com" };
  rig.must({ kind: "add_https_frontend", frontend: { ...frontend, hsts: { ...HSTS, enabled: false } } });
  const denied = { ...frontendOf(`app-${port}`, address), hostname: "a.example.com", clusterId: null };
  rig.must({ kind: "add_https_frontend", frontend: { ...denied, hsts: { ...HSTS, maxAge: 7 } } });
  const moved = {
    ...frontendOf(`app-${port}`, address),
    hostname: "b.example.com",
    policy: { ...FORWARD, redirect: 1 },
  };
  rig.must({ kind: "add_https_frontend", frontend: { ...moved, hsts: null } });
  const peer = await secure(port);
  assert.equal(count(await answered(peer, OK, GET.replace("example.com", "www.example.com"))), 0);
  await peer.has("hi");
  for (const [host, status, field] of [
    ["a.example.com", "401", "max-age=7; includeSubDomains\r\n"],
    ["b.example.com", "301", FIELD],
  ] as const) {
    const local = await secure(port);
    local.send(GET.replace("example.com", host));
    const head = await local.has("\r\n\r\n");
    assert.ok(head.startsWith(`HTTP/1.1 ${status} `), head);
    assert.equal(count(head), 1);
    assert.ok(head.includes(field), head);
  }
});

test("5.11: 421 has none, for no route has matched", async () => {
  const peer = await secure(listen({ listener: { hsts: HSTS } }));
  peer.send(GET.replace("example.com", "other.test"));
  const head = await peer.has("\r\n\r\n");
  assert.match(head, /^HTTP\/1\.1 421 /);
  assert.equal(count(head), 0);
});

test("5.11: a change of the listener's policy is there for the next answer of an open connection", async () => {
  const port = listen();
  const peer = await secure(port);
  assert.equal(count(await answered(peer, OK)), 0);
  const before = Float64Array.from(values);
  const options = { listener: { hsts: HSTS } };
  rig.must({ kind: "add_https_listener", listener: secureListenerAt(rig, { ip: "127.0.0.1", port }, options) });
  assert.equal(count(await answered(peer, OK)), 1);
  const patched = metric.METRIC_HTTP_HSTS_LISTENER_DEFAULT_PATCHED;
  assert.equal(values[patched] - before[patched], 1);
  const refreshed = metric.METRIC_HTTP_HSTS_FRONTEND_REFRESHED;
  assert.equal(values[refreshed] - before[refreshed], 1);
});

test("5.11: plain HTTP never carries it; https_redirect is for plain listeners alone", async () => {
  const plain = rig.listen([backend.port], { cluster: { httpsRedirect: true, httpsRedirectPort: 8443 } });
  const peer = await connect(plain);
  sockets.push(peer.socket);
  peer.send(GET);
  const head = await peer.has("\r\n\r\n");
  assert.match(head, /^HTTP\/1\.1 301 /);
  assert.match(head, /\r\nLocation: https:\/\/example\.com:8443\/\r\n/);
  assert.equal(count(head), 0);
  const secured = await secure(listen({ cluster: { httpsRedirect: true } }));
  assert.match(await answered(secured, OK), /^HTTP\/1\.1 200 /);
});

test("8.7: strict_sni_binding = false lets any host through", async () => {
  const peer = await secure(listen({ tls: { strictSniBinding: false } }));
  assert.match(await answered(peer, OK, GET.replace("example.com", "other.test")), /^HTTP\/1\.1 200 /);
});

test("8.7: over a default certificate the name that was asked for may be requested, and no other", async () => {
  const port = listen({ hasDefault: true });
  const peer = await secure(port, { servername: "unknown.test", checkServerIdentity: () => undefined });
  assert.match(await answered(peer, OK, GET.replace("example.com", "unknown.test:443")), /^HTTP\/1\.1 200 /);
  await peer.has("hi");
  peer.clear();
  peer.send(GET.replace("example.com", "third.test"));
  assert.match(await peer.has("\r\n\r\n"), /^HTTP\/1\.1 421 /);
});

test("WSS: a WebSocket over TLS is a pipe in both directions until both ends have said so", async () => {
  const before = log.writes.length;
  const peer = await secure(listen());
  peer.send(
    "GET /chat HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n",
  );
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nearly");
  await peer.has("early");
  assert.equal(values[metric.METRIC_PROTOCOL_WSS], 1);
  peer.clear();
  back.clear();
  const block = Buffer.alloc(700_000, "xyzzy-");
  peer.send(block);
  await back.until((text) => text.length === block.length, "the block");
  back.send(block);
  await peer.until((text) => text.length === block.length, "the block");
  // close_notify passes on as a FIN, and the other direction lives on.
  peer.socket.end();
  await back.end();
  peer.clear();
  back.send("late");
  back.socket.end();
  assert.equal(await peer.end(), "late");
  rig.sink.flush();
  const lines = log.writes.slice(before).join("");
  assert.match(lines, / https example\.com GET \/chat 101 \| H1::Upgrade\n/);
  assert.match(lines, / WSS-TLS1\.3 example\.com GET \/chat 101\n/);
});

test("8.8: a PROXY header before TLS names the client, in one segment with the ClientHello or before it", async () => {
  const port = listen({ expectProxy: true });
  const header = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 8443\r\n";
  for (const together of [true, false]) {
    const raw = net.connect({ port, host: "127.0.0.1" });
    sockets.push(raw);
    await once(raw, "connect");
    if (together) raw.cork();
    raw.write(header);
    if (!together) await new Promise((resolve) => setTimeout(resolve, 30));
    const socket = nodeTls.connect({ socket: raw, servername: "example.com", ca: authority.pem });
    if (together) process.nextTick(() => raw.uncork());
    const peer = new Peer(socket);
    await once(socket, "secureConnect");
    peer.send(GET);
    const back = await backend.connection();
    const head = await back.has("\r\n\r\n");
    assert.match(head, /\r\nForwarded: proto=https;for="192\.0\.2\.1:56324";by=198\.51\.100\.2\r\n/);
    assert.match(head, /\r\nX-Forwarded-Port: 8443\r\n/);
    back.send(OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    await peer.has("hi");
    back.socket.end();
    socket.destroy();
  }
});
