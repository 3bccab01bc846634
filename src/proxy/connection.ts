// What a client connection and a backend connection have in common: a descriptor, its registration, its timer and the
// rest of an unfinished write.
//
// Readiness is edge-triggered: `readable` says that the socket may hold bytes that were not read yet, so a side that was
// paused can go on without a new event. A connection without work owns no buffer.

import { Timed } from "../loop/timer-wheel.ts";
import { EAGAIN } from "../os/errno.ts";
import { close, tcpInfo } from "../os/sockets.ts";
import type { TrafficContext } from "./context.ts";
import type { Gather } from "./gather.ts";
import type { Outbox } from "./outbox.ts";

const RTT_INTERVAL_US = 1_000_000;

export abstract class Connection extends Timed {
  readonly context: TrafficContext;
  /** -1 when closed. */
  fd: number;
  token: number;
  outbox: Outbox | null;
  /** When something last came from the peer or went to it, in ticks of the timer wheel. Kept for clients only. */
  activeTick: number;
  /** The socket may hold unread bytes. */
  readable: boolean;
  /** The peer has sent its FIN; it may still lie behind unread bytes. */
  peerClosed: boolean;
  #rttUs: number;
  #rttAtS: number;

  constructor(context: TrafficContext, fd: number) {
    super();
    this.context = context;
    this.fd = fd;
    this.token = -1;
    this.outbox = null;
    this.activeTick = context.loop.wheel.tick;
    this.readable = false;
    this.peerClosed = false;
    this.#rttUs = -1;
    this.#rttAtS = 0;
  }

  abstract onReady(events: number): void;

  /** Round trip to the peer in microseconds, -1 when unknown; asked for at most once a second (decisions 22). */
  rtt(): number {
    const nowS = (this.context.loop.nowUs / RTT_INTERVAL_US) | 0;
    if (nowS !== this.#rttAtS && this.fd !== -1) {
      this.#rttAtS = nowS;
      this.#rttUs = tcpInfo(this.fd);
    }
    return this.#rttUs;
  }

  /**
   * Writes the gather, queues what the kernel did not take, and resets the gather: no byte stays for somebody else.
   * Returns the bytes that the kernel took, or -errno; then nothing of the gather was written and all of it is queued.
   * -ENOBUFS: there was no buffer for the rest, and nothing is queued.
   */
  protected writeGather(gather: Gather, mayWrite: boolean): number {
    let result = mayWrite && this.outbox === null ? gather.write(this.fd) : 0;
    if (result === gather.total) {
      gather.reset();
      return result;
    }
    if (result === -EAGAIN) result = 0;
    const outboxes = this.context.outboxes;
    if (this.outbox === null) this.outbox = outboxes.take();
    const failed = outboxes.append(this.outbox, gather, Math.max(result, 0));
    gather.reset();
    if (failed === 0) return result;
    this.dropOutbox();
    return failed;
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
