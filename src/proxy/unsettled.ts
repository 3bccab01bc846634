// A set of changes that is in force and not carried out yet. A large set comes into force by one assignment: what it says
// about a host or a cluster is carried out when that is first looked up, or by and by when nobody asks. So no request
// sees one part of it without the other, however many objects it has.

import type { UnsettledClusters } from "../balancing/cluster-table.ts";
import type { Scheme } from "../policies/redirect.ts";
import type { Unsettled } from "../routing/router.ts";

export interface UnsettledSet extends UnsettledClusters {
  /** What it says about the routes of one listener; `name` is its address. null: nothing. */
  routesOf(scheme: Scheme, name: string): Unsettled | null;
}
