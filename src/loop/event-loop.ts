// The event loop of a worker: one epoll set, a ready list and a timer wheel, driven from Node's loop by the bridge.
//
// A turn polls without waiting, passes events to their handlers, runs the ready list and the timers, and starts over until
// nothing is ready or its budget is spent; then Node's own timers, promises and I/O have their turn. Handlers are found by
// index; an event whose generation is not the registration's is dropped. A handler that throws is a bug: the error becomes
// an 'uncaughtException', and the rest of the batch is handled in the next turn.

import { clock, readClock } from "../os/clock.ts";
import * as epoll from "../os/epoll.ts";
import { OsError } from "../os/errno.ts";
import { close } from "../os/sockets.ts";
import { eventfdCreate, eventfdSignal, timerCreate, timerRead, timerSet } from "../os/timerfd.ts";
import type { Memory } from "./memory.ts";
import { TICK_MS, TimerWheel } from "./timer-wheel.ts";

/** Gets the events of a registered descriptor. */
export interface Handler {
  /** `events`: EPOLL bits; 0 when it was called from the ready list. */
  onReady(events: number): void;
}

/** A handler that can be put on the ready list. `queued` belongs to the loop; it is false at first (Timed has it). */
export interface Deferrable extends Handler {
  queued: boolean;
}

/** Events of one poll, and when a turn ends although more is ready, for Node's timers and I/O must not starve. */
const BATCH = 256;
const PASSES_MAX = 64;
const TURN_US_MAX = 5000;

export class EventLoop {
  readonly memory: Memory;
  readonly wheel: TimerWheel;
  /** Called at each tick with the milliseconds by which it is late: its event waited so long among the ready ones. */
  onLag: (lagMs: number) => void;
  /** Called after each turn with the microseconds it took, up to its last poll, read or write. */
  onTurn: (us: number) => void;
  /** When the last tick was handled, in microseconds of CLOCK_MONOTONIC. */
  #tickedUs: number;
  /** When this turn began. */
  #turnedUs: number;
  readonly #epoll: number;
  readonly #timer: number;
  readonly #wakeup: number;
  readonly #handlers: (Handler | null)[];
  readonly #turnEnds: (() => void)[];
  #generations: Int32Array;
  #free: Int32Array;
  #freeCount: number;
  #batch: Int32Array;
  #cursor: number;
  #end: number;
  #ready: (Deferrable | null)[];
  #readyCount: number;
  #running: (Deferrable | null)[];
  #runCursor: number;
  #runEnd: number;
  #inTurn: boolean;
  #wakePending: boolean;
  #started: boolean;
  #ticking: boolean;

  /** Opens its descriptors; throws OsError when it cannot. */
  constructor(memory: Memory, wheel: TimerWheel = new TimerWheel(clock)) {
    this.memory = memory;
    this.wheel = wheel;
    this.onLag = () => {};
    this.onTurn = () => {};
    this.#turnedUs = 0;
    this.#tickedUs = clock[0];
    this.#epoll = opened("an epoll set", epoll.epollCreate());
    this.#timer = opened("a timer", timerCreate());
    this.#wakeup = opened("an event descriptor", eventfdCreate());
    this.#handlers = [];
    this.#turnEnds = [];
    this.#generations = new Int32Array(64);
    this.#free = new Int32Array(64);
    this.#freeCount = 0;
    this.#batch = epoll.events;
    this.#cursor = 0;
    this.#end = 0;
    this.#ready = [];
    this.#readyCount = 0;
    this.#running = [];
    this.#runCursor = 0;
    this.#runEnd = 0;
    this.#inTurn = false;
    this.#wakePending = false;
    this.#started = false;
    this.#ticking = false;
    wheel.driver = { onWheelStart: () => this.#startTicking() };
    opened("the timer's registration", this.register(this.#timer, { onReady: () => this.#onTick() }, epoll.EPOLLIN));
    const wakeEvents = epoll.EPOLLIN | epoll.EPOLLET;
    opened("the wake-up's registration", this.register(this.#wakeup, { onReady: () => {} }, wakeEvents));
  }

  /** CLOCK_MONOTONIC in microseconds, as of the last poll, read, write, accept or connect. */
  get nowUs(): number {
    return clock[0];
  }

  /** The same in whole milliseconds. */
  get nowMs(): number {
    return Math.floor(clock[0] / 1000);
  }

  /** CLOCK_REALTIME in whole milliseconds since 1970, as of the last poll. */
  get realtimeMs(): number {
    return Math.floor(clock[1] / 1000);
  }

  /** Registered descriptors, the loop's own two included. */
  get registered(): number {
    return this.#handlers.length - this.#freeCount;
  }

  /** Whether the tick of the timer wheel runs: while it holds entries, and at most a tick longer. */
  get isTicking(): boolean {
    return this.#ticking;
  }

  /** Adds a descriptor with EPOLL bits (EPOLLET for connections). Returns its token (>= 0) or -errno. */
  register(fd: number, handler: Handler, events: number): number {
    const token = this.#freeCount > 0 ? this.#free[--this.#freeCount] : this.#newToken();
    const result = epoll.epollAdd(this.#epoll, fd, events, token, this.#generations[token]);
    if (result < 0) {
      this.#free[this.#freeCount++] = token;
      return result;
    }
    this.#handlers[token] = handler;
    return token;
  }

  /** Changes the events; with EPOLLET what is ready already is reported again. 0 or -errno. */
  modify(token: number, fd: number, events: number): number {
    return epoll.epollMod(this.#epoll, fd, events, token, this.#generations[token]);
  }

  /** Takes the descriptor out, before it is closed. Events of it that were collected already are dropped. 0 or -errno. */
  unregister(token: number, fd: number): number {
    const result = epoll.epollDel(this.#epoll, fd);
    if (!this.#handlers[token]) return result;
    this.#handlers[token] = null;
    this.#generations[token] = (this.#generations[token] + 1) | 0;
    this.#free[this.#freeCount++] = token;
    return result;
  }

  /** `handler.onReady(0)` is called in the next pass, once however often it is queued until then. */
  runLater(handler: Deferrable): void {
    if (handler.queued) return;
    handler.queued = true;
    this.#ready[this.#readyCount++] = handler;
    if (!this.#inTurn) this.#wake();
  }

  /** Takes it off the ready list again. */
  cancelLater(handler: Deferrable): void {
    handler.queued = false;
  }

  /** `callback` runs after each batch of events, ready entries and timers; for flushes. It must be cheap. */
  onTurnEnd(callback: () => void): void {
    this.#turnEnds.push(callback);
  }

  /** From now on events are handled; the process stays alive. Throws OsError. */
  start(): void {
    if (this.#started) return;
    opened("the bridge to Node's loop", epoll.startBridge(this.#epoll, this.turn, this));
    this.#started = true;
    // What was done before counts for nothing.
    this.#tickedUs = readClock();
    if (this.#readyCount > 0) this.#wake();
  }

  /** No event is handled any more until `start`. A turn in progress ends after the current handler's batch. */
  stop(): void {
    if (!this.#started) return;
    this.#started = false;
    epoll.stopBridge(this.#epoll);
  }

  /** Stops and closes the loop's own descriptors; the loop is useless afterwards. */
  dispose(): void {
    this.stop();
    close(this.#timer);
    close(this.#wakeup);
    close(this.#epoll);
  }

  /**
   * Handles what is ready now. The bridge calls it; so may a program that drives the loop by hand, between `start` and
   * `stop` and from outside of it.
   */
  turn(): void {
    let complete = false;
    this.#inTurn = true;
    this.#wakePending = false;
    try {
      this.#runPasses();
      complete = true;
      this.onTurn(clock[0] - this.#turnedUs);
    } finally {
      this.#inTurn = false;
      if (!complete) this.#keepRest();
      if (this.#readyCount > 0 || !complete) this.#wake();
    }
  }

  #runPasses(): void {
    // What a throwing handler left of the last batch.
    this.#dispatch();
    let until = 0;
    for (let pass = 0; pass < PASSES_MAX && this.#started; pass++) {
      const count = epoll.poll(this.#epoll, BATCH, 0);
      if (count < 0) throw new OsError("cannot poll", count);
      if (pass === 0) {
        this.#turnedUs = clock[0];
        until = this.#turnedUs + TURN_US_MAX;
      }
      this.#batch = epoll.events;
      this.#cursor = 0;
      this.#end = 3 * count;
      this.#dispatch();
      const ran = this.#runReady();
      const ticked = clock[0] >= this.wheel.nextTickUs;
      if (ticked) this.wheel.advance();
      if (count === 0 && ran === 0 && !ticked) return;
      for (let i = 0; i < this.#turnEnds.length; i++) this.#turnEnds[i]();
      if (clock[0] > until) return;
    }
  }

  #dispatch(): void {
    const batch = this.#batch;
    while (this.#cursor < this.#end) {
      const at = this.#cursor;
      this.#cursor = at + 3;
      const index = batch[at + 1];
      if (this.#generations[index] !== batch[at + 2]) continue;
      const handler = this.#handlers[index];
      if (handler !== null) handler.onReady(batch[at]);
    }
  }

  // Returns how many entries there were. What is queued meanwhile runs in the next pass.
  #runReady(): number {
    if (this.#runCursor === this.#runEnd) {
      const list = this.#ready;
      this.#ready = this.#running;
      this.#running = list;
      this.#runCursor = 0;
      this.#runEnd = this.#readyCount;
      this.#readyCount = 0;
    }
    while (this.#runCursor < this.#runEnd) {
      const at = this.#runCursor++;
      const handler = this.#running[at];
      this.#running[at] = null;
      if (handler?.queued) {
        handler.queued = false;
        handler.onReady(0);
      }
    }
    return this.#runEnd;
  }

  // The shared event words may be overwritten before the next turn: edges in them would be lost for ever.
  #keepRest(): void {
    this.#batch = this.#batch.slice(0, this.#end);
  }

  #wake(): void {
    if (this.#wakePending) return;
    this.#wakePending = true;
    eventfdSignal(this.#wakeup);
  }

  #startTicking(): void {
    readClock();
    if (this.#ticking) return;
    this.#ticking = true;
    this.#tickedUs = clock[0];
    timerSet(this.#timer, TICK_MS);
  }

  // The timer goes on only when it is read. An empty wheel stops it here, not at each last cancel.
  #onTick(): void {
    timerRead(this.#timer);
    const lagMs = Math.max(0, Math.round((clock[0] - this.#tickedUs) / 1000) - TICK_MS);
    this.#tickedUs = clock[0];
    this.onLag(lagMs);
    if (this.wheel.count > 0) return;
    this.#ticking = false;
    timerSet(this.#timer, 0);
  }

  #newToken(): number {
    const token = this.#handlers.length;
    if (token === this.#generations.length) {
      const generations = new Int32Array(2 * token);
      generations.set(this.#generations);
      this.#generations = generations;
      const free = new Int32Array(2 * token);
      free.set(this.#free);
      this.#free = free;
    }
    this.#handlers.push(null);
    return token;
  }
}

function opened(what: string, result: number): number {
  if (result < 0) throw new OsError(`the event loop cannot get ${what}`, result);
  return result;
}
