// Connections of one source address to one cluster (spec 13.5, RX-14, `cluster_ip_limit`).

import assert from "node:assert/strict";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { Cluster } from "../../src/balancing/cluster.ts";
import type { ClusterPolicyObject } from "../../src/command/objects.ts";
import {
  METRIC_CONNECTIONS_REJECTED_PER_CLUSTER_IP,
  ROW_CONNECTIONS_REJECTED_PER_CLUSTER_IP,
} from "../../src/observe/metrics.ts";
import { type Countable, IpLimits } from "../../src/proxy/ip-limits.ts";
import { backendOf, clusterOf, frontendOf, Rig } from "./rig.ts";
import { connect, type Peer } from "./wire-peers.ts";

const rig = new Rig({ retryAfter: 60 });
const backend = http.createServer((_request, response) => response.end("hi"));
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
let backendPort = 0;

before(async () => {
  await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve));
  backendPort = (backend.address() as AddressInfo).port;
});
afterEach(() => rig.proxy.setMaxConnectionsPerIp(0));
after(() => {
  rig.stop();
  backend.close();
  backend.closeAllConnections();
});

function policy(maxConnectionsPerIp: number | null, retryAfter: number | null = null): ClusterPolicyObject {
  return { answers: [], authorizedHashes: [], wwwAuthenticate: null, maxConnectionsPerIp, retryAfter };
}

async function served(peer: Peer, request = GET): Promise<void> {
  peer.send(request);
  await peer.has("200 OK");
  await peer.has("hi");
  peer.clear();
}

/** The answer's head; the peer is empty again. */
async function refused(peer: Peer): Promise<string> {
  peer.send(GET);
  const text = await peer.until((all) => {
    const length = /Content-Length: (\d+)\r\n/.exec(all)?.[1];
    return length !== undefined && all.length >= all.indexOf("\r\n\r\n") + 4 + Number(length);
  }, "an answer");
  peer.clear();
  assert.match(text, /^HTTP\/1\.1 429 /);
  return text;
}

async function gone(peer: Peer): Promise<void> {
  const sessions = rig.proxy.sessions;
  peer.socket.destroy();
  while (rig.proxy.sessions >= sessions) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("RX-14 test_h1_global_limit_emits_429: the second connection of an address, until the first is closed", async () => {
  const port = rig.listen([backendPort]);
  rig.proxy.setMaxConnectionsPerIp(1);
  const { values } = rig.stats;
  const before = values[METRIC_CONNECTIONS_REJECTED_PER_CLUSTER_IP];
  const first = await connect(port);
  await served(first);
  const second = await connect(port);
  assert.match(await refused(second), /\r\nRetry-After: 60\r\n/);
  await served(first); // counted already: never refused, however low the limit is now
  assert.equal(values[METRIC_CONNECTIONS_REJECTED_PER_CLUSTER_IP], before + 1);
  const cluster = rig.proxy.clusters.get(`app-${port}`) as Cluster;
  assert.equal(values[cluster.row + ROW_CONNECTIONS_REJECTED_PER_CLUSTER_IP], 1);
  await gone(first);
  await served(second);
  await gone(second);
  assert.equal(rig.proxy.context.ipLimits.size, 0);
});

test("RX-14 test_h1_retry_after_zero_elides_header", async () => {
  const port = rig.listen([backendPort]);
  rig.must({ kind: "add_cluster", cluster: { ...clusterOf(`app-${port}`), policy: policy(1, 0) } });
  const first = await connect(port);
  await served(first);
  const second = await connect(port);
  assert.doesNotMatch(await refused(second), /Retry-After/);
  rig.must({ kind: "add_cluster", cluster: { ...clusterOf(`app-${port}`), policy: policy(1, 7) } });
  assert.match(await refused(second), /\r\nRetry-After: 7\r\n/);
  await gone(first);
  await gone(second);
});

test("RX-14 test_h1_per_cluster_override: the cluster's own limit wins, 0 is unlimited", async () => {
  const port = rig.listen([backendPort]);
  const address = { ip: "127.0.0.1", port };
  const free = `free-${port}`;
  rig.must({ kind: "add_cluster", cluster: { ...clusterOf(`app-${port}`), policy: policy(2) } });
  rig.must({ kind: "add_cluster", cluster: { ...clusterOf(free), policy: policy(0) } });
  rig.must({ kind: "add_backend", backend: backendOf(free, backendPort) });
  rig.must({ kind: "add_http_frontend", frontend: { ...frontendOf(free, address), hostname: "free.test" } });
  rig.proxy.setMaxConnectionsPerIp(1);
  const peers = [await connect(port), await connect(port), await connect(port)];
  await served(peers[0]);
  await served(peers[1]);
  await refused(peers[2]);
  for (const peer of peers) await served(peer, GET.replace("Host: a", "Host: free.test"));
  await refused(peers[2]);
  for (const peer of peers) await gone(peer);
  assert.equal(rig.proxy.context.ipLimits.size, 0);
});

test("RX-14 a global limit of 0 forgets what was counted; a later limit counts anew", async () => {
  const port = rig.listen([backendPort]);
  rig.proxy.setMaxConnectionsPerIp(1);
  const first = await connect(port);
  await served(first);
  const second = await connect(port);
  await refused(second);
  rig.proxy.setMaxConnectionsPerIp(0);
  await served(second);
  assert.equal(rig.proxy.context.ipLimits.size, 0);
  rig.proxy.setMaxConnectionsPerIp(1);
  await served(second);
  await refused(first);
  await gone(second);
  await served(first);
  await gone(first);
  assert.equal(rig.proxy.context.ipLimits.size, 0);
});

test("RX-14 a connection without such a cluster is not counted, and counting is bounded for each connection", () => {
  const { records, bytes } = rig.proxy.context;
  const record = records.take();
  records.setAddress(record, new Int32Array([6, 1234, 0x20010db8, 0, 0, 1]));
  const limits = new IpLimits(records, bytes, 0);
  const front: Countable = { record, counted: null };
  const clusters = Array.from({ length: 100 }, (_, i) => new Cluster(`c${i}`));
  assert.ok(limits.admits(front, clusters[0]));
  assert.equal(front.counted, null);
  limits.setLimit(1);
  for (const cluster of clusters) assert.ok(limits.admits(front, cluster));
  assert.equal(limits.size, 16);
  const other: Countable = { record, counted: null };
  assert.ok(!limits.admits(other, clusters[99]), "the latest clusters are the ones it is counted for");
  assert.ok(limits.admits(other, clusters[0]));
  limits.release(front);
  assert.equal(limits.size, 1);
  limits.release(other);
  assert.equal(limits.size, 0);
  records.give(record);
});
