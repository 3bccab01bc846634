// The door through which a later main comes when this worker's main is gone (decisions 25): a listening unix socket that
// main made and the worker only accepts on. Whoever comes must have the worker's own uid, or root's. It gets what main
// had of this worker: the stats page, the journal, duplicates of the listening sockets, and brings a new channel.
// While main lives nobody is heard: connections wait in the backlog.

import type { SocketAddress } from "../command/objects.ts";
import {
  ADOPTION,
  type Adoptable,
  encodeJsonPacket,
  encodePacket,
  PACKET_BYTES_MAX,
  PACKET_FDS_MAX,
  type Place,
  readPacketNumber,
  WORKER_PROTOCOL_VERSION,
} from "../command/worker-protocol.ts";
import type { EventLoop } from "../loop/event-loop.ts";
import { EPOLLIN } from "../os/epoll.ts";
import { EAGAIN } from "../os/errno.ts";
import { closeAll, recvFds, sendFds } from "../os/fdpass.ts";
import { peerCred } from "../os/listeners.ts";
import { accept, close } from "../os/sockets.ts";

/** Between two looks whether changes that are under way are in force. */
const LOOK_MS = 5;

/** What the door needs of the worker. */
export interface DoorOwner {
  /** Its changes are all in force. */
  isSettled(): boolean;
  describe(): Omit<Adoptable, keyof Place>;
  sockets(): readonly { readonly address: SocketAddress; readonly fd: number }[];
  borrowed(): readonly { readonly address: SocketAddress; readonly fd: number; readonly slot: number }[];
  /** A new main is at the other end of this channel. */
  onAdopted(channelFd: number): void;
  /** Successors accept on its sockets. */
  onLeave(timeoutSeconds: number): void;
  warn(text: string): void;
}

/** One worker's door. */
export class Door {
  readonly #loop: EventLoop;
  readonly #fd: number;
  readonly #place: Place;
  readonly #statsFd: number;
  readonly #owner: DoorOwner;
  #journalFd: number;
  #token: number;
  #visitor: number;
  #visitorToken: number;

  /** Takes the descriptors. */
  constructor(
    loop: EventLoop,
    door: { readonly fd: number; readonly place: Place },
    own: { readonly statsFd: number; readonly journalFd: number },
    owner: DoorOwner,
  ) {
    this.#loop = loop;
    this.#fd = door.fd;
    this.#place = door.place;
    this.#statsFd = own.statsFd;
    this.#journalFd = own.journalFd;
    this.#owner = owner;
    this.#token = -1;
    this.#visitor = -1;
    this.#visitorToken = -1;
  }

  set journal(fd: number) {
    if (this.#journalFd >= 0) close(this.#journalFd);
    this.#journalFd = fd;
  }

  /** Main is gone: whoever comes is heard. */
  open(): void {
    if (this.#token < 0) this.#token = this.#loop.register(this.#fd, { onReady: () => this.#welcome() }, EPOLLIN);
  }

  #shut(): void {
    this.#loop.unregister(this.#token, this.#fd);
    this.#token = -1;
  }

  #welcome(): void {
    const fd = accept(this.#fd);
    if (fd < 0) return;
    const peer = peerCred(fd);
    const own = process.geteuid?.();
    if (typeof peer === "number" || (peer.uid !== own && peer.uid !== 0)) {
      close(fd);
      this.#owner.warn(`a process of uid ${typeof peer === "number" ? "?" : peer.uid} may not adopt this worker`);
      return;
    }
    // Who comes later takes the place of one that says nothing.
    this.#dismiss();
    this.#visitor = fd;
    this.#visitorToken = this.#loop.register(fd, { onReady: () => this.#hear() }, EPOLLIN);
  }

  #dismiss(): void {
    if (this.#visitor < 0) return;
    this.#loop.unregister(this.#visitorToken, this.#visitor);
    close(this.#visitor);
    this.#visitor = -1;
  }

  #hear(): void {
    const received = recvFds(this.#visitor, PACKET_BYTES_MAX, 1);
    if (received === -EAGAIN) return;
    const kind = typeof received === "number" ? 0 : received.data[0];
    if (typeof received === "number" || received.data.length < 8) {
      this.#dismiss();
      return;
    }
    const { data, fds } = received;
    if (kind === ADOPTION.LEAVE) {
      closeAll(fds);
      this.#dismiss();
      this.#owner.onLeave(readPacketNumber(data, 0));
    } else if (kind === ADOPTION.ASK && fds.length === 1) {
      this.#answer(fds[0] as number, (data[2] as number) | ((data[3] as number) << 8), this.#visitor);
    } else {
      closeAll(fds);
      this.#dismiss();
    }
  }

  #answer(channelFd: number, version: number, visitor: number): void {
    if (this.#visitor !== visitor) {
      close(channelFd);
      return;
    }
    if (!this.#owner.isSettled()) {
      setTimeout(() => this.#answer(channelFd, version, visitor), LOOK_MS);
      return;
    }
    const sent = this.#sendAll(visitor);
    if (!sent || version !== WORKER_PROTOCOL_VERSION) close(channelFd);
    if (!sent) this.#dismiss();
    if (!sent || version !== WORKER_PROTOCOL_VERSION) return;
    this.#dismiss();
    this.#shut();
    this.#owner.onAdopted(channelFd);
  }

  #sendAll(fd: number): boolean {
    const own = this.#journalFd < 0 ? [this.#statsFd] : [this.#statsFd, this.#journalFd];
    const body: Adoptable = { ...this.#place, ...this.#owner.describe() };
    if (sendFds(fd, encodeJsonPacket(ADOPTION.WORKER, 0, body), own) < 0) return false;
    const slots = new Map<number | null, { address: SocketAddress; fd: number }[]>();
    slots.set(null, [...this.#owner.sockets()]);
    for (const each of this.#owner.borrowed()) slots.set(each.slot, [...(slots.get(each.slot) ?? []), each]);
    for (const [lentBy, sockets] of slots) {
      for (let at = 0; at < sockets.length; at += PACKET_FDS_MAX) {
        const part = sockets.slice(at, at + PACKET_FDS_MAX);
        const addresses = part.map(({ address }) => address);
        const packet = encodeJsonPacket(ADOPTION.SOCKETS, 0, { addresses, lentBy });
        const fds = part.map((each) => each.fd);
        if (sendFds(fd, packet, fds) < 0) return false;
      }
    }
    return sendFds(fd, encodePacket(ADOPTION.END, 0), []) >= 0;
  }
}
