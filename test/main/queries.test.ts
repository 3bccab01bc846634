import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { FrontendFiltersSchema, type Response } from "../../src/command/gen/sozu_pb.ts";
import { decodeHashes, encodeHashes } from "../../src/command/hash-packets.ts";
import { decodeList, encodeList } from "../../src/command/list-packets.ts";
import { ConfigState } from "../../src/command/state.ts";
import { decodePacket, PACKET, PACKET_BYTES_MAX } from "../../src/command/worker-protocol.ts";
import { type ClusterQueryTargets, queryClusters, queryHashes } from "../../src/main/cluster-queries.ts";
import { clustersByDomain, countRequests, listFrontends, listListeners } from "../../src/main/queries.ts";
import { WorkerQueries } from "../../src/main/worker-queries.ts";
import { addBackend, addCluster, addFrontend, addListener, removeCluster } from "../command/requests.ts";

function sample(): ConfigState {
  const state = new ConfigState();
  const requests = [
    addListener("0.0.0.0:8080"),
    addCluster("app"),
    addCluster("__proto__"),
    addFrontend("b.test", "/x"),
    addFrontend("a.test"),
    addFrontend("api.test", "/", { clusterId: "__proto__" }),
    addFrontend("deny.test", "/", { clusterId: undefined }),
    addBackend("app", "b1", "127.0.0.1:2"),
    addBackend("app", "b0", "127.0.0.1:1"),
    removeCluster("nobody"),
  ];
  for (const request of requests) state.apply(request, "socket");
  return state;
}

function hostnames(state: ConfigState, filters: object): string[] {
  const all = { http: false, https: false, tcp: false, ...filters };
  const content = listFrontends(state, create(FrontendFiltersSchema, all));
  assert.ok(content.case === "frontendList");
  return (content.value.httpFrontends ?? []).map(({ hostname }) => hostname ?? "");
}

test("frontends are listed by protocol and by a part of the host, sorted", () => {
  const state = sample();
  assert.deepEqual(hostnames(state, {}), ["a.test", "api.test", "b.test", "deny.test"]);
  assert.deepEqual(hostnames(state, { http: true, domain: "A" }), ["a.test", "api.test"]);
  assert.deepEqual(hostnames(state, { tcp: true }), []);
});

test("listeners by address; requests by name, each counted once, refused ones too", () => {
  const state = sample();
  const listeners = listListeners(state);
  assert.ok(listeners.case === "listenersList");
  assert.deepEqual(Object.keys(listeners.value.httpListeners ?? {}), ["0.0.0.0:8080"]);
  const counts = countRequests(state);
  assert.ok(counts.case === "requestCounts");
  assert.deepEqual(counts.value.map, {
    AddHttpListener: 1,
    AddCluster: 2,
    AddHttpFrontend: 4,
    AddBackend: 2,
    RemoveCluster: 1,
  });
});

test("clusters by domain: the exact host, and the path rule when one is given", () => {
  const state = sample();
  assert.deepEqual(clustersByDomain(state, "b.test", null), ["app"]);
  assert.deepEqual(clustersByDomain(state, "B.test", "/x"), ["app"]);
  assert.deepEqual(clustersByDomain(state, "b.test", "/"), []);
  assert.deepEqual(clustersByDomain(state, "test", null), []);
  assert.deepEqual(clustersByDomain(state, "deny.test", null), []);
});

function targets(state: ConfigState, workers: Record<number, Map<string, bigint>>): ClusterQueryTargets {
  const hashes = new Map(Object.entries(workers).map(([id, map]) => [Number(id), map]));
  return { state, flush: () => undefined, queryHashes: async () => hashes };
}

function vecSizes(response: Response): Record<string, number> {
  const held = response.content?.contentType;
  assert.ok(held?.case === "workerResponses");
  const sizes: Record<string, number> = {};
  for (const [name, { contentType }] of Object.entries(held.value.map)) {
    sizes[name] = contentType.case === "clusters" ? contentType.value.vec.length : -1;
  }
  return sizes;
}

test("a cluster is shown for each worker that has the same, and main", async () => {
  const state = sample();
  const own = state.mirror.clusterHashes();
  const differing = new Map(own).set("app", 1n);
  const answer = await queryClusters(targets(state, { 0: own, 3: differing, 4: new Map() }), ["app"]);
  assert.deepEqual(vecSizes(answer), { main: 1, 0: 1, 3: 0, 4: 0 });
  const held = answer.content?.contentType;
  assert.ok(held?.case === "workerResponses");
  const main = held.value.map["main"].contentType;
  assert.ok(main.case === "clusters");
  const [info] = main.value.vec;
  assert.deepEqual(
    [info.backends.map(({ backendId }) => backendId), info.httpFrontends.map(({ hostname }) => hostname)],
    [
      ["b0", "b1"],
      ["a.test", "b.test"],
    ],
  );
  assert.deepEqual(vecSizes(await queryClusters(targets(state, { 0: own }), ["nobody"])), { main: 0, 0: 0 });
  assert.deepEqual(vecSizes(await queryClusters(targets(state, { 0: own }), ["__proto__"])), { main: 1, 0: 1 });
});

test("hashes of all clusters come from main and from each worker", async () => {
  const state = sample();
  const answer = await queryHashes(targets(state, { 1: new Map([["app", 5n]]) }));
  const held = answer.content?.contentType;
  assert.ok(held?.case === "workerResponses");
  const { main, 1: worker } = held.value.map;
  assert.ok(main.contentType.case === "clusterHashes" && worker.contentType.case === "clusterHashes");
  assert.deepEqual(Object.keys(main.contentType.value.map).sort(), ["__proto__", "app"]);
  assert.equal(worker.contentType.value.map["app"], 5n);
});

test("hashes travel in packets that fit, whatever their number and names", () => {
  const hashes = Array.from({ length: 5000 }, (_, i) => ({
    id: `ü${"x".repeat(i % 250)}${i}`,
    low: i,
    high: 2 ** 32 - 1,
  }));
  const back: typeof hashes = [];
  let lasts = 0;
  for (const bytes of encodeHashes(7, hashes)) {
    assert.ok(bytes.length <= PACKET_BYTES_MAX);
    const packet = decodePacket(bytes);
    assert.equal(packet?.number, 7);
    const part = decodeHashes(packet?.body ?? new Uint8Array(0));
    assert.ok(part !== null);
    back.push(...part.hashes);
    if (part.last) lasts += 1;
  }
  assert.equal(lasts, 1);
  assert.deepEqual(back, hashes);
  assert.equal([...encodeHashes(1, [])].length, 1);
  for (const broken of [[], [1, 2], [1, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 65]]) {
    assert.equal(decodeHashes(Uint8Array.from(broken)), null);
  }
});

test("a query ends when every worker has answered or ended, or when its time is up", async () => {
  const queries = new WorkerQueries<number[]>(() => []);
  const asked: number[] = [];
  const ask = (ids: readonly number[], timeoutMs: number) =>
    queries.ask(
      ids.map((id) => ({ id })),
      (_worker, number) => void asked.push(number),
      timeoutMs,
    );
  const first = ask([1, 2], 10_000);
  const number = asked[0];
  queries.onPart(1, number, false, (parts) => parts.push(1));
  queries.onPart(1, number + 1, true, () => assert.fail("nobody asked"));
  queries.onPart(1, number, true, (parts) => parts.push(2));
  queries.onPart(2, number, false, (parts) => parts.push(3));
  queries.onGone(2);
  assert.deepEqual([...(await first)], [[1, [1, 2]]]);
  assert.equal((await ask([3], 1)).size, 0);
  assert.equal((await ask([], 10_000)).size, 0);
});

test("the health of 3,000 backends crosses in packets that fit, whatever their names", () => {
  const health = Array.from({ length: 3000 }, (_, i) => ({
    clusterId: `ü${"x".repeat(i % 250)}`,
    backendId: `b${i}`,
    address: { ip: "127.0.0.1", port: 1 + i },
    available: i % 2 === 0,
    healthy: true,
    reason: i % 2 === 0 ? "" : "connection refused, next attempt in 3 s",
    activeRequests: i,
  }));
  const back: typeof health = [];
  let lasts = 0;
  for (const bytes of encodeList(PACKET.HEALTH, 9, health)) {
    assert.ok(bytes.length <= PACKET_BYTES_MAX);
    const part = decodeList<(typeof health)[number]>(decodePacket(bytes)!.body);
    assert.ok(part !== null);
    back.push(...part.items);
    if (part.last) lasts += 1;
  }
  assert.equal(lasts, 1);
  assert.deepEqual(back, health);
  assert.equal([...encodeList(PACKET.HEALTH, 1, [])].length, 1);
  for (const broken of [[], [1], [1, 0x7b], [1, 0x7b, 0x7d]]) assert.equal(decodeList(Uint8Array.from(broken)), null);
});
