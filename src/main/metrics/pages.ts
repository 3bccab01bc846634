// The stats pages of all workers as one: which rows of which pages belong to which cluster. Reading asks no worker and
// waits for none; a row that changes hands meanwhile is left out.

import { ROW_CONNECTIONS_PER_BACKEND } from "../../observe/metrics.ts";
import { ROW_SLOTS } from "../../observe/stats-layout.ts";
import type { RowPlace, StatsReader } from "../../observe/stats-reader.ts";

/** A page and who writes it. */
export interface Page {
  /** The worker that writes it, or wrote it last. */
  readonly workerId: number;
  /** Whether that worker is there. */
  readonly isLive: boolean;
  /** Sums of workers that are gone (retired.ts); no worker's own. */
  readonly isRetired: boolean;
  readonly reader: StatsReader;
}

/** A row of one page. */
interface Place {
  readonly reader: StatsReader;
  readonly at: RowPlace;
}

/** Where a cluster is counted. */
export interface ClusterPlaces {
  readonly own: Place[];
  readonly backends: Map<string, Place[]>;
}

/** The rows of the pages by cluster, in the order of their ids. Retired pages come last: they know no removals. */
export function* indexPages(pages: readonly Page[]): Generator<void, Map<string, ClusterPlaces>> {
  const clusters = new Map<string, ClusterPlaces>();
  for (const { reader, isRetired } of pages) {
    for (const at of reader.places()) {
      const known = clusters.get(at.clusterId);
      if (isRetired && (known === undefined || (at.backendId !== null && !known.backends.has(at.backendId)))) continue;
      const found: ClusterPlaces = known ?? { own: [], backends: new Map() };
      clusters.set(at.clusterId, found);
      if (at.backendId === null) {
        found.own.push({ reader, at });
        continue;
      }
      const backend = found.backends.get(at.backendId);
      if (backend === undefined) found.backends.set(at.backendId, [{ reader, at }]);
      else backend.push({ reader, at });
    }
    yield;
  }
  return new Map([...clusters].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Sums rows into `into`, which is cleared first. */
export function sumRows(places: readonly Place[], into: Float64Array): void {
  into.fill(0);
  for (const { reader, at } of places) reader.addRow(at, into);
}

/** Sums the rows of a cluster; its connections are those of its backends. */
export function sumCluster({ own, backends }: ClusterPlaces, into: Float64Array): void {
  let connections = 0;
  for (const places of backends.values()) {
    sumRows(places, into);
    connections += into[ROW_CONNECTIONS_PER_BACKEND];
  }
  sumRows(own, into);
  into[ROW_CONNECTIONS_PER_BACKEND] = connections;
}

/** Room for one row. */
export function rowRoom(): Float64Array {
  return new Float64Array(ROW_SLOTS);
}
