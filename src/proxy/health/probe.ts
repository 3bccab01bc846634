// One probe of one backend: a connection of its own on the worker's loop, which sends `GET <uri>` and judges the answer's
// status, or only connects (spec 7.5).
//
//   CONNECTING --up, with TLS where the cluster wants it--> HEAD --head--> ENDING --end, 4,096 bytes, 1 s--> CLOSED
//        `---- failed, timeout ----------- a result ------------------------^
//
// The backend is hostile: its answer is decoded as strictly as any, at most 4,096 bytes of it are read, in at most 64
// pieces, within the timeout of the check. The result is told once. After it the backend may end its answer, so that it
// sees no reset. A probe owns no pooled buffer: the start of an answer that comes in pieces is kept on the heap.

import { acceptsStatus } from "../../balancing/health-check.ts";
import { Timed } from "../../loop/timer-wheel.ts";
import { EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "../../os/epoll.ts";
import { describeErrno, EAGAIN, EINPROGRESS } from "../../os/errno.ts";
import { close, connect, encodeSockaddr, recv, send, socket, TCP4, TCP6, takeSocketError } from "../../os/sockets.ts";
import {
  HANDSHAKE_DONE,
  HANDSHAKE_READ,
  HANDSHAKE_WRITE,
  handshake,
  tlsFree,
  tlsRead,
  tlsWrite,
} from "../../os/tls.ts";
import { ascii } from "../../wire/http1/bytes.ts";
import { wireErrors } from "../../wire/http1/errors.ts";
import { handshakeProblem } from "../tls/backend-tls.ts";
import type { HealthMonitor } from "./health-monitor.ts";
import type { Target } from "./target.ts";

const CONNECTING = 0;
const HEAD = 1;
const ENDING = 2;
const CLOSED = 3;

/** Bytes of an answer that are read (spec 7.5). */
const ANSWER_BYTES_MAX = 4096;
/** An honest server sends a head in one piece, or a line at a time. */
const PIECES_MAX = 64;
const ENDING_MS = 1000;

export class Probe extends Timed {
  readonly #monitor: HealthMonitor;
  readonly #target: Target;
  #fd: number;
  #token: number;
  /** The TLS session, -1: none. */
  #tls: number;
  #state: number;
  /** The head as far as it came; null: nothing, or nothing that is needed any more. */
  #held: Uint8Array | null;
  #received: number;
  #pieces: number;

  /** `fd`: a fresh socket, which belongs to the probe from now on. */
  constructor(monitor: HealthMonitor, target: Target, fd: number) {
    super();
    this.#monitor = monitor;
    this.#target = target;
    this.#fd = fd;
    this.#token = -1;
    this.#tls = -1;
    this.#state = CONNECTING;
    this.#held = null;
    this.#received = 0;
    this.#pieces = 0;
  }

  /** A socket for a probe of this target, or -errno. */
  static socketFor(target: Target): number {
    return socket(target.backend.address.ip.includes(":") ? TCP6 : TCP4);
  }

  /** Connects. The result may be told before this returns. */
  start(): void {
    const { context } = this.#monitor;
    const { check, backend } = this.#target;
    const length = encodeSockaddr(backend.address, context.bytes, context.sockaddr);
    const result = connect(this.#fd, context.sockaddr, length);
    if (result < 0 && result !== -EINPROGRESS) {
      this.#end(false, describeErrno(result));
      return;
    }
    const token = context.loop.register(this.#fd, this, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    if (token < 0) {
      this.cancel();
      return;
    }
    this.#token = token;
    context.loop.wheel.arm(this, check.config.timeout * 1000);
  }

  /** Ends it without a result. */
  cancel(): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    const { loop } = this.#monitor.context;
    loop.wheel.cancel(this);
    if (this.#token !== -1) loop.unregister(this.#token, this.#fd);
    if (this.#tls !== -1) tlsFree(this.#tls);
    close(this.#fd);
    this.#held = null;
    this.#monitor.ended(this.#target);
  }

  onReady(events: number): void {
    if (this.#state === CONNECTING && !this.#onConnecting(events)) return;
    if (this.#state === HEAD && (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) !== 0) this.#readHead();
    if (this.#state === ENDING) this.#readRest();
  }

  override onTimeout(): void {
    if (this.#state === ENDING) this.cancel();
    else this.#end(false, `no answer within ${this.#target.check.config.timeout} s`);
  }

  /** False: not connected, or nothing more to do. */
  #onConnecting(events: number): boolean {
    if (this.#tls !== -1) return this.#shakeHands();
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) === 0) return false;
    const failed = takeSocketError(this.#fd);
    if (failed !== 0) {
      this.#end(false, describeErrno(failed));
      return false;
    }
    const { check, backend } = this.#target;
    if (check.config.tcp) {
      this.#end(true, "");
      return false;
    }
    const secure = this.#monitor.context.backendTls.of(check.cluster);
    if (secure === null) return this.#ask();
    const session = secure.connect(this.#fd, backend, -1);
    if (session < 0) {
      this.#end(false, "TLS to it cannot be used");
      return false;
    }
    this.#tls = session;
    return this.#shakeHands();
  }

  #shakeHands(): boolean {
    const { scratch, scratchBytes } = this.#monitor.context;
    const result = handshake(this.#tls, scratch, scratchBytes);
    if (result === HANDSHAKE_DONE) return this.#ask();
    if (result === HANDSHAKE_READ || result === HANDSHAKE_WRITE) return false;
    this.#end(false, `TLS handshake: ${handshakeProblem(this.#tls)}`);
    return false;
  }

  #ask(): boolean {
    const { check, backend } = this.#target;
    const { bytes, scratch } = this.#monitor.context;
    const host = String.fromCharCode(...backend.addressBytes);
    const request = ascii(`GET ${check.config.uri} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    bytes.set(request, scratch);
    const sent =
      this.#tls === -1 ? send(this.#fd, scratch, request.length) : tlsWrite(this.#tls, scratch, request.length);
    if (sent !== request.length) {
      this.#end(false, sent < 0 ? describeErrno(sent) : "it does not take the request");
      return false;
    }
    this.#state = HEAD;
    return true;
  }

  #readHead(): void {
    const { bytes, scratch } = this.#monitor.context;
    while (this.#state === HEAD) {
      const held = this.#held;
      const from = scratch + (held === null ? 0 : held.length);
      const n = this.#receive(from, ANSWER_BYTES_MAX - this.#received);
      if (n === -EAGAIN) return;
      if (n <= 0) {
        this.#end(false, n === 0 ? "it closes without a complete answer" : describeErrno(n));
        return;
      }
      if (held !== null) bytes.set(held, scratch);
      this.#received += n;
      this.#decode(from + n);
    }
  }

  /** Judges what lies in the scratch area up to `end`, from its first byte on. */
  #decode(end: number): void {
    const { context, decoder } = this.#monitor;
    let at = context.scratch;
    for (;;) {
      decoder.begin(false);
      const length = decoder.decode(context.bytes, at, at, end);
      if (length < 0) {
        this.#end(false, `not an answer of HTTP/1: ${wireErrors[-length].explanation}`);
        return;
      }
      if (length === 0) break;
      if (!decoder.interim) {
        const passes = acceptsStatus(this.#target.check.config, decoder.status);
        this.#end(passes, passes ? "" : `status ${decoder.status}`);
        return;
      }
      at += length;
    }
    if (this.#received >= ANSWER_BYTES_MAX) this.#end(false, `the head has more than ${ANSWER_BYTES_MAX} bytes`);
    else if (++this.#pieces === PIECES_MAX) this.#end(false, `the head comes in more than ${PIECES_MAX} pieces`);
    else this.#held = context.bytes.slice(at, end);
  }

  #readRest(): void {
    const { scratch } = this.#monitor.context;
    for (;;) {
      const room = ANSWER_BYTES_MAX - this.#received;
      const n = room === 0 ? 0 : this.#receive(scratch, room);
      if (n === -EAGAIN) return;
      if (n <= 0) {
        this.cancel();
        return;
      }
      this.#received += n;
    }
  }

  #receive(at: number, room: number): number {
    return this.#tls === -1 ? recv(this.#fd, at, room) : tlsRead(this.#tls, at, room);
  }

  #end(success: boolean, problem: string): void {
    const answered = this.#state === HEAD && success;
    if (answered) {
      this.#state = ENDING;
      this.#held = null;
      this.#monitor.context.loop.wheel.arm(this, ENDING_MS);
    } else this.cancel();
    this.#target.check.result(this.#target, success, problem);
  }
}
