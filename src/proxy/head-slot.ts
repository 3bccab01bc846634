// The head of a request in flight, as it was encoded for the backend: what is sent, replayed, and read again by answers
// and the access line. In front of it lies the ULID that names the request.
//
// The spans say where the slot holds what the client sent; what a route rewrites lies behind the head. An exchange has one
// HeadSlot for good, which has bytes of the arena only while a request is in flight.

import { ULID_LENGTH } from "../observe/ulid.ts";
import { latin1 } from "../wire/http1/bytes.ts";
import type { TrafficContext } from "./context.ts";

export class HeadSlot {
  /** Where the ULID lies, -1 without a slot. */
  at: number;
  headAt: number;
  headLength: number;
  /** Spans; -1 (length 0) when unknown. */
  authorityAt: number;
  authorityLength: number;
  methodAt: number;
  methodLength: number;
  pathAt: number;
  pathLength: number;
  userAgentAt: number;
  userAgentLength: number;
  /** The protocols that the client offers to switch to; -1 none. */
  upgradeAt: number;
  upgradeLength: number;
  readonly #context: TrafficContext;

  constructor(context: TrafficContext) {
    this.at = -1;
    this.headAt = 0;
    this.headLength = 0;
    this.authorityAt = -1;
    this.authorityLength = 0;
    this.methodAt = -1;
    this.methodLength = 0;
    this.pathAt = -1;
    this.pathLength = 0;
    this.userAgentAt = -1;
    this.userAgentLength = 0;
    this.upgradeAt = -1;
    this.upgradeLength = 0;
    this.#context = context;
  }

  /** Takes a slot and names the request. False: no slot is free. `size`: bytes wanted after the ULID. */
  take(size: number): boolean {
    const context = this.#context;
    const at = context.slots.take(ULID_LENGTH + size);
    if (at === -1) return false;
    this.at = at;
    this.headAt = at + ULID_LENGTH;
    this.headLength = 0;
    context.ulids.next(context.loop.realtimeMs, context.bytes, at);
    return true;
  }

  /** Gives the slot back and forgets what it held. */
  release(): void {
    if (this.at === -1) return;
    this.#context.slots.give(this.at);
    this.at = -1;
    this.authorityAt = -1;
    this.authorityLength = 0;
    this.methodAt = -1;
    this.methodLength = 0;
    this.pathAt = -1;
    this.pathLength = 0;
    this.userAgentAt = -1;
    this.userAgentLength = 0;
    this.upgradeAt = -1;
    this.upgradeLength = 0;
  }

  /** A span as text; empty when it is unknown. */
  text(at: number, length: number): string {
    return at < 0 ? "" : latin1(this.#context.bytes, at, at + length);
  }
}
