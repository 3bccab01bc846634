// How much memory this process has in RAM, read from a file that is opened once: in the sandbox no file can be opened.

import { openSync, readSync } from "node:fs";

/** What pages of the kernel may have. */
const PAGE_BYTES = [4096, 16_384, 65_536];

/** Reads /proc/self/statm again and again. */
export class ResidentMemory {
  readonly #fd: number;
  readonly #bytes: Uint8Array;
  readonly #pageBytes: number;

  constructor(path = "/proc/self/statm") {
    this.#fd = openOrNone(path);
    this.#bytes = new Uint8Array(128);
    // The file counts pages; Node knows bytes as long as it can open a file itself.
    const measured = process.memoryUsage.rss() / this.#pages();
    this.#pageBytes = PAGE_BYTES.findLast((bytes) => bytes <= measured * 1.5) ?? PAGE_BYTES[0];
  }

  /** Bytes; 0 when /proc is not there. */
  read(): number {
    return this.#pages() * this.#pageBytes;
  }

  #pages(): number {
    if (this.#fd < 0) return 0;
    const length = readSync(this.#fd, this.#bytes, 0, this.#bytes.length, 0);
    const [, pages] = Buffer.from(this.#bytes.subarray(0, length)).toString("latin1").split(" ");
    return Number(pages) || 0;
  }
}

function openOrNone(path: string): number {
  try {
    return openSync(path, "r");
  } catch {
    return -1;
  }
}
