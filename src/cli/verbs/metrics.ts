// The verbs that show what is counted: metrics and top.

import { Argument, type Command, InvalidArgumentError, Option } from "commander";
import { METRIC_DETAILS } from "../../command/words.ts";
import type { DetailOptions, MetricsOptions } from "../metrics.ts";
import { given, globals, milliseconds, seconds } from "../options.ts";
import type { TopOptions } from "../top.ts";

export function addMetricVerbs(program: Command): void {
  const metrics = program.command("metrics").description("show and configure what is counted");
  metrics
    .command("get")
    .description("show counters, gauges and times")
    .option("-l, --list", "only the names there are")
    .option("-r, --refresh <seconds>", "again and again", seconds)
    .option("-n, --names <name,...>", "only these metrics", listed)
    .option("-k, --clusters <id,...>", "only these clusters", listed)
    .option("-b, --backends <id,...>", "only the clusters of these backends", listed)
    .option("--no-clusters", "leave out clusters and backends")
    .option("-w, --workers", "each worker for itself")
    .addHelpText("after", GET_HELP)
    .action(async (own: { clusters?: readonly string[] | boolean }, command: Command) => {
      const { getMetrics } = await import("../metrics.ts");
      const options = given<MetricsOptions>(command);
      // Commander makes --clusters and --no-clusters one option: false is the latter, true means nothing was given.
      const clusters = Array.isArray(own.clusters) ? own.clusters : [];
      await getMetrics({ ...options, clusters, noClusters: own.clusters === false });
    });
  for (const [name, order, text] of ORDERS) {
    metrics
      .command(name)
      .description(text)
      .action(async (_own: object, command: Command) => {
        const { configureMetrics } = await import("../metrics.ts");
        await configureMetrics(globals(command), order);
      });
  }
  addDetailVerb(metrics);
  addTopVerb(program);
}

const ORDERS = [
  ["enable", "ENABLED", "record metrics of clusters and backends"],
  ["disable", "DISABLED", "record no metrics of clusters and backends"],
  ["clear", "CLEAR", "set all counters and times back to 0"],
] as const;

function addDetailVerb(metrics: Command): void {
  metrics
    .command("detail")
    .description("record more for some time, without a change of the configuration")
    .addArgument(new Argument("[level]", "which objects have metrics of their own").choices(METRIC_DETAILS))
    .option("--ttl <seconds>", "for how long, at most 300; default 60", seconds)
    .option("--client-id <name>", "who wants it; the same name renews and ends it", "cli")
    .option("--reason <text>", "for the audit log")
    .option("--clear", "end it now")
    .addHelpText("after", DETAIL_HELP)
    .action(async (level: string | undefined, _own: object, command: Command) => {
      const { setDetail } = await import("../metrics.ts");
      await setDetail(level, given<DetailOptions>(command));
    });
}

function addTopVerb(program: Command): void {
  program
    .command("top")
    .description("watch workers, clusters and backends: rates, latencies, connections")
    .option("--refresh-ms <ms>", "time between two pictures", milliseconds, 1000)
    .addOption(new Option("--detail <level>", "what to record meanwhile").choices(METRIC_DETAILS))
    .option("--lease-ttl-seconds <seconds>", "how long that lasts when this ends without saying so", seconds, 60)
    .option("--snapshot <n>", "print so many pictures as plain text, then end", pictures)
    .option("--tick-once", "one picture as plain text")
    .addHelpText("after", "\nKeys: s sorts by the next column, p pauses, q ends. Without a terminal: one picture.")
    .action(async (_own: object, command: Command) => {
      const { top } = await import("../top.ts");
      await top(given<TopOptions>(command));
    });
}

function listed(text: string): readonly string[] {
  return text.split(",").filter((part) => part !== "");
}

function pictures(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError("It must be a number from 1.");
  return Number(text);
}

const GET_HELP = `
Examples:
  sozu metrics get --names http.requests,request_time
  sozu metrics get --clusters shop --json
  sozu metrics get --workers --no-clusters --refresh 1`;

const DETAIL_HELP = `
Levels: process (nothing but the proxy as a whole), cluster (each cluster), backend (each backend, too). The effective level
is the largest of the one in the configuration and of all that were asked for.

Example: sozu metrics detail backend --ttl 120`;
