// QueryClusterById, QueryClustersByDomain and QueryClustersHashes (spec 4.4): what main has, and what each worker says.
// Workers answer with hashes. A worker whose hash of a cluster equals main's holds, by that, the same configuration,
// frontends and backends, so its entry is written from main's state; one whose hash differs has no such cluster in its
// entry, and is being replaced already (decisions 13). What workers do not get at all, because its traffic is not built,
// is in main's entry only, and no difference.

import type { Response } from "../command/gen/sozu_pb.ts";
import { type ContentInit, okResponse } from "../command/messages.ts";
import type { ConfigState } from "../command/state.ts";
import { type ClusterFacts, describeClusters } from "./queries.ts";
import type { WorkerHashes } from "./supervisor.ts";

/** More ids than this in one question are asked for as "all". */
const IDS_MAX = 200;
const QUERIED = "Successfully queried clusters";

/** What the queries ask. */
export interface ClusterQueryTargets {
  readonly state: ConfigState;
  /** Sends what waits to be sent, so that workers are asked about the state main has now. */
  flush(): void;
  queryHashes(clusterIds: readonly string[] | null): Promise<WorkerHashes>;
}

/** Answers with everything about these clusters, by main and by each worker. */
export async function queryClusters(targets: ClusterQueryTargets, ids: readonly string[]): Promise<Response> {
  targets.flush();
  const facts = describeClusters(targets.state, ids);
  const { mirror } = targets.state;
  const sums = new Map([...facts.keys()].map((id) => [id, mirror.clusterSum(id)]));
  const workers = await targets.queryHashes(ids.length > IDS_MAX ? null : ids);
  const map: Record<string, { contentType: ContentInit }> = { main: { contentType: clusters(facts.values()) } };
  for (const [worker, hashes] of workers) {
    const same = [...facts].filter(([id]) => {
      const sum = sums.get(id);
      return sum != null && hashes.get(id) === join(sum.low, sum.high);
    });
    map[worker] = {
      contentType: clusters(same.map(([, each]) => ({ ...each, tcpFrontends: [], udpFrontends: [] }))),
    };
  }
  return okResponse(QUERIED, { case: "workerResponses", value: { map } });
}

/** Answers with the hashes of all clusters, by main and by each worker. */
export async function queryHashes(targets: ClusterQueryTargets): Promise<Response> {
  targets.flush();
  const { state } = targets;
  const served = state.mirror.clusterHashes();
  const own = new Map<string, bigint>();
  for (const id of state.clusters.entries.keys()) own.set(id, state.clusterHash(id)!);
  const workers = await targets.queryHashes(null);
  const map: Record<string, { contentType: ContentInit }> = { main: { contentType: clusterHashes(own) } };
  for (const [worker, hashes] of workers) {
    const shown = new Map(hashes);
    for (const [id, hash] of own) if (hashes.get(id) === served.get(id)) shown.set(id, hash);
    map[worker] = { contentType: clusterHashes(shown) };
  }
  return okResponse(QUERIED, { case: "workerResponses", value: { map } });
}

function clusters(facts: Iterable<ClusterFacts>): ContentInit {
  return { case: "clusters", value: { vec: [...facts] } };
}

function clusterHashes(hashes: ReadonlyMap<string, bigint>): ContentInit {
  return { case: "clusterHashes", value: { map: Object.fromEntries(hashes) } };
}

function join(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}
