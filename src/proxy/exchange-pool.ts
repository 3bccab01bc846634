// The exchanges of a worker, those in flight and those that wait for the next request.

import type { TrafficContext } from "./context.ts";
import { Exchange } from "./exchange.ts";
import type { BackendConnector, RequestEncoder } from "./streams.ts";

/** Lends exchanges; they are reused, so a request allocates nothing. */
export class ExchangePool {
  readonly context: TrafficContext;
  readonly connector: BackendConnector;
  readonly encoder: RequestEncoder;
  /** Exchanges in flight, tunnels included. */
  active: number;
  tunnels: number;
  #free: Exchange | null;

  constructor(context: TrafficContext, connector: BackendConnector, encoder: RequestEncoder) {
    this.context = context;
    this.connector = connector;
    this.encoder = encoder;
    this.active = 0;
    this.tunnels = 0;
    this.#free = null;
  }

  take(): Exchange {
    this.active++;
    const exchange = this.#free;
    if (exchange === null) {
      return new Exchange(this);
    }
    this.#free = exchange.next;
    exchange.next = null;
    return exchange;
  }

  give(exchange: Exchange): void {
    this.active--;
    exchange.next = this.#free;
    this.#free = exchange;
  }
}
