// Slots for heads of requests in flight, in size classes of 512 B, 1, 2, 4, 8, 16 and 32 kB, out of one budget.
//
// The area is divided into blocks of 32 kB. A block serves one class at a time and goes back to the common stock when its
// last slot is free, so the mix of sizes may change for ever without fragmenting for good. Free slots of a block form a
// list through `#next`; blocks with free slots form a doubly linked list per class. No call allocates.
// Giving a slot twice, or something that is none, throws: it would end in two owners of the same bytes.

import { releasePages } from "../os/arena.ts";
import type { Memory } from "./memory.ts";

/** Smallest and largest slot in bytes. */
export const SLOT_BYTES_MIN = 512;
export const SLOT_BYTES_MAX = 32768;

const BLOCK_SHIFT = 15;
const BLOCK_BYTES = 1 << BLOCK_SHIFT;
const UNIT_SHIFT = 9;
const UNITS_PER_BLOCK = BLOCK_BYTES >> UNIT_SHIFT;
const CLASSES = 7;
const NONE = -1;
/** Blocks one `trim` releases at most: it runs between events. */
const TRIM_MAX = 64;

export class SlotPool {
  /** Bytes of all slots together, at most. */
  readonly capacityBytes: number;
  readonly #start: number;
  /** Per unit of 512 bytes: the next free slot of the block. */
  readonly #next: Int32Array;
  /** Per unit: 1 when a slot that begins here is taken. */
  readonly #taken: Uint8Array;
  readonly #blockClass: Int8Array;
  readonly #blockUsed: Uint8Array;
  /** Per block: first free slot. */
  readonly #blockFree: Int32Array;
  readonly #blockPrevious: Int32Array;
  readonly #blockNext: Int32Array;
  /** Per block: 1 when its pages may be committed. */
  readonly #touched: Uint8Array;
  /** Per class: first block with a free slot. */
  readonly #partial: Int32Array;
  readonly #stock: Int32Array;
  #stockCount: number;
  #inUse: number;
  #bytesInUse: number;

  /** `totalBytes` is rounded down to whole blocks of 32 kB, at least one. */
  constructor(memory: Memory, totalBytes: number) {
    const blocks = Math.max(1, totalBytes >> BLOCK_SHIFT);
    this.capacityBytes = blocks * BLOCK_BYTES;
    this.#start = memory.allocate(this.capacityBytes, 4096);
    this.#next = new Int32Array(blocks * UNITS_PER_BLOCK);
    this.#taken = new Uint8Array(blocks * UNITS_PER_BLOCK);
    this.#blockClass = new Int8Array(blocks).fill(NONE);
    this.#blockUsed = new Uint8Array(blocks);
    this.#blockFree = new Int32Array(blocks).fill(NONE);
    this.#blockPrevious = new Int32Array(blocks).fill(NONE);
    this.#blockNext = new Int32Array(blocks).fill(NONE);
    this.#touched = new Uint8Array(blocks);
    this.#partial = new Int32Array(CLASSES).fill(NONE);
    this.#stock = new Int32Array(blocks);
    for (let i = 0; i < blocks; i++) this.#stock[i] = blocks - 1 - i;
    this.#stockCount = blocks;
    this.#inUse = 0;
    this.#bytesInUse = 0;
  }

  /** Slots lent at the moment. */
  get inUse(): number {
    return this.#inUse;
  }

  /** Bytes of the slots lent at the moment. */
  get bytesInUse(): number {
    return this.#bytesInUse;
  }

  /** Offset of a slot of at least `size` bytes; -1 when the budget is used up or `size` is above 32 kB. */
  take(size: number): number {
    if (size > SLOT_BYTES_MAX) return NONE;
    const sizeClass = size <= SLOT_BYTES_MIN ? 0 : 32 - UNIT_SHIFT - Math.clz32(size - 1);
    let block = this.#partial[sizeClass];
    if (block === NONE) {
      block = this.#carve(sizeClass);
      if (block === NONE) return NONE;
    }
    const unit = this.#blockFree[block];
    const next = this.#next[unit];
    this.#blockFree[block] = next;
    this.#blockUsed[block]++;
    if (next === NONE) this.#unlink(block, sizeClass);
    this.#taken[unit] = 1;
    this.#inUse++;
    this.#bytesInUse += SLOT_BYTES_MIN << sizeClass;
    return this.#start + (unit << UNIT_SHIFT);
  }

  /** Gives back what `take` returned. */
  give(offset: number): void {
    const unit = this.#unitOf(offset);
    const block = unit >> (BLOCK_SHIFT - UNIT_SHIFT);
    const sizeClass = this.#blockClass[block];
    this.#taken[unit] = 0;
    this.#inUse--;
    this.#bytesInUse -= SLOT_BYTES_MIN << sizeClass;
    const wasFull = this.#blockFree[block] === NONE;
    this.#next[unit] = this.#blockFree[block];
    this.#blockFree[block] = unit;
    if (wasFull) this.#link(block, sizeClass);
    if (--this.#blockUsed[block] > 0) return;
    // The only block of its class stays: else a lone request would carve one each time.
    if (this.#blockPrevious[block] === NONE && this.#blockNext[block] === NONE && this.#stockCount > 0) return;
    this.#retire(block, sizeClass);
  }

  /** Bytes of the slot at `offset`, which must be taken. */
  sizeOf(offset: number): number {
    return SLOT_BYTES_MIN << this.#blockClass[this.#unitOf(offset) >> (BLOCK_SHIFT - UNIT_SHIFT)];
  }

  /** Gives pages of unused blocks back to the kernel, at most 64 blocks per call. Returns how many. */
  trim(): number {
    let released = 0;
    for (let at = 0; at < this.#stockCount && released < TRIM_MAX; at++) {
      const block = this.#stock[at];
      if (this.#touched[block] === 0) continue;
      releasePages(this.#start + (block << BLOCK_SHIFT), BLOCK_BYTES);
      this.#touched[block] = 0;
      released++;
    }
    return released;
  }

  #unitOf(offset: number): number {
    const unit = (offset - this.#start) >> UNIT_SHIFT;
    if (this.#taken[unit] !== 1 || ((offset - this.#start) & (SLOT_BYTES_MIN - 1)) !== 0) {
      throw new Error(`offset ${offset} is no slot that was taken`);
    }
    return unit;
  }

  // A fresh block for the class. When the stock is empty, an unused block that another class kept is taken over.
  #carve(sizeClass: number): number {
    if (this.#stockCount === 0 && !this.#reclaim()) return NONE;
    const block = this.#stock[--this.#stockCount];
    const units = 1 << sizeClass;
    const first = block * UNITS_PER_BLOCK;
    const last = first + UNITS_PER_BLOCK - units;
    for (let unit = first; unit < last; unit += units) this.#next[unit] = unit + units;
    this.#next[last] = NONE;
    this.#blockClass[block] = sizeClass;
    this.#blockFree[block] = first;
    this.#blockUsed[block] = 0;
    this.#touched[block] = 1;
    this.#link(block, sizeClass);
    return block;
  }

  #reclaim(): boolean {
    for (let sizeClass = 0; sizeClass < CLASSES; sizeClass++) {
      const block = this.#partial[sizeClass];
      if (block === NONE || this.#blockUsed[block] > 0) continue;
      this.#retire(block, sizeClass);
      return true;
    }
    return false;
  }

  #retire(block: number, sizeClass: number): void {
    this.#unlink(block, sizeClass);
    this.#blockClass[block] = NONE;
    this.#blockFree[block] = NONE;
    this.#stock[this.#stockCount++] = block;
  }

  #link(block: number, sizeClass: number): void {
    const head = this.#partial[sizeClass];
    this.#blockPrevious[block] = NONE;
    this.#blockNext[block] = head;
    if (head !== NONE) this.#blockPrevious[head] = block;
    this.#partial[sizeClass] = block;
  }

  #unlink(block: number, sizeClass: number): void {
    const previous = this.#blockPrevious[block];
    const next = this.#blockNext[block];
    if (previous === NONE) this.#partial[sizeClass] = next;
    else this.#blockNext[previous] = next;
    if (next !== NONE) this.#blockPrevious[next] = previous;
    this.#blockPrevious[block] = NONE;
    this.#blockNext[block] = NONE;
  }
}
