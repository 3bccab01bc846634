// Memory shared between processes: memfds and their maps. For set-up and rare growth, not for the byte path.

import { EINVAL, OsError } from "./errno.ts";
import { native, numbers, regs } from "./native.ts";
import { close } from "./sockets.ts";

/** An anonymous file of `size` zero bytes, close-on-exec; a descriptor or -errno. `name` shows in /proc only. */
export function memfd(name: string, size: number): number {
  if (name.includes("\0") || name.length > 200) return -EINVAL;
  const fd = native.memfd(Buffer.from(`${name}\0`));
  if (fd < 0) return fd;
  const result = truncate(fd, size);
  if (result >= 0) return fd;
  close(fd);
  return result;
}

/** Sets the size of a file. Shrinking it below a map kills whoever touches the lost part (SIGBUS). */
export function truncate(fd: number, size: number): number {
  regs[1] = fd;
  numbers[0] = size;
  native.truncate();
  return regs[0];
}

/** Size in bytes, or -errno. */
export function fdSize(fd: number): number {
  regs[1] = fd;
  native.fileSize();
  return regs[0] < 0 ? regs[0] : numbers[0];
}

/**
 * Maps the first `length` bytes for reading and writing, seen by every process that maps them. The map outlives the
 * descriptor and ends with the ArrayBuffer. Throws OsError, EINVAL when the file is shorter.
 */
export function mapShared(fd: number, length: number): ArrayBuffer {
  const result = native.mapShared(fd, length);
  if (typeof result === "number") throw new OsError(`cannot map ${length} bytes of descriptor ${fd}`, result);
  return result;
}
