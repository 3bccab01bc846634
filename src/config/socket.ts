// The few keys that verbs other than `start` and `config check` need: where the command socket is and how large
// messages may be. A broken file must not stop `status` or `shutdown` (decisions 7): what can be read is used, the rest
// defaults. Loads neither zod nor the TOML parser, since every CLI verb comes through here.

/** Where and how to talk to main. */
export interface SocketSettings {
  /** Absolute path of the command socket. */
  readonly commandSocket: string;
  readonly commandBufferSizeBytes: number;
  readonly maxCommandBufferSizeBytes: number;
  /** Wait of the CLI for each message; 0 is for ever. */
  readonly ctlCommandTimeoutMs: number;
}

/** Bytes of a unix socket path, without the final NUL (sun_path). */
export const SOCKET_PATH_BYTES_MAX = 107;

/** Defaults of spec 2.2; a relative socket path is relative to the folder of the file (decisions 8). */
export function resolveSocketSettings(values: SocketKeys, folder: string): SocketSettings {
  return {
    commandSocket: absolutePath(values.command_socket ?? "sozu.sock", folder),
    commandBufferSizeBytes: values.command_buffer_size ?? 1_000_000,
    maxCommandBufferSizeBytes: values.max_command_buffer_size ?? 2_000_000,
    ctlCommandTimeoutMs: values.ctl_command_timeout ?? 1000,
  };
}

export interface SocketKeys {
  readonly command_socket?: string | undefined;
  readonly command_buffer_size?: number | undefined;
  readonly max_command_buffer_size?: number | undefined;
  readonly ctl_command_timeout?: number | undefined;
}

/** Reads the socket keys of a file that may be broken: only lines before the first table count. Never throws. */
export function scanSocketSettings(text: string, folder: string): SocketSettings {
  const table = /^[ \t]*\[/m.exec(text);
  const top = table === null ? text : text.slice(0, table.index);
  return resolveSocketSettings(
    {
      command_socket: scanString(top, "command_socket"),
      command_buffer_size: scanInteger(top, "command_buffer_size"),
      max_command_buffer_size: scanInteger(top, "max_command_buffer_size"),
      ctl_command_timeout: scanInteger(top, "ctl_command_timeout"),
    },
    folder,
  );
}

/** Joins a path to the folder it is relative to, without touching the file system. `~` is a name like any other. */
export function absolutePath(path: string, folder: string): string {
  const parts: string[] = [];
  for (const part of (path.startsWith("/") ? path : `${folder}/${path}`).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

function scanString(text: string, name: string): string | undefined {
  const match = new RegExp(`^[ \\t]*${name}[ \\t]*=[ \\t]*(?:"((?:[^"\\\\\\n]|\\\\.)*)"|'([^'\\n]*)')`, "m").exec(text);
  if (match === null) return undefined;
  if (match[2] !== undefined) return match[2] === "" ? undefined : match[2];
  try {
    // TOML's escapes of basic strings are JSON's, but for \U and \e, which no socket path has.
    const value: unknown = JSON.parse(`"${match[1]}"`);
    return typeof value === "string" && value !== "" ? value : undefined;
  } catch {
    // An escape JSON does not know: as if the key were missing.
    return undefined;
  }
}

function scanInteger(text: string, name: string): number | undefined {
  const match = new RegExp(`^[ \\t]*${name}[ \\t]*=[ \\t]*\\+?([0-9][0-9_]*)[ \\t]*(?:#.*)?\\r?$`, "m").exec(text);
  if (match === null) return undefined;
  const value = Number(match[1]!.replaceAll("_", ""));
  return Number.isSafeInteger(value) ? value : undefined;
}
