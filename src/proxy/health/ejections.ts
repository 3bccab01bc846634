// Carries out passive ejection (src/balancing/ejection.ts): what counts as a failed request, and the timer that lets a
// backend in again. Only clusters with `eject_after` come here, once per finished request.

import type { Backend } from "../../balancing/backend.ts";
import type { Cluster } from "../../balancing/cluster.ts";
import { countOutcome, readmit } from "../../balancing/ejection.ts";
import { Timed } from "../../loop/timer-wheel.ts";
import { ROW_BACKEND_EJECTED } from "../../observe/metrics.ts";
import { noteAvailability, noteBackendAvailable } from "../availability.ts";
import type { TrafficContext } from "../context.ts";
import type { Exchange } from "../exchange.ts";
import { NOTE_BACKEND_CLOSED, NOTE_BACKEND_RESPONSE_TIMEOUT, NOTE_BACKEND_TIMEOUT } from "../notes.ts";

/** A request to this cluster is over. */
export function noteOutcome(exchange: Exchange, cluster: Cluster): void {
  const { backend, context } = exchange;
  if (backend === null) return;
  const failed = hasFailed(exchange);
  // A client that left, or an answer of our own, says nothing of the backend.
  if (!failed && (exchange.isLocal || !exchange.responseDone)) return;
  const lastsMs = countOutcome(cluster, backend, failed, context.loop.nowMs);
  if (lastsMs === 0) return;
  context.stats.countOfBackend(backend.row, ROW_BACKEND_EJECTED);
  context.logger.warn(
    "proxy",
    `cluster ${cluster.id}: backend ${backend.id} is left out for ${lastsMs / 1000} s: ` +
      `${cluster.ejectAfter} requests in a row failed`,
  );
  noteChange(context, cluster, backend);
  const readmission = new Readmission(context, cluster, backend);
  backend.readmission = readmission;
  context.loop.wheel.arm(readmission, lastsMs);
}

/** The cluster ejects no more: who is out comes back. */
export function readmitAll(context: TrafficContext, cluster: Cluster): void {
  for (const backend of cluster.backends) if (backend.ejected) comeBack(context, cluster, backend);
}

class Readmission extends Timed {
  readonly #context: TrafficContext;
  readonly #cluster: Cluster;
  readonly #backend: Backend;

  constructor(context: TrafficContext, cluster: Cluster, backend: Backend) {
    super();
    this.#context = context;
    this.#cluster = cluster;
    this.#backend = backend;
  }

  override onTimeout(): void {
    if (this.#backend.readmission !== this || this.#backend.removed) return;
    comeBack(this.#context, this.#cluster, this.#backend);
    this.#context.logger.info("proxy", `cluster ${this.#cluster.id}: backend ${this.#backend.id} is let in again`);
  }
}

function comeBack(context: TrafficContext, cluster: Cluster, backend: Backend): void {
  backend.readmission = null;
  readmit(cluster, backend, context.loop.nowMs);
  noteChange(context, cluster, backend);
}

function noteChange(context: TrafficContext, cluster: Cluster, backend: Backend): void {
  noteBackendAvailable(context, backend);
  noteAvailability(context, cluster);
}

/** An answer 5xx of the backend, none in time, or none that makes sense. */
function hasFailed(exchange: Exchange): boolean {
  const { note, status } = exchange;
  if (note === NOTE_BACKEND_TIMEOUT || note === NOTE_BACKEND_RESPONSE_TIMEOUT || note === NOTE_BACKEND_CLOSED) {
    return true;
  }
  return exchange.isLocal ? status === 502 || status === 504 : status >= 500;
}
