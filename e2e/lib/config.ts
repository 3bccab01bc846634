// Builds a config.toml from a description, so that a test shows only what it is about.

/** A value of a TOML key. */
export type TomlValue = string | number | boolean | readonly string[];

/** Extra keys of a table, snake_case as in the file. */
export type TomlKeys = Readonly<Record<string, TomlValue>>;

/** A backend: its port on 127.0.0.1, or the keys of its table. */
export type BackendSpec = number | { readonly port: number; readonly id?: string; readonly keys?: TomlKeys };

/** A frontend: its host, or the keys of its table (`address` is filled in). */
export type FrontendSpec = string | (TomlKeys & { readonly hostname: string });

/** One cluster. Default frontend: host `localhost`, every path. */
export interface ClusterSpec {
  readonly frontends?: readonly FrontendSpec[];
  readonly backends?: readonly BackendSpec[];
  readonly keys?: TomlKeys;
}

/** A whole configuration with one HTTP listener. */
export interface ConfigSpec {
  /** Global keys, e.g. `{ max_connections: 10 }`. */
  readonly settings?: TomlKeys;
  /** Keys of the listener, e.g. `{ front_timeout: 1 }`. */
  readonly listener?: TomlKeys;
  readonly clusters?: Readonly<Record<string, ClusterSpec>>;
}

/** The TOML text: `settings` first, one listener on 127.0.0.1:`port`, then the clusters. */
export function renderConfig(spec: ConfigSpec, port: number, base: TomlKeys): string {
  const address = `127.0.0.1:${port}`;
  const lines = keys({ ...base, ...spec.settings });
  lines.push("", "[[listeners]]", ...keys({ address, protocol: "http", ...spec.listener }));
  for (const [id, cluster] of Object.entries(spec.clusters ?? {})) {
    lines.push("", `[clusters.${JSON.stringify(id)}]`, ...keys({ protocol: "http", ...cluster.keys }));
    const frontends = (cluster.frontends ?? ["localhost"]).map((frontend) =>
      inline({ address, ...(typeof frontend === "string" ? { hostname: frontend } : frontend) }),
    );
    lines.push(`frontends = [${frontends.join(", ")}]`);
    const backends = (cluster.backends ?? []).map((backend) => {
      const {
        port: backendPort,
        id: backendId,
        keys: extra,
      } = typeof backend === "number" ? { port: backend } : backend;
      const named = backendId === undefined ? {} : { backend_id: backendId };
      return inline({ address: `127.0.0.1:${backendPort}`, ...named, ...extra });
    });
    lines.push(`backends = [${backends.join(", ")}]`);
  }
  return `${lines.join("\n")}\n`;
}

function keys(table: TomlKeys): string[] {
  return Object.entries(table).map(([key, value]) => `${key} = ${render(value)}`);
}

function inline(table: TomlKeys): string {
  return `{ ${keys(table).join(", ")} }`;
}

function render(value: TomlValue): string {
  if (typeof value === "string") return JSON.stringify(value);
  return Array.isArray(value) ? `[${value.map(render).join(", ")}]` : String(value);
}
