// What a socket did not take: the rest of a write, copied into at most two pooled buffers.
//
// The side that produces bytes is not read while its peer has an outbox, and one read yields no more than two buffers of
// output, so two buffers are always enough (decisions 20: no reader can hold more than two buffers).

import type { BufferPool } from "../loop/buffer-pool.ts";
import { EAGAIN, ENOBUFS } from "../os/errno.ts";
import { send } from "../os/sockets.ts";
import { tlsWrite } from "../os/tls.ts";
import type { Gather } from "./gather.ts";

/** Buffers that an outbox holds at most. */
export const OUTBOX_BUFFERS = 2;

export class Outbox {
  first: number;
  firstStart: number;
  firstEnd: number;
  second: number;
  secondEnd: number;
  next: Outbox | null;

  constructor() {
    this.first = -1;
    this.firstStart = 0;
    this.firstEnd = 0;
    this.second = -1;
    this.secondEnd = 0;
    this.next = null;
  }
}

/** Lends outboxes and fills them from the buffer pool. */
export class Outboxes {
  readonly #pool: BufferPool;
  readonly #bytes: Uint8Array;
  #free: Outbox | null;

  constructor(pool: BufferPool, bytes: Uint8Array) {
    this.#pool = pool;
    this.#bytes = bytes;
    this.#free = null;
  }

  take(): Outbox {
    const box = this.#free;
    if (box === null) return new Outbox();
    this.#free = box.next;
    box.next = null;
    return box;
  }

  /** Gives the outbox and its buffers back. */
  give(box: Outbox): void {
    if (box.first !== -1) this.#pool.give(box.first);
    if (box.second !== -1) this.#pool.give(box.second);
    box.first = -1;
    box.second = -1;
    box.firstStart = 0;
    box.firstEnd = 0;
    box.secondEnd = 0;
    box.next = this.#free;
    this.#free = box;
  }

  /** Copies what of `gather` lies behind its first `written` bytes. Returns 0 or -ENOBUFS (the box is then useless). */
  append(box: Outbox, gather: Gather, written: number): number {
    let skip = written;
    for (let i = 0; i < gather.count; i++) {
      const offset = gather.spans[2 * i];
      const length = gather.spans[2 * i + 1];
      if (skip >= length) {
        skip -= length;
        continue;
      }
      if (!this.#copy(box, offset + skip, length - skip)) return -ENOBUFS;
      skip = 0;
    }
    return 0;
  }

  /** Sends what the socket takes, over TLS unless `tls` is -1. Returns 1 when all is sent, 0 when it is full, or -errno. */
  flush(box: Outbox, fd: number, tls: number): number {
    while (box.first !== -1) {
      const length = box.firstEnd - box.firstStart;
      const at = box.first + box.firstStart;
      const sent = tls === -1 ? send(fd, at, length) : tlsWrite(tls, at, length);
      if (sent < 0) return sent === -EAGAIN ? 0 : sent;
      if (sent < length) {
        box.firstStart += sent;
        return 0;
      }
      this.#pool.give(box.first);
      box.first = box.second;
      box.firstStart = 0;
      box.firstEnd = box.secondEnd;
      box.second = -1;
      box.secondEnd = 0;
    }
    return 1;
  }

  #copy(box: Outbox, offset: number, length: number): boolean {
    const size = this.#pool.bufferSize;
    if (box.first === -1) {
      box.first = this.#pool.take();
      if (box.first === -1) return false;
    }
    if (box.second === -1) {
      const part = Math.min(size - box.firstEnd, length);
      this.#bytes.copyWithin(box.first + box.firstEnd, offset, offset + part);
      box.firstEnd += part;
      offset += part;
      length -= part;
      if (length === 0) return true;
      box.second = this.#pool.take();
      if (box.second === -1) return false;
    }
    if (box.secondEnd + length > size) return false;
    this.#bytes.copyWithin(box.second + box.secondEnd, offset, offset + length);
    box.secondEnd += length;
    return true;
  }
}
