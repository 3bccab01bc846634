// The listening sockets, all of them, for as long as main lives (design section 5): per listener one SO_REUSEPORT socket
// for each worker slot. Workers get duplicates; because main keeps its own, the connections waiting in the accept queue of
// a dead worker wait for its successor instead of being reset.

import { formatAddress } from "../command/address.ts";
import type { SocketAddress } from "../command/objects.ts";
import { describeErrno, EACCES, EADDRINUSE, EADDRNOTAVAIL } from "../os/errno.ts";
import { bindTcp, listenTcp } from "../os/listeners.ts";
import { dup } from "../os/process.ts";
import { SHUT_RD } from "../os/socket-options.ts";
import { close, shutdown } from "../os/sockets.ts";
import type { CarriedSockets } from "./carry.ts";

/** This kernel has no such address family: IPv6 is switched off. Same number on x64 and arm64. */
const EAFNOSUPPORT = 97;

/** One listener's sockets, by worker slot. */
interface Entry {
  readonly address: SocketAddress;
  readonly fds: number[];
  /** Duplicates of one socket that was passed to main: it outlives the listener, and main. */
  readonly inherited: boolean;
}

/** Owns the descriptors; nobody else closes them. */
export class ListenSockets {
  readonly #entries: Map<string, Entry>;
  readonly #slots: number;
  readonly #inherited: Map<string, number>;

  /** `inherited`: sockets by address that listen already; every slot accepts from the one queue of such a socket. */
  constructor(slots: number, inherited: ReadonlyMap<string, number> = new Map()) {
    this.#entries = new Map();
    this.#slots = slots;
    this.#inherited = new Map(inherited);
  }

  has(address: SocketAddress): boolean {
    return this.#entries.has(formatAddress(address));
  }

  /** Binds and listens for every slot. Returns null, or why not; then nothing stays open. */
  open(address: SocketAddress): string | null {
    if (this.has(address)) return null;
    const given = this.#inherited.get(formatAddress(address));
    const taken = given === undefined ? probe(address) : null;
    if (taken !== null) return taken;
    const fds: number[] = [];
    for (let slot = 0; slot < this.#slots; slot++) {
      const fd = given === undefined ? listenTcp(address, { reusePort: true }) : dup(given);
      if (fd < 0) {
        for (const open of fds) close(open);
        return explain(address, -fd);
      }
      fds.push(fd);
    }
    this.#entries.set(formatAddress(address), { address, fds, inherited: given !== undefined });
    return null;
  }

  /**
   * Closes the sockets of one listener that serving workers have given up. A worker that is just starting may still hold
   * duplicates: shutting the sockets down ends them everywhere, so that the port is free at once.
   */
  close(address: SocketAddress): void {
    const entry = this.#entries.get(formatAddress(address));
    if (entry === undefined) return;
    this.#entries.delete(formatAddress(address));
    for (const fd of entry.fds) {
      if (!entry.inherited) shutdown(fd, SHUT_RD);
      close(fd);
    }
  }

  /** Gives up all sockets; workers that hold duplicates go on accepting until they close theirs. */
  closeAll(): void {
    for (const entry of this.#entries.values()) for (const fd of entry.fds) close(fd);
    this.#entries.clear();
    for (const fd of this.#inherited.values()) close(fd);
    this.#inherited.clear();
  }

  /** Everything, for the next main. */
  carry(): CarriedSockets {
    return { listeners: [...this.#entries.values()], inherited: [...this.#inherited] };
  }

  /** The other way. */
  resume(carried: CarriedSockets): void {
    for (const entry of carried.listeners) {
      this.#entries.set(formatAddress(entry.address), { ...entry, fds: [...entry.fds] });
    }
    for (const [address, fd] of carried.inherited) this.#inherited.set(address, fd);
  }

  /** Goes on with sockets that workers hold, by slot; a slot that has none (-1) gets a new one. null, or why not. */
  adopt(address: SocketAddress, held: readonly number[]): string | null {
    const given = this.#inherited.get(formatAddress(address));
    const fds: number[] = [];
    let problem: string | null = null;
    for (let slot = 0; slot < this.#slots; slot++) {
      let fd = held[slot] ?? -1;
      if (fd < 0) fd = given === undefined ? listenTcp(address, { reusePort: true }) : dup(given);
      if (fd < 0) problem = explain(address, -fd);
      else fds.push(fd);
    }
    if (problem === null) this.#entries.set(formatAddress(address), { address, fds, inherited: given !== undefined });
    else for (const fd of fds) close(fd);
    return problem;
  }

  /** The sockets of one slot, in the order of `addresses()`. */
  ofSlot(slot: number): { readonly addresses: readonly SocketAddress[]; readonly fds: readonly number[] } {
    const entries = [...this.#entries.values()];
    return { addresses: entries.map((entry) => entry.address), fds: entries.map((entry) => entry.fds[slot]) };
  }

  /** The socket of one listener and slot; -1 when that listener is not open. */
  fd(address: SocketAddress, slot: number): number {
    return this.#entries.get(formatAddress(address))?.fds[slot] ?? -1;
  }
}

// Without SO_REUSEPORT a port that somebody else listens on is an error, even if that somebody set it (decisions 29).
function probe(address: SocketAddress): string | null {
  const fd = bindTcp(address, false);
  if (fd < 0) return explain(address, -fd);
  close(fd);
  return null;
}

function explain(address: SocketAddress, errno: number): string {
  const where = formatAddress(address);
  if (errno === EADDRINUSE) return `cannot listen on ${where}: another process uses this port (find it with: ss -ltnp)`;
  if (errno === EACCES) {
    return `cannot listen on ${where}: not permitted; ports below 1024 need root rights or CAP_NET_BIND_SERVICE`;
  }
  if (errno === EADDRNOTAVAIL) return `cannot listen on ${where}: no interface of this machine has this address`;
  if (errno === EAFNOSUPPORT) return `cannot listen on ${where}: this machine has IPv6 switched off`;
  return `cannot listen on ${where}: ${describeErrno(errno)}`;
}
