// `sozu reload` and `sozu transaction`: many changes as one.

import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import type { Request } from "../command/gen/sozu_pb.ts";
import { RequestSchema } from "../command/gen/sozu_pb.ts";
import { fromJson } from "../command/json.ts";
import { control } from "./control.ts";
import { CliError } from "./errors.ts";
import type { GlobalOptions } from "./options.ts";

/** What `reload` was given. */
export interface ReloadOptions extends GlobalOptions {
  readonly file?: string;
  readonly prune?: boolean;
  readonly dryRun?: boolean;
}

/** Has the proxy read its configuration file again, or another one; relative to where this command runs. */
export async function reload(options: ReloadOptions): Promise<void> {
  const path = options.file === undefined ? "" : resolve(options.file);
  const prune = options.prune === true;
  const dryRun = options.dryRun === true;
  // Without options it is Sozu's own request, which a stock proxy knows.
  if (!prune && !dryRun) {
    await control(options, { case: "reloadConfiguration", value: path });
    return;
  }
  await control(options, { case: "reload", value: { ...(path === "" ? {} : { path }), prune, dryRun } });
}

/** Sends the requests on standard input, one in JSON form a line, as one change. @throws CliError naming each bad line */
export async function transaction(options: GlobalOptions): Promise<void> {
  const input = await text(process.stdin);
  const requests: Request[] = [];
  const problems: string[] = [];
  input.split("\n").forEach((line, index) => {
    if (line.trim() === "") return;
    const read = fromJson(RequestSchema, line);
    if (!read.ok) problems.push(`line ${index + 1}: ${read.reason}`);
    else if (read.message.requestType.case === undefined)
      problems.push(`line ${index + 1}: request_type: missing field`);
    else requests.push(read.message);
  });
  const next = 'write one request a line: {"request_type":{"REMOVE_CLUSTER":"app"}}';
  if (problems.length > 0) throw new CliError(`nothing was sent: ${problems.slice(0, NAMED_MAX).join("; ")}`, next);
  if (requests.length === 0) throw new CliError("there is no request on standard input", next);
  await control(options, { case: "transaction", value: { requests } });
}

const NAMED_MAX = 20;
