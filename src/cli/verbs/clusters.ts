// The verbs for clusters and their backends.

import { type Command, Option } from "commander";
import type { BackendOptions } from "../backend.ts";
import type { ClusterListOptions, ClusterOptions } from "../cluster.ts";
import { given, laterFlags, laterVerbs, port } from "../options.ts";

export function addClusterVerbs(program: Command): void {
  const cluster = program.command("cluster").description("add, remove and list clusters");
  const add = cluster
    .command("add")
    .description("add a cluster, or change the one with this id")
    .requiredOption("-i, --id <cluster>", "cluster id")
    .requiredOption(
      "--load-balancing-policy <policy>",
      "round_robin, random, least_loaded, power_of_two, hrw or maglev",
    )
    .option("-s, --sticky-session", "keep a client on one backend, by a cookie")
    .option("-r, --https-redirect", "answer plain HTTP with a redirect to https")
    .option("--https-redirect-port <port>", "port in that redirect", port);
  laterFlags(add, CLUSTER_LATER)
    .addHelpText("after", CLUSTER_HELP)
    .action(async (_own: object, command: Command) => {
      const { addCluster } = await import("../cluster.ts");
      await addCluster(given<ClusterOptions>(command));
    });
  cluster
    .command("remove")
    .description("remove a cluster; its frontends and backends stay until they are removed")
    .requiredOption("-i, --id <cluster>", "cluster id")
    .action(async (_own: object, command: Command) => {
      const { removeCluster } = await import("../cluster.ts");
      await removeCluster(given<ClusterOptions>(command));
    });
  cluster
    .command("list")
    .description("show one cluster, those of a domain, or the hashes of all, by main and by each worker")
    .option("-i, --id <cluster>", "this cluster")
    .option("-d, --domain <host[/path]>", "the clusters with a frontend for exactly this host and path")
    .action(async (_own: object, command: Command) => {
      const { listClusters } = await import("../cluster.ts");
      await listClusters(given<ClusterListOptions>(command));
    });
  laterVerbs(cluster, ["h2", "health-check"]);
}

export function addBackendVerbs(program: Command): void {
  const backend = program.command("backend").description("change the backends of a cluster while it serves");
  const identified = (verb: string, text: string): Command =>
    backend
      .command(verb)
      .description(text)
      .requiredOption("-i, --id <cluster>", "cluster id")
      .requiredOption("--backend-id <id>", "backend id")
      .requiredOption("-a, --address <ip:port>", "address of the backend, [v6]:port for IPv6");
  identified("add", "add a backend to a cluster, or replace the one with this id and address")
    .option("-s, --sticky-id <id>", "value of the sticky cookie that selects this backend")
    .addOption(new Option("-b, --backup <bool>", "used only when no other backend is left").choices(["true", "false"]))
    .addHelpText("after", BACKEND_HELP)
    .action(async (_own: object, command: Command) => {
      const { addBackend } = await import("../backend.ts");
      await addBackend(given<BackendOptions>(command));
    });
  identified("remove", "remove a backend; its requests in flight are finished").action(
    async (_own: object, command: Command) => {
      const { removeBackend } = await import("../backend.ts");
      await removeBackend(given<BackendOptions>(command));
    },
  );
}

const CLUSTER_LATER: readonly string[] = [
  "--send-proxy",
  "--expect-proxy",
  "--http2",
  "--www-authenticate <realm>",
  "--authorized-hash <user:hash>",
  "--answer <code=body>",
];

const CLUSTER_HELP = `
Example: a cluster with one backend, reached under a host name
  sozu cluster add --id shop --load-balancing-policy round_robin
  sozu backend add --id shop --backend-id a --address 127.0.0.1:9000
  sozu frontend http add --address 0.0.0.0:8080 --hostname shop.example.com id shop`;

const BACKEND_HELP = `
Example: a second backend for the cluster of the sample configuration
  sozu demo --port 1027                (in another terminal)
  sozu backend add --id demo --backend-id second --address 127.0.0.1:1027`;
