// Sample clusters and backends, and a seeded source of randomness, for the tests of this room.

import type { Backend } from "../../src/balancing/backend.ts";
import { Cluster } from "../../src/balancing/cluster.ts";
import type { BackendObject, ClusterObject } from "../../src/command/objects.ts";

export const ROUND_ROBIN = 0;
export const RANDOM = 1;
export const LEAST_LOADED = 2;
export const POWER_OF_TWO = 3;
export const HRW = 4;
export const MAGLEV = 5;
export const ALGORITHMS = [ROUND_ROBIN, RANDOM, LEAST_LOADED, POWER_OF_TWO, HRW, MAGLEV];

export function clusterObject(parts: Partial<ClusterObject> = {}): ClusterObject {
  return {
    clusterId: "app",
    stickySession: false,
    httpsRedirect: false,
    httpsRedirectPort: null,
    loadBalancing: ROUND_ROBIN,
    loadMetric: 0,
    sharedBackendConnections: true,
    policy: null,
    healthCheck: null,
    tuning: null,
    transport: null,
    tls: null,
    ...parts,
  };
}

export function backendObject(id: string, parts: Partial<BackendObject> = {}): BackendObject {
  return {
    clusterId: "app",
    backendId: id,
    address: { ip: "127.0.0.1", port: 1000 + Number.parseInt(id.replace(/\D/g, "") || "0", 10) },
    weight: 100,
    stickyId: null,
    backup: false,
    ...parts,
  };
}

/** A configured cluster with backends b0, b1, ... of these weights. */
export function clusterOf(loadBalancing: number, weights: readonly number[], loadMetric = 0): Cluster {
  const cluster = new Cluster("app");
  cluster.configure(clusterObject({ loadBalancing, loadMetric }));
  for (const [at, weight] of weights.entries()) cluster.addBackend(backendObject(`b${at}`, { weight }));
  return cluster;
}

/** mulberry32: small, seeded, good enough to test shares. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The shares of the picks by backend id, in percent; each pick has a key of its own. */
export function shares(cluster: Cluster, picks: number, random: () => number, nowMs = 0): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i < picks; i++) {
    const id = cluster.pick(nowMs, random, (random() * 2 ** 32) | 0)?.id ?? "none";
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return new Map([...counts].map(([id, count]) => [id, (count * 100) / picks]));
}

/** Fails a backend once; it cannot be opened for at least a second. */
export function fail(backend: Backend, nowMs: number): void {
  backend.onConnectFailed(nowMs, () => 0.5);
}
