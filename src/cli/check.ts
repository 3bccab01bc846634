// `sozu config check`: every mistake of the configuration file at once, without a running proxy.

import { loadConfig } from "../config/load.ts";
import type { ParsedConfig } from "../config/parse.ts";
import { renderProblems } from "../config/problems.ts";
import { CliError } from "./errors.ts";
import type { ConfigOptions, GlobalOptions } from "./options.ts";

/** Prints `Configuration file is valid`, and warnings on stderr. @throws CliError with every problem of the file. */
export async function checkConfig(options: GlobalOptions, own: ConfigOptions): Promise<void> {
  const { warnings } = await readConfig(options.config, own);
  if (warnings.length > 0) process.stderr.write(`${renderProblems(warnings)}\n\n`);
  process.stdout.write(options.json ? "{}\n" : "Configuration file is valid\n");
}

/** Loads the whole file. @throws CliError with every problem, rendered. */
export async function readConfig(path: string, own: ConfigOptions): Promise<ParsedConfig> {
  const result = await loadConfig(path, { unknownKeys: own.unknownKeys });
  if (result.ok) return result;
  throw new CliError(result.text);
}
