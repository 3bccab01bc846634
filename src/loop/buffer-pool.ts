// Buffers of one size, lent for as long as bytes cannot be passed on: a floor that stays committed, a ceiling that holds.
//
// The last one given is the next one taken, so the pages in use stay warm and few. At the ceiling `take` says so and the
// caller stops reading. Buffers start on pages; `trim` gives pages of long-free buffers back to the kernel.
// Giving a buffer twice, or something that is none, throws: it would end in two owners of the same bytes.

import { releasePages } from "../os/arena.ts";
import type { Memory } from "./memory.ts";

const PAGE_BYTES = 4096;
/** Buffers one `trim` releases at most: it runs between events. */
const TRIM_MAX = 256;

const UNTOUCHED = 0;
const FREE = 1;
const TAKEN = 2;

export class BufferPool {
  /** Usable bytes of a buffer. */
  readonly bufferSize: number;
  /** Most buffers. */
  readonly capacity: number;
  /** Bytes between two buffers: `bufferSize` in whole pages. All of them may be used. */
  readonly stride: number;
  readonly #start: number;
  readonly #floor: number;
  /** Indexes of free buffers; the bottom holds those free for longest. */
  readonly #free: Int32Array;
  readonly #state: Uint8Array;
  #freeCount: number;
  #inUse: number;
  #committed: number;

  /** Takes `maxBuffers` times `bufferSize`, rounded up to pages, out of `memory`; nothing is committed yet. */
  constructor(memory: Memory, bufferSize: number, minBuffers: number, maxBuffers: number) {
    this.bufferSize = bufferSize;
    this.capacity = maxBuffers;
    this.stride = Math.ceil(bufferSize / PAGE_BYTES) * PAGE_BYTES;
    this.#start = memory.allocate(this.stride * maxBuffers, PAGE_BYTES);
    this.#floor = Math.min(minBuffers, maxBuffers);
    this.#free = new Int32Array(maxBuffers);
    this.#state = new Uint8Array(maxBuffers);
    for (let i = 0; i < maxBuffers; i++) this.#free[i] = maxBuffers - 1 - i;
    this.#freeCount = maxBuffers;
    this.#inUse = 0;
    this.#committed = 0;
  }

  /** Arena bytes that a pool with these sizes needs, alignment included. */
  static bytesFor(bufferSize: number, maxBuffers: number): number {
    return Math.ceil(bufferSize / PAGE_BYTES) * PAGE_BYTES * maxBuffers + PAGE_BYTES;
  }

  /** Buffers lent at the moment. */
  get inUse(): number {
    return this.#inUse;
  }

  /** Buffers whose pages may be committed: lent ones and warm free ones. */
  get committed(): number {
    return this.#committed;
  }

  /** Offset of a buffer with unspecified contents, or -1 at the ceiling. */
  take(): number {
    if (this.#freeCount === 0) return -1;
    const index = this.#free[--this.#freeCount];
    if (this.#state[index] === UNTOUCHED) this.#committed++;
    this.#state[index] = TAKEN;
    this.#inUse++;
    return this.#start + index * this.stride;
  }

  /** Gives back what `take` returned. */
  give(offset: number): void {
    const index = (offset - this.#start) / this.stride;
    if (this.#state[index] !== TAKEN) throw new Error(`offset ${offset} is no buffer that was taken`);
    this.#state[index] = FREE;
    this.#free[this.#freeCount++] = index;
    this.#inUse--;
  }

  /** Releases the pages of free buffers above the floor, coldest first, at most 256 per call. Returns how many. */
  trim(): number {
    let released = 0;
    for (let at = 0; at < this.#freeCount && released < TRIM_MAX; at++) {
      if (this.#committed <= this.#floor) break;
      const index = this.#free[at];
      if (this.#state[index] !== FREE) continue;
      releasePages(this.#start + index * this.stride, this.stride);
      this.#state[index] = UNTOUCHED;
      this.#committed--;
      released++;
    }
    return released;
  }
}
