// Timeouts of all connections of a loop: a hashed wheel of 1,024 slots of 100 ms, with intrusive lists.
//
// Arming again for later, which is what every request does, is one store: the entry stays in its slot and is moved on
// when that slot comes up. An entry fires never early and at most two ticks late. The clock is an argument: a
// Float64Array whose first double is the monotonic time in microseconds; a clock that runs backwards is ignored.

/** Length of a tick in milliseconds. */
export const TICK_MS = 100;

const TICK_US = TICK_MS * 1000;
const SLOTS = 1024;
const SLOT_MASK = SLOTS - 1;
/** Up to here a delay is counted in 32-bit integers. */
const DELAY_MS_SHORT = 1e9;
/** Longer delays are cut to this: 100 days. */
const DELAY_MS_MAX = 8.64e9;
/** `timerTick` of an entry that is off. */
const OFF = 0x7fffffff;

/**
 * What can have a timeout (one at a time), and what can be queued on the ready list of the loop. The fields belong to the
 * wheel and to the loop.
 */
export abstract class Timed {
  /** Tick at which the timeout is due. */
  timerTick: number;
  /** Tick of the slot that the entry is linked in; -1 when it is in none. */
  timerLinkedTick: number;
  timerPrevious: Timed | null;
  timerNext: Timed | null;
  /** On the ready list (EventLoop.runLater). */
  queued: boolean;

  constructor() {
    this.timerTick = OFF;
    this.timerLinkedTick = -1;
    this.timerPrevious = null;
    this.timerNext = null;
    this.queued = false;
  }

  abstract onTimeout(): void;
}

/** Who calls `advance`; it is told when the wheel gets its first entry, before the clock is read. */
export interface WheelDriver {
  onWheelStart(): void;
}

export class TimerWheel {
  /** Told about the first entry; null when `advance` is called anyway. */
  driver: WheelDriver | null;
  /** Monotonic time in microseconds from which on `advance` has something to do. */
  nextTickUs: number;
  readonly #clock: Float64Array;
  readonly #originUs: number;
  readonly #slots: (Timed | null)[];
  #tick: number;
  #count: number;

  constructor(clock: Float64Array) {
    this.driver = null;
    this.#clock = clock;
    this.#originUs = clock[0];
    this.nextTickUs = this.#originUs + TICK_US;
    this.#slots = [];
    for (let i = 0; i < SLOTS; i++) this.#slots.push(null);
    this.#tick = 0;
    this.#count = 0;
  }

  /** Ticks of 100 ms since the wheel was made, as of the last turn. A measure of time that costs no arithmetic. */
  get tick(): number {
    return this.#tick;
  }

  /** Entries linked, some of which may be disarmed. */
  get count(): number {
    return this.#count;
  }

  /**
   * `onTimeout` is called once, `delayMs` from the clock's reading (at most 100 days); an earlier arming is replaced.
   * 0 turns the timeout off (decisions 8). Outside of the loop's turns the reading may be old: refresh it first.
   */
  arm(timed: Timed, delayMs: number): void {
    if (!(delayMs > 0)) {
      timed.timerTick = OFF;
      return;
    }
    if (this.#count === 0) this.#begin();
    // Rounded up: never early. While the current tick is current, that takes no arithmetic on doubles.
    let tick = this.#tick + 1;
    if (this.#clock[0] < this.nextTickUs && delayMs <= DELAY_MS_SHORT) {
      tick += Math.ceil(delayMs / TICK_MS);
    } else {
      const delayUs = delayMs > DELAY_MS_MAX ? DELAY_MS_MAX * 1000 : delayMs * 1000;
      tick = Math.max(tick, Math.ceil((this.#clock[0] - this.#originUs + delayUs) / TICK_US) | 0);
    }
    timed.timerTick = tick;
    if (timed.timerLinkedTick !== -1) {
      if (timed.timerLinkedTick <= tick) return;
      this.#unlink(timed);
    }
    this.#link(timed, tick);
  }

  /** Turns the timeout off and lets go of the entry. Before an object is dropped. */
  cancel(timed: Timed): void {
    timed.timerTick = OFF;
    if (timed.timerLinkedTick !== -1) this.#unlink(timed);
  }

  /** Turns the timeout off by one store; the wheel holds the entry until its slot comes up. Before arming it again. */
  disarm(timed: Timed): void {
    timed.timerTick = OFF;
  }

  /** Whether a timeout is pending. */
  isArmed(timed: Timed): boolean {
    return timed.timerTick !== OFF;
  }

  /** Fires what is due by the clock. Entries may arm and cancel others, and themselves, while they fire. */
  advance(): void {
    const now = Math.floor((this.#clock[0] - this.#originUs) / TICK_US);
    // Not empty only when an entry of the current slot threw.
    if (this.#slots[this.#tick & SLOT_MASK] !== null) this.#turn(this.#tick, now);
    while (this.#tick < now) {
      if (this.#count === 0) this.#tick = now;
      else this.#turn(this.#tick + 1, now);
      this.nextTickUs = this.#originUs + (this.#tick + 1) * TICK_US;
    }
  }

  // An entry linked while slot `tick` is drained lands 1 to 1,023 ticks later, never in the same slot.
  #turn(tick: number, now: number): void {
    this.#tick = tick;
    const slot = tick & SLOT_MASK;
    for (let timed = this.#slots[slot]; timed !== null; timed = this.#slots[slot]) {
      this.#unlink(timed);
      const due = timed.timerTick;
      if (due <= now) {
        timed.timerTick = OFF;
        timed.onTimeout();
      } else if (due !== OFF) {
        this.#link(timed, due);
      }
    }
  }

  #begin(): void {
    if (this.driver !== null) this.driver.onWheelStart();
    const now = Math.floor((this.#clock[0] - this.#originUs) / TICK_US);
    if (now <= this.#tick) return;
    this.#tick = now;
    this.nextTickUs = this.#originUs + (now + 1) * TICK_US;
  }

  #link(timed: Timed, due: number): void {
    const tick = Math.min(due, this.#tick + SLOTS - 1);
    const slot = tick & SLOT_MASK;
    const head = this.#slots[slot];
    timed.timerLinkedTick = tick;
    timed.timerNext = head;
    if (head !== null) head.timerPrevious = timed;
    this.#slots[slot] = timed;
    this.#count++;
  }

  #unlink(timed: Timed): void {
    const next = timed.timerNext;
    const previous = timed.timerPrevious;
    if (next !== null) next.timerPrevious = previous;
    if (previous !== null) previous.timerNext = next;
    else this.#slots[timed.timerLinkedTick & SLOT_MASK] = next;
    timed.timerNext = null;
    timed.timerPrevious = null;
    timed.timerLinkedTick = -1;
    this.#count--;
  }
}
