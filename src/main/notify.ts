// What main tells systemd (spec 1.7): datagrams to the socket named by NOTIFY_SOCKET, abstract ones (`@name`) too; and the
// watchdog, which asks for one while main turns its loop. Without systemd nothing happens. The messages are best effort:
// whoever runs us with a broken one loses nothing but them.

import { sendFds } from "../os/fdpass.ts";
import { connectUnix } from "../os/listeners.ts";
import { close, UNIX_DGRAM } from "../os/sockets.ts";

/** Sends e.g. `READY=1`. Returns null, or what went wrong. */
export function notifySystemd(message: string, path: string | undefined = process.env["NOTIFY_SOCKET"]): string | null {
  if (path === undefined || path === "") return null;
  const fd = connectUnix(path.startsWith("@") ? `\0${path.slice(1)}` : path, UNIX_DGRAM);
  if (fd < 0) return `cannot reach NOTIFY_SOCKET ${path}`;
  const sent = sendFds(fd, Buffer.from(message), []);
  close(fd);
  return sent < 0 ? `cannot write to NOTIFY_SOCKET ${path}` : null;
}

/** `RELOADING=1` with the time that units of `Type=notify-reload` want. */
export function reloadingMessage(): string {
  return `RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`;
}

/**
 * Milliseconds between two `WATCHDOG=1`, half of what systemd waits for (`WatchdogSec=`); null: it does not ask this process
 * for any.
 */
export function watchdogPeriodMs(env: NodeJS.ProcessEnv = process.env): number | null {
  const usec = Number(env["WATCHDOG_USEC"]);
  const pid = env["WATCHDOG_PID"];
  if (!Number.isInteger(usec) || usec <= 0 || (pid !== undefined && pid !== String(process.pid))) return null;
  return Math.max(1, Math.floor(usec / 2000));
}
