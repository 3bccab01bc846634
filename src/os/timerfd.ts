// Timers and wake-ups as descriptors, for epoll sets.

import { native, regs } from "./native.ts";

/** A stopped periodic timer on CLOCK_MONOTONIC; a descriptor or -errno. */
export function timerCreate(): number {
  native.timerCreate();
  return regs[0];
}

/** Fires every `periodMs` from now on; 0 stops it. */
export function timerSet(fd: number, periodMs: number): number {
  regs[1] = fd;
  regs[2] = periodMs;
  native.timerSet();
  return regs[0];
}

/** How often it fired since the last read; -EAGAIN for never. A periodic timer goes on only when it is read. */
export function timerRead(fd: number): number {
  return counterRead(fd);
}

/** A descriptor that becomes readable when signalled. */
export function eventfdCreate(): number {
  native.eventfdCreate();
  return regs[0];
}

/** Makes it readable; with EPOLLET each signal is an edge, even unread. */
export function eventfdSignal(fd: number): number {
  regs[1] = fd;
  native.eventfdSignal();
  return regs[0];
}

/** How often it was signalled since the last read; -EAGAIN for never. */
export function eventfdRead(fd: number): number {
  return counterRead(fd);
}

function counterRead(fd: number): number {
  regs[1] = fd;
  native.counterRead();
  return regs[0];
}
