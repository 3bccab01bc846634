// The client connections of a worker by their last activity: who makes room when the worker is full (spec 13.4), and who
// has been silent for so long that something must be wrong (spec 13.3).
//
// Activity is a read event of the client, or bytes that were written to it. A connection notes it by one store, in ticks of
// the timer wheel (100 ms); connections with the same tick count in the order in which they came. All connections are
// looked at, so the work is done rarely: at saturation for a hundredth of them at once, for zombies once an interval.

import { TICK_MS } from "../loop/timer-wheel.ts";
import { METRIC_SESSIONS_EVICTED, METRIC_ZOMBIES } from "../observe/metrics.ts";
import type { ClientConnection } from "./client-connection.ts";
import type { TrafficContext } from "./context.ts";

/** Calls `visit` for each client connection, those of a listener from the latest to the first. */
export type ForEachSession = (visit: (connection: ClientConnection) => void) => void;

export class Sessions {
  readonly #context: TrafficContext;
  readonly #forEach: ForEachSession;
  #checkedAtTick: number;

  constructor(context: TrafficContext, forEach: ForEachSession) {
    this.#context = context;
    this.#forEach = forEach;
    this.#checkedAtTick = context.loop.wheel.tick;
  }

  /** Closes max(1, 1 %) of `max` connections, those with the oldest activity. Returns how many. */
  evict(max: number): number {
    const wanted = Math.max(1, Math.floor(max / 100));
    const { wheel } = this.#context.loop;
    const ticks = new Int32Array(max);
    let count = 0;
    this.#forEach((connection) => {
      if (count < max) ticks[count++] = connection.activeTick;
    });
    if (count === 0) return 0;
    const newest = ticks.subarray(0, count).sort()[Math.min(wanted, count) - 1];
    const found: ClientConnection[] = [];
    this.#forEach((connection) => {
      if (connection.activeTick <= newest) found.push(connection);
    });
    // Sorting is stable: of equal ones, those that came first are first.
    found.reverse().sort((a, b) => a.activeTick - b.activeTick);
    const evicted = Math.min(wanted, found.length);
    for (let i = 0; i < evicted; i++) found[i].stopNow();
    this.#context.stats.values[METRIC_SESSIONS_EVICTED] += evicted;
    const idleMs = (wheel.tick - ticks[0]) * TICK_MS;
    this.#context.logger.debug("proxy", `full: ${evicted} connections evicted, the oldest was idle for ${idleMs} ms`);
    return evicted;
  }

  /** Called about once a second: closes what was silent for a whole zombie_check_interval, once an interval. */
  closeZombies(): void {
    const { loop, logger, settings, stats } = this.#context;
    const interval = (settings.zombieCheckInterval * 1000) / TICK_MS;
    if (interval === 0 || loop.wheel.tick - this.#checkedAtTick < interval) return;
    const silentSince = loop.wheel.tick - interval;
    this.#checkedAtTick = loop.wheel.tick;
    let closed = 0;
    this.#forEach((connection) => {
      if (connection.activeTick > silentSince) return;
      connection.stopNow();
      closed++;
    });
    if (closed === 0) return;
    stats.values[METRIC_ZOMBIES] += closed;
    logger.warn("proxy", `${closed} connections closed that were silent for ${settings.zombieCheckInterval} s`);
  }
}
