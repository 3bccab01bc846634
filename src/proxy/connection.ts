// What a client connection and a backend connection have in common: a descriptor, its registration, its timer, the rest
// of an unfinished write, held input, and the tunnel that both may end in.
//
// Readiness is edge-triggered: `readable` says that the socket may hold bytes that were not read yet, so a side that was
// paused can go on without a new event. A connection without work owns no buffer.

import { Timed } from "../loop/timer-wheel.ts";
import { EAGAIN } from "../os/errno.ts";
import { close, peek, recv, SHUT_WR, shutdown, tcpInfo, unsentBytes } from "../os/sockets.ts";
import { tlsFree, tlsHasMore, tlsRead, tlsShutdown } from "../os/tls.ts";
import type { TrafficContext } from "./context.ts";
import type { Gather } from "./gather.ts";
import type { Tunnel } from "./http/tunnel.ts";
import type { Outbox } from "./outbox.ts";

const RTT_INTERVAL_US = 1_000_000;
/** A peer that moves fewer bytes than this in a whole timeout counts as stalled (slow-body and slow-read clients). */
export const PROGRESS_BYTES = 1024;

export abstract class Connection extends Timed {
  readonly context: TrafficContext;
  /** -1 when closed. */
  fd: number;
  /** The TLS session between the descriptor and us; -1: the bytes are plain. Whoever reads or writes asks it first. */
  tls: number;
  token: number;
  outbox: Outbox | null;
  /** When something last came from the peer or went to it, in ticks of the timer wheel. Kept for clients only. */
  activeTick: number;
  /** In line for buffers (TrafficContext.mayRead). */
  inLine: boolean;
  /** The socket may hold unread bytes. */
  readable: boolean;
  /** The peer has sent its FIN; it may still lie behind unread bytes. */
  peerClosed: boolean;
  /** Input that is not complete, or that came too early: a pooled buffer (-1 none), filled up to `heldEnd`. */
  held: number;
  heldEnd: number;
  /** Since a 101: what is read goes to the other end, unread by us. */
  tunnel: Tunnel | null;
  /** Bytes that waited in the kernel at the last timeout, -1 when some were written since. */
  #unsent: number;
  #rttUs: number;
  #rttAtS: number;

  constructor(context: TrafficContext, fd: number) {
    super();
    this.context = context;
    this.fd = fd;
    this.tls = -1;
    this.token = -1;
    this.outbox = null;
    this.inLine = false;
    this.activeTick = context.loop.wheel.tick;
    this.readable = false;
    this.peerClosed = false;
    this.held = -1;
    this.heldEnd = 0;
    this.tunnel = null;
    this.#unsent = -1;
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
   * Reads into the arena. Returns the bytes (> 0), 0 at the end of what the peer sends, or -errno. `readable` is cleared
   * when the socket is drained.
   */
  receive(at: number, room: number): number {
    if (this.tls !== -1) return this.#receiveSealed(at, room);
    const n = recv(this.fd, at, room);
    // A short read has emptied the socket: the next byte brings a new event. A FIN that is already known does not.
    if (n <= 0 || (n < room && !this.peerClosed)) this.readable = false;
    return n;
  }

  /** The same over TLS. An end without close_notify is -ECONNABORTED: what came may be cut off (RFC 8446 6.1). */
  #receiveSealed(at: number, room: number): number {
    const n = tlsRead(this.tls, at, room);
    if (n <= 0 || (n < room && !this.peerClosed && !tlsHasMore())) this.readable = false;
    return n;
  }

  /** Whether a connection without work has nothing unread, not even its end. */
  isQuiet(): boolean {
    if (this.tls !== -1) return tlsRead(this.tls, this.context.sockaddr, 1) === -EAGAIN;
    return peek(this.fd, this.context.sockaddr, 1) === -EAGAIN;
  }

  /** Nothing more is written: the peer reads its end. */
  endOutput(): void {
    this.endSealed();
    shutdown(this.fd, SHUT_WR);
  }

  /** What TLS has to say before the socket closes. */
  endSealed(): void {
    if (this.tls !== -1) tlsShutdown(this.tls);
  }

  /**
   * Writes the gather, queues what the kernel did not take, and resets the gather: no byte stays for somebody else.
   * Returns the bytes that the kernel took, or -errno; then nothing of the gather was written and all of it is queued.
   * -ENOBUFS: there was no buffer for the rest, and nothing is queued. `isLast`: nothing will be written after it, and over
   * TLS its end may leave with it.
   */
  writeGather(gather: Gather, mayWrite: boolean, isLast = false): number {
    let result = mayWrite && this.outbox === null ? gather.write(this.fd, this.tls, isLast) : 0;
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
  flushOutbox(): number {
    const box = this.outbox;
    if (box === null) return 1;
    this.#unsent = -1;
    const result = this.context.outboxes.flush(box, this.fd, this.tls);
    if (result === 1) this.dropOutbox();
    return result;
  }

  /**
   * Asked at a timeout while bytes are queued: does the peer take any? The socket becomes writable only when a third of
   * its buffer is free, which a slow peer may take long to drain. So the kernel is asked whether at least a kilobyte less
   * waits than at the last timeout.
   */
  takesBytes(): boolean {
    if (this.outbox === null) return false;
    const before = this.#unsent;
    this.#unsent = unsentBytes(this.fd);
    return before === -1 || before - this.#unsent >= PROGRESS_BYTES;
  }

  /** Bytes that wait in the outbox. */
  get queuedBytes(): number {
    const box = this.outbox;
    return box === null ? 0 : box.firstEnd - box.firstStart + box.secondEnd;
  }

  /** Holds [at, end), which may lie in the held buffer already. False: there is no buffer, and nothing is held. */
  protected hold(at: number, end: number): boolean {
    const { bytes, buffers } = this.context;
    if (this.held === -1) {
      const buffer = end - at > this.context.holdMax ? -1 : buffers.take();
      if (buffer === -1) return false;
      this.held = buffer;
    }
    if (at !== this.held) bytes.copyWithin(this.held, at, end);
    this.heldEnd = end - at;
    return true;
  }

  protected releaseHeld(): void {
    if (this.held === -1) return;
    this.context.buffers.give(this.held);
    this.held = -1;
    this.heldEnd = 0;
  }

  dropOutbox(): void {
    if (this.outbox === null) return;
    this.context.outboxes.give(this.outbox);
    this.outbox = null;
  }

  /** Leaves the epoll set, closes the socket and gives everything back. Calling it again does nothing. */
  protected closeSocket(): void {
    if (this.fd === -1) return;
    this.context.loop.wheel.cancel(this);
    if (this.tls !== -1) {
      tlsFree(this.tls);
      this.tls = -1;
    }
    if (this.token !== -1) this.context.loop.unregister(this.token, this.fd);
    close(this.fd);
    this.fd = -1;
    this.token = -1;
    this.readable = false;
    this.dropOutbox();
  }
}
