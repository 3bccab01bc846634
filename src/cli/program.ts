// The command line: verbs, options, help. Which verbs there are is under verbs/; what a verb does lies in its own file
// and is loaded only when it runs, so that `sozu status` does not pay for the configuration parser. Global options are
// accepted before and after the verb.
// Exit codes: 0 success, 1 the verb failed, 2 the command line was not understood.

import { readFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import { describeError, EXIT_FAILURE, EXIT_USAGE, UsageError } from "./errors.ts";
import { fillFlags, milliseconds } from "./options.ts";
import { addCertificateVerbs } from "./verbs/certificates.ts";
import { addBackendVerbs, addClusterVerbs } from "./verbs/clusters.ts";
import { addControlVerbs } from "./verbs/control.ts";
import { addDaemonVerbs } from "./verbs/daemon.ts";
import { addFrontendVerbs } from "./verbs/frontends.ts";
import { addListenerVerbs } from "./verbs/listeners.ts";
import { addMetricVerbs } from "./verbs/metrics.ts";
import { addToolVerbs } from "./verbs/tools.ts";

/** Runs one command line; resolves with the exit code. Prints errors on stderr between blank lines. */
export async function run(args: readonly string[]): Promise<number> {
  try {
    await buildProgram().parseAsync(fillFlags(args), { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (error) {
    // Commander has printed its own message by then.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    process.stderr.write(`\n${describeError(error)}\n\n`);
    return error instanceof UsageError ? EXIT_USAGE : EXIT_FAILURE;
  }
}

/** The whole command tree, for running and for tests of its help. */
export function buildProgram(): Command {
  const program = new Verb("sozu")
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
  addMetricVerbs(program);
  addToolVerbs(program);
  addClusterVerbs(program);
  addBackendVerbs(program);
  addFrontendVerbs(program);
  addListenerVerbs(program);
  addCertificateVerbs(program);
  return program;
}

/** A typo in a required option is an unknown option first: only that message says what was meant. */
class Verb extends Command {
  override createCommand(name?: string): Command {
    return new Verb(name);
  }

  // Of commander, which asks for what is missing before it looks at what is unknown.
  missingMandatoryOptionValue(option: Option): void {
    const unknown = this.args.find((arg) => arg.startsWith("--"));
    const inner = Command.prototype as unknown as Messages;
    if (unknown === undefined) inner.missingMandatoryOptionValue.call(this, option);
    else inner.unknownOption.call(this, unknown);
  }
}

interface Messages {
  missingMandatoryOptionValue(this: Command, option: Option): void;
  unknownOption(this: Command, flag: string): void;
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
  sozu cluster list                    what main and each worker have; --id and --domain show more
  sozu explain GET http://localhost:8080/   what happens to a request, and why
  sozu state save --file state.json    keep what was changed over the socket
  sozu reload --dry-run                what a changed configuration file would change
  sozu config check -c site.toml       find every mistake before starting
  sozu shutdown                        finish what is in flight, then stop

Verbs other than start and config check talk to a running proxy over the socket named by command_socket in the
configuration file. Exit codes: 0 success, 1 failure, 2 the command line was not understood.`;
