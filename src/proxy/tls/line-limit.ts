// Lines that somebody else can cause: ten a second, then a sum of those that were not written.

import type { Logger } from "../../observe/logger.ts";

const LINES_PER_SECOND = 10;

export class LineLimit {
  readonly #logger: Logger;
  readonly #module: string;
  /** What follows the number of lines that were left out. */
  readonly #what: string;
  #second: number;
  #lines: number;
  #unsaid: number;

  constructor(logger: Logger, module: string, what: string) {
    this.#logger = logger;
    this.#module = module;
    this.#what = what;
    this.#second = 0;
    this.#lines = 0;
    this.#unsaid = 0;
  }

  /** Whether one more line may be written now. */
  take(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      if (this.#unsaid > 0) this.#logger.warn(this.#module, `${this.#unsaid} ${this.#what}`);
      this.#second = second;
      this.#lines = 0;
      this.#unsaid = 0;
    }
    if (++this.#lines <= LINES_PER_SECOND) return true;
    this.#unsaid++;
    return false;
  }
}
