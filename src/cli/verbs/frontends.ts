// The verbs for frontends: which requests go to which cluster.

import { type Command, Option } from "commander";
import type { FrontendListOptions, FrontendOptions } from "../frontend.ts";
import { given, laterFlags, laterVerbs } from "../options.ts";

export function addFrontendVerbs(program: Command): void {
  const frontend = program.command("frontend").description("decide which requests go to which cluster");
  const http = frontend.command("http").description("frontends of HTTP listeners");
  const add = rule(http, "add", "route requests to a cluster, or deny them")
    .option("--tags <key=value,...>", "copied to access lines")
    .addHelpText("after", HELP);
  laterFlags(add, FRONTEND_LATER);
  target(add, async (options, clusterId) => {
    const { addHttpFrontend } = await import("../frontend.ts");
    await addHttpFrontend(options, clusterId);
  });
  target(rule(http, "remove", "remove the frontend with this address, host, path and method"), async (options, id) => {
    const { removeHttpFrontend } = await import("../frontend.ts");
    await removeHttpFrontend(options, id);
  });
  frontend
    .command("list")
    .description("show frontends, all or some")
    .option("--http", "those of HTTP listeners")
    .option("--https", "those of HTTPS listeners")
    .option("--tcp", "those of TCP listeners")
    .option("-d, --domain <part>", "those whose host name contains this")
    .action(async (_own: object, command: Command) => {
      const { listFrontends } = await import("../frontend.ts");
      await listFrontends(given<FrontendListOptions>(command));
    });
  laterVerbs(frontend, ["https", "tcp", "udp"]);
}

/** What identifies a frontend. */
function rule(parent: Command, verb: string, text: string): Command {
  return parent
    .command(verb)
    .description(text)
    .requiredOption("-a, --address <ip:port>", "address of the listener")
    .option("--hostname <host>", "example.com, *.example.com or *")
    .addOption(new Option("--host <host>").hideHelp())
    .option("-p, --path-prefix <path>", "paths that start with this; without a path option: all")
    .option("--path-regex <regex>", "paths in which this is found")
    .option("--path-equals <path>", "exactly this path")
    .option("-m, --method <method>", "only this method, in capitals");
}

/** The two endings of `add` and `remove`: `id <cluster>` and `deny`. */
function target(verb: Command, run: (options: FrontendOptions, clusterId: string | null) => Promise<void>): void {
  verb
    .command("id")
    .description("the cluster that serves these requests")
    .argument("<cluster>", "cluster id")
    .action((clusterId: string, _own: object, command: Command) => run(given<FrontendOptions>(command), clusterId));
  verb
    .command("deny")
    .description("answer these requests with 401")
    .action((_own: object, command: Command) => run(given<FrontendOptions>(command), null));
}

const FRONTEND_LATER: readonly string[] = [
  "--redirect <policy>",
  "--redirect-scheme <scheme>",
  "--redirect-template <template>",
  "--rewrite-host <template>",
  "--rewrite-path <template>",
  "--rewrite-port <port>",
  "--required-auth [bool]",
  "--header <position=name=value>",
  "--hsts-max-age <seconds>",
  "--hsts-include-subdomains [bool]",
  "--hsts-preload [bool]",
  "--hsts-disabled",
  "--hsts-force-replace-backend [bool]",
];

const HELP = `
Examples:
  sozu frontend http add --address 0.0.0.0:8080 --hostname shop.example.com id shop
  sozu frontend http add --address 0.0.0.0:8080 --hostname shop.example.com --path-prefix /admin deny`;
