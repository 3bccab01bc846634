// epoll: registrations that carry (index, generation), batches of events in shared words, and the bridge that calls back
// when the set is ready. Connections use EPOLLET; listening sockets do not.

import { EVENTS_MAX, eventWords, native, REG_EXTRA, regs } from "./native.ts";

export const EPOLLIN = 0x1;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
export const EPOLLRDHUP = 0x2000;
export const EPOLLEXCLUSIVE = 0x10000000;
/** Bit 31, as the signed number that register words hold. */
export const EPOLLET = -0x80000000;

// Constants: see sockets.ts.
const nativePoll = native.poll;
const nativeControl = native.epollControl;

const CTL_ADD = 1;
const CTL_DEL = 2;
const CTL_MOD = 3;

/** Most events of one `poll`. */
export const eventsMax: number = EVENTS_MAX;
/** Results of the last `poll`, of whichever set: triples of (events, index, generation). */
export const events: Int32Array = eventWords;

/** A new epoll set; a descriptor or -errno. */
export function epollCreate(): number {
  native.epollCreate();
  return regs[0];
}

export function epollAdd(epoll: number, fd: number, events: number, index: number, generation: number): number {
  return control(epoll, CTL_ADD, fd, events, index, generation);
}

export function epollMod(epoll: number, fd: number, events: number, index: number, generation: number): number {
  return control(epoll, CTL_MOD, fd, events, index, generation);
}

/** Always before close: a duplicate held by another process would keep the registration alive. */
export function epollDel(epoll: number, fd: number): number {
  return control(epoll, CTL_DEL, fd, 0, 0, 0);
}

/**
 * Waits at most `timeoutMs` (0: not at all, -1: for ever) for at most `max` (1 to 512) events. Returns their number, 0
 * also after a signal. Refreshes both clocks.
 */
export function poll(epoll: number, max: number, timeoutMs: number): number {
  regs[1] = epoll;
  regs[2] = max;
  regs[3] = timeoutMs;
  nativePoll();
  return regs[0];
}

/**
 * From now on `callback` is called (with `receiver` as this) from Node's loop whenever the set is ready, and again as long
 * as it stays ready. It keeps the process alive. What it throws becomes an 'uncaughtException'. One bridge per set:
 * -EEXIST.
 */
export function startBridge(epoll: number, callback: () => void, receiver: object = BRIDGE): number {
  return native.startBridge(epoll, receiver, callback);
}

/** Before the set is closed. -ENOENT when it has no bridge. */
export function stopBridge(epoll: number): number {
  regs[1] = epoll;
  native.stopBridge();
  return regs[0];
}

const BRIDGE = {};

function control(
  epoll: number,
  operation: number,
  fd: number,
  events: number,
  index: number,
  generation: number,
): number {
  regs[1] = epoll;
  regs[2] = operation;
  regs[3] = fd;
  regs[4] = events;
  regs[5] = index;
  regs[REG_EXTRA] = generation;
  nativeControl();
  return regs[0];
}
