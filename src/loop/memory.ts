// The arena of a process and how it is divided: fixed areas, handed out once at start and never given back.
//
// Everything on the byte path lives in the arena and is named by its offset. The pages are committed by the kernel when
// first touched, so the total is a ceiling. One Memory per process: making another one redirects the native calls to it.

import { mapAnonymous, registerArena } from "../os/arena.ts";

const PAGE_BYTES = 4096;
/** Offsets are signed 32-bit words. */
const TOTAL_BYTES_MAX = 2 ** 31 - PAGE_BYTES;

export class Memory {
  /** The arena, zeroed at first. */
  readonly bytes: Uint8Array;
  #used: number;

  /** `totalBytes` (at most 2 GiB less a page) is rounded up to whole pages. Throws when the kernel refuses. */
  constructor(totalBytes: number) {
    if (!(totalBytes > 0 && totalBytes <= TOTAL_BYTES_MAX)) {
      throw new RangeError(`the arena must have 1 to ${TOTAL_BYTES_MAX} bytes, not ${totalBytes}`);
    }
    this.bytes = mapAnonymous(Math.ceil(totalBytes / PAGE_BYTES) * PAGE_BYTES);
    registerArena(this.bytes);
    this.#used = 0;
  }

  /** Bytes not allocated yet. */
  get remaining(): number {
    return this.bytes.length - this.#used;
  }

  /** Offset of a new area; `align` is a power of two up to 4096. Throws when the arena was sized too small. */
  allocate(bytes: number, align = 8): number {
    const offset = Math.ceil(this.#used / align) * align;
    if (!(bytes >= 0) || offset + bytes > this.bytes.length) {
      throw new RangeError(`the arena of ${this.bytes.length} bytes has no room for ${bytes} more`);
    }
    this.#used = offset + bytes;
    return offset;
  }
}
