// Main's end of a worker's channel: packets out, in order, with their descriptors; packets in. A worker that does not
// read makes packets wait here, up to a limit; beyond it the channel is broken and the worker is replaced.

import { decodePacket, PACKET_BYTES_MAX, type Packet, WORKER_PROTOCOL_VERSION } from "../command/worker-protocol.ts";
import { EPOLLIN, EPOLLOUT } from "../os/epoll.ts";
import { describeErrno, EAGAIN } from "../os/errno.ts";
import { closeAll, recvFds, sendFds } from "../os/fdpass.ts";
import { close, unreadBytes } from "../os/sockets.ts";
import { changeWatch, unwatchFd, watchFd } from "../os/watcher.ts";
import type { CarriedPacket } from "./carry.ts";

/** Bytes of packets that may wait for a worker. */
const WAITING_BYTES_MAX = 16 * 1024 * 1024;
/** Packets read per wake-up, so that one chatty worker does not starve the others. */
const READ_BUDGET = 64;

/** Who listens to a channel. */
export interface ChannelEvents {
  onPacket(packet: Packet): void;
  /** The channel is of no more use; `reason` says why. Called once. */
  onBroken(reason: string): void;
}

interface Waiting {
  readonly bytes: Uint8Array;
  readonly fds: readonly number[];
  readonly closeAfter: boolean;
}

/** Takes ownership of `fd`, a SOCK_SEQPACKET socket. */
export class Channel {
  readonly #fd: number;
  readonly #events: ChannelEvents;
  readonly #waiting: Waiting[];
  #waitingBytes: number;
  #open: boolean;

  constructor(fd: number, events: ChannelEvents) {
    this.#fd = fd;
    this.#events = events;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#open = true;
    watchFd(fd, (ready) => this.#onReady(ready));
  }

  /**
   * Sends a packet with duplicates of `fds`. With `closeAfter` the descriptors belong to the channel from now on, and are
   * closed when they were sent or never will be.
   */
  send(bytes: Uint8Array, fds: readonly number[] = [], closeAfter = false): void {
    const packet = { bytes, fds, closeAfter };
    if (!this.#open) {
      discard(packet);
      return;
    }
    if (this.#waiting.length === 0 && this.#write(packet)) return;
    if (!this.#open) return;
    this.#waiting.push(packet);
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes > WAITING_BYTES_MAX) this.#break("it does not read what main sends");
    else if (this.#waiting.length === 1) changeWatch(this.#fd, EPOLLIN | EPOLLOUT);
  }

  /** For the next main: the descriptor and what waits. */
  carry(): { readonly fd: number; readonly waiting: readonly CarriedPacket[] } {
    const waiting = this.#waiting.map(({ bytes, fds, closeAfter }) => {
      return { bytes: Buffer.from(bytes).toString("base64"), fds, closeAfter };
    });
    return { fd: this.#fd, waiting };
  }

  /** Takes the packets that wait to be read: what a worker said before it died or hung counts. */
  drain(): void {
    while (this.#open && unreadBytes(this.#fd) > 0) this.#read(false);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    unwatchFd(this.#fd);
    close(this.#fd);
    for (const packet of this.#waiting) discard(packet);
    this.#waiting.length = 0;
  }

  #onReady(ready: number): void {
    if ((ready & EPOLLOUT) !== 0) this.#flush();
    if ((ready & ~EPOLLOUT) !== 0) this.#read((ready & ~(EPOLLIN | EPOLLOUT)) !== 0);
  }

  #flush(): void {
    while (this.#open && this.#waiting.length > 0) {
      const packet = this.#waiting[0];
      if (!this.#write(packet)) return;
      this.#waiting.shift();
      this.#waitingBytes -= packet.bytes.length;
    }
    if (this.#open) changeWatch(this.#fd, EPOLLIN);
  }

  /** True when the packet was sent, or was given up because the channel broke. */
  #write(packet: Waiting): boolean {
    const result = sendFds(this.#fd, packet.bytes, packet.fds);
    if (result === -EAGAIN) return false;
    discard(packet);
    if (result < 0) this.#break(`writing to it failed: ${describeErrno(-result)}`);
    return true;
  }

  #read(hungUp: boolean): void {
    for (let i = 0; i < READ_BUDGET && this.#open; i++) {
      // A buffer for the largest packet, made and thrown away for each small one, costs more than all the rest.
      const waiting = unreadBytes(this.#fd);
      if (waiting === 0 && !hungUp) return;
      const most = waiting > 0 ? Math.min(waiting, PACKET_BYTES_MAX) : PACKET_BYTES_MAX;
      const received = recvFds(this.#fd, most, 0);
      if (received === -EAGAIN) return;
      if (typeof received === "number") {
        this.#break(`reading from it failed: ${describeErrno(-received)}`);
        return;
      }
      closeAll(received.fds);
      if (received.data.length === 0) {
        this.#break("it closed its channel");
        return;
      }
      const packet = decodePacket(received.data);
      if (packet === null || packet.version !== WORKER_PROTOCOL_VERSION) {
        this.#break("it speaks another protocol");
        return;
      }
      this.#events.onPacket(packet);
    }
  }

  #break(reason: string): void {
    if (!this.#open) return;
    this.close();
    this.#events.onBroken(reason);
  }
}

function discard(packet: Waiting): void {
  if (packet.closeAfter) closeAll(packet.fds);
}
