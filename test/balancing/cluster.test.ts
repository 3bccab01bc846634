// Clusters and their table: tiers, fail-open, what changes keep, and identity.

import assert from "node:assert/strict";
import { test } from "node:test";
import { AVAILABILITY_LOST, AVAILABILITY_RECOVERED, AVAILABILITY_SAME, Cluster } from "../../src/balancing/cluster.ts";
import { ClusterTable } from "../../src/balancing/cluster-table.ts";
import {
  ALGORITHMS,
  backendObject,
  clusterObject,
  clusterOf,
  fail,
  LEAST_LOADED,
  RANDOM,
  ROUND_ROBIN,
  seeded,
  shares,
} from "./sample-cluster.ts";

const random = seeded(1);

test("a cluster without backends has nothing to pick", () => {
  for (const algorithm of ALGORITHMS) assert.equal(clusterOf(algorithm, []).pick(0, random), null);
});

test("one backend is picked whenever it can be opened", () => {
  for (const algorithm of ALGORITHMS) {
    const cluster = clusterOf(algorithm, [1]);
    const [backend] = cluster.backends;
    assert.equal(cluster.pick(0, random), backend);
    fail(backend, 0);
    assert.equal(cluster.pick(999, random), null);
    assert.equal(cluster.pick(1000, random), backend);
  }
});

test("backups are picked only while no ordinary backend can be opened", () => {
  const cluster = clusterOf(ROUND_ROBIN, [100, 100]);
  cluster.addBackend(backendObject("b2", { backup: true }));
  cluster.addBackend(backendObject("b3", { backup: true }));
  assert.deepEqual([...shares(cluster, 10, random).keys()], ["b0", "b1"]);
  fail(cluster.backends[0], 0);
  assert.deepEqual([...shares(cluster, 10, random, 1).keys()], ["b1"]);
  fail(cluster.backends[1], 1);
  assert.deepEqual([...shares(cluster, 10, random, 2).keys()], ["b2", "b3"]);
  assert.deepEqual([...shares(cluster, 10, random, 1000).keys()], ["b0"]);
});

test("when every health check fails they are ignored, and that is counted", () => {
  const cluster = clusterOf(ROUND_ROBIN, [100, 100]);
  const [b0, b1] = cluster.backends;
  b0.healthy = false;
  assert.equal(cluster.pick(0, random), b1);
  assert.equal(cluster.failOpenPicks, 0);
  b1.healthy = false;
  fail(b1, 0);
  assert.equal(cluster.pick(1, random), b0);
  assert.equal(cluster.failOpenPicks, 1);
  fail(b0, 1);
  assert.equal(cluster.pick(2, random), null, "back-off is never ignored");
});

test("an unhealthy ordinary backend does not keep a healthy backup from being picked", () => {
  const cluster = clusterOf(ROUND_ROBIN, [100]);
  cluster.addBackend(backendObject("b1", { backup: true }));
  cluster.backends[0].healthy = false;
  assert.equal(cluster.pick(0, random)?.id, "b1");
});

test("adding a backend again changes its parameters and keeps its counters and back-off", () => {
  const cluster = clusterOf(ROUND_ROBIN, [100, 100]);
  const [backend] = cluster.backends;
  backend.activeConnections = 3;
  backend.row = 77;
  fail(backend, 0);
  const again = cluster.addBackend(backendObject("b0", { weight: 7, backup: true, stickyId: "s" }));
  assert.equal(again, backend);
  assert.equal(cluster.backends.length, 2);
  assert.deepEqual(
    [again.weight, again.backup, again.stickyId, again.activeConnections, again.row],
    [7, true, "s", 3, 77],
  );
  assert.equal(again.canOpen(999), false);
});

test("the same id at another address is another backend", () => {
  const cluster = clusterOf(ROUND_ROBIN, []);
  const first = cluster.addBackend(backendObject("b", { address: { ip: "127.0.0.1", port: 80 } }));
  const second = cluster.addBackend(backendObject("b", { address: { ip: "127.0.0.1", port: 81 } }));
  assert.notEqual(first, second);
  assert.equal(cluster.removeBackend("b", "127.0.0.1", 80), first);
  assert.deepEqual(cluster.backends, [second]);
});

test("a removed backend is marked, never picked again, and a new one starts afresh", () => {
  const cluster = clusterOf(ROUND_ROBIN, [100, 100]);
  const removed = cluster.removeBackend("b0", "127.0.0.1", 1000);
  assert.equal(removed?.removed, true);
  assert.equal(removed?.canOpen(0), false);
  assert.deepEqual([...shares(cluster, 10, random).keys()], ["b1"]);
  assert.equal(cluster.removeBackend("b0", "127.0.0.1", 1000), null);
  assert.equal(cluster.removeBackend("b1", "127.0.0.1", 9), null);
  const added = cluster.addBackend(backendObject("b0"));
  assert.notEqual(added, removed);
  assert.deepEqual([...shares(cluster, 10, random).keys()].sort(), ["b0", "b1"]);
});

test("weights changed at run time count from the next pick", () => {
  const cluster = clusterOf(ROUND_ROBIN, [100, 100]);
  cluster.pick(0, random);
  cluster.addBackend(backendObject("b1", { weight: 25 }));
  const found = shares(cluster, 100_000, random);
  assert.ok(Math.abs((found.get("b1") ?? 0) - 20) < 2);
});

test("configuring again keeps backends and the turn, another algorithm begins anew", () => {
  const cluster = clusterOf(ROUND_ROBIN, [100, 100, 100]);
  cluster.pick(0, random);
  cluster.configure(clusterObject({ stickySession: true }));
  assert.equal(cluster.pick(0, random)?.id, "b1");
  cluster.configure(clusterObject({ loadBalancing: LEAST_LOADED }));
  cluster.backends[0].activeConnections = 1;
  cluster.backends[1].activeConnections = 1;
  assert.equal(cluster.pick(0, random)?.id, "b2");
});

test("backends without a configured cluster are balanced at random", () => {
  const cluster = new Cluster("app");
  cluster.addBackend(backendObject("b0", { weight: 30 }));
  cluster.addBackend(backendObject("b1", { weight: 10 }));
  assert.ok(Math.abs((shares(cluster, 100_000, seeded(3)).get("b0") ?? 0) - 75) < 2);
  cluster.configure(clusterObject());
  cluster.configure(null);
  assert.equal(cluster.config, null);
  assert.notEqual(cluster.pick(0, random), null);
});

test("a sticky cookie names a backend by sticky id or, without one, by id, while it can be opened", () => {
  const cluster = clusterOf(ROUND_ROBIN, [100]);
  const sticky = cluster.addBackend(backendObject("b1", { stickyId: "cookie-1" }));
  assert.equal(cluster.pickSticky("cookie-1", 0), sticky);
  assert.equal(cluster.pickSticky("b1", 0), null, "its sticky id counts, not its id");
  assert.equal(cluster.pickSticky("b0", 0), cluster.backends[0]);
  assert.equal(cluster.pickSticky("nobody", 0), null);
  fail(sticky, 0);
  assert.equal(cluster.pickSticky("cookie-1", 1), null);
});

test("of several backends with one sticky id the first that can be opened is taken, as they are now", () => {
  const cluster = clusterOf(ROUND_ROBIN, [100, 100, 100]);
  const [b0, b1, b2] = cluster.backends;
  for (const backend of [b0, b1]) cluster.addBackend(backendObject(backend.id, { stickyId: "same" }));
  assert.equal(cluster.pickSticky("same", 0), b0);
  fail(b0, 0);
  assert.equal(cluster.pickSticky("same", 1), b1);
  cluster.removeBackend(b1.id, b1.address.ip, b1.address.port);
  assert.equal(cluster.pickSticky("same", 1), null);
  assert.equal(cluster.pickSticky("b2", 1), b2);
  cluster.addBackend(backendObject("b2", { stickyId: "same" }));
  assert.equal(cluster.pickSticky("same", 1), b2);
  assert.equal(cluster.pickSticky("b2", 1), null);
});

test("the outage of a whole cluster is told once, and so is its end", () => {
  const cluster = clusterOf(ROUND_ROBIN, [100, 100]);
  assert.equal(cluster.checkAvailability(), AVAILABILITY_SAME);
  cluster.backends[0].healthy = false;
  assert.equal(cluster.checkAvailability(), AVAILABILITY_SAME);
  let now = 0;
  for (let i = 0; i < 6; i++, now += 100_000) fail(cluster.backends[1], now);
  assert.equal(cluster.availableBackends, 0);
  assert.equal(cluster.checkAvailability(), AVAILABILITY_LOST);
  assert.equal(cluster.checkAvailability(), AVAILABILITY_SAME);
  cluster.backends[1].onConnected(now, 1);
  assert.equal(cluster.availableBackends, 1);
  assert.equal(cluster.checkAvailability(), AVAILABILITY_RECOVERED);
  assert.equal(cluster.checkAvailability(), AVAILABILITY_SAME);
});

test("a cluster without backends is no outage", () => {
  assert.equal(clusterOf(ROUND_ROBIN, []).checkAvailability(), AVAILABILITY_SAME);
});

test("ids and addresses are there as bytes", () => {
  const cluster = new Cluster("é");
  assert.deepEqual(Buffer.from(cluster.idBytes).toString(), "é");
  const four = cluster.addBackend(backendObject("b", { address: { ip: "10.0.0.1", port: 80 } }));
  const six = cluster.addBackend(backendObject("b", { address: { ip: "::1", port: 80 } }));
  assert.equal(Buffer.from(four.addressBytes).toString(), "10.0.0.1:80");
  assert.equal(Buffer.from(six.addressBytes).toString(), "[::1]:80");
  assert.equal(Buffer.from(six.idBytes).toString(), "b");
});

test("10,000 backends are added and removed without quadratic sorting", () => {
  const cluster = clusterOf(ROUND_ROBIN, new Array(10_000).fill(1));
  assert.equal(new Set(Array.from({ length: 10_000 }, () => cluster.pick(0, random))).size, 10_000);
  for (let i = 0; i < 9_999; i++) cluster.removeBackend(`b${i}`, "127.0.0.1", 1000 + i);
  assert.equal(cluster.pick(0, random)?.id, "b9999");
});

test("a backend may come before its cluster, and a removed cluster leaves its backends", () => {
  const table = new ClusterTable();
  const backend = table.addBackend(backendObject("b0"));
  const cluster = table.get("app");
  assert.equal(cluster?.config, null);
  assert.equal(table.setCluster(clusterObject()), cluster);
  assert.equal(table.removeCluster("app"), cluster);
  assert.equal(table.get("app"), cluster);
  assert.equal(cluster?.pick(0, random), backend);
  assert.equal(table.removeCluster("app"), null, "not configured any more");
  assert.equal(table.removeBackend("app", "b0", backend.address), backend);
  assert.equal(table.get("app"), null, "nothing is left of it");
  assert.equal(table.removeBackend("app", "b0", backend.address), null);
});

test("who asked for a cluster keeps the one of this id until it is released", () => {
  const table = new ClusterTable();
  const held = table.ensure("app");
  assert.equal(table.setCluster(clusterObject()), held);
  table.removeCluster("app");
  assert.equal(table.size, 1);
  const backend = table.addBackend(backendObject("b0"));
  assert.equal(held.pick(0, random), backend);
  table.removeBackend("app", "b0", backend.address);
  table.release(held);
  assert.equal(table.size, 0);
  assert.notEqual(table.ensure("app"), held);
});

test("ids that are names of JavaScript objects are plain data", () => {
  const table = new ClusterTable();
  for (const id of ["__proto__", "constructor", "toString"]) {
    assert.equal(table.get(id), null);
    table.setCluster(clusterObject({ clusterId: id, loadBalancing: RANDOM }));
    table.addBackend(backendObject(id, { clusterId: id }));
    assert.equal(table.get(id)?.pick(0, random)?.id, id);
  }
  assert.deepEqual([...table.all()].map((cluster) => cluster.id).sort(), ["__proto__", "constructor", "toString"]);
});

test("a cluster whose backends speak HTTP/2 picks none of them, and all again once they do not", () => {
  const transport = { proxyProtocol: null, http2: true, udp: null };
  for (const count of [1, 3]) {
    const cluster = clusterOf(ROUND_ROBIN, new Array<number>(count).fill(100));
    const config = cluster.config!;
    assert.notEqual(cluster.pick(0, random), null);
    cluster.configure({ ...config, transport });
    assert.equal(cluster.pick(0, random), null);
    assert.equal(cluster.pickSticky("b0", 0), null);
    cluster.addBackend(backendObject("later"));
    assert.equal(cluster.pick(0, random), null);
    cluster.configure(config);
    assert.equal(shares(cluster, 20, random).size, count + 1);
  }
});
