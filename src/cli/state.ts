// `sozu state save`, `load` and `stats`.

import { resolve } from "node:path";
import { control } from "./control.ts";
import type { GlobalOptions } from "./options.ts";

/** What `state save` and `state load` were given. */
export interface StateOptions extends GlobalOptions {
  readonly file: string;
}

/** Has the proxy write its state; a relative path is relative to where this command runs. */
export async function saveState(options: StateOptions): Promise<void> {
  const next = "the proxy writes the file: its user needs the right to write to that folder";
  await control(options, { case: "saveState", value: resolve(options.file) }, next);
}

/** Has the proxy load a state file; a relative path is relative to where the proxy was started. */
export async function loadState(options: StateOptions): Promise<void> {
  const next = "a path is read as the proxy sees it: give an absolute one when in doubt";
  await control(options, { case: "loadState", value: options.file }, next);
}

/** Shows how often each kind of request was dispatched. */
export async function showStats(options: GlobalOptions): Promise<void> {
  await control(options, { case: "countRequests", value: {} });
}
