// Clients that mean no good to the TLS of a running proxy, beside others that it must go on serving (hardening group TLS).

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { type AddressInfo, connect as connectPlain, createServer, type Socket } from "node:net";
import { test } from "node:test";
import type { SecureVersion } from "node:tls";
import { sized } from "../fuzz/lib/hello-bytes.ts";
import { Random } from "../fuzz/lib/random.ts";
import { ok, rawBackend } from "./lib/backend.ts";
import { runLoad } from "./lib/load.ts";
import { startProxy } from "./lib/proxy.ts";
import { fileScope, type Scope, until } from "./lib/scope.ts";
import { authority, closing, exchange, issue, runProgram, secureConnect, writeIdentity } from "./lib/secure.ts";

const REQUEST_TIMEOUT_S = 2;

const scope = fileScope();
const backend = await rawBackend(scope);
const proxy = await startProxy(scope, {
  settings: { max_connections: 1000, log_level: "error" },
  listener: {
    protocol: "https",
    certificate: "a.pem",
    key: "a.key",
    request_timeout: REQUEST_TIMEOUT_S,
    tls_versions: ["TLS_V12", "TLS_V13"],
  },
  clusters: { app: { frontends: ["a.test"], backends: [backend.port] } },
  before: (folder) => writeIdentity(folder, "a", issue({ names: ["a.test"] })),
});
const TLS = { servername: "a.test", ca: authority.pem };
const GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/** A gauge of the worker. */
async function gauge(name: string): Promise<number> {
  const { stdout } = await proxy.run("metrics", "get", "--names", name, "--json");
  return Number(/"gauge":\s*"?(\d+)/i.exec(stdout)?.[1] ?? 0);
}

/** A connection that sends these bytes; `closed` is true when the proxy has ended it. */
function throwBytes(bytes: Uint8Array): { readonly socket: Socket; readonly closed: Promise<void> } {
  const socket = connectPlain({ port: proxy.port, host: "127.0.0.1" });
  socket.on("error", () => undefined);
  socket.resume();
  socket.write(bytes);
  return { socket, closed: new Promise((resolve) => void socket.once("close", () => resolve())) };
}

async function isServing(): Promise<void> {
  assert.match(await exchange(await secureConnect(proxy.port), closing("/")), /^HTTP\/1\.1 200 OK/);
}

/** A relay before the proxy that lets `bytes` of what a client of node:tls says pass, and no more. */
async function stalledClient(t: Scope, version: SecureVersion, bytes: number): Promise<void> {
  let passed = 0;
  const relay = createServer((client) => {
    const upstream = connectPlain({ port: proxy.port, host: "127.0.0.1" });
    for (const socket of [client, upstream]) socket.on("error", () => undefined);
    client.on("data", (data: Buffer) => {
      const part = data.subarray(0, bytes - passed);
      passed += part.length;
      if (part.length > 0) upstream.write(part);
    });
    upstream.pipe(client);
    upstream.once("close", () => ended.resolve());
    t.after(() => void upstream.destroy());
  });
  const ended = Promise.withResolvers<void>();
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  t.after(() => void relay.close());
  const { port } = relay.address() as AddressInfo;
  secureConnect(port, { minVersion: version, maxVersion: version }).then(
    (socket) => socket.on("error", () => undefined),
    () => undefined,
  );
  return ended.promise;
}

/** What a client of node:tls sends in its first flight. */
async function helloBytes(version: SecureVersion): Promise<Buffer> {
  const taken = Promise.withResolvers<Buffer>();
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", (data: Buffer) => {
      taken.resolve(data);
      socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  secureConnect((server.address() as AddressInfo).port, { minVersion: version, maxVersion: version }).catch(() => {});
  const bytes = await taken.promise;
  server.close();
  return bytes;
}

test("TLS-09: a handshake that stalls before, within and behind each flight is closed at request_timeout", async (t) => {
  const stalled: Promise<void>[] = [throwBytes(new Uint8Array(0)).closed];
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const { length } = await helloBytes(version);
    for (const bytes of [1, length >> 1, length, length + 1, length + 20]) {
      stalled.push(stalledClient(t, version, bytes));
    }
  }
  await Promise.all(stalled);
  await until("none is left", async () => (await gauge("client.connections")) === 0);
  await isServing();
});

test("TLS-10: two thousand half-open handshakes: a good client is served beside them", async (t) => {
  const hello = await helloBytes("TLSv1.3");
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (let i = 0; i < 20; i++) {
    for (let j = 0; j < 100; j++) sockets.push(throwBytes(hello.subarray(0, 50 + j)).socket);
    await isServing();
  }
});

test("TLS-15 TLS-20: floods of records that carry nothing, and random bytes, beside good clients that lose nothing", async (t) => {
  const loads = [
    runLoad(t, proxy.port, { connections: 4, request: GET, tls: TLS }),
    runLoad(t, proxy.port, { connections: 2, request: GET, tls: TLS, fresh: true }),
  ];
  const hello = await helloBytes("TLSv1.3");
  const seed = randomInt(2 ** 32);
  const random = new Random(seed);
  const floods = [Buffer.from("1603010000".repeat(2000), "hex"), Buffer.from("15030100020100".repeat(2000), "hex")];
  const attacks: Promise<void>[] = [];
  for (let i = 0; i < 1000; i++) {
    const { socket, closed } = throwBytes(i < 20 ? (floods[i % 2] as Buffer) : hostileBytes(random, hello));
    // Some wait for an answer, some do not.
    if (random.once(2)) socket.end();
    attacks.push(closed);
    if (i % 50 === 49) await Promise.race([Promise.all(attacks), turn()]);
  }
  await Promise.all(attacks);
  for (const load of loads) {
    const { served, failures } = await load.stop();
    assert.deepEqual(failures, [], `seed ${seed}`);
    assert.ok(served > 0);
  }
  assert.doesNotMatch(proxy.output, /panic|worker \d+ (died|ended)/);
  await isServing();
});

/** Nothing but noise, noise in a record, or a ClientHello with some bytes changed, cut or doubled. */
function hostileBytes(random: Random, hello: Buffer): Buffer {
  const noise = Buffer.from(Array.from({ length: random.below(2000) }, () => random.below(256)));
  if (random.once(3)) return noise;
  if (random.once(3)) return Buffer.concat([Buffer.of(20 + random.below(5), 3, random.below(5)), sized(noise)]);
  const bytes = Buffer.concat(random.once(2) ? [hello, noise] : [hello.subarray(0, random.below(hello.length)), hello]);
  for (let i = random.below(8); i >= 0; i--) bytes[random.below(bytes.length)] = random.below(256);
  return bytes;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test("TLS-06: a flood of KeyUpdates from openssl ends its session, and nobody else's", async () => {
  const args = ["s_client", "-connect", `127.0.0.1:${proxy.port}`, "-servername", "a.test", "-tls1_3"];
  const child = spawn("openssl", args);
  let text = "";
  const ended = new Promise<void>((resolve) => void child.once("close", () => resolve()));
  child.stdin.on("error", () => undefined);
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data: Buffer) => {
      text += data.toString();
      child.stdin.write("k\n");
    });
  }
  await ended;
  assert.ok((text.match(/KEYUPDATE/g)?.length ?? 0) > 1);
  await isServing();
});

test("TLS-11: a client that ends without close_notify within a body: its request is cut off at the backend, too", async () => {
  const before = backend.connections;
  const socket = await secureConnect(proxy.port);
  socket.write("POST /cut HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n12345");
  await until("the backend has its part", () => backend.peers.some(({ pending }) => pending.includes("12345")));
  (socket as unknown as { _parent: Socket })._parent.end();
  const peer = backend.peers.find(({ pending }) => pending.includes("12345"));
  await until("the backend's connection is closed", () => peer?.socket.readableEnded || peer?.socket.destroyed);
  assert.ok(backend.requests.every(({ target }) => target !== "/cut"));
  assert.ok(backend.connections >= before);
  socket.destroy();
});

test("TLS-11: a backend that cuts a body off: curl hears that it is not whole", async () => {
  backend.handler = (request, peer) => {
    if (request.target !== "/cut") return peer.send(ok());
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
    peer.socket.destroySoon();
  };
  const where = ["--resolve", `a.test:${proxy.port}:127.0.0.1`, "-k", `https://a.test:${proxy.port}/cut`];
  const { code, text } = await runProgram("curl", ["-sS", ...where]);
  assert.ok(code === 18 || code === 56, text);
  await isServing();
});
