// Options as verbs share them: the global ones, how values are read, and what is known from Sozu but not built yet.

import { type Command, InvalidArgumentError, Option } from "commander";
import { CliError } from "./errors.ts";

/** The options every verb accepts. */
export interface GlobalOptions {
  /** Path of config.toml; default `./config.toml`. */
  readonly config: string;
  /** Wait for each message of the proxy, in milliseconds; 0 waits for ever. Absent: `ctl_command_timeout` of the file. */
  readonly timeout?: number;
  /** Print only the JSON of the answer's content. */
  readonly json: boolean;
}

/** What verbs that read the whole file were given. */
export interface ConfigOptions {
  readonly unknownKeys: "error" | "warn";
}

/** The global options of a command line, wherever on it they stood. */
export function globals(command: Command): GlobalOptions {
  return command.optsWithGlobals() as GlobalOptions;
}

/** Everything that was given to a verb and to the verbs it is a part of. */
export function given<T>(command: Command): T & GlobalOptions {
  return command.optsWithGlobals() as T & GlobalOptions;
}

/** Those of the named options that were given. */
export function givenOf<T extends object, K extends keyof T>(options: T, names: readonly K[]): Partial<Pick<T, K>> {
  const found: Partial<Pick<T, K>> = {};
  for (const name of names) if (options[name] !== undefined) found[name] = options[name];
  return found;
}

/** Collects an option that may be given several times. */
export function repeated(text: string, earlier: readonly string[] | undefined): readonly string[] {
  return [...(earlier ?? []), text];
}

/** The escape hatch for a file written for another version (decisions 7). */
export function unknownKeys(): Option {
  const option = new Option("--unknown-keys <how>", "what to do with keys this version does not know");
  return option.choices(["error", "warn"]).default("error");
}

export function milliseconds(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("It must be a number of milliseconds.");
  return Number(text);
}

export function seconds(text: string): number {
  if (!/^\d{1,7}$/.test(text)) throw new InvalidArgumentError("It must be a number of seconds.");
  return Number(text);
}

export function count(text: string): number {
  if (!/^\d{1,10}$/.test(text) || Number(text) > 0xffffffff) {
    throw new InvalidArgumentError("It must be a number from 0 to 4294967295.");
  }
  return Number(text);
}

export function flag(text: string): boolean {
  if (text !== "true" && text !== "false") throw new InvalidArgumentError("It must be true or false.");
  return text === "true";
}

/** Flags that may have a value, which must not be taken for the word behind them: `--required-auth id shop`. */
export function fillFlags(args: readonly string[]): string[] {
  return args.map((arg, at) => {
    const bare = OPTIONAL_VALUES.includes(arg) && args[at + 1] !== "true" && args[at + 1] !== "false";
    return bare ? `${arg}=true` : arg;
  });
}

const OPTIONAL_VALUES: readonly string[] = [
  "--required-auth",
  "--hsts-include-subdomains",
  "--hsts-preload",
  "--hsts-force-replace-backend",
];

/** The options of HSTS, on HTTPS listeners and frontends. */
export function hstsOptions(command: Command): void {
  const bool = (name: string, text: string): Option => new Option(`--hsts-${name} [bool]`, text).argParser(flag);
  command
    .option("--hsts-max-age <seconds>", "send Strict-Transport-Security; default a year", count)
    .addOption(bool("include-subdomains", "for the names below, too"))
    .addOption(bool("preload", "agree to lists of browsers"))
    .addOption(bool("force-replace-backend", "also where the backend sends its own"))
    .option("--hsts-disabled", "send none, whatever the listener says");
}

export function port(text: string): number {
  const value = Number(text);
  if (/^\d{1,5}$/.test(text) && value >= 1 && value <= 65_535) return value;
  // Exit code 1, as with Sozu, which reads the number before it judges it.
  throw new CliError(`"${text}" is not a port`, "write a number from 1 to 65535");
}

/** Flags that are known and wrong here: refused with the reason. */
export function misplacedFlags(command: Command, flags: readonly string[], reason: string): Command {
  for (const text of flags) {
    const option = new Option(text).hideHelp();
    command.addOption(option);
    command.on(`option:${option.name()}`, () => {
      throw new CliError(`--${option.name()}: ${reason}`, `${nameOf(command)} --help lists what can be given`);
    });
  }
  return command;
}

/** The words that call a verb: `sozu frontend http add`. */
function nameOf(command: Command): string {
  const words: string[] = [];
  for (let at: Command | null = command; at !== null; at = at.parent) words.unshift(at.name());
  return words.join(" ");
}
