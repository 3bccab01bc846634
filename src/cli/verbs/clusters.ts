// The verbs for clusters and their backends.

import { type Command, Option } from "commander";
import type { BackendOptions } from "../backend.ts";
import type { ClusterListOptions, ClusterOptions } from "../cluster.ts";
import type { HealthCheckOptions } from "../health-check.ts";
import { count, given, port, repeated, seconds } from "../options.ts";

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
    .option("--https-redirect-port <port>", "port in that redirect", port)
    .option("--www-authenticate <value>", 'whole value of that field on 401: Basic realm="shop"')
    .option("--authorized-hash <user:hash>", "who may pass --required-auth; hash: sha256 of the password", repeated)
    .option("--answer <status=answer>", "a response written out, or file://path; may be repeated", repeated)
    .option("--reset-answer <status>", "take this answer of the cluster away; may be repeated", repeated)
    .option("--send-proxy", "TCP: send a PROXY protocol header to backends")
    .option("--expect-proxy", "TCP: clients send one; with --send-proxy it is passed on")
    .option("--http2", "backends speak HTTP/2 (stored; not built yet, so that requests are answered 503)")
    .option("--max-connections-per-ip <n>", "of one source address; 0: any number; default: global", count)
    .option("--retry-after <seconds>", "on 429; 0: none; default: global", seconds)
    .option("--backend-tls", "speak TLS to the backends, and verify their certificates")
    .option("--no-backend-verify", "any certificate will do")
    .option("--backend-ca <path>", "PEM file of the authorities that are believed; default: the system's")
    .option("--backend-server-name <host>", "SNI, and the name to verify")
    .option("--backend-certificate <path>", "PEM file shown to backends that ask")
    .option("--backend-key <path>", "PEM file of its private key")
    .option("--affinity <key>", "of hrw and maglev: source-ip, header:NAME or cookie:NAME")
    .option("--slow-start <seconds>", "time of a backend that came back to its full weight", seconds)
    .option("--eject-after <n>", "5xx or timeouts in a row that eject a backend; 0: never", count)
    .option("--ejection-time <seconds>", "its first ejection; default 30", seconds);
  add.addHelpText("after", CLUSTER_HELP).action(async (_own: object, command: Command) => {
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
  addHealthCheckVerbs(cluster);
  const h2 = cluster.command("h2").description("whether backends speak HTTP/2");
  for (const verb of ["enable", "disable"] as const) {
    h2.command(verb)
      .description(verb === "enable" ? "they speak HTTP/2 (stored; not built yet)" : "they speak HTTP/1.1")
      .requiredOption("-i, --id <cluster>", "cluster id")
      .action(async (_own: object, command: Command) => {
        const { setHttp2 } = await import("../cluster.ts");
        await setHttp2(given<ClusterOptions>(command), verb === "enable");
      });
  }
}

function addHealthCheckVerbs(cluster: Command): void {
  const check = cluster.command("health-check").description("probe the backends of a cluster");
  check
    .command("set")
    .description("set or replace the health check of a cluster")
    .requiredOption("-i, --id <cluster>", "cluster id")
    .option("-u, --uri <path>", "path of the probe; needed unless --tcp is given")
    .option("--interval <seconds>", "between probes of a backend", seconds, 10)
    .option("--healthy-threshold <n>", "successes in a row that bring a backend back", count, 3)
    .option("--unhealthy-threshold <n>", "failures in a row that take it out", count, 3)
    .option("--expected-status <status>", "0: any 2xx", count, 0)
    .option("--tcp", "only connect")
    .option("--accepted-status <range>", "200 or 200-399, instead of one status; may be repeated", repeated)
    .addHelpText("after", HEALTH_CHECK_HELP)
    .action(async (_own: object, command: Command) => {
      const { setHealthCheck } = await import("../health-check.ts");
      await setHealthCheck(given<HealthCheckOptions>(command));
    });
  check
    .command("remove")
    .description("stop the probes; all backends count as healthy")
    .requiredOption("-i, --id <cluster>", "cluster id")
    .action(async (_own: object, command: Command) => {
      const { removeHealthCheck } = await import("../health-check.ts");
      await removeHealthCheck(given<HealthCheckOptions>(command));
    });
  check
    .command("list")
    .description("show the health checks of all clusters, or of one")
    .option("-i, --id <cluster>", "this cluster")
    .action(async (_own: object, command: Command) => {
      const { listHealthChecks } = await import("../health-check.ts");
      await listHealthChecks(given<HealthCheckOptions>(command));
    });
  check
    .command("status")
    .description("show what each worker knows of the backends: verdicts, failed connections, requests in flight")
    .option("-i, --id <cluster>", "only those of this cluster")
    .action(async (_own: object, command: Command) => {
      const { showHealth } = await import("../health-check.ts");
      await showHealth(given<HealthCheckOptions>(command));
    });
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

const HEALTH_CHECK_HELP = `
--timeout is the time a probe may take, in seconds (5), not the one for an answer of the proxy.

Examples:
  sozu cluster health-check set --id shop --uri /health --interval 5 --timeout 2
  sozu cluster health-check set --id shop --tcp`;

const CLUSTER_HELP = `
Example: a cluster with one backend, reached under a host name
  sozu cluster add --id shop --load-balancing-policy round_robin
  sozu backend add --id shop --backend-id a --address 127.0.0.1:9000
  sozu frontend http add --address 0.0.0.0:8080 --hostname shop.example.com id shop`;

const BACKEND_HELP = `
Example: a second backend for the cluster of the sample configuration
  sozu demo --port 1027                (in another terminal)
  sozu backend add --id demo --backend-id second --address 127.0.0.1:1027`;
