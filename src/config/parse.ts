// config.toml as text in, settings and requests out (spec 2). smol-toml gives the values; every problem is collected
// and placed before anything is returned. Async only because the parser for positions is loaded when there is a
// problem.

import { parse, TomlError } from "smol-toml";
import type { Request } from "../command/gen/sozu_pb.ts";
import { ConfigState } from "../command/state.ts";
import { utf8Length } from "../command/text.ts";
import { buildRequests } from "./build.ts";
import { checkTable } from "./check.ts";
import type { ValuesOf } from "./keys.ts";
import { blotKeys, type ConfigProblem, ProblemList, renderProblems } from "./problems.ts";
import { type GlobalSettings, resolveSettings } from "./settings.ts";
import { resolveSocketSettings, SOCKET_PATH_BYTES_MAX } from "./socket.ts";
import { GLOBAL_KEYS, METRICS_KEYS } from "./tables.ts";
import { type ReadFile, Templates } from "./templates.ts";

/** How to read a file. */
export interface ParseOptions {
  /** Name shown in messages. */
  readonly file: string;
  /** Absolute folder that relative paths start from. */
  readonly folder: string;
  /** "warn" turns unknown keys into warnings. Default "error". */
  readonly unknownKeys?: "error" | "warn";
  /** Seconds since 1970, to tell certificates that are out of their time. Default: they are not told. */
  readonly nowSeconds?: number;
  /** False: no worker will follow the state that comes of it, which costs less. Default true. */
  readonly isServed?: boolean;
  /** Reads the files that answers and certificates name. Default: there are none. */
  readonly readFile?: ReadFile;
}

/** A configuration without errors. */
export interface ParsedConfig {
  readonly ok: true;
  readonly settings: GlobalSettings;
  /** In the order of spec 2.10. */
  readonly requests: readonly Request[];
  /** The state that the requests make when all are applied in order with origin "file". */
  readonly state: ConfigState;
  readonly warnings: readonly ConfigProblem[];
}

/** A configuration with at least one error; nothing of it may be used. */
export interface BrokenConfig {
  readonly ok: false;
  /** Errors and warnings, by place. */
  readonly problems: readonly ConfigProblem[];
  /** All of them, rendered. */
  readonly text: string;
}

export type ConfigResult = ParsedConfig | BrokenConfig;

/** Parses and validates a whole file. Does not throw on input. */
export async function parseConfig(text: string, options: ParseOptions): Promise<ConfigResult> {
  let raw: unknown;
  try {
    raw = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    return broken([syntaxProblem(error, text, options.file)]);
  }
  const problems = new ProblemList();
  const context = { problems, unknownKeys: options.unknownKeys ?? "error" };
  const values = checkTable(context, GLOBAL_KEYS, raw, []) ?? {};
  const sockets = resolveSocketSettings(values, options.folder);
  const socketBytes = utf8Length(sockets.commandSocket);
  if (socketBytes > SOCKET_PATH_BYTES_MAX) {
    const most = `a unix socket allows ${SOCKET_PATH_BYTES_MAX}`;
    const message = `command_socket: its absolute path has ${socketBytes} bytes, ${most}`;
    problems.error(["command_socket"], message);
  }
  const { commandBufferSizeBytes: first, maxCommandBufferSizeBytes: most } = sockets;
  if (first > most) {
    problems.error(
      [values.command_buffer_size === undefined ? "max_command_buffer_size" : "command_buffer_size"],
      `command_buffer_size (${first}) exceeds max_command_buffer_size (${most})`,
    );
  }
  if (values.automatic_state_save === true && values.saved_state === undefined) {
    problems.error(["automatic_state_save"], "automatic_state_save needs saved_state, the file to write", null, true);
  }
  const metrics = values.metrics === undefined ? null : checkTable(context, METRICS_KEYS, values.metrics, ["metrics"]);
  const settings = resolveSettings(values, sockets, options.folder, metrics);
  warnSettings(problems, values, settings);
  const files = new Templates(problems, options.folder, options.readFile);
  const state = new ConfigState(options.isServed);
  const built = buildRequests(context, values, settings, files, options.nowSeconds ?? null, state);
  const placed = problems.items.length === 0 ? [] : await placeAll(text, options.file, problems);
  if (problems.failed) return broken(placed);
  return { ok: true, settings, requests: built.requests, state: built.state, warnings: placed };
}

/** What is allowed and most likely not meant (spec 2.2). */
function warnSettings(problems: ProblemList, values: ValuesOf<typeof GLOBAL_KEYS>, settings: GlobalSettings): void {
  const slab = values.slab_entries_per_connection;
  if (slab !== undefined && slab !== settings.slabEntriesPerConnection) {
    const used = `${settings.slabEntriesPerConnection} is used`;
    problems.warning(["slab_entries_per_connection"], `slab_entries_per_connection: it goes from 2 to 32, ${used}`);
  }
  if (settings.basicAuthMaxCredentialBytes >= settings.bufferSizeBytes / 3) {
    const room = `a head has room for ${settings.bufferSizeBytes} bytes (buffer_size)`;
    problems.warning(
      ["basic_auth_max_credential_bytes"],
      `basic_auth_max_credential_bytes: it is encoded, and ${room}`,
    );
  }
  const access = settings.accessLogsTarget ?? settings.logTarget;
  if (settings.accessLogsFormat === "protobuf" && access === settings.logTarget) {
    const mixed = "records and log lines go to the same target, where nothing can tell them apart";
    problems.warning(["access_logs_format"], `access_logs_format: ${mixed}: set access_logs_target`);
  }
  if (settings.evictOnQueueFull && settings.maxConnections < 100) {
    const few = "with a max_connections below 100, connections in use may be among those that are closed";
    problems.warning(["evict_on_queue_full"], `evict_on_queue_full: ${few}`);
  }
}

async function placeAll(text: string, file: string, problems: ProblemList): Promise<ConfigProblem[]> {
  const { placeProblems } = await import("./positions.ts");
  return placeProblems(file, text, problems.items);
}

function broken(problems: readonly ConfigProblem[]): BrokenConfig {
  return { ok: false, problems, text: renderProblems(problems) };
}

function syntaxProblem(error: TomlError, text: string, file: string): ConfigProblem {
  // The first line of the parser's message says what is wrong; the rest is its own picture of the place.
  const reason = error.message.split("\n")[0]!.replace(/^Invalid TOML document: /, "");
  return {
    path: [],
    message: `this is not TOML: ${reason}`,
    atKey: false,
    suggestion: null,
    severity: "error",
    file,
    line: error.line,
    column: error.column,
    width: 1,
    source: blotKeys(text).split(/\r?\n/)[error.line - 1] ?? "",
  };
}
