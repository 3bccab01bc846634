// The `health_check` table of a cluster (spec 2.9).

import type { HealthCheckConfig } from "../command/gen/sozu_pb.ts";
import { type CheckContext, checkTable } from "./check.ts";
import { healthCheckMessage } from "./objects.ts";
import { type ConfigPath, formatPath } from "./problems.ts";
import { HEALTH_CHECK_KEYS } from "./tables.ts";

/** null: there is none, or what is wrong with it has been said. */
export function readHealthCheck(
  context: CheckContext,
  raw: Record<string, unknown> | undefined,
  path: ConfigPath,
): HealthCheckConfig | null {
  const { problems } = context;
  const said = problems.items.length;
  const values = raw === undefined ? null : checkTable(context, HEALTH_CHECK_KEYS, raw, path);
  if (values === null || problems.items.slice(said).some((item) => item.severity === "error")) return null;
  if (values.uri === undefined && values.tcp !== true) {
    problems.error([...path, "uri"], `missing key "uri" in ${formatPath(path)}: only probes with tcp = true need none`);
    return null;
  }
  const message = healthCheckMessage(values);
  if (message.timeout >= message.interval) {
    const longer = `timeout: a probe may take ${message.timeout} s, and every ${message.interval} s there is another`;
    problems.warning([...path, values.timeout === undefined ? "interval" : "timeout"], longer);
  }
  return message;
}
