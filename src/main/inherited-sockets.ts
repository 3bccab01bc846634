// Listening sockets that systemd opened before main started (socket activation, sd_listen_fds(3)): LISTEN_FDS descriptors
// from 3 on, meant for the process LISTEN_PID. A listener whose address is that of such a socket uses it, so main needs no
// right to bind low ports, and connections that come while main restarts wait instead of being refused.

import { formatAddress } from "../command/address.ts";
import { getsockname } from "../os/listeners.ts";
import { setCloexec, setNonblocking } from "../os/process.ts";
import { IPPROTO_TCP, SO_ACCEPTCONN, SO_TYPE, SOCK_STREAM, SOL_SOCKET, TCP_NODELAY } from "../os/socket-options.ts";
import { close, getsockopt, setsockopt } from "../os/sockets.ts";

/** The first descriptor that is passed. */
const FIRST_FD = 3;
/** More than this is no number of sockets that somebody meant. */
const SOCKETS_MAX = 1000;

/** What was passed. */
export interface InheritedSockets {
  /** Listening TCP sockets by `ip:port`. The descriptors are the caller's. */
  readonly byAddress: ReadonlyMap<string, number>;
  /** What was passed and cannot be used; closed already. */
  readonly problems: readonly string[];
}

/** Takes the sockets over and removes what names them from `env`, so that no child, and no later self, takes them again. */
export function takeInheritedSockets(env: NodeJS.ProcessEnv = process.env): InheritedSockets {
  const byAddress = new Map<string, number>();
  const problems: string[] = [];
  const count = Number(env["LISTEN_FDS"] ?? "0");
  const mine = env["LISTEN_PID"] === String(process.pid);
  for (const name of ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"]) delete env[name];
  if (!mine || !Number.isInteger(count) || count <= 0 || count > SOCKETS_MAX) return { byAddress, problems };
  for (let fd = FIRST_FD; fd < FIRST_FD + count; fd++) {
    setCloexec(fd, true);
    const address = getsockname(fd);
    const stream = getsockopt(fd, SOL_SOCKET, SO_TYPE) === SOCK_STREAM;
    const listens = stream && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN) === 1;
    if (address === null || typeof address === "number" || !listens || byAddress.has(formatAddress(address))) {
      problems.push(`descriptor ${fd} of LISTEN_FDS is no listening TCP socket of its own; it is closed`);
      close(fd);
      continue;
    }
    setNonblocking(fd, true);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    byAddress.set(formatAddress(address), fd);
  }
  return { byAddress, problems };
}
