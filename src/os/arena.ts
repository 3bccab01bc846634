// The arena: the one piece of memory whose offsets hot calls understand. Its pages are committed when first touched, so
// its size is a ceiling, not a cost. There is one per process; registering another replaces it.

import { OsError } from "./errno.ts";
import { native, regs } from "./native.ts";

/** Zeroed, page-aligned memory outside the JavaScript heap. Throws OsError when the kernel refuses. */
export function mapAnonymous(bytes: number): Uint8Array {
  const result = native.mapAnonymous(bytes);
  if (typeof result === "number") throw new OsError(`cannot map ${bytes} bytes`, result);
  return new Uint8Array(result);
}

/** Makes `bytes` the arena: offsets of hot calls count from its first byte. At most 2 GiB. */
export function registerArena(bytes: Uint8Array): void {
  const result = native.registerArena(bytes);
  if (result < 0) throw new OsError("cannot register the arena", result);
}

/** Gives the whole pages within [offset, offset + length) back to the kernel; they read as zeros. 0 or -errno. */
export function releasePages(offset: number, length: number): number {
  regs[1] = offset;
  regs[2] = length;
  native.releasePages();
  return regs[0];
}
