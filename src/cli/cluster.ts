// `sozu cluster add`, `remove` and `list`.

import { LoadBalancingAlgorithms, ProxyProtocolConfig } from "../command/gen/sozu_pb.ts";
import { checkHash } from "../policies/credentials.ts";
import { ask, control } from "./control.ts";
import { CliError, UsageError } from "./errors.ts";
import { type GlobalOptions, givenOf } from "./options.ts";
import { type BackendTlsOptions, readBackendTls } from "./tls-options.ts";
import { readAnswers, readWord } from "./values.ts";

/** What `cluster add` was given. */
export interface ClusterOptions extends GlobalOptions, BackendTlsOptions {
  readonly id: string;
  readonly stickySession?: boolean;
  readonly httpsRedirect?: boolean;
  readonly httpsRedirectPort?: number;
  readonly loadBalancingPolicy: string;
  readonly wwwAuthenticate?: string;
  readonly authorizedHash?: readonly string[];
  readonly answer?: readonly string[];
  readonly resetAnswer?: readonly string[];
  readonly maxConnectionsPerIp?: number;
  readonly retryAfter?: number;
  readonly affinity?: string;
  readonly slowStart?: number;
  readonly ejectAfter?: number;
  readonly ejectionTime?: number;
  readonly sendProxy?: boolean;
  readonly expectProxy?: boolean;
  readonly http2?: boolean;
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
  const policy = readWord("load balancing policy", options.loadBalancingPolicy, Object.keys(POLICIES), "_", UsageError);
  checkHashes(options.authorizedHash ?? []);
  await control(options, {
    case: "addCluster",
    value: {
      clusterId: options.id,
      stickySession: options.stickySession === true,
      httpsRedirect: options.httpsRedirect === true,
      loadBalancing: Object.values(POLICIES)[policy]!,
      answers: readAnswers(options.answer ?? [], options.resetAnswer ?? []),
      authorizedHashes: [...(options.authorizedHash ?? [])],
      ...(options.maxConnectionsPerIp === undefined
        ? {}
        : { maxConnectionsPerIp: BigInt(options.maxConnectionsPerIp) }),
      ...givenOf(options, ["httpsRedirectPort", "wwwAuthenticate", "retryAfter"]),
      ...proxyProtocol(options),
      ...givenOf(options, ["http2"]),
      ...readBackendTls(options),
      ...givenOf(options, ["affinity", "slowStart", "ejectAfter", "ejectionTime"]),
    },
  });
}

/** A stock proxy stores whatever it is given, and the entry never matches. */
function checkHashes(hashes: readonly string[]): void {
  for (const text of hashes) {
    const wrong = checkHash(text);
    if (wrong === null) continue;
    const next = "write user:hash, where hash is the output of: printf '<password>' | sha256sum";
    throw new CliError(`--authorized-hash: ${wrong}`, next);
  }
}

function proxyProtocol({ sendProxy, expectProxy }: ClusterOptions): { proxyProtocol?: ProxyProtocolConfig } {
  if (sendProxy === true && expectProxy === true) return { proxyProtocol: ProxyProtocolConfig.RELAY_HEADER };
  if (sendProxy === true) return { proxyProtocol: ProxyProtocolConfig.SEND_HEADER };
  return expectProxy === true ? { proxyProtocol: ProxyProtocolConfig.EXPECT_HEADER } : {};
}

/** Says whether the backends of a cluster speak HTTP/2; the rest of it stays as main has it. @throws CliError */
export async function setHttp2(options: ClusterOptions, http2: boolean): Promise<void> {
  const { contentType } = await ask(options, { case: "queryClusterById", value: options.id });
  const main = contentType?.case === "workerResponses" ? contentType.value.map["main"]?.contentType : undefined;
  const configuration = main?.case === "clusters" ? main.value.vec[0]?.configuration : undefined;
  if (configuration === undefined) throw new CliError("cluster not found", "sozu cluster list shows all clusters");
  await control(options, { case: "addCluster", value: { ...configuration, http2 } });
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
