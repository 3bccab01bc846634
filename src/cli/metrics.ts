// `sozu metrics get`, `enable`, `disable`, `clear` and `detail`.

import { type MetricDetail, MetricsConfiguration } from "../command/gen/sozu_pb.ts";
import { request } from "../command/messages.ts";
import { METRIC_DETAILS } from "../command/words.ts";
import { control, openClient, type RequestInit, sendOver } from "./control.ts";
import { contentJson, contentText } from "./display/content.ts";
import type { GlobalOptions } from "./options.ts";

/** What `get` was given. */
export interface MetricsOptions extends GlobalOptions {
  readonly list?: boolean;
  /** Seconds; absent: once. */
  readonly refresh?: number;
  readonly names?: readonly string[];
  readonly clusters?: readonly string[];
  readonly backends?: readonly string[];
  readonly noClusters?: boolean;
  readonly workers?: boolean;
}

/** What `detail` was given. */
export interface DetailOptions extends GlobalOptions {
  readonly ttl?: number;
  readonly clientId: string;
  readonly clear?: boolean;
  readonly reason?: string;
}

/** Shows metrics, once or again and again. */
export async function getMetrics(options: MetricsOptions): Promise<void> {
  const value = {
    list: options.list === true,
    clusterIds: [...(options.clusters ?? [])],
    backendIds: [...(options.backends ?? [])],
    metricNames: [...(options.names ?? [])],
    noClusters: options.noClusters === true,
    workers: options.workers === true,
  };
  if (options.refresh === undefined) await control(options, { case: "queryMetrics", value }, NEXT);
  else await refresh(options, { case: "queryMetrics", value }, options.refresh);
}

const NEXT = "sozu metrics get --list shows the names, sozu cluster list the clusters";

/** Redraws in place on a terminal; elsewhere one answer follows the other. Ends when the proxy or the reader does. */
async function refresh(options: GlobalOptions, verb: RequestInit, seconds: number): Promise<void> {
  const client = await openClient(options);
  const [save, restore] = process.stdout.isTTY ? ["\x1b7", "\x1b8\x1b[1J"] : ["", ""];
  try {
    for (;;) {
      const { content } = await sendOver(client, request(verb), NEXT);
      const text = options.json ? contentJson(content) : contentText(content);
      process.stdout.write(`${save}${text}`);
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      process.stdout.write(restore);
    }
  } finally {
    client.close();
  }
}

/** `enable`, `disable`, `clear`. */
export async function configureMetrics(options: GlobalOptions, order: "ENABLED" | "DISABLED" | "CLEAR"): Promise<void> {
  await control(options, { case: "configureMetrics", value: MetricsConfiguration[order] });
}

/** Raises the detail for some time, or ends that. */
export async function setDetail(level: string | undefined, options: DetailOptions): Promise<void> {
  const { clientId, ttl, clear, reason } = options;
  const value = {
    clientId,
    ...(level === undefined ? {} : { detail: METRIC_DETAILS.indexOf(level as "cluster") as MetricDetail }),
    ...(ttl === undefined ? {} : { ttlSeconds: ttl }),
    ...(clear === true ? { clear } : {}),
    ...(reason === undefined ? {} : { reason }),
  };
  await control(options, { case: "setMetricDetail", value }, "sozu metrics detail --help shows the levels");
}
