// Where the command socket is bound, and whether it may be (decisions 29, hardening CP-15): a socket that answers belongs
// to a running proxy and is never touched, a dead one is replaced, anything else at that path is somebody's file.

import { lstatSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { describeErrno, EACCES, EADDRINUSE, ECONNREFUSED, ENOENT } from "../os/errno.ts";
import { connectUnix, listenUnix, peerCred } from "../os/listeners.ts";
import { close } from "../os/sockets.ts";

/** Mode of the socket file: the owner only. */
const SOCKET_MODE = 0o600;

/** A bound command socket, or why there is none. */
export type CommandSocket =
  | { readonly fd: number; readonly problem: null }
  | { readonly fd: -1; readonly problem: string };

/** Binds and listens. The descriptor is non-blocking. */
export function openCommandSocket(path: string): CommandSocket {
  const obstacle = clearPath(path);
  if (obstacle !== null) return { fd: -1, problem: obstacle };
  const fd = listenUnix(path, SOCKET_MODE);
  if (fd >= 0) return { fd, problem: null };
  if (fd === -EADDRINUSE) return { fd: -1, problem: `another process took ${path} meanwhile` };
  if (fd === -ENOENT) return { fd: -1, problem: `the folder ${dirname(path)} of command_socket does not exist` };
  return { fd: -1, problem: `cannot bind command_socket ${path}: ${describeErrno(-fd)}` };
}

/** Removes the socket file; nothing happens when it is gone already. */
export function removeCommandSocket(path: string): void {
  try {
    if (lstatSync(path).isSocket()) unlinkSync(path);
  } catch {
    // Gone already.
  }
}

function clearPath(path: string): string | null {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  if (!stat.isSocket()) {
    return `${path} (command_socket) exists and is no socket; move it away or choose another path`;
  }
  const probe = connectUnix(path);
  if (probe >= 0) {
    const peer = peerCred(probe);
    close(probe);
    const pid = typeof peer === "number" ? "unknown" : peer.pid;
    return `already running, pid ${pid} (it answers on ${path}); stop it with: sozu shutdown`;
  }
  if (probe === -EACCES) return `${path} (command_socket) belongs to somebody else and may not be used`;
  if (probe !== -ECONNREFUSED) return null;
  unlinkSync(path);
  return null;
}
