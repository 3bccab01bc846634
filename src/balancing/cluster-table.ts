// All clusters of a worker. Clusters and backends may be configured in any order, as the state allows it (spec 4.7): a
// backend before its cluster makes the cluster, and removing a cluster leaves its backends in place.
// Ids are keys of a map, so names such as `__proto__` are plain data.

import type { BackendObject, ClusterObject, SocketAddress } from "../command/objects.ts";
import { ShardedMap } from "../command/sharded-map.ts";
import type { Backend } from "./backend.ts";
import { Cluster } from "./cluster.ts";

export { Cluster };

/** Changes that are in force and not carried out yet. */
export interface UnsettledClusters {
  /** Carries out those of one cluster and its backends; nothing happens when there are none. */
  settleCluster(id: string): void;
}

/** Clusters by id. */
export class ClusterTable {
  /** Asked before a request uses a cluster; null: nothing is outstanding. */
  unsettled: UnsettledClusters | null;
  private readonly clusters: ShardedMap<Cluster>;

  constructor() {
    this.unsettled = null;
    this.clusters = new ShardedMap();
  }

  /** Number of clusters, those without configuration included. */
  get size(): number {
    return this.clusters.size;
  }

  /** All clusters, in no order that means anything. */
  all(): Iterable<Cluster> {
    return this.clusters.values();
  }

  /** The cluster of an id, or null. */
  get(id: string): Cluster | null {
    return this.clusters.get(id) ?? null;
  }

  /**
   * The cluster of an id, made when it does not exist. The caller may keep the object: it stays the one of this id,
   * through removal and addition, until release() was called as often as ensure().
   */
  ensure(id: string): Cluster {
    const cluster = this.entry(id);
    cluster.references++;
    return cluster;
  }

  /** Gives back what ensure() returned. */
  release(cluster: Cluster): void {
    cluster.references--;
    this.forget(cluster);
  }

  /** Adds or changes a cluster; its backends stay. */
  setCluster(object: ClusterObject): Cluster {
    const cluster = this.entry(object.clusterId);
    cluster.configure(object);
    return cluster;
  }

  /** Forgets the configuration of a cluster; it is gone for good once nothing needs it. null: not configured. */
  removeCluster(id: string): Cluster | null {
    const cluster = this.clusters.get(id);
    if (cluster === undefined || cluster.config === null) {
      return null;
    }
    cluster.configure(null);
    this.forget(cluster);
    return cluster;
  }

  /** Adds a backend, or changes the one with the same id and address. */
  addBackend(object: BackendObject): Backend {
    return this.entry(object.clusterId).addBackend(object);
  }

  /** Removes a backend; null: there is none with this id and address. */
  removeBackend(clusterId: string, backendId: string, address: SocketAddress): Backend | null {
    const cluster = this.clusters.get(clusterId);
    if (cluster === undefined) {
      return null;
    }
    const backend = cluster.removeBackend(backendId, address.ip, address.port);
    this.forget(cluster);
    return backend;
  }

  private entry(id: string): Cluster {
    let cluster = this.clusters.get(id);
    if (cluster === undefined) {
      cluster = new Cluster(id);
      this.clusters.set(id, cluster);
    }
    return cluster;
  }

  private forget(cluster: Cluster): void {
    if (cluster.config === null && cluster.backends.length === 0 && cluster.references <= 0) {
      this.clusters.delete(cluster.id);
    }
  }
}
