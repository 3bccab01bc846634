// The verbs for frontends: which requests go to which cluster.

import { type Command, Option } from "commander";
import type { FrontendListOptions, FrontendOptions, StreamFrontendOptions } from "../frontend.ts";
import { flag, given, hstsOptions, misplacedFlags, port, repeated } from "../options.ts";

export function addFrontendVerbs(program: Command): void {
  const frontend = program.command("frontend").description("decide which requests go to which cluster");
  const http = frontend.command("http").description("frontends of HTTP listeners");
  misplacedFlags(
    addRuleVerbs(http, "http"),
    HSTS_FLAGS,
    "plain HTTP cannot carry it (RFC 6797 7.2): it belongs to HTTPS frontends",
  );
  hstsOptions(addRuleVerbs(frontend.command("https").description("frontends of HTTPS listeners"), "https"));
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
  for (const protocol of ["tcp", "udp"] as const) addStreamVerbs(frontend, protocol);
}

/** `add` and `remove`; returns `add`. */
function addRuleVerbs(parent: Command, protocol: "http" | "https"): Command {
  const add = rule(parent, "add", "route requests to a cluster, or deny them")
    .option("--tags <key=value,...>", "copied to access lines")
    .option("--redirect <policy>", "forward, permanent, found, permanent_redirect or unauthorized")
    .option("--redirect-scheme <scheme>", "use-same, use-http or use-https")
    .option("--redirect-template <response>", "response of the redirect, written out or file://path")
    .option("--rewrite-host <template>", "host for the backend or the redirect, with $HOST[n] and $PATH[n]")
    .option("--rewrite-path <template>", "the same for the path")
    .option("--rewrite-port <port>", "port in the redirect", port)
    .addOption(new Option("--required-auth [bool]", "ask for credentials of the cluster").argParser(flag))
    .option("--header <position=name=value>", "edit a field of request, response or both; may be repeated", repeated)
    .option("--append-header <position=name=value>", "the same, but keep what is there; may be repeated", repeated)
    .addHelpText("after", HELP);
  target(add, async (options, clusterId) => {
    const { addFrontend } = await import("../frontend.ts");
    await addFrontend(protocol, options, clusterId);
  });
  const text = "remove the frontend with this address, host, path and method";
  target(rule(parent, "remove", text), async (options, clusterId) => {
    const { removeFrontend } = await import("../frontend.ts");
    await removeFrontend(protocol, options, clusterId);
  });
  return add;
}

function addStreamVerbs(frontend: Command, protocol: "tcp" | "udp"): void {
  const name = protocol.toUpperCase();
  const parent = frontend.command(protocol).description(`which cluster a ${name} listener serves`);
  const identified = (verb: "add" | "remove", text: string): Command =>
    parent
      .command(verb)
      .description(text)
      .requiredOption("-i, --id <cluster>", "cluster id")
      .requiredOption("-a, --address <ip:port>", "address of the listener")
      .action(async (_own: object, command: Command) => {
        const { changeStreamFrontend } = await import("../frontend.ts");
        await changeStreamFrontend(protocol, verb, given<StreamFrontendOptions>(command));
      });
  identified("add", `have a ${name} listener serve a cluster`).option(
    "--tags <key=value,...>",
    "copied to access lines",
  );
  identified("remove", `have a ${name} listener serve this cluster no more`);
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

const HSTS_FLAGS: readonly string[] = [
  "--hsts-max-age <seconds>",
  "--hsts-include-subdomains [bool]",
  "--hsts-preload [bool]",
  "--hsts-disabled",
  "--hsts-force-replace-backend [bool]",
];

const HELP = `
Examples:
  sozu frontend http add --address 0.0.0.0:8080 --hostname shop.example.com id shop
  sozu frontend http add --address 0.0.0.0:8080 --hostname shop.example.com --path-prefix /admin deny
  sozu frontend http add --address 0.0.0.0:8080 --hostname old.example.com --redirect permanent \\
    --rewrite-host shop.example.com deny`;
