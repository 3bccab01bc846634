// Tells systemd where we stand (spec 1.7): a datagram to the socket named by NOTIFY_SOCKET. Without it nothing happens.
// Abstract sockets (`@name`)
// are not supported. The message is best effort: whoever runs us without systemd, or with a broken one, loses nothing.

import { sendFds } from "../os/fdpass.ts";
import { connectUnix } from "../os/listeners.ts";
import { close, UNIX_DGRAM } from "../os/sockets.ts";

/** Sends e.g. `READY=1`. Returns null, or what went wrong. */
export function notifySystemd(message: string, path: string | undefined = process.env["NOTIFY_SOCKET"]): string | null {
  if (path === undefined || path === "") return null;
  const fd = connectUnix(path, UNIX_DGRAM);
  if (fd < 0) return `cannot reach NOTIFY_SOCKET ${path}`;
  const sent = sendFds(fd, Buffer.from(message), []);
  close(fd);
  return sent < 0 ? `cannot write to NOTIFY_SOCKET ${path}` : null;
}
