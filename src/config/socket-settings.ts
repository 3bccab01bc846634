// Reads only the socket keys of the configuration file, for verbs that talk to a running proxy. Synchronous and without a
// parser, so that a short verb stays short; a missing or broken file gives the defaults beside it (decisions 7).

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { resolveSocketSettings, type SocketSettings, scanSocketSettings } from "./socket.ts";

/** The socket settings of the file at `path`. Never throws: what cannot be read has its default. */
export function loadSocketSettings(path: string): SocketSettings {
  const folder = dirname(resolve(path));
  try {
    return scanSocketSettings(readFileSync(path, "utf8"), folder);
  } catch {
    // No such file or no permission: if the proxy runs at the default place, it can still be reached.
    return resolveSocketSettings({}, folder);
  }
}
