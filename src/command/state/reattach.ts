// Removing a listener leaves its frontends in the state (spec 4.7), but takes the routes of a worker with it. When a
// listener comes (back) to an address, workers are told of the frontends there once more, so that a worker that lived
// through both and one that starts from the state serve the same.

import { formatAddress } from "../address.ts";
import type { Change } from "../objects.ts";
import type { HttpFrontendTable } from "./http-frontends.ts";
import type { Step } from "./table.ts";

/** The step that repeats the frontends at `address`, or null when there are none. It changes no table. */
export function reattachFrontends(frontends: HttpFrontendTable, address: string): Step | null {
  if (frontends.size === 0) return null;
  const changes: Change[] = [];
  for (const { object } of frontends.entries.values()) {
    if (formatAddress(object.address) === address) changes.push({ kind: "add_http_frontend", frontend: object });
  }
  return changes.length === 0 ? null : { take: () => changes, back: () => [] };
}
