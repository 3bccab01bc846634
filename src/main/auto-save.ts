// Saves the state after changes (`automatic_state_save`). A save starts half a second after the first unsaved change,
// and no sooner than ten times the duration of the last one: a large state that changes all the time costs main at most
// a tenth of its time. What could not be saved is tried again until it is.

import type { Logger } from "../observe/logger.ts";

/** From the first unsaved change to the save. */
const DELAY_MS = 500;
/** From a failed save to the next try. */
const RETRY_MS = 10_000;
/** How long the last save may take at the end. */
const FINISH_MS = 10_000;

/** What saving needs. */
export interface AutoSaveOptions {
  readonly logger: Logger;
  /** The revision of the state now. */
  revision(): number;
  /** Saves the state as it is now; null or the problem. */
  save(): Promise<string | null>;
}

/** Watches one state. */
export class AutoSave {
  readonly #options: AutoSaveOptions;
  #savedRevision: number;
  #notBeforeMs: number;
  #timer: NodeJS.Timeout | null;
  #running: Promise<void> | null;
  #failing: boolean;
  #finished: boolean;

  constructor(options: AutoSaveOptions) {
    this.#options = options;
    this.#savedRevision = -1;
    this.#notBeforeMs = 0;
    this.#timer = null;
    this.#running = null;
    this.#failing = false;
    this.#finished = false;
    this.touch();
  }

  /** The state may have changed. Cheap. */
  touch(): void {
    if (this.#timer !== null || this.#running !== null || this.#finished || !this.#isDirty) return;
    const delayMs = Math.max(DELAY_MS, this.#notBeforeMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#running = this.#save();
    }, delayMs);
  }

  /** Saves what is not saved yet; nothing is saved afterwards. */
  async finish(): Promise<void> {
    this.#finished = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const late = new Promise<void>((resolve) => setTimeout(resolve, FINISH_MS).unref());
    if (this.#running !== null) await Promise.race([this.#running, late]);
    if (this.#running === null && this.#isDirty) await Promise.race([this.#save(), late]);
  }

  get #isDirty(): boolean {
    return this.#savedRevision !== this.#options.revision();
  }

  async #save(): Promise<void> {
    const { logger } = this.#options;
    const startedMs = performance.now();
    const revision = this.#options.revision();
    const problem = await this.#options.save();
    const tookMs = performance.now() - startedMs;
    this.#running = null;
    if (problem === null) {
      this.#savedRevision = revision;
      this.#notBeforeMs = performance.now() + 10 * tookMs;
      if (this.#failing) logger.info("state", "the state is saved again");
      else logger.debug("state", `saved revision ${revision} in ${tookMs.toFixed(0)} ms`);
    } else {
      this.#notBeforeMs = performance.now() + RETRY_MS;
      if (!this.#failing)
        logger.error("state", `automatic_state_save: ${problem}; trying again every ${RETRY_MS / 1000} s`);
    }
    this.#failing = problem !== null;
    this.touch();
  }
}
