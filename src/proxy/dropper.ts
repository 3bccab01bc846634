// Lets go of many things that nobody sees any more, some of them in each turn of the loop: traffic has its turn between.

import type { Deferrable, EventLoop } from "../loop/event-loop.ts";

/** Items of one turn: less than a millisecond. */
const DROPPED_MAX = 2000;

/** Calls `letGo` for each item, which takes it out of the set. */
export class Dropper<T> implements Deferrable {
  queued: boolean;
  readonly #loop: EventLoop;
  readonly #items: Set<T>;
  readonly #letGo: (item: T) => void;

  constructor(loop: EventLoop, items: Set<T>, letGo: (item: T) => void) {
    this.queued = false;
    this.#loop = loop;
    this.#items = items;
    this.#letGo = letGo;
  }

  onReady(): void {
    let dropped = 0;
    for (const item of this.#items) {
      this.#letGo(item);
      if (++dropped === DROPPED_MAX) break;
    }
    if (this.#items.size > 0) this.#loop.runLater(this);
  }
}
