// `sozu cluster health-check set`, `remove`, `list` and `status`. `--timeout` of `set` is the time a probe may take, in
// seconds, and so the one option that shadows a global one.

import { control } from "./control.ts";
import { type GlobalOptions, givenOf } from "./options.ts";

/** What `set` was given. */
export interface HealthCheckOptions extends GlobalOptions {
  readonly id: string;
  readonly uri?: string;
  /** Seconds. */
  readonly interval: number;
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
  readonly expectedStatus: number;
  readonly tcp?: boolean;
  readonly acceptedStatus?: readonly string[];
}

const ALL = "sozu cluster list shows all clusters";

/** Sets or replaces the health check of a cluster; backends keep their verdicts until probes say otherwise. */
export async function setHealthCheck(options: HealthCheckOptions): Promise<void> {
  const { timeout = 5, ...others } = options;
  const { interval, healthyThreshold, unhealthyThreshold, expectedStatus } = options;
  if (timeout >= interval) {
    process.stderr.write(`warning: a probe may take ${timeout} s, and every ${interval} s there is another\n`);
  }
  const config = {
    uri: options.uri ?? "",
    interval,
    timeout,
    healthyThreshold,
    unhealthyThreshold,
    expectedStatus,
    acceptedStatuses: [...(options.acceptedStatus ?? [])],
    ...givenOf(options, ["tcp"]),
  };
  await control(others, { case: "setHealthCheck", value: { clusterId: options.id, config } }, ALL);
}

/** Stops the probes of a cluster; its backends count as healthy again. */
export async function removeHealthCheck(options: GlobalOptions & { readonly id: string }): Promise<void> {
  await control(options, { case: "removeHealthCheck", value: options.id }, ALL);
}

/** Shows what each worker knows of the backends of all clusters, or of one. */
export async function showHealth(options: GlobalOptions & { readonly id?: string }): Promise<void> {
  await control(options, {
    case: "queryBackendHealth",
    value: options.id === undefined ? {} : { clusterId: options.id },
  });
}

/** Shows the health checks of all clusters, or of one. */
export async function listHealthChecks(options: GlobalOptions & { readonly id?: string }): Promise<void> {
  await control(options, {
    case: "queryHealthChecks",
    value: options.id === undefined ? {} : { clusterId: options.id },
  });
}
