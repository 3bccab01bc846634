// What main counts of itself (spec 12.5: `config.<verb>` and the gauges of the configuration; the rest is ours). Main has
// few events, so this is a map of names, not a page; gauges are asked for when somebody reads.

import { type Request, RequestSchema } from "../../command/gen/sozu_pb.ts";
import { KIND_COUNTER, KIND_GAUGE } from "../../observe/metrics.ts";
import { isAudited, verbOf } from "../audit.ts";

/** A metric of main. */
export interface MainMetric {
  readonly name: string;
  readonly kind: number;
  readonly value: number;
}

/** The metrics of main, but for `config.<verb>`, with their meaning. */
export const MAIN_METRICS = {
  "process.uptime_seconds": { kind: KIND_GAUGE, text: "since main was started" },
  "configuration.clusters": { kind: KIND_GAUGE, text: "clusters of the state" },
  "configuration.backends": { kind: KIND_GAUGE, text: "backends of the state" },
  "configuration.frontends": { kind: KIND_GAUGE, text: "frontends of the state, of all protocols" },
  "command.requests": { kind: KIND_COUNTER, text: "requests of clients of the command socket" },
  "command.errors": { kind: KIND_COUNTER, text: "those that were answered with a failure" },
  "command.clients": { kind: KIND_GAUGE, text: "clients of the command socket" },
  "events.subscribers": { kind: KIND_GAUGE, text: "clients that listen to events" },
  "events.subscribers_dropped": { kind: KIND_COUNTER, text: "clients that were dropped because they did not read" },
  "workers.serving": { kind: KIND_GAUGE, text: "workers that serve" },
  "workers.started": { kind: KIND_COUNTER, text: "workers that were started" },
  "workers.died": { kind: KIND_COUNTER, text: "workers that ended without being told to" },
  "metrics.leases": { kind: KIND_GAUGE, text: "leases of metric detail" },
  "metrics.datagrams": { kind: KIND_COUNTER, text: "datagrams sent to the statsd server" },
  "metrics.send_errors": { kind: KIND_COUNTER, text: "datagrams that could not be sent to it" },
  "metrics.delayed": {
    kind: KIND_COUNTER,
    text: "seconds in which not all changes were sent, because they were too many",
  },
} as const;

/** A metric of main that is no `config.<verb>`. */
export type MainMetricName = keyof typeof MAIN_METRICS;
/** Those that are counted here; the others are read where they are kept. */
export type MainCounter =
  | "command.requests"
  | "command.errors"
  | "metrics.datagrams"
  | "metrics.send_errors"
  | "metrics.delayed";
type Kept = Readonly<Record<Exclude<MainMetricName, MainCounter>, number>>;

/** Every `config.<verb>`, sorted: one for each kind of request that changes something. */
export function configVerbs(): string[] {
  const verbs = new Set<string>();
  for (const { localName } of RequestSchema.fields) {
    const name = localName as Request["requestType"]["case"];
    if (isAudited(name)) verbs.add(`config.${verbOf({ requestType: { case: name } } as Request)}`);
  }
  return [...verbs].sort();
}

/** Counts for main. */
export class MainMetrics {
  readonly #counters: Map<string, number>;
  readonly #read: () => Kept;
  /** What counters that are kept elsewhere were when all was cleared. */
  #cleared: Partial<Record<string, number>>;

  /** `read` is asked at each reading. */
  constructor(read: () => Kept) {
    this.#counters = new Map();
    this.#read = read;
    this.#cleared = {};
  }

  add(name: MainCounter, count = 1): void {
    this.#add(name, count);
  }

  /** A request was carried out; the parts of a transaction count each. */
  configured(request: Request): void {
    const { requestType } = request;
    if (!isAudited(requestType.case)) return;
    this.#add(`config.${verbOf(request)}`, 1);
    if (requestType.case !== "transaction") return;
    for (const part of requestType.value.requests) this.configured(part);
  }

  /** All of them, sorted by name. */
  all(): MainMetric[] {
    const metrics: MainMetric[] = [];
    for (const [name, value] of this.#counters) metrics.push({ name, kind: KIND_COUNTER, value });
    for (const [name, value] of Object.entries(this.#read())) {
      const { kind } = MAIN_METRICS[name as MainMetricName];
      metrics.push({ name, kind, value: value - (this.#cleared[name] ?? 0) });
    }
    return metrics.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Counters back to 0; gauges say what is now. */
  clear(): void {
    this.#counters.clear();
    const counters = Object.entries(this.#read()).filter(([name]) => {
      return MAIN_METRICS[name as MainMetricName].kind === KIND_COUNTER;
    });
    this.#cleared = Object.fromEntries(counters);
  }

  #add(name: string, count: number): void {
    this.#counters.set(name, (this.#counters.get(name) ?? 0) + count);
  }
}
