// Removing a listener leaves its frontends and certificates in the state (spec 4.7), but takes those of a worker with it.
// When a listener comes (back) to an address, workers are told of what is there once more, so that a worker that lived
// through both and one that starts from the state serve the same.

import { formatAddress } from "../address.ts";
import type { Change, SocketAddress } from "../objects.ts";
import type { Step, Table } from "./table.ts";

/** The step that repeats what a table has at `address`, or null when that is nothing. It changes no table. */
export function reattach<M, O extends { readonly address: SocketAddress }>(
  { entries, size, transition }: Table<M, O>,
  address: string,
): Step | null {
  if (size === 0) return null;
  const changes: Change[] = [];
  for (const { object } of entries.values()) {
    if (formatAddress(object.address) === address) changes.push(...transition(undefined, object));
  }
  return changes.length === 0 ? null : { name: "", take: () => changes, back: () => [] };
}
