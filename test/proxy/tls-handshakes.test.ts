// Handshakes with clients that do not finish them, or make them in unfriendly ways (spec 8.6; hardening TLS-01 to TLS-20).

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, afterEach, beforeEach, test } from "node:test";
import nodeTls from "node:tls";
import { METRIC_CLIENT_CONNECTIONS } from "../../src/observe/metrics.ts";
import * as metric from "../../src/observe/metrics-tls.ts";
import { tlsHandles } from "../../src/os/tls.ts";
import { makeCertificate } from "../command/certs.ts";
import { MemoryTarget } from "../observe/memory-target.ts";
import { Rig } from "./rig.ts";
import {
  authority,
  certificateAt,
  connectSecure,
  leaf,
  listenSecure,
  type SecureOptions,
  secureListenerAt,
} from "./secure.ts";
import { connect, type Peer, RawBackend } from "./wire-peers.ts";

const log = new MemoryTarget();
const rig = new Rig({ maxConnections: 400 }, log);
const { values } = rig.stats;
after(() => rig.stop());

let backend: RawBackend;
const sockets: net.Socket[] = [];

const GET = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

beforeEach(async () => {
  backend = await RawBackend.start();
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  backend.close();
  await settled();
  assert.equal(tlsHandles().sessions, 0);
  assert.equal(rig.proxy.http.handshakes.open, 0);
  assert.equal(values[metric.METRIC_PROTOCOL_HTTPS], 0);
  assert.equal(values[metric.METRIC_PROTOCOL_TLS_HANDSHAKE], 0);
  assert.equal(rig.proxy.context.buffers.inUse, 0);
  assert.equal(rig.proxy.context.records.inUse, 0);
});

async function settled(): Promise<void> {
  for (let i = 0; i < 500 && values[METRIC_CLIENT_CONNECTIONS] > 0; i++) await sleep(5);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function listen(options: SecureOptions = {}): number {
  return listenSecure(rig, [backend.port], options);
}

async function secure(port: number, options: nodeTls.ConnectionOptions = {}): ReturnType<typeof connectSecure> {
  const peer = await connectSecure(port, options);
  sockets.push(peer.socket);
  return peer;
}

async function raw(port: number): Promise<Peer> {
  const peer = await connect(port);
  sockets.push(peer.socket);
  return peer;
}

/** What a client of node:tls sends first. */
async function clientHello(options: nodeTls.ConnectionOptions = {}): Promise<Buffer> {
  const server = net.createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  const socket = nodeTls.connect({ port, host: "127.0.0.1", servername: "example.com", ...options });
  socket.on("error", () => {});
  const [peer] = (await once(server, "connection")) as [net.Socket];
  const [bytes] = (await once(peer, "data")) as [Buffer];
  socket.destroy();
  peer.destroy();
  server.close();
  return bytes;
}

async function served(peer: Peer): Promise<void> {
  peer.send(GET);
  const back = backend.accepted.at(-1) ?? (await backend.connection());
  await back.has("\r\n\r\n");
  back.clear();
  back.send(OK);
  await peer.has("hi");
  peer.clear();
}

test("TLS-09: a handshake that stalls at any flight is closed at request_timeout, and nothing of it is left", async () => {
  const hello = await clientHello();
  const port = listen({ requestTimeout: 1 });
  const failed = values[metric.METRIC_TLS_HANDSHAKE_FAILED_OTHER];
  const flights = [hello.subarray(0, 1), hello.subarray(0, 100), hello];
  const stalled = flights.map(async (flight) => {
    const peer = await raw(port);
    peer.send(flight);
    await peer.end();
  });
  // Connected and silent: closed without a session of OpenSSL ever made.
  const silent = await raw(port);
  await Promise.all([...stalled, silent.end()]);
  assert.equal(values[metric.METRIC_TLS_HANDSHAKE_FAILED_OTHER] - failed, 4);
});

test("TLS-08: a ClientHello that comes byte by byte is answered like a whole one", async () => {
  const hello = await clientHello({ minVersion: "TLSv1.3" });
  const peer = await raw(listen());
  peer.socket.setNoDelay(true);
  for (const byte of hello) {
    peer.send(Buffer.of(byte));
    if (byte % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  // ServerHello in a handshake record.
  await peer.until((text) => text.startsWith("\x16\x03\x03"), "a ServerHello");
});

test("random bytes and plain HTTP on the TLS port get an alert and a close", async () => {
  const port = listen();
  for (const bytes of [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\x16\x03\x01\x00\x05hello",
    `\x80\x2e\x01\x00\x02${"a".repeat(60)}`,
    "\xff".repeat(600),
  ]) {
    const peer = await raw(port);
    peer.send(bytes);
    await peer.end();
  }
});

test("TLS-02: ALPN: none is HTTP/1.1, h3 alone and a thousand unknown names get no_application_protocol", async () => {
  const port = listen();
  const failed = values[metric.METRIC_TLS_HANDSHAKE_FAILED_NO_ALPN];
  const rejected = values[metric.METRIC_HTTPS_ALPN_REJECTED_UNSUPPORTED];
  const plain = await secure(port);
  assert.equal(plain.socket.alpnProtocol, false);
  await served(plain);
  const both = await secure(port, { ALPNProtocols: ["h2", "http/1.1"] });
  assert.equal(both.socket.alpnProtocol, "http/1.1");
  await served(both);
  await assert.rejects(secure(port, { ALPNProtocols: ["h3"] }), /no application protocol/);
  const many = Array.from({ length: 1000 }, (_, i) => `p${i}`);
  await assert.rejects(secure(port, { ALPNProtocols: many }), /no application protocol/);
  assert.equal(values[metric.METRIC_TLS_HANDSHAKE_FAILED_NO_ALPN] - failed, 2);
  assert.equal(values[metric.METRIC_HTTPS_ALPN_REJECTED_UNSUPPORTED] - rejected, 2);
});

test("8.6: disable_http11 refuses clients that do not speak HTTP/2", async () => {
  const port = listen({ tls: { disableHttp11: true } });
  const before = values[metric.METRIC_HTTPS_ALPN_REJECTED_HTTP11_DISABLED];
  await assert.rejects(secure(port), /no application protocol/);
  await assert.rejects(secure(port, { ALPNProtocols: ["http/1.1"] }), /no application protocol/);
  assert.equal(values[metric.METRIC_HTTPS_ALPN_REJECTED_HTTP11_DISABLED] - before, 2);
});

test("8.3: a version that the listener does not have gets protocol_version", async () => {
  const port = listen({ tls: { versions: [5] } });
  await assert.rejects(secure(port, { maxVersion: "TLSv1.2" }), /protocol version/);
  const old = listen({ tls: { versions: [4] } });
  const peer = await secure(old);
  assert.equal(peer.socket.getProtocol(), "TLSv1.2");
});

test("8.4: the cipher list decides, in its order", async () => {
  const port = listen({ tls: { cipherList: ["TLS13_CHACHA20_POLY1305_SHA256", "nonsense"] } });
  const peer = await secure(port);
  assert.equal(peer.socket.getCipher().standardName, "TLS_CHACHA20_POLY1305_SHA256");
});

test("TLS-01: a default certificate is for clients without a name and with an unknown one", async () => {
  const port = listen({ hasDefault: true });
  const before = values[metric.METRIC_TLS_DEFAULT_CERT_USED];
  for (const servername of ["", "unknown.test"]) {
    const peer = await secure(port, { servername, checkServerIdentity: () => undefined });
    assert.equal(peer.socket.getPeerCertificate().fingerprint256.replaceAll(":", "").toLowerCase(), leaf.fingerprint);
  }
  assert.equal(values[metric.METRIC_TLS_DEFAULT_CERT_USED] - before, 2);
});

test("of two kinds of key the client gets one that it can verify", async () => {
  const rsa = makeCertificate({ names: ["example.com"], issuer: authority, kind: "rsa" });
  const port = listen({ certificates: [rsa, leaf] });
  const modern = await secure(port);
  assert.equal(modern.socket.getPeerCertificate().fingerprint256.replaceAll(":", "").toLowerCase(), leaf.fingerprint);
  const old = await secure(port, { sigalgs: "RSA-PSS+SHA256:RSA+SHA256" });
  assert.equal(old.socket.getPeerCertificate().fingerprint256.replaceAll(":", "").toLowerCase(), rsa.fingerprint);
});

test("TLS-13: certificates replaced during handshakes: each gets the old or the new one, none fails", async () => {
  const port = listen();
  const address = { ip: "127.0.0.1", port };
  const issued = [leaf];
  const before = tlsHandles().identities;
  let running = true;
  const seen = new Set<string>();
  const clients = Array.from({ length: 8 }, async () => {
    while (running) {
      const peer = await connectSecure(port);
      seen.add(peer.socket.getPeerCertificate().fingerprint256.replaceAll(":", "").toLowerCase());
      peer.socket.destroy();
    }
  });
  for (let i = 0; i < 100; i++) {
    const fresh = makeCertificate({ names: ["example.com"], issuer: authority });
    rig.must({ kind: "add_certificate", certificate: certificateAt(address, fresh) });
    rig.must({ kind: "remove_certificate", address, fingerprint: (issued.at(-1) as typeof leaf).fingerprint });
    issued.push(fresh);
    await new Promise((resolve) => setImmediate(resolve));
  }
  running = false;
  await Promise.all(clients);
  const known = new Set(issued.map(({ fingerprint }) => fingerprint));
  for (const fingerprint of seen) assert.ok(known.has(fingerprint));
  const last = await secure(port);
  const now = last.socket.getPeerCertificate().fingerprint256.replaceAll(":", "").toLowerCase();
  assert.equal(now, (issued.at(-1) as typeof leaf).fingerprint, "each new connection sees the new one");
  assert.equal(tlsHandles().identities, before + 1, "replaced ones are given up");
});

test("an open connection stays when its certificate, or its listener, is removed", async () => {
  const port = listen();
  const address = { ip: "127.0.0.1", port };
  const peer = await secure(port);
  await served(peer);
  rig.must({ kind: "remove_certificate", address, fingerprint: leaf.fingerprint });
  await served(peer);
  await assert.rejects(secure(port), /unrecognized name/);
  rig.must({ kind: "remove_https_listener", address });
  await served(peer);
});

test("a change of ALPN, versions and ciphers is for new handshakes; open connections go on", async () => {
  const port = listen();
  const address = { ip: "127.0.0.1", port };
  const peer = await secure(port);
  await served(peer);
  const tls = { versions: [4], cipherList: ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"] };
  rig.must({ kind: "add_https_listener", listener: secureListenerAt(rig, address, { tls }) });
  await served(peer);
  const later = await secure(port);
  assert.equal(later.socket.getCipher().standardName, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256");
});

test("TLS-10: half-open handshakes are bounded, the oldest makes room, and a good client is served", async () => {
  const hello = await clientHello();
  const port = listen();
  const before = values[metric.METRIC_TLS_HANDSHAKES_EVICTED];
  const halfOpen = await Promise.all(Array.from({ length: 260 }, () => raw(port)));
  for (const peer of halfOpen) peer.send(hello.subarray(0, 50));
  while (values[metric.METRIC_TLS_HANDSHAKES_EVICTED] - before < 60) await sleep(1);
  assert.equal(rig.proxy.http.handshakes.open, 200);
  await served(await secure(port));
});

test("TLS-20: open connections are served between the handshakes of a flood", async () => {
  const rsa = makeCertificate({ names: ["example.com"], issuer: authority, kind: "rsa", rsaBits: 4096 });
  const port = listen({ certificates: [rsa] });
  const good = await secure(port);
  await served(good);
  const hello = await clientHello({ minVersion: "TLSv1.3" });
  const flood = await Promise.all(Array.from({ length: 100 }, () => raw(port)));
  for (const peer of flood) peer.send(hello);
  // Ten requests one after the other: each is answered although a hundred signatures of 4,096 bits are asked for.
  for (let i = 0; i < 10; i++) await served(good);
  await Promise.all(flood.map((peer) => peer.until((text) => text.length > 1000, "a ServerHello")));
});

test("failed handshakes are logged with the address and the cause, and a flood of them with a sum", async () => {
  const port = listen();
  // Lines are bounded by the second, and other tests have had theirs.
  await sleep(1100);
  for (let i = 0; i < 15; i++) {
    const peer = await raw(port);
    peer.send("GET / HTTP/1.1\r\n\r\n");
    await peer.end();
  }
  await sleep(1100);
  await assert.rejects(secure(port, { servername: "other.test" }));
  rig.sink.flush();
  const text = log.writes.join("");
  assert.match(
    text,
    new RegExp(`TLS handshake of 127\\.0\\.0\\.1:\\d+ on 127\\.0\\.0\\.1:${port} failed: invalid_message`),
  );
  assert.match(text, /\d more TLS handshakes failed/);
  assert.match(
    text,
    /TLS handshake of 127\.0\.0\.1:\d+ for other\.test on .* failed: refused, alert sent: unrecognized_name/,
  );
});
