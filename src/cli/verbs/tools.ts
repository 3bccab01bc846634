// The verbs that explain: what the proxy would do, and what stands in its way.

import type { Command } from "commander";
import type { ExplainOptions } from "../explain.ts";
import { given, globals, repeated } from "../options.ts";

export function addToolVerbs(program: Command): void {
  program
    .command("explain")
    .description("show what the proxy does with a request, and why, without sending it")
    .argument("<method>", "GET, POST, ...")
    .argument("<url>", "http://host[:port]/path")
    .option("-H, --header <name: value>", "a header of the request; may be repeated", repeated)
    .option("--from <ip>", "address of the client")
    .option("--listener <ip:port>", "the listener; default: the one that the URL leads to")
    .option("--file", "judge the configuration file, also when a proxy runs")
    .addHelpText("after", EXPLAIN_HELP)
    .action(async (method: string, url: string, _own: object, command: Command) => {
      const { explain } = await import("../explain.ts");
      await explain(method, url, given<ExplainOptions>(command));
    });
  program
    .command("doctor")
    .description("look for what stands in the way: limits, ports, permissions, disks, clock, backends")
    .addHelpText("after", "\nNothing is changed. Exit code 1 when a problem was found; warnings are none.")
    .action(async (_own: object, command: Command) => {
      const { doctor } = await import("../doctor.ts");
      await doctor(globals(command));
    });
}

const EXPLAIN_HELP = `
The state is that of the running proxy, or of the configuration file when none runs. What depends on the moment is not
judged: limits, load, which backend is picked.

Examples:
  sozu explain GET http://localhost:8080/
  sozu explain POST http://shop.example.com/api/x -H "Authorization: Basic YTpi" --from 10.0.0.1 --json`;
