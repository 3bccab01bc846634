// What a client connection and a backend connection have in common: a descriptor, its registration, its timer and the
// rest of an unfinished write.
//
// Readiness is edge-triggered: `readable` says that the socket may hold bytes that were not read yet, so a side that was
// paused can go on without a new event. A connection without work owns no buffer.

import { Timed } from "../loop/timer-wheel.ts";
import { EAGAIN } from "../os/errno.ts";
import { close } from "../os/sockets.ts";
import type { TrafficContext } from "./context.ts";
import type { Gather } from "./gather.ts";
import type { Outbox } from "./outbox.ts";

export abstract class Connection extends Timed {
  readonly context: TrafficContext;
  /** -1 when closed. */
  fd: number;
  token: number;
  outbox: Outbox | null;
  /** The socket may hold unread bytes. */
  readable: boolean;
  /** The peer has sent its FIN; it may still lie behind unread bytes. */
  peerClosed: boolean;

  constructor(context: TrafficContext, fd: number) {
    super();
    this.context = context;
    this.fd = fd;
    this.token = -1;
    this.outbox = null;
    this.readable = false;
    this.peerClosed = false;
  }

  abstract onReady(events: number): void;

  /**
   * Writes the gather or queues it behind what is already queued, and resets it.
   * Returns the bytes that the kernel took, or -errno; -ENOBUFS when there was no buffer for the rest.
   */
  protected writeGather(gather: Gather, mayWrite: boolean): number {
    let written = 0;
    if (mayWrite && this.outbox === null) {
      const result = gather.write(this.fd);
      if (result < 0 && result !== -EAGAIN) return result;
      if (result === gather.total) {
        gather.reset();
        return result;
      }
      written = Math.max(result, 0);
    }
    const outboxes = this.context.outboxes;
    if (this.outbox === null) this.outbox = outboxes.take();
    const failed = outboxes.append(this.outbox, gather, written);
    gather.reset();
    return failed < 0 ? failed : written;
  }

  /** Returns 1 when nothing is queued any more, 0 when the socket is full, or -errno. */
  protected flushOutbox(): number {
    const box = this.outbox;
    if (box === null) return 1;
    const result = this.context.outboxes.flush(box, this.fd);
    if (result === 1) this.dropOutbox();
    return result;
  }

  protected dropOutbox(): void {
    if (this.outbox === null) return;
    this.context.outboxes.give(this.outbox);
    this.outbox = null;
  }

  /** Leaves the epoll set, closes the socket and gives everything back. Calling it again does nothing. */
  protected closeSocket(): void {
    if (this.fd === -1) return;
    this.context.loop.wheel.cancel(this);
    if (this.token !== -1) this.context.loop.unregister(this.token, this.fd);
    close(this.fd);
    this.fd = -1;
    this.token = -1;
    this.readable = false;
    this.dropOutbox();
  }
}
