// What is left of two connections after a 101: a pipe in each direction, whose bytes nobody reads (spec 10.5).
//
//        up: client -> backend            a direction:  FLOWS --FIN read, all written--> SHUT (FIN passed on)
//      down: backend -> client            both SHUT: the tunnel ends
//
// A side is not read while the other has an outbox, so a direction holds at most two buffers. A FIN goes on when everything
// before it was written, and the other direction lives on; a reset goes on as a reset. One timer watches both directions:
// the shorter of the listener's front and back timeout, renewed by whatever is read on either side, and by a peer that
// takes at least a kilobyte of what is queued for it.

import {
  METRIC_BACK_BYTES_IN,
  METRIC_BACK_BYTES_OUT,
  METRIC_BACKEND_FLOW_CONTROL_PAUSED,
  METRIC_BYTES_IN,
  METRIC_BYTES_OUT,
  METRIC_PIPE_ERRORS,
} from "../../observe/metrics.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "../../os/epoll.ts";
import { EAGAIN } from "../../os/errno.ts";
import { setLinger, unsentBytes } from "../../os/sockets.ts";
import type { Connection } from "../connection.ts";
import type { TrafficContext } from "../context.ts";
import type { Exchange } from "../exchange.ts";
import type { Gather } from "../gather.ts";
import { NOTE_BACK_READ_ERROR, NOTE_FRONT_READ_ERROR, NOTE_FRONT_WRITE_ERROR, NOTE_TUNNEL_END } from "../notes.ts";
import type { FrontConnection } from "./front-connection.ts";

/** Reads of one event: then other connections get their turn. */
const READS_MAX = 16;

/** One direction. */
class Flow {
  readonly source: Connection;
  readonly target: Connection;
  readonly gather: Gather;
  readonly isUp: boolean;
  /** The source's FIN was read. */
  ended: boolean;
  /** It was passed on. */
  shut: boolean;

  constructor(source: Connection, target: Connection, gather: Gather, isUp: boolean) {
    this.source = source;
    this.target = target;
    this.gather = gather;
    this.isUp = isUp;
    this.ended = false;
    this.shut = false;
  }
}

export class Tunnel {
  readonly #context: TrafficContext;
  readonly #exchange: Exchange;
  readonly #front: FrontConnection;
  readonly #back: Connection;
  /** 0: no timeout. */
  readonly #idleMs: number;
  readonly #up: Flow;
  readonly #down: Flow;
  /** The backend has reset its connection: the client gets what is queued, then a reset. */
  #dying: boolean;

  /** Takes over both connections. `start` sets it going. */
  constructor(exchange: Exchange, front: FrontConnection, back: Connection) {
    const { context } = exchange;
    const { frontTimeoutMs, backTimeoutMs } = front.listener;
    const shorter = Math.min(frontTimeoutMs, backTimeoutMs);
    this.#context = context;
    this.#exchange = exchange;
    this.#front = front;
    this.#back = back;
    this.#idleMs = shorter > 0 ? shorter : frontTimeoutMs + backTimeoutMs;
    this.#up = new Flow(front, back, context.toBack, true);
    this.#down = new Flow(back, front, context.toFront, false);
    this.#dying = false;
    front.tunnel = this;
    back.tunnel = this;
  }

  /** What the client sent before it saw the 101 goes first. */
  start(): void {
    const { buffers, loop } = this.#context;
    const front = this.#front;
    loop.wheel.disarm(this.#back);
    loop.wheel.arm(front, this.#idleMs);
    if (front.held !== -1) {
      const early = front.held;
      front.held = -1;
      const passed = this.#pass(this.#up, early, front.heldEnd);
      buffers.give(early);
      if (!passed) return;
    }
    // In the next pass: this one is in the middle of a read.
    loop.runLater(this.#front);
    loop.runLater(this.#back);
  }

  /** An event of one of the two. */
  ready(connection: Connection, events: number): void {
    const inward = connection === this.#front ? this.#up : this.#down;
    const outward = connection === this.#front ? this.#down : this.#up;
    if ((events & EPOLLOUT) !== 0 && connection.outbox !== null && !this.#drain(outward)) return;
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) !== 0) {
      connection.readable = true;
      if ((events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) !== 0) connection.peerClosed = true;
    }
    // What a client sent before its reset is not wanted any more. Nothing is read behind a FIN, so a reset is seen here.
    if ((inward.isUp || inward.ended) && (events & EPOLLERR) !== 0) this.#fail(inward, true);
    else this.#pump(inward);
  }

  /** Nothing was read for the whole timeout. */
  onTimeout(): void {
    if (this.#front.takesBytes() || this.#back.takesBytes()) this.#arm();
    else this.#end(NOTE_TUNNEL_END);
  }

  #pump(flow: Flow): void {
    const { source, target } = flow;
    const context = this.#context;
    for (let reads = 0; source.readable && !flow.ended && !this.#dying; reads++) {
      if (target.outbox !== null) {
        if (!flow.isUp) context.stats.values[METRIC_BACKEND_FLOW_CONTROL_PAUSED]++;
        return;
      }
      if (reads === READS_MAX) {
        context.loop.runLater(source);
        return;
      }
      if (!context.mayRead(source)) return;
      const n = source.receive(context.scratch, context.readMax);
      if (n <= 0) {
        if (n === 0) this.#onFin(flow);
        else if (n !== -EAGAIN) this.#fail(flow, true);
        return;
      }
      context.stats.values[flow.isUp ? METRIC_BYTES_IN : METRIC_BACK_BYTES_IN] += n;
      this.#arm();
      if (!this.#pass(flow, context.scratch, n)) return;
    }
  }

  /** Writes bytes that were read, or queues them. False when that ended the tunnel. */
  #pass(flow: Flow, at: number, length: number): boolean {
    const { values } = this.#context.stats;
    const exchange = this.#exchange;
    if (flow.isUp) {
      exchange.bytesIn += length;
      exchange.backBytesOut += length;
      values[METRIC_BACK_BYTES_OUT] += length;
    } else {
      exchange.backBytesIn += length;
      exchange.bytesOut += length;
      values[METRIC_BYTES_OUT] += length;
    }
    flow.gather.reset();
    flow.gather.add(at, length);
    if (flow.target.writeGather(flow.gather, true) >= 0) return true;
    this.#fail(flow, false);
    return false;
  }

  /** Writes what is queued for a flow's target. False when that ended the tunnel. */
  #drain(flow: Flow): boolean {
    const result = flow.target.flushOutbox();
    if (result < 0) {
      this.#fail(flow, false);
      return false;
    }
    this.#arm();
    if (result === 0) return true;
    if (this.#dying) {
      this.#reset(NOTE_BACK_READ_ERROR);
      return false;
    }
    if (flow.ended) this.#shut(flow);
    else this.#pump(flow);
    return flow.target.fd !== -1;
  }

  #onFin(flow: Flow): void {
    flow.ended = true;
    if (flow.target.outbox === null) this.#shut(flow);
  }

  #shut(flow: Flow): void {
    flow.target.endOutput();
    flow.shut = true;
    if (this.#up.shut && this.#down.shut) this.#end(NOTE_TUNNEL_END);
  }

  /** A read or a write failed: the peer is gone, and so is the tunnel, except for what is still to be delivered. */
  #fail(flow: Flow, reading: boolean): void {
    if (reading && !flow.isUp && this.#front.outbox !== null) {
      this.#dying = true;
      return;
    }
    if (flow.isUp && !reading) {
      // What the backend sent before it left may still lie unread: reading goes on to its end, or to the error.
      if (flow.shut) return;
      flow.ended = true;
      flow.shut = true;
      this.#back.dropOutbox();
      this.#back.readable = true;
      this.#context.loop.runLater(this.#back);
      return;
    }
    if (flow.isUp) this.#reset(NOTE_FRONT_READ_ERROR);
    else this.#reset(reading ? NOTE_BACK_READ_ERROR : NOTE_FRONT_WRITE_ERROR);
  }

  /**
   * Both connections end with a reset: neither peer may take what it has for the whole. But a reset would destroy what
   * the backend sent before its own and the client has not got yet: then the client gets that, and a FIN.
   */
  #reset(note: number): void {
    this.#context.stats.values[METRIC_PIPE_ERRORS]++;
    if (note === NOTE_BACK_READ_ERROR && unsentBytes(this.#front.fd) > 0) {
      this.#front.endTunnelGently(note);
      return;
    }
    setLinger(this.#front.fd, 0);
    setLinger(this.#back.fd, 0);
    this.#end(note);
  }

  #end(note: number): void {
    this.#front.endTunnel(note);
  }

  #arm(): void {
    this.#front.activeTick = this.#context.loop.wheel.tick;
    this.#context.loop.wheel.arm(this.#front, this.#idleMs);
  }
}
