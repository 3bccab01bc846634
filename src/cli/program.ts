// The command line: verbs, options, help. What a verb does lies in its own file and is loaded only when it runs, so that
// `sozu status` does not pay for the configuration parser. Global options are accepted before and after the verb.
// Exit codes: 0 success, 1 the verb failed, 2 the command line was not understood.

import { readFileSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { describeError, EXIT_FAILURE, EXIT_USAGE } from "./errors.ts";

/** The options every verb accepts. */
export interface GlobalOptions {
  /** Path of config.toml; default `./config.toml`. */
  readonly config: string;
  /** Wait for each message of the proxy, in milliseconds; 0 waits for ever. Absent: `ctl_command_timeout` of the file. */
  readonly timeout?: number;
  /** Print only the JSON of the answer's content. */
  readonly json: boolean;
}

/** Runs one command line; resolves with the exit code. Prints errors on stderr between blank lines. */
export async function run(args: readonly string[]): Promise<number> {
  try {
    await buildProgram().parseAsync(args, { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (error) {
    // Commander has printed its own message by then.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    process.stderr.write(`\n${describeError(error)}\n\n`);
    return EXIT_FAILURE;
  }
}

/** The whole command tree, for running and for tests of its help. */
export function buildProgram(): Command {
  const program = new Command("sozu")
    .description("A reverse proxy that never needs a restart.")
    .version(version(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print help, also for each verb: sozu backend add --help")
    .addOption(new Option("-c, --config <path>", "configuration file").default("./config.toml"))
    .addOption(new Option("-t, --timeout <ms>", "wait for each answer, 0 for ever").argParser(milliseconds))
    .addOption(new Option("-j, --json", "print only the JSON of the answer").default(false))
    .exitOverride()
    .showHelpAfterError("(sozu --help lists the verbs)")
    .addHelpText("after", HELP);
  addDaemonVerbs(program);
  addControlVerbs(program);
  addBackendVerbs(program);
  return program;
}

function addDaemonVerbs(program: Command): void {
  program
    .command("start")
    .description("run the proxy in the foreground")
    .option("--demo", "also run the demo backend that the sample configuration points at")
    .option("--strict", "refuse to start when records of saved_state are broken, instead of keeping them aside")
    .addOption(unknownKeys())
    .addHelpText("after", START_HELP)
    .action(async (own: StartOptions, command: Command) => {
      const { start } = await import("./start.ts");
      await start(globals(command), own);
    });
  program
    .command("demo")
    .description("run a small HTTP backend that shows what the proxy sends it")
    .option("-p, --port <port>", "port to listen on", port, 1026)
    .option("--host <ip>", "address to listen on", "127.0.0.1")
    .addOption(new Option("--until-eof", "stop when standard input ends").hideHelp())
    .action(async (own: { port: number; host: string; untilEof?: boolean }) => {
      const { runDemo } = await import("./run-demo.ts");
      await runDemo(own.host, own.port, own.untilEof === true);
    });
  program
    .command("config")
    .description("look at the configuration file")
    .command("check")
    .description("validate the configuration file; every error with file:line:column")
    .addOption(unknownKeys())
    .action(async (own: ConfigOptions, command: Command) => {
      const { checkConfig } = await import("./check.ts");
      await checkConfig(globals(command), own);
    });
}

function addControlVerbs(program: Command): void {
  program
    .command("status")
    .description("show the workers")
    .action(async (_own: object, command: Command) => {
      const { control } = await import("./control.ts");
      await control(globals(command), { case: "status", value: {} });
    });
  program
    .command("shutdown")
    .description("stop the proxy: requests in flight are finished first")
    .option("--hard", "stop at once, cutting requests in flight")
    .action(async (own: { hard?: boolean }, command: Command) => {
      const { control } = await import("./control.ts");
      await control(globals(command), { case: own.hard === true ? "hardStop" : "softStop", value: {} });
    });
}

function addBackendVerbs(program: Command): void {
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
    .action(async (own: BackendOptions, command: Command) => {
      const { addBackend } = await import("./backend.ts");
      await addBackend(globals(command), own);
    });
  identified("remove", "remove a backend; its requests in flight are finished").action(
    async (own: BackendOptions, command: Command) => {
      const { removeBackend } = await import("./backend.ts");
      await removeBackend(globals(command), own);
    },
  );
}

/** What verbs that read the whole file were given. */
export interface ConfigOptions {
  readonly unknownKeys: "error" | "warn";
}

/** What `start` was given. */
export interface StartOptions extends ConfigOptions {
  readonly demo?: boolean;
  readonly strict?: boolean;
}

/** What `backend add` and `backend remove` were given. */
export interface BackendOptions {
  readonly id: string;
  readonly backendId: string;
  /** `ip:port`, not yet parsed. */
  readonly address: string;
  readonly stickyId?: string;
  readonly backup?: "true" | "false";
}

// The escape hatch for a file written for a newer or another version (decisions 7).
function unknownKeys(): Option {
  const option = new Option("--unknown-keys <how>", "what to do with keys this version does not know");
  return option.choices(["error", "warn"]).default("error");
}

function globals(command: Command): GlobalOptions {
  return command.optsWithGlobals() as GlobalOptions;
}

function milliseconds(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("It must be a number of milliseconds.");
  return Number(text);
}

function port(text: string): number {
  const value = Number(text);
  if (!/^\d{1,5}$/.test(text) || value < 1 || value > 65_535) throw new InvalidArgumentError("It must be 1 to 65535.");
  return value;
}

function version(): string {
  return JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;
}

const HELP = `
Examples:
  sozu start --demo                    serve the sample configuration, with something to answer
  curl http://localhost:8080/          the first proxied answer
  sozu status                          the workers and how they are
  sozu backend add --id demo --backend-id second --address 127.0.0.1:1027
  sozu config check -c site.toml       find every mistake before starting
  sozu shutdown                        finish what is in flight, then stop

Verbs other than start and config check talk to a running proxy over the socket named by command_socket in the
configuration file. Exit codes: 0 success, 1 failure, 2 the command line was not understood.`;

const START_HELP = `
The proxy runs until it is told to stop: SIGTERM, SIGINT (Ctrl-C) and "sozu shutdown" finish the requests in flight, the
signal a second time and "sozu shutdown --hard" cut them. SIGHUP is ignored.

Examples:
  sozu start                           serve ./config.toml
  sozu start -c /etc/sozu/config.toml  serve another file
  sozu start --demo                    with the demo backend of the sample configuration`;

const BACKEND_HELP = `
Example: a second backend for the cluster of the sample configuration
  sozu demo --port 1027                (in another terminal)
  sozu backend add --id demo --backend-id second --address 127.0.0.1:1027`;
