// A worker's end of its channel, on the event loop: non-blocking both ways and bounded. Packets that main does not read
// wait here up to a limit; what main asked for is answered by the newest acknowledgement, so old ones may be dropped.
// When main dies the channel closes and the worker serves on without it (design section 5).

import { decodePacket, PACKET_BYTES_MAX, PACKET_FDS_MAX, type Packet } from "../command/worker-protocol.ts";
import type { Deferrable, EventLoop } from "../loop/event-loop.ts";
import { EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT } from "../os/epoll.ts";
import { EAGAIN } from "../os/errno.ts";
import { closeAll, recvFds, sendFds } from "../os/fdpass.ts";
import { close, unreadBytes } from "../os/sockets.ts";

/** Packets handled before traffic gets its turn again. */
const READ_BUDGET = 16;
/** Packets that may wait for main. */
const WAITING_MAX = 1024;

/** Who gets the packets. */
export interface ChannelOwner {
  /** `fds` belong to the owner from now on. */
  onPacket(packet: Packet, fds: readonly number[]): void;
  /** Main is gone, or sent what is no packet. The descriptor is closed already. Called once. */
  onMainGone(): void;
}

/** Takes ownership of `fd`, a SOCK_SEQPACKET socket. */
export class WorkerChannel implements Deferrable {
  queued: boolean;
  readonly #loop: EventLoop;
  readonly #owner: ChannelOwner;
  readonly #fd: number;
  readonly #token: number;
  readonly #waiting: Uint8Array[];
  #open: boolean;
  /** Main closed its end: what is left to read is packets, then the end. */
  #hungUp: boolean;

  constructor(loop: EventLoop, fd: number, owner: ChannelOwner) {
    this.queued = false;
    this.#loop = loop;
    this.#owner = owner;
    this.#fd = fd;
    this.#waiting = [];
    this.#open = true;
    this.#hungUp = false;
    this.#token = loop.register(fd, this, EPOLLIN | EPOLLOUT | EPOLLET);
  }

  onReady(events: number): void {
    if ((events & EPOLLOUT) !== 0) this.#flush();
    if ((events & (EPOLLHUP | EPOLLERR)) !== 0) this.#hungUp = true;
    for (let i = 0; i < READ_BUDGET; i++) {
      if (!this.#open || !this.#readOne()) return;
    }
    this.#loop.runLater(this);
  }

  /** Sends a packet, or keeps it until main reads. The oldest one that waits gives way when there are too many. */
  send(bytes: Uint8Array): void {
    if (!this.#open) return;
    if (this.#waiting.length === 0 && sendFds(this.#fd, bytes, []) !== -EAGAIN) return;
    if (this.#waiting.length === WAITING_MAX) this.#waiting.shift();
    this.#waiting.push(bytes);
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
    while (this.#open && this.#waiting.length > 0) {
      if (sendFds(this.#fd, this.#waiting[0], []) === -EAGAIN) return;
      this.#waiting.shift();
    }
  }

  /** False when nothing waits or the channel is closed. */
  #readOne(): boolean {
    // A buffer for the largest packet, made and thrown away for each small one, costs more than all the rest of a change:
    // what waits tells how much is needed. Nothing waits: a new edge will tell of the next packet.
    const waiting = unreadBytes(this.#fd);
    if (waiting === 0 && !this.#hungUp) return false;
    const most = waiting > 0 ? Math.min(waiting, PACKET_BYTES_MAX) : PACKET_BYTES_MAX;
    const received = recvFds(this.#fd, most, PACKET_FDS_MAX);
    if (received === -EAGAIN) return false;
    const packet = typeof received === "number" ? null : decodePacket(received.data);
    if (typeof received === "number" || packet === null) {
      if (typeof received !== "number") closeAll(received.fds);
      this.close();
      this.#owner.onMainGone();
      return false;
    }
    this.#owner.onPacket(packet, received.fds);
    return true;
  }
}
