// A worker's end of its channel, on the event loop: non-blocking both ways and bounded. Packets lie in the arena while they
// are handled, so that one costs no allocation. Packets that main does not read wait here up to a limit; what main asked
// for is answered by the newest acknowledgement, so old ones may be dropped.
// When main dies the channel closes and the worker serves on without it (design section 5).

import { PACKET_BYTES_MAX, PACKET_FDS_MAX, PACKET_HEADER_BYTES, readPacketNumber } from "../command/worker-protocol.ts";
import type { Deferrable, EventLoop } from "../loop/event-loop.ts";
import { EPOLLET, EPOLLIN, EPOLLOUT } from "../os/epoll.ts";
import { EAGAIN } from "../os/errno.ts";
import { closeAll, passedFds, recvPacket } from "../os/fdpass.ts";
import { close, send } from "../os/sockets.ts";

/** Bytes of the arena that a channel takes: a packet in, a packet out. */
export const CHANNEL_ARENA_BYTES: number = 2 * PACKET_BYTES_MAX;
/** Packets handled before traffic gets its turn again. */
const READ_BUDGET = 16;
/** Packets that may wait for main. */
const WAITING_MAX = 1024;

/** Who gets the packets. */
export interface ChannelOwner {
  /** The body lies at [start, end) of the arena during the call; `fds` belong to the owner from now on. */
  onPacket(kind: number, number: number, start: number, end: number, fds: readonly number[]): void;
  /** What has come so far was handed over; called at least once after onPacket. */
  onPause(): void;
  /** Main is gone, or sent what is no packet. The descriptor is closed already. Called once. */
  onMainGone(): void;
}

/** Takes ownership of `fd`, a SOCK_SEQPACKET socket. */
export class WorkerChannel implements Deferrable {
  queued: boolean;
  readonly #loop: EventLoop;
  readonly #owner: ChannelOwner;
  #fd: number;
  #token: number;
  readonly #arena: Uint8Array;
  readonly #in: number;
  readonly #out: number;
  readonly #waiting: Uint8Array[];
  #open: boolean;

  constructor(loop: EventLoop, fd: number, owner: ChannelOwner) {
    this.queued = false;
    this.#loop = loop;
    this.#owner = owner;
    this.#fd = fd;
    this.#arena = loop.memory.bytes;
    this.#in = loop.memory.allocate(PACKET_BYTES_MAX);
    this.#out = loop.memory.allocate(PACKET_BYTES_MAX);
    this.#waiting = [];
    this.#open = true;
    this.#token = loop.register(fd, this, EPOLLIN | EPOLLOUT | EPOLLET);
  }

  /** Goes on with another main. Only when the last one is gone. */
  reopen(fd: number): void {
    this.close();
    this.#fd = fd;
    this.#open = true;
    this.#token = this.#loop.register(fd, this, EPOLLIN | EPOLLOUT | EPOLLET);
  }

  onReady(events: number): void {
    if ((events & EPOLLOUT) !== 0) this.#flush();
    let read = 0;
    while (read < READ_BUDGET && this.#open && this.#readOne()) read += 1;
    if (read > 0) this.#owner.onPause();
    if (read === READ_BUDGET && this.#open) this.#loop.runLater(this);
  }

  /** Packets that wait for main to read. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Sends a copy of a packet, or keeps one until main reads. The oldest that waits gives way when there are too many. */
  send(packet: Uint8Array): void {
    if (!this.#open) return;
    if (this.#waiting.length === 0 && this.#write(packet)) return;
    if (this.#waiting.length === WAITING_MAX) this.#waiting.shift();
    this.#waiting.push(packet.slice());
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#loop.cancelLater(this);
    this.#loop.unregister(this.#token, this.#fd);
    close(this.#fd);
    this.#waiting.length = 0;
  }

  #flush(): void {
    while (this.#open && this.#waiting.length > 0 && this.#write(this.#waiting[0])) this.#waiting.shift();
  }

  /** False when main has to read first. What cannot be sent at all is dropped: reading will tell why. */
  #write(packet: Uint8Array): boolean {
    this.#arena.set(packet, this.#out);
    return send(this.#fd, this.#out, packet.length) !== -EAGAIN;
  }

  /** False when nothing waits or the channel is closed. */
  #readOne(): boolean {
    const length = recvPacket(this.#fd, this.#in, PACKET_BYTES_MAX, PACKET_FDS_MAX);
    if (length === -EAGAIN) return false;
    if (length < PACKET_HEADER_BYTES) {
      if (length >= 0) closeAll(passedFds());
      this.close();
      this.#owner.onMainGone();
      return false;
    }
    const at = this.#in;
    const number = readPacketNumber(this.#arena, at);
    this.#owner.onPacket(this.#arena[at], number, at + PACKET_HEADER_BYTES, at + length, passedFds());
    return true;
  }
}
