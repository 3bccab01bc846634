// Reads the configuration file: the only place of this room that touches the file system. Reading the socket keys loads
// no parser, so that short verbs stay short.

import { readFileSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { TEMPLATE_BYTES_MAX } from "../answers/limits.ts";
import type { BrokenConfig, ConfigResult, ParseOptions } from "./parse.ts";
import { resolveSocketSettings, type SocketSettings, scanSocketSettings } from "./socket.ts";
import type { FileForm } from "./templates.ts";

/** Reads and parses `path`. A file that cannot be read is a result, not an exception. */
export async function loadConfig(
  path: string,
  options: Pick<ParseOptions, "unknownKeys" | "isServed"> = {},
): Promise<ConfigResult> {
  const text = await readConfigText(path);
  if (typeof text !== "string") return unreadable(text.reason);
  const { parseConfig } = await import("./parse.ts");
  const folder = dirname(resolve(path));
  return parseConfig(text, { ...options, file: path, folder, nowSeconds: Date.now() / 1000, readFile: readNamedFile });
}

/** The text of a file that the configuration names, an answer if nothing else is said, or why it cannot be read. */
export function readNamedFile(path: string, form: FileForm = ANSWER): string | { readonly reason: string } {
  try {
    const stats = statSync(path);
    if (!stats.isFile()) return { reason: `${path} is not a file` };
    if (stats.size > form.bytesMax) return { reason: `${path} is larger than ${form.bytesMax} bytes` };
    if (form.binary) return readFileSync(path, "base64");
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT") return { reason: `there is no file ${path}` };
    if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") return { reason: `${path} is not UTF-8` };
    return { reason: `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
}

const ANSWER: FileForm = { bytesMax: TEMPLATE_BYTES_MAX, binary: false };

/** What a verb needs to reach main; `problem` says why the defaults were used, or is null. */
export interface LoadedSocketSettings {
  readonly settings: SocketSettings;
  readonly problem: string | null;
}

/** Reads only the socket keys. A missing or broken file gives the defaults beside it (decisions 7). Never rejects. */
export async function loadSocketSettings(path: string): Promise<LoadedSocketSettings> {
  const folder = dirname(resolve(path));
  const text = await readConfigText(path);
  if (typeof text === "string") return { settings: scanSocketSettings(text, folder), problem: null };
  return { settings: resolveSocketSettings({}, folder), problem: text.reason };
}

/** The text of a TOML file, or what a module stands for. */
async function readConfigText(path: string): Promise<string | { readonly reason: string }> {
  if (!/\.[cm]?[jt]s$/.test(path)) return readText(path);
  const { readModule } = await import("./module-file.ts");
  return readModule(path);
}

async function readText(path: string): Promise<string | { readonly reason: string }> {
  try {
    const bytes = await readFile(path);
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT") return { reason: `${path}: there is no such file. ${NAME_IT}` };
    if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") return { reason: `${path}: the file is not UTF-8` };
    return { reason: `${path}: it cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
}

const NAME_IT = "Name the configuration with -c, or start from the sample config.toml";

function unreadable(reason: string): BrokenConfig {
  return { ok: false, problems: [], text: reason };
}
