// `sozu cluster add`, `remove` and `list`.

import { LoadBalancingAlgorithms } from "../command/gen/sozu_pb.ts";
import { control } from "./control.ts";
import { CliError } from "./errors.ts";
import type { GlobalOptions } from "./options.ts";

/** What `cluster add` was given. */
export interface ClusterOptions extends GlobalOptions {
  readonly id: string;
  readonly stickySession?: boolean;
  readonly httpsRedirect?: boolean;
  readonly httpsRedirectPort?: number;
  readonly loadBalancingPolicy: string;
}

/** What `cluster list` was given; at most one of the two. */
export interface ClusterListOptions extends GlobalOptions {
  readonly id?: string;
  /** `host` or `host/path`. */
  readonly domain?: string;
}

/** The policies by the names Sozu's command line has for them. */
export const POLICIES: Readonly<Record<string, LoadBalancingAlgorithms>> = {
  round_robin: LoadBalancingAlgorithms.ROUND_ROBIN,
  random: LoadBalancingAlgorithms.RANDOM,
  power_of_two: LoadBalancingAlgorithms.POWER_OF_TWO,
  least_loaded: LoadBalancingAlgorithms.LEAST_LOADED,
  hrw: LoadBalancingAlgorithms.HRW,
  maglev: LoadBalancingAlgorithms.MAGLEV,
};

/** Adds a cluster, or changes the one with this id. */
export async function addCluster(options: ClusterOptions): Promise<void> {
  const policy = options.loadBalancingPolicy.toLowerCase();
  if (!Object.hasOwn(POLICIES, policy)) {
    const { nearest } = await import("../config/suggest.ts");
    const meant = nearest(policy, Object.keys(POLICIES));
    const next = meant === null ? `choose one of ${Object.keys(POLICIES).join(", ")}` : `did you mean ${meant}?`;
    throw new CliError(`"${options.loadBalancingPolicy}" is not a load balancing policy`, next);
  }
  await control(options, {
    case: "addCluster",
    value: {
      clusterId: options.id,
      stickySession: options.stickySession === true,
      httpsRedirect: options.httpsRedirect === true,
      loadBalancing: POLICIES[policy],
      ...(options.httpsRedirectPort === undefined ? {} : { httpsRedirectPort: options.httpsRedirectPort }),
    },
  });
}

/** Removes a cluster; its frontends and backends stay in the state until they are removed (spec 4.7). */
export async function removeCluster(options: ClusterListOptions & { readonly id: string }): Promise<void> {
  await control(options, { case: "removeCluster", value: options.id }, "sozu cluster list shows all clusters");
}

/** Shows one cluster, those of a domain, or the hashes of all. */
export async function listClusters(options: ClusterListOptions): Promise<void> {
  const { id, domain } = options;
  if (id !== undefined && domain !== undefined) {
    throw new CliError("Please provide either one cluster id or one domain name", "leave out --id or --domain");
  }
  if (id !== undefined) await control(options, { case: "queryClusterById", value: id });
  else if (domain === undefined) await control(options, { case: "queryClustersHashes", value: {} });
  else {
    const slash = domain.indexOf("/");
    const hostname = slash < 0 ? domain : domain.slice(0, slash);
    const value = slash < 0 ? { hostname } : { hostname, path: domain.slice(slash) };
    await control(options, { case: "queryClustersByDomain", value });
  }
}
