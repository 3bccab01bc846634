// Tables of clusters, as main and each worker have them: one column per process, an X where the object is there. Two
// processes have the same object when everything about it is equal. Pure.

import type { AddBackend, ClusterInformation } from "../../command/gen/sozu_pb.ts";
import { AddBackendSchema, ClusterSchema, RequestHttpFrontendSchema } from "../../command/gen/sozu_pb.ts";
import { toJson } from "../../command/json.ts";
import { addressText, httpFrontendsTable, shown, streamFrontendsTable } from "./objects.ts";
import { renderTable } from "./table.ts";

/** Everything about the clusters that `of` gives for each process; `names` is their order. */
export function clustersText(names: readonly string[], of: (name: string) => readonly ClusterInformation[]): string {
  const columns = names.map((name) => (name === "main" ? "main" : `worker ${name}`));
  const configurations = new Presence(names.length);
  const backends = new Presence(names.length);
  const frontends = new Map<string, ClusterInformation["httpFrontends"][number]>();
  const https: ClusterInformation["httpsFrontends"] = [];
  const tcp: ClusterInformation["tcpFrontends"] = [];
  const udp: ClusterInformation["udpFrontends"] = [];
  names.forEach((name, column) => {
    for (const info of of(name)) {
      const { configuration } = info;
      if (configuration !== undefined) {
        const { clusterId, stickySession, httpsRedirect } = configuration;
        const cells = [shown(clusterId), String(stickySession), String(httpsRedirect)];
        configurations.mark(toJson(ClusterSchema, configuration), cells, column);
      }
      for (const backend of info.backends) {
        backends.mark(toJson(AddBackendSchema, backend), backendCells(backend), column);
      }
      https.push(...info.httpsFrontends);
      tcp.push(...info.tcpFrontends);
      udp.push(...info.udpFrontends);
      for (const frontend of info.httpFrontends) frontends.set(toJson(RequestHttpFrontendSchema, frontend), frontend);
    }
  });
  if (configurations.size === 0) return "no cluster found\n";
  const cluster = renderTable(["id", "sticky_session", "https_redirect", ...columns], configurations.rows());
  const parts = [`Cluster level configuration\n${cluster}`];
  if (frontends.size > 0) parts.push(`HTTP frontends\n${httpFrontendsTable([...frontends.values()])}`);
  if (https.length > 0) parts.push(`HTTPS frontends\n${httpFrontendsTable(https)}`);
  if (tcp.length > 0) parts.push(`TCP frontends\n${streamFrontendsTable(tcp)}`);
  if (udp.length > 0) parts.push(`UDP frontends\n${streamFrontendsTable(udp)}`);
  if (backends.size > 0) {
    parts.push(`Backends\n${renderTable(["backend id", "IP address", "Backup", ...columns], backends.rows())}`);
  }
  return parts.join("\n");
}

/** The hash of each cluster by process; an X where they differ. */
export function hashesText(names: readonly string[], of: (name: string) => Readonly<Record<string, bigint>>): string {
  const ids = new Set(names.flatMap((name) => Object.keys(of(name))));
  const rows = [...ids].sort().map((id) => {
    const hashes = names.map((name) => (Object.hasOwn(of(name), id) ? String(of(name)[id]) : ""));
    return [shown(id), ...hashes, hashes.every((hash) => hash === hashes[0]) ? "" : "X"];
  });
  if (rows.length === 0) return "no cluster found\n";
  const columns = names.map((name) => (name === "main" ? "main" : `worker ${name}`));
  return renderTable(["cluster id", ...columns, "desynchronized"], rows);
}

/** Rows by what they say, with an X per process that says it. */
class Presence {
  readonly #columns: number;
  readonly #rows: Map<string, { readonly cells: readonly string[]; readonly marks: string[] }>;

  constructor(columns: number) {
    this.#columns = columns;
    this.#rows = new Map();
  }

  get size(): number {
    return this.#rows.size;
  }

  mark(key: string, cells: readonly string[], column: number): void {
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = { cells, marks: new Array<string>(this.#columns).fill("") };
      this.#rows.set(key, row);
    }
    row.marks[column] = "X";
  }

  rows(): string[][] {
    return [...this.#rows.values()].map(({ cells, marks }) => [...cells, ...marks]);
  }
}

function backendCells(backend: AddBackend): string[] {
  return [shown(backend.backendId), addressText(backend.address), backend.backup ? "X" : ""];
}
