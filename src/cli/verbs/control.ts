// The verbs that concern the running proxy as a whole: status, shutdown, logging, state.

import type { Command } from "commander";
import type { RequestInit } from "../control.ts";
import { count, given, globals } from "../options.ts";
import type { ReloadOptions } from "../reload.ts";
import type { LoadOptions, StateOptions } from "../state.ts";
import type { UpgradeOptions } from "../upgrade.ts";

export function addControlVerbs(program: Command): void {
  program
    .command("status")
    .description("show the workers")
    .action(async (_own: object, command: Command) => {
      const { control } = await import("../control.ts");
      await control(globals(command), { case: "status", value: {} });
    });
  program
    .command("shutdown")
    .description("stop the proxy: requests in flight are finished first")
    .option("--hard", "stop at once, cutting requests in flight")
    .action(async (own: { hard?: boolean }, command: Command) => {
      const { control } = await import("../control.ts");
      const verb = { case: own.hard === true ? "hardStop" : "softStop", value: {} } as const;
      await control(globals(command), verb, null, / left$/);
    });
  program
    .command("upgrade")
    .description("put the release on disk in the place of the one that runs")
    .option("--worker <id>", "only this worker (see status)", count)
    .option("--main", "only main")
    .option("--all", "main and one worker after the other: the default")
    .option("--force", "when three older workers still finish: cut the oldest instead of waiting")
    .addHelpText("after", "\nExamples:\n  sozu upgrade\n  sozu upgrade --worker 0")
    .action(async (_own: object, command: Command) => {
      const { upgrade } = await import("../upgrade.ts");
      await upgrade(given<UpgradeOptions>(command));
    });
  program
    .command("logging")
    .description("change what is logged, while it runs")
    .argument("<filter>", "a level (error, warn, info, debug, trace, off), or module=level,...")
    .addHelpText("after", "\nExample: sozu logging info,supervisor=debug")
    .action(async (filter: string, _own: object, command: Command) => {
      const { control } = await import("../control.ts");
      const next = "write a level, or module=level separated by commas";
      await control(globals(command), { case: "Logging", value: filter }, next);
    });
  program
    .command("events")
    .description("show what happens, a line each, until the proxy ends; with --json one object per line")
    .addHelpText("after", "\nExample: sozu events --json | jq .EVENT")
    .action(async (_own: object, command: Command) => {
      const { showEvents } = await import("../events.ts");
      await showEvents(globals(command));
    });
  addStateVerbs(program);
  addReloadVerbs(program);
  addConnectionLimitVerbs(program);
}

function addReloadVerbs(program: Command): void {
  program
    .command("reload")
    .description("read the configuration file again and apply what changed in it")
    .option("-f, --file <path>", "another file than the one the proxy was started with")
    .option("--prune", "make the running state equal to the file: what was changed over the socket goes, too")
    .option("--dry-run", "only print what would change")
    .addHelpText("after", "\nExample: sozu reload --dry-run")
    .action(async (_own: object, command: Command) => {
      const { reload } = await import("../reload.ts");
      await reload(given<ReloadOptions>(command));
    });
  program
    .command("transaction")
    .description("apply the requests on standard input, one in JSON form a line: all of them or none")
    .addHelpText("after", TRANSACTION_HELP)
    .action(async (_own: object, command: Command) => {
      const { transaction } = await import("../reload.ts");
      await transaction(globals(command));
    });
}

const TRANSACTION_HELP = `
Example:
  sozu transaction < changes.jsonl

where each line of changes.jsonl is a request, as state files have them:
  {"request_type":{"REMOVE_CLUSTER":"app"}}`;

function addConnectionLimitVerbs(program: Command): void {
  const limit = program
    .command("connection-limit")
    .description("limit the connections of one source address to one cluster, in each worker");
  const verb = (name: string, text: string, makeRequest: (limit: string) => RequestInit): Command =>
    limit
      .command(name)
      .description(text)
      .action(async (...args: unknown[]) => {
        const { control } = await import("../control.ts");
        await control(globals(args.at(-1) as Command), makeRequest(String(args[0])));
      });
  verb("set", "set the global limit until the proxy ends; clusters may have their own", (text) => ({
    case: "setMaxConnectionsPerIp",
    value: BigInt(text),
  })).argument("<n>", "connections; 0: any number", count);
  verb("remove", "allow any number", () => ({ case: "setMaxConnectionsPerIp", value: 0n }));
  verb("show", "show the global limit", () => ({ case: "queryMaxConnectionsPerIp", value: {} }));
}

function addStateVerbs(program: Command): void {
  const state = program.command("state").description("save, load and count what the proxy is configured to do");
  state
    .command("save")
    .description("write all listeners, clusters, frontends and backends to a file")
    .requiredOption("-f, --file <path>", "where to write it; replaced as a whole or not at all")
    .action(async (_own: object, command: Command) => {
      const { saveState } = await import("../state.ts");
      await saveState(given<StateOptions>(command));
    });
  state
    .command("load")
    .description("add what a state file holds; all of it is checked before any of it is applied")
    .requiredOption("-f, --file <path>", "a file that state save has written")
    .option("--replace", "make the state equal to the file: what it does not have is removed")
    .option("--dry-run", "only print what would change")
    .action(async (_own: object, command: Command) => {
      const { loadState } = await import("../state.ts");
      await loadState(given<LoadOptions>(command));
    });
  state
    .command("stats")
    .description("show how often each kind of request was dispatched")
    .action(async (_own: object, command: Command) => {
      const { showStats } = await import("../state.ts");
      await showStats(globals(command));
    });
}
