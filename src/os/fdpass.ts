// Descriptors over unix sockets (SCM_RIGHTS), both ways. Received ones are close-on-exec.
// Whoever receives must expect the wrong number and the wrong kind: check `fds.length`, then use or close every one.

import { EINVAL } from "./errno.ts";
import { iovWords, native, REG_EXTRA, regs } from "./native.ts";
import { close } from "./sockets.ts";

// A constant: see sockets.ts.
const nativeRecvPacket = native.recvPacket;
const NO_FDS: readonly number[] = [];

/** Most descriptors in one message. */
export const PASSED_FDS_MAX = 200;

export interface Received {
  /** Empty at the end of the stream. */
  readonly data: Uint8Array;
  readonly fds: number[];
}

/** Sends `data` (at least one byte when there are descriptors) with `fds`, at most 200. Returns the bytes sent or -errno. */
export function sendFds(fd: number, data: Uint8Array, fds: readonly number[]): number {
  return native.sendFds(fd, data, Int32Array.from(fds));
}

/**
 * Receives at most `maxBytes` and at most `maxFds` (<= 200) descriptors. -EAGAIN when nothing waits; -EMSGSIZE when there
 * were more descriptors (or no room for them in this process), or a packet was longer: every descriptor that came along
 * is closed again, the bytes are lost.
 */
export function recvFds(fd: number, maxBytes: number, maxFds: number): Received | number {
  if (!(maxBytes > 0) || !(maxFds >= 0) || maxFds > PASSED_FDS_MAX) return -EINVAL;
  const data = new Uint8Array(maxBytes);
  const fds = new Int32Array(maxFds);
  const length = native.recvFds(fd, data, fds);
  if (length < 0) return length;
  return { data: data.subarray(0, length), fds: Array.from(fds.subarray(0, regs[REG_EXTRA])) };
}

/**
 * The same into the arena, without an allocation: returns the bytes received or -errno, as recvFds() does. `passedFds()`
 * takes the descriptors, at most `maxFds` (<= 128), before the next native call.
 */
export function recvPacket(fd: number, offset: number, length: number, maxFds: number): number {
  regs[1] = fd;
  regs[2] = offset;
  regs[3] = length;
  regs[4] = maxFds;
  nativeRecvPacket();
  return regs[0];
}

/** The descriptors of the last recvPacket(), which succeeded. */
export function passedFds(): readonly number[] {
  return regs[REG_EXTRA] === 0 ? NO_FDS : Array.from(iovWords.subarray(0, regs[REG_EXTRA]));
}

/** Closes all of them. */
export function closeAll(fds: Iterable<number>): void {
  for (const fd of fds) close(fd);
}
