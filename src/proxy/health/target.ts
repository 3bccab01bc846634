// A backend under a health check: its results so far and the probe in flight. One object as long as the check watches the
// backend, so a result that comes late finds out that nobody wants it.

import type { Backend } from "../../balancing/backend.ts";
import { HealthTally } from "../../balancing/health-check.ts";
import type { ClusterCheck } from "./cluster-check.ts";
import type { Probe } from "./probe.ts";

/** A backend under a check. */
export class Target {
  readonly check: ClusterCheck;
  readonly backend: Backend;
  readonly tally: HealthTally;
  /** The probe in flight. */
  probe: Probe | null;
  queued: boolean;
  /** Gone from the check: nothing is started or told any more. */
  dropped: boolean;

  constructor(check: ClusterCheck, backend: Backend) {
    this.check = check;
    this.backend = backend;
    this.tally = new HealthTally();
    this.probe = null;
    this.queued = false;
    this.dropped = false;
  }
}
