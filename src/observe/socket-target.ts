// Logs into a socket (spec 12.1): datagrams to udp:// and unix://, one a line or record, or a tcp:// connection. The process
// that logs may be in a sandbox without a way to connect, so a descriptor comes from outside: asked for when there is a line
// to write, then again after pauses that grow to 30 s. Meanwhile lines wait in the sink, and are dropped there when it is
// full.
// Writing is one call that never blocks; a peer that is slow says EAGAIN, one that is gone costs the descriptor.
// Invariant: a connection begins with the start of a line, whatever happened to the one before it.

import { sendDatagrams, sendStream } from "../os/batches.ts";
import { EAGAIN, ECONNREFUSED, EMSGSIZE, ENETUNREACH, ENOBUFS, EPERM, errnoName } from "../os/errno.ts";
import { close } from "../os/sockets.ts";
import { KEPT, type LogTarget, type WriteDone } from "./target.ts";

/** How a target of this kind gets its descriptor. */
export interface SocketSource {
  /** Asks for a connected, or connecting, descriptor for the target; adopt() brings it, or nobody does. */
  ask(target: string): void;
  /** Monotonic, milliseconds. */
  nowMs(): number;
  /** Whether lines are written, or (false) records of protobuf. */
  readonly lines: boolean;
}

/** A target at the other end of a socket. */
export class SocketTarget implements LogTarget {
  readonly name: string;
  private readonly kind: "udp" | "tcp" | "unix";
  private readonly source: SocketSource;
  private readonly lines: boolean;
  private fd: number;
  /** What was sent last ended, or may have ended, within a line. */
  private midLine: boolean;
  /** The rest of that line is of no use to the next connection: the batch ends with it. */
  private cut: boolean;
  private askAtMs: number;
  private pauseMs: number;
  private closed: boolean;

  constructor(name: string, kind: "udp" | "tcp" | "unix", source: SocketSource) {
    this.name = name;
    this.kind = kind;
    this.source = source;
    this.lines = source.lines;
    this.fd = -1;
    this.midLine = false;
    this.cut = false;
    this.askAtMs = 0;
    this.pauseMs = PAUSE_MIN_MS;
    this.closed = false;
  }

  write(bytes: Uint8Array, offset: number, length: number, done: WriteDone): void {
    if (this.cut) {
      this.cut = false;
      done("ECONNRESET", 0);
      return;
    }
    const sent = this.send(bytes, offset, offset + length);
    if (sent > 0) done(null, sent);
    else if (sent === -EAGAIN || sent === -ENOBUFS) done("EAGAIN", 0);
    else done(errnoName(sent), this.fd === -1 ? KEPT : 0);
  }

  writeSync(bytes: Uint8Array, offset: number, length: number): number {
    return this.cut ? -1 : Math.max(-1, this.send(bytes, offset, offset + length));
  }

  /** Nothing to open: a new descriptor is asked for when a write fails. */
  reopen(done: (error: string | null) => void): void {
    done(null);
  }

  adopt(fd: number): void {
    if (this.closed) {
      close(fd);
      return;
    }
    this.lose();
    this.fd = fd;
  }

  close(): void {
    this.closed = true;
    this.lose();
  }

  /** Bytes that were taken, or -errno: -EAGAIN also without a descriptor. */
  private send(bytes: Uint8Array, from: number, to: number): number {
    if (this.fd === -1) {
      this.ask();
      return -EAGAIN;
    }
    let at = from;
    let result = 0;
    while (at < to) {
      result =
        this.kind === "tcp" ? sendStream(this.fd, bytes, at, to) : sendDatagrams(this.fd, bytes, at, to, this.lines);
      if (result <= 0) break;
      at += result;
    }
    if (at > from) {
      this.midLine = at < to && !(this.lines && bytes[at - 1] === LINE_FEED);
      this.pauseMs = PAUSE_MIN_MS;
      return at - from;
    }
    if (this.outlives(result)) return result;
    this.lose();
    this.ask();
    return result;
  }

  /** Whether the descriptor may work again after this error. */
  private outlives(result: number): boolean {
    if (result === -EAGAIN || result === -ENOBUFS || result === -EMSGSIZE) return true;
    // ICMP, a firewall or a route: the next datagram may arrive.
    return this.kind === "udp" && (result === -ECONNREFUSED || result === -EPERM || result === -ENETUNREACH);
  }

  private lose(): void {
    if (this.midLine) this.cut = true;
    this.midLine = false;
    if (this.fd !== -1) close(this.fd);
    this.fd = -1;
  }

  private ask(): void {
    const now = this.source.nowMs();
    if (now < this.askAtMs || this.closed) return;
    this.askAtMs = now + this.pauseMs;
    this.pauseMs = Math.min(this.pauseMs * 2, PAUSE_MAX_MS);
    this.source.ask(this.name);
  }
}

const LINE_FEED = 0x0a;
const PAUSE_MIN_MS = 1000;
const PAUSE_MAX_MS = 30_000;
