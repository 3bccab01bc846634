// A worker near the end of its memory takes nothing more on: accepting pauses and new requests are answered 503, until
// what is in flight has ended (hardening RX-09). Two ceilings: resident memory, where the operator set one, and the heap
// of V8, at whose end the process would be killed. The heap counts only when it stays full over several collections, for
// garbage that was not collected yet looks like need.

import type { Logger } from "../observe/logger.ts";

/** Checks in a row that a full heap must last; they are a second apart. */
const FULL_CHECKS = 3;
/** Shares of the ceilings. Between them nothing changes. */
const HEAP_SHORT = 0.92;
const HEAP_RELIEVED = 0.8;
const RESIDENT_RELIEVED = 0.95;

/** What the guard looks at and acts on. */
export interface MemoryOptions {
  /** Bytes of resident memory, 0: any. */
  readonly residentMax: number;
  /** Bytes, 0 when they are not known. */
  resident(): number;
  heap(): { readonly used: number; readonly limit: number };
  readonly logger: Logger;
  /** New work is refused from now on (true), or taken again. */
  onShort(short: boolean): void;
}

/** Looks once a second. */
export class MemoryGuard {
  /** Work is being refused. */
  short: boolean;
  readonly #options: MemoryOptions;
  #fullChecks: number;

  constructor(options: MemoryOptions) {
    this.short = false;
    this.#options = options;
    this.#fullChecks = 0;
  }

  /** Returns the resident memory, for the metric. */
  check(): number {
    const { residentMax, logger, onShort } = this.#options;
    const resident = this.#options.resident();
    const { used, limit } = this.#options.heap();
    this.#fullChecks = used > limit * HEAP_SHORT ? this.#fullChecks + 1 : 0;
    const tooLarge = residentMax > 0 && resident > residentMax;
    const what = `${megabytes(resident)} MB resident, heap ${megabytes(used)} of ${megabytes(limit)} MB`;
    if (!this.short && (tooLarge || this.#fullChecks >= FULL_CHECKS)) {
      this.short = true;
      logger.warn("memory", `short of memory (${what}): accepting pauses, new requests get 503`);
      onShort(true);
    } else if (
      this.short &&
      used < limit * HEAP_RELIEVED &&
      !(resident > residentMax * RESIDENT_RELIEVED && residentMax > 0)
    ) {
      this.short = false;
      logger.warn("memory", `memory is free again (${what})`);
      onShort(false);
    }
    return resident;
  }
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1048576);
}
