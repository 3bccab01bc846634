// The verbs that run something, or look at the configuration file.

import { Argument, type Command, Option } from "commander";
import { completionScript, SHELLS, type Shell } from "../completions.ts";
import { type ConfigOptions, count, globals, port, unknownKeys } from "../options.ts";

/** What `start` was given. */
export interface StartOptions extends ConfigOptions {
  readonly demo?: boolean;
  readonly strict?: boolean;
}

export function addDaemonVerbs(program: Command): void {
  program
    .command("start")
    .description("run the proxy in the foreground")
    .option("--demo", "also run the demo backend that the sample configuration points at")
    .option("--strict", "refuse to start when records of saved_state are broken, instead of keeping them aside")
    .addOption(unknownKeys())
    .addHelpText("after", START_HELP)
    .action(async (own: StartOptions, command: Command) => {
      const { start } = await import("../start.ts");
      await start(globals(command), own);
    });
  program
    .command("main", { hidden: true })
    .description("what main becomes when it is upgraded")
    .requiredOption("--upgrade-fd <fd>", "where its predecessor left what it had", count)
    .option("--rehearse", "only tell whether it would work")
    .option("--trouble <text>", "why another release did not follow", "")
    .action(async (own: { upgradeFd: number; rehearse?: boolean; trouble: string }) => {
      const { follow } = await import("../start.ts");
      await follow({ ...own, rehearse: own.rehearse === true });
    });
  program
    .command("demo")
    .description("run a small HTTP backend that shows what the proxy sends it")
    .option("-p, --port <port>", "port to listen on", port, 1026)
    .option("--host <ip>", "address to listen on", "127.0.0.1")
    .addOption(new Option("--with-parent", "stop when the parent process ends").hideHelp())
    .action(async (own: { port: number; host: string; withParent?: boolean }) => {
      const { runDemo } = await import("../run-demo.ts");
      await runDemo(own.host, own.port, own.withParent === true);
    });
  const config = program.command("config").description("look at the configuration file");
  config
    .command("check")
    .description("validate the configuration file; every error with file:line:column")
    .addOption(unknownKeys())
    .action(async (own: ConfigOptions, command: Command) => {
      const { checkConfig } = await import("../check.ts");
      await checkConfig(globals(command), own);
    });
  config
    .command("schema")
    .description("print the JSON Schema of the configuration file, for editors")
    .action(async () => {
      const { configSchema } = await import("../../config/json-schema.ts");
      process.stdout.write(`${JSON.stringify(configSchema(), null, 2)}\n`);
    });
  program
    .command("completions")
    .description("print a script that completes verbs and flags in a shell")
    .addArgument(new Argument("<shell>", "which shell").choices(SHELLS))
    .addHelpText("after", COMPLETIONS_HELP)
    .action((shell: Shell) => {
      process.stdout.write(completionScript(program, shell));
    });
}

const COMPLETIONS_HELP = `
Examples:
  sozu completions bash > ~/.local/share/bash-completion/completions/sozu
  sozu completions zsh > "\${fpath[1]}/_sozu"
  sozu completions fish > ~/.config/fish/completions/sozu.fish`;

const START_HELP = `
The proxy runs until it is told to stop: SIGTERM, SIGINT (Ctrl-C) and "sozu shutdown" finish the requests in flight, the
signal a second time and "sozu shutdown --hard" cut them. SIGHUP reloads the configuration file, as "sozu reload" does.

Examples:
  sozu start                           serve ./config.toml
  sozu start -c /etc/sozu/config.toml  serve another file
  sozu start --demo                    with the demo backend of the sample configuration`;
