// What a worker does when its event loop is late: it sheds load before it stands still.
//
//                lag >= 500 ms                     lag >= 2 s
//   IN_TIME --------------------> LATE ---------------------------> OVERLOADED
//      ^   3 ticks below 250 ms    |  ^          a tick below 1 s       |
//      `---------------------------'  `---------------------------------'
//
// LATE: nobody is accepted. OVERLOADED: new requests are answered 503 too, from constant bytes. What is in flight goes on.
// The lag is the time that the timer's event waited among the other ready descriptors, measured ten times a second
// (event-loop.ts), so it is what a request waits. Both states end by themselves; entry and exit are logged once, at most
// every ten seconds.

import type { Logger } from "../observe/logger.ts";
import { METRIC_EVENT_LOOP_LAG_MS, METRIC_EVENT_LOOP_OVERLOAD, METRIC_HTTP_REQUESTS_SHED } from "../observe/metrics.ts";
import { Constant, encodeConstant } from "../wire/http1/encoder.ts";
import type { Exchange } from "./exchange.ts";

export const IN_TIME = 0;
export const LATE = 1;
export const OVERLOADED = 2;

const LATE_MS = 500;
const IN_TIME_MS = 250;
const OVERLOADED_MS = 2000;
const RELIEVED_MS = 1000;
const CALM_TICKS = 3;
const LOG_INTERVAL_MS = 10_000;

/** What the shedder acts on. */
export interface Shedding {
  /** Accepting stops (true) or may go on. */
  setLate(late: boolean): void;
  /** New requests are answered 503 from now on (true), or no longer. */
  setOverloaded(overloaded: boolean): void;
}

export class LoadShedder {
  /** IN_TIME, LATE or OVERLOADED. */
  state: number;
  readonly #target: Shedding;
  readonly #values: Float64Array;
  readonly #logger: Logger;
  /** Ticks in a row that were in time. */
  #calm: number;
  #sinceMs: number;
  #worstMs: number;
  #shedBefore: number;
  #loggedAtMs: number;
  /** The entry was logged, so the exit is. */
  #logged: boolean;

  constructor(target: Shedding, values: Float64Array, logger: Logger) {
    this.state = IN_TIME;
    this.#target = target;
    this.#values = values;
    this.#logger = logger;
    this.#calm = 0;
    this.#sinceMs = 0;
    this.#worstMs = 0;
    this.#shedBefore = 0;
    this.#loggedAtMs = Number.NEGATIVE_INFINITY;
    this.#logged = false;
  }

  /** The loop was late by so much at its last tick. `nowMs`: CLOCK_MONOTONIC. */
  onLag(lagMs: number, nowMs: number): void {
    this.#values[METRIC_EVENT_LOOP_LAG_MS] = lagMs;
    if (this.state === IN_TIME && lagMs < LATE_MS) return;
    this.#worstMs = Math.max(this.#worstMs, lagMs);
    if (lagMs >= OVERLOADED_MS) this.#enter(OVERLOADED, nowMs);
    else if (lagMs >= LATE_MS || this.state === OVERLOADED) {
      if (this.state !== OVERLOADED || lagMs < RELIEVED_MS) this.#enter(LATE, nowMs);
    }
    this.#calm = lagMs < IN_TIME_MS ? this.#calm + 1 : 0;
    if (this.#calm === CALM_TICKS) this.#leave(nowMs);
  }

  #enter(state: number, nowMs: number): void {
    const before = this.state;
    if (before === state) return;
    this.state = state;
    this.#values[METRIC_EVENT_LOOP_OVERLOAD] = state;
    if (before === IN_TIME) {
      this.#sinceMs = nowMs;
      this.#calm = 0;
      this.#shedBefore = this.#values[METRIC_HTTP_REQUESTS_SHED];
      this.#logEntry(nowMs);
      this.#target.setLate(true);
    }
    if ((before === OVERLOADED) !== (state === OVERLOADED)) this.#target.setOverloaded(state === OVERLOADED);
  }

  #leave(nowMs: number): void {
    this.state = IN_TIME;
    this.#values[METRIC_EVENT_LOOP_OVERLOAD] = IN_TIME;
    if (this.#logged) {
      const shed = this.#values[METRIC_HTTP_REQUESTS_SHED] - this.#shedBefore;
      const seconds = ((nowMs - this.#sinceMs) / 1000).toFixed(1);
      const worst = Math.round(this.#worstMs);
      const what = `in time again after ${seconds} s: up to ${worst} ms late, ${shed} requests were answered 503`;
      this.#logger.warn("proxy", what);
    }
    this.#worstMs = 0;
    this.#target.setLate(false);
  }

  #logEntry(nowMs: number): void {
    this.#logged = nowMs - this.#loggedAtMs >= LOG_INTERVAL_MS;
    if (!this.#logged) return;
    this.#loggedAtMs = nowMs;
    const worst = Math.round(this.#worstMs);
    this.#logger.warn("proxy", `too much to do: ${worst} ms late; accepting pauses, requests get 503 above 2,000 ms`);
  }
}

/** The answer of an overloaded worker: no page, no template, no route. */
export function shed(exchange: Exchange): void {
  const { context, front } = exchange;
  if (front === null) return;
  context.stats.values[METRIC_HTTP_REQUESTS_SHED]++;
  exchange.slot.take(0);
  exchange.status = 503;
  exchange.isLocal = true;
  const { bytes, toFront } = context;
  const close = !front.mayKeepAlive(503);
  toFront.reset();
  front.sendAnswer(encodeConstant(bytes, toFront.at, close ? CLOSES : KEEPS), close);
  exchange.finish();
}

const HEAD = "HTTP/1.1 503 Service Unavailable\r\nCache-Control: no-cache\r\nContent-Length: 0\r\nRetry-After: 1\r\n";
const KEEPS = new Constant(`${HEAD}\r\n`);
const CLOSES = new Constant(`${HEAD}Connection: close\r\n\r\n`);
