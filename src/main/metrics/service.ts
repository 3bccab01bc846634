// Metrics as main's clients see them: queries, configuration, detail, and the statsd server if there is one. Workers count
// into pages that main reads (pages.ts), so a query asks nobody and a worker that died loses nothing; only what changes a
// worker (what it records, a clear) is an order that it acknowledges.

import { createSocket, type Socket } from "node:dgram";
import { isFieldSet } from "@bufbuild/protobuf";
import { commandError } from "../../command/errors.ts";
import type { QueryMetricsOptions, Request, Response, SetMetricDetail } from "../../command/gen/sozu_pb.ts";
import {
  EventKind,
  type MetricDetail,
  MetricsConfiguration,
  SetMetricDetailSchema,
} from "../../command/gen/sozu_pb.ts";
import { failureResponse, okResponse } from "../../command/messages.ts";
import type { ConfigState } from "../../command/state.ts";
import type { MetricsOrder } from "../../command/worker-protocol.ts";
import type { GlobalSettings, MetricsSink } from "../../config/settings.ts";
import { DETAIL_PROCESS } from "../../observe/metric-detail.ts";
import { clearCounters } from "../../observe/stats-clear.ts";
import type { EventHub } from "../events.ts";
import { inSlices } from "../slices.ts";
import { isAlive } from "../state-file.ts";
import { type CarriedLease, DetailLeases, type Transition } from "./detail.ts";
import { MainMetrics } from "./main-metrics.ts";
import type { Page } from "./pages.ts";
import { queryMetrics } from "./query.ts";
import { StatsdDrain } from "./statsd.ts";

/** How often leases are looked at and changes are sent. */
const TICK_MS = 1000;
/** Bytes that may wait in the socket; a server on another machine may be slower than a second. */
const QUEUE_BYTES_MAX = 1_000_000;

/** The workers, as far as metrics go. */
export interface MetricsWorkers {
  /** Every page that is read, those of dead workers included. */
  pages(): readonly Page[];
  /** Gives an order to all workers, and to those that start later its detail. Resolves with the ids of who did not obey. */
  orderMetrics(order: MetricsOrder, timeoutMs: number): Promise<readonly number[]>;
  serving(): readonly number[];
  /** Forgets what workers that are gone counted for other clusters than these. */
  pruneRetired(has: (clusterId: string) => boolean): void;
  readonly started: number;
  readonly deaths: number;
}

/** What the service needs of main. */
export interface MetricsServiceOptions {
  readonly settings: GlobalSettings;
  /** Of this program, as lines of statsd show it. */
  readonly version: string;
  readonly workers: MetricsWorkers;
  readonly events: EventHub;
  readonly state: () => ConfigState;
  readonly clients: () => number;
  readonly warn: (message: string) => void;
  /** Goes on with workers of an earlier main, which has sent what they counted until now. */
  readonly resumed?: { readonly leases: readonly CarriedLease[] } | null;
}

/** A request that is about metrics. */
export type MetricsRequest = Extract<
  Request["requestType"],
  { case: "queryMetrics" | "configureMetrics" | "setMetricDetail" }
>;

/** The metrics of one main. */
export class MetricsService {
  readonly main: MainMetrics;
  readonly #options: MetricsServiceOptions;
  readonly #leases: DetailLeases;
  readonly #startedMs: number;
  readonly #timer: NodeJS.Timeout;
  readonly #sender: StatsdSender | null;
  /** False after `metrics disable`: rows record nothing. */
  #enabled: boolean;

  constructor(options: MetricsServiceOptions) {
    const { settings } = options;
    this.#options = options;
    this.#leases = new DetailLeases(settings.metricDetail, (pid) => !isAlive(pid));
    this.#leases.resume(options.resumed?.leases ?? [], performance.now());
    this.#startedMs = performance.now();
    this.#enabled = settings.clusterMetrics;
    this.main = new MainMetrics(() => this.#kept());
    this.#sender = settings.metricsSink === null ? null : new StatsdSender(this, settings.metricsSink, options);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  get detail(): number {
    return this.#leases.effective;
  }

  /** For the next main. */
  carry(): CarriedLease[] {
    return this.#leases.carry(performance.now());
  }

  close(): void {
    clearInterval(this.#timer);
    this.#sender?.close();
  }

  /** Counts a request that was answered. */
  onAnswer(request: Request, ok: boolean): void {
    this.main.add("command.requests");
    if (ok) this.main.configured(request);
    else this.main.add("command.errors");
  }

  /** Answers a request about metrics; `pid`: of the client. */
  answer(asked: MetricsRequest, state: ConfigState, pid: number): Promise<Response> {
    if (asked.case === "queryMetrics") return this.#query(asked.value);
    state.count(asked.case);
    return asked.case === "configureMetrics" ? this.#configure(asked.value) : this.#setDetail(asked.value, pid);
  }

  #query(options: QueryMetricsOptions): Promise<Response> {
    const { workers, settings, state } = this.#options;
    const { clusters, backends, frontends } = sizes(state());
    const source = {
      pages: workers.pages(),
      main: this.main.all(),
      detail: this.detail,
      clusters,
      backends,
      frontends,
      bytesMax: settings.maxCommandBufferSizeBytes,
    };
    return inSlices(queryMetrics(options, source));
  }

  async #configure(order: MetricsConfiguration): Promise<Response> {
    if (order === MetricsConfiguration.CLEAR) return this.#clear();
    if (order !== MetricsConfiguration.ENABLED && order !== MetricsConfiguration.DISABLED) {
      return failureResponse(commandError("INVALID_VALUE", "configure_metrics", `there is no ${order}`).message);
    }
    this.#enabled = order === MetricsConfiguration.ENABLED;
    return this.#answer(await this.#order(false));
  }

  async #setDetail(asked: SetMetricDetail, pid: number): Promise<Response> {
    const level = isFieldSet(asked, SetMetricDetailSchema.field.detail) ? asked.detail : null;
    const { clientId, ttlSeconds, clear } = asked;
    if (level !== null && (level < 0 || level > 3)) {
      return failureResponse(commandError("INVALID_VALUE", "detail", `there is no level ${level}`).message);
    }
    const lease = { clientId, level, ttlSeconds, clear };
    const transition = this.#leases.request(lease, pid, performance.now());
    if (typeof transition === "string") return failureResponse(`set_metric_detail: ${transition}`);
    const missing = transition === null ? [] : await this.#follow(transition);
    if (missing.length > 0) return this.#answer(missing);
    return okResponse("Successfully set the metric detail", {
      case: "metricDetailStatus",
      value: this.#status(transition?.previous ?? this.#leases.effective),
    });
  }

  #status(before: number) {
    const { configured, effective, count } = this.#leases;
    const levels = {
      configured: configured as MetricDetail,
      effective: effective as MetricDetail,
      previousEffective: before as MetricDetail,
    };
    const each = { ...levels, activeLeaseCount: count };
    const workers = Object.fromEntries(this.#options.workers.serving().map((id) => [id, each]));
    return { ...levels, workers };
  }

  async #clear(): Promise<Response> {
    const missing = await this.#order(true);
    for (const { reader, isLive } of this.#options.workers.pages()) {
      // Nobody else writes it.
      if (!isLive && reader.valid) await inSlices(clearCounters(reader.buffer));
    }
    this.main.clear();
    return this.#answer(missing);
  }

  #order(clear: boolean): Promise<readonly number[]> {
    const detail = this.#enabled ? this.detail : DETAIL_PROCESS;
    return this.#options.workers.orderMetrics({ detail, clear }, this.#timeoutMs);
  }

  get #timeoutMs(): number {
    return this.#options.settings.workerTimeoutSeconds * 1000;
  }

  #answer(missing: readonly number[]): Response {
    if (missing.length === 0) return okResponse("Successfully applied request to all workers");
    return failureResponse(`worker ${missing.join(", ")} did not answer within ${this.#timeoutMs} ms`);
  }

  #follow({ previous, effective, kind, clientId }: Transition): Promise<readonly number[]> {
    const levels = { previousEffective: previous as MetricDetail, effective: effective as MetricDetail };
    this.#options.events.emit({
      kind: EventKind.METRIC_DETAIL_CHANGED,
      metricDetail: { ...levels, transitionKind: kind, clientId },
    });
    return this.#order(false);
  }

  #tick(): void {
    const transition = this.#leases.expire(performance.now());
    if (transition !== null) this.#follow(transition);
    this.#options.workers.pruneRetired((id) => this.#options.state().clusters.get(id) !== undefined);
    this.#sender?.tick();
  }

  #kept() {
    const { state, workers, events, clients } = this.#options;
    const { clusters, backends, frontends } = sizes(state());
    return {
      "process.uptime_seconds": Math.floor((performance.now() - this.#startedMs) / 1000),
      "configuration.clusters": clusters,
      "configuration.backends": backends,
      "configuration.frontends": frontends,
      "command.clients": clients(),
      "events.subscribers": events.subscribers,
      "events.subscribers_dropped": events.dropped,
      "workers.serving": workers.serving().length,
      "workers.started": workers.started,
      "workers.died": workers.deaths,
      "metrics.leases": this.#leases.count,
    };
  }
}

function sizes(state: ConfigState): {
  readonly clusters: number;
  readonly backends: number;
  readonly frontends: number;
} {
  const { httpFrontends, httpsFrontends, tcpFrontends, udpFrontends } = state;
  const frontends = httpFrontends.size + httpsFrontends.size + tcpFrontends.size + udpFrontends.size;
  return { clusters: state.clusters.size, backends: state.backends.size, frontends };
}

/** The socket to a statsd server, and the pass that is under way. */
class StatsdSender {
  readonly #service: MetricsService;
  readonly #drain: StatsdDrain;
  readonly #socket: Socket;
  readonly #sink: MetricsSink;
  readonly #warn: (message: string) => void;
  #busy: boolean;
  #failing: boolean;
  #closed: boolean;
  /** The first pass only finds out what was sent before. */
  #isMuted: boolean;

  constructor(service: MetricsService, sink: MetricsSink, { workers, version, warn, resumed }: MetricsServiceOptions) {
    this.#service = service;
    this.#sink = sink;
    this.#warn = warn;
    this.#busy = false;
    this.#failing = false;
    this.#closed = false;
    this.#isMuted = resumed !== undefined && resumed !== null;
    this.#socket = createSocket(sink.address.ip.includes(":") ? "udp6" : "udp4");
    this.#socket.on("error", (error) => this.#onSent(error));
    this.#socket.unref();
    const source = { pages: () => workers.pages(), main: () => service.main.all(), detail: () => service.detail };
    const style = { prefix: sink.prefix, tagged: sink.tagged, version };
    this.#drain = new StatsdDrain(source, style, (datagram) => this.#send(datagram));
  }

  /** Sends what has changed, unless the last pass is still under way. */
  tick(): void {
    if (this.#busy || this.#closed) return;
    this.#busy = true;
    const isFull = (): boolean => this.#closed || this.#socket.getSendQueueSize() > QUEUE_BYTES_MAX;
    inSlices(this.#drain.pass(isFull)).then((complete) => {
      this.#busy = false;
      if (complete) this.#isMuted = false;
      if (!complete) this.#service.main.add("metrics.delayed");
    });
  }

  close(): void {
    this.#closed = true;
    this.#socket.close();
  }

  #send(datagram: Uint8Array): void {
    if (this.#closed || this.#isMuted) return;
    const { ip, port } = this.#sink.address;
    this.#service.main.add("metrics.datagrams");
    // A copy: the socket may send it later.
    this.#socket.send(datagram.slice(), port, ip, (error) => this.#onSent(error));
  }

  #onSent(error: Error | null): void {
    if (error !== null) this.#service.main.add("metrics.send_errors");
    if (this.#failing === (error !== null)) return;
    this.#failing = error !== null;
    if (error !== null) this.#warn(`metrics cannot be sent: ${error.message}`);
    else this.#warn("metrics can be sent again");
  }
}
