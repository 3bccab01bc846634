// `sozu state save`, `load` and `stats`.

import { resolve } from "node:path";
import { control } from "./control.ts";
import type { GlobalOptions } from "./options.ts";

/** What `state save` was given. */
export interface StateOptions extends GlobalOptions {
  readonly file: string;
}

/** What `state load` was given. */
export interface LoadOptions extends StateOptions {
  readonly replace?: boolean;
  readonly dryRun?: boolean;
}

/** Has the proxy write its state; a relative path is relative to where this command runs. */
export async function saveState(options: StateOptions): Promise<void> {
  const next = "the proxy writes the file: its user needs the right to write to that folder";
  await control(options, { case: "saveState", value: resolve(options.file) }, next);
}

/** Has the proxy load a state file; a relative path is relative to where the proxy was started. */
export async function loadState(options: LoadOptions): Promise<void> {
  const next = "a path is read as the proxy sees it: give an absolute one when in doubt";
  const { file: path, replace = false, dryRun = false } = options;
  if (replace || dryRun) await control(options, { case: "loadStateWith", value: { path, replace, dryRun } }, next);
  else await control(options, { case: "loadState", value: path }, next);
}

/** Shows how often each kind of request was dispatched. */
export async function showStats(options: GlobalOptions): Promise<void> {
  await control(options, { case: "countRequests", value: {} });
}
