// TLS to backends (an addition): verified by default, pooled like plain connections, probed in the same way.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, afterEach, test } from "node:test";
import nodeTls from "node:tls";
import type { BackendTlsObject } from "../../src/command/objects-tls.ts";
import { METRIC_BACKEND_POOL_HIT } from "../../src/observe/metrics.ts";
import { tlsHandles } from "../../src/os/tls.ts";
import { makeCertificate } from "../command/certs.ts";
import { Rig } from "./rig.ts";
import { authority, leaf } from "./secure.ts";
import { connect, type Peer } from "./wire-peers.ts";

const rig = new Rig();
const { values } = rig.stats;
after(() => rig.stop());

const TLS: BackendTlsObject = {
  verify: true,
  ca: authority.pem,
  serverName: "example.com",
  certificate: null,
  key: null,
};
const GET = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

const cleanups: (() => void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) cleanup();
  rig.proxy.http.closeIdle();
  for (let i = 0; i < 500 && tlsHandles().sessions > 0; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(tlsHandles().sessions, 0);
});

interface Server {
  readonly port: number;
  readonly heads: string[];
  readonly names: (string | false | null | undefined)[];
  readonly sockets: nodeTls.TLSSocket[];
  readonly reused: boolean[];
}

/** A backend that answers each request with `answer`. */
async function server(
  options: nodeTls.TlsOptions = {},
  answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
): Promise<Server> {
  const heads: string[] = [];
  const names: (string | false | null | undefined)[] = [];
  const sockets: nodeTls.TLSSocket[] = [];
  const reused: boolean[] = [];
  const listener = nodeTls.createServer({ cert: leaf.pem, key: leaf.key, ...options }, (socket) => {
    sockets.push(socket);
    reused.push(socket.isSessionReused());
    names.push((socket as unknown as { servername: string | false }).servername);
    socket.on("error", () => {});
    socket.on("data", (data: Buffer) => {
      heads.push(data.toString("latin1"));
      if (answer.endsWith("CUT")) {
        socket.write(
          answer.slice(0, -3),
          () => (socket as unknown as { _parent?: net.Socket })._parent?.destroy() ?? socket.destroy(),
        );
      } else socket.write(answer);
    });
  });
  listener.on("tlsClientError", () => {});
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  cleanups.push(() => {
    listener.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (listener.address() as net.AddressInfo).port, heads, names, sockets, reused };
}

async function client(port: number): Promise<Peer> {
  const peer = await connect(port);
  cleanups.push(() => peer.socket.destroy());
  return peer;
}

function listen(port: number, tls: Partial<BackendTlsObject> = {}): number {
  return rig.listen([port], { cluster: { tls: { ...TLS, ...tls } } });
}

test("a request goes to its backend over TLS, with the name, and the connection is used again", async () => {
  const backend = await server();
  const peer = await client(listen(backend.port));
  const before = values[METRIC_BACKEND_POOL_HIT];
  for (let i = 0; i < 3; i++) {
    peer.clear();
    peer.send(GET);
    await peer.has("hi");
  }
  assert.match(backend.heads[0] as string, /^GET \/x HTTP\/1\.1\r\n/);
  assert.deepEqual(backend.names, ["example.com"]);
  assert.equal(values[METRIC_BACKEND_POOL_HIT] - before, 2);
});

test("a certificate of another authority, or for another name, is refused: 503; verify = false takes any", async () => {
  const stranger = makeCertificate({ names: ["example.com"] });
  const foreign = await server({ cert: stranger.pem, key: stranger.key });
  const known = await server();
  for (const [port, tls, status] of [
    [foreign.port, {}, 503],
    [known.port, { serverName: "other.test" }, 503],
    [known.port, { serverName: null }, 503],
    [foreign.port, { verify: false, serverName: null, ca: null }, 200],
  ] as const) {
    const peer = await client(listen(port, tls));
    peer.send(GET);
    assert.match(await peer.has("\r\n\r\n"), new RegExp(`^HTTP/1\\.1 ${status} `), JSON.stringify(tls));
  }
});

test("a backend that wants a certificate gets the cluster's", async () => {
  const ours = makeCertificate({ commonName: "proxy", names: ["proxy"], issuer: authority });
  const backend = await server({ requestCert: true, rejectUnauthorized: true, ca: authority.pem });
  const peer = await client(listen(backend.port, { certificate: ours.pem, key: ours.key }));
  peer.send(GET);
  await peer.has("hi");
  assert.equal(backend.sockets[0]?.getPeerCertificate().subject.CN, "proxy");
});

test("a change of the cluster's TLS closes what was connected before it", async () => {
  const backend = await server();
  const port = listen(backend.port);
  const peer = await client(port);
  peer.send(GET);
  await peer.has("hi");
  rig.must({
    kind: "add_cluster",
    cluster: { ...rig.clusterAt(port), tls: { ...TLS, serverName: "www.example.com" } },
  });
  peer.clear();
  peer.send(GET);
  await peer.has("hi");
  assert.deepEqual(backend.names, ["example.com", "www.example.com"]);
});

test("a large answer passes whole; a backend that does not speak TLS is 503", async () => {
  const body = "0123456789".repeat(100_000);
  const backend = await server({}, `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  const peer = await client(listen(backend.port));
  peer.send(GET);
  await peer.until((text) => text.endsWith(body), "the whole answer");
  const plain = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  plain.listen(0, "127.0.0.1");
  await once(plain, "listening");
  cleanups.push(() => plain.close());
  const other = await client(listen((plain.address() as net.AddressInfo).port));
  other.send(GET);
  assert.match(await other.has("\r\n\r\n"), /^HTTP\/1\.1 503 /);
});

test("TLS-11: a body until the end of the connection that ends without close_notify is cut off for the client, too", async () => {
  const backend = await server({}, "HTTP/1.1 200 OK\r\n\r\npart of itCUT");
  const peer = await client(listen(backend.port));
  peer.send(GET);
  const text = await peer.end();
  assert.ok(!text.endsWith("0\r\n\r\n"), text);
});

test("health probes speak TLS, and judge the certificate", async () => {
  const good = await server();
  const healthCheck = {
    uri: "/health",
    interval: 1,
    timeout: 2,
    healthyThreshold: 1,
    unhealthyThreshold: 1,
    expectedStatus: 0,
    tcp: false,
    acceptedStatuses: [],
  };
  const port = listen(good.port);
  rig.must({ kind: "add_cluster", cluster: { ...rig.clusterAt(port), tls: TLS, healthCheck } });
  for (let i = 0; i < 400 && good.heads.length === 0; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.match(good.heads[0] as string, /^GET \/health HTTP\/1\.1\r\n/);
  rig.must({ kind: "remove_cluster", clusterId: `app-${port}` });
});

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`a new connection to a backend resumes the session of the last, over ${version}; a new policy does not`, async () => {
    const backend = await server({ minVersion: version, maxVersion: version });
    const port = listen(backend.port);
    for (let i = 0; i < 3; i++) {
      const peer = await client(port);
      peer.send(GET);
      await peer.has("hi");
      rig.proxy.http.closeIdle();
    }
    assert.deepEqual(backend.reused, [false, true, true]);
    const stranger = await server({ minVersion: version, maxVersion: version });
    const peer = await client(listen(stranger.port));
    peer.send(GET);
    await peer.has("hi");
    assert.deepEqual(stranger.reused, [false]);
  });
}
