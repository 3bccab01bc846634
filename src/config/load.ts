// Reads the whole configuration file. This file and socket-settings.ts are the only ones of this room that touch the file
// system. The parser is loaded only when there is a text to parse.

import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { BrokenConfig, ConfigResult, ParseOptions } from "./parse.ts";

/** Reads and parses `path`. A file that cannot be read is a result, not an exception. */
export async function loadConfig(path: string, options: Pick<ParseOptions, "unknownKeys"> = {}): Promise<ConfigResult> {
  const text = await readText(path);
  if (typeof text !== "string") return unreadable(text.reason);
  const { parseConfig } = await import("./parse.ts");
  return parseConfig(text, { ...options, file: path, folder: dirname(resolve(path)) });
}

async function readText(path: string): Promise<string | { readonly reason: string }> {
  try {
    const bytes = await readFile(path);
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT") {
      return {
        reason: `${path}: there is no such file; name the configuration with -c, or start from the sample config.toml`,
      };
    }
    if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") return { reason: `${path}: the file is not UTF-8` };
    return { reason: `${path}: it cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function unreadable(reason: string): BrokenConfig {
  return { ok: false, problems: [], text: reason };
}
