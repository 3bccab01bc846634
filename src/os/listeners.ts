// Set-up of sockets out of several calls: listeners, unix connections, pairs, names and credentials. Control path only.
// Each function closes what it opened when a later step fails.

import { chmodSync } from "node:fs";
import type { SocketAddress } from "../command/objects.ts";
import { EINPROGRESS, EINVAL, OsError } from "./errno.ts";
import { native, REG_EXTRA, regs } from "./native.ts";
import { decodeSockaddr, encodeSockaddr, encodeUnixSockaddr, isV6, SOCKADDR_BYTES_MAX } from "./sockaddr.ts";
import * as option from "./socket-options.ts";
import { close, listen, setsockopt, socket } from "./sockets.ts";

/** Connections that wait to be accepted, at most (the kernel lowers it to net.core.somaxconn). */
const BACKLOG = 1024;

export interface ListenOptions {
  /** Set SO_REUSEPORT: several sockets may listen on the address, if all of them set it. */
  readonly reusePort: boolean;
  /** Default 1024. */
  readonly backlog?: number;
}

/**
 * A TCP listening socket: SO_REUSEADDR, TCP_NODELAY (accepted sockets inherit it), IPV6_V6ONLY, bound and listening.
 * Port 0 lets the kernel choose; see getsockname. Returns the descriptor or -errno.
 */
export function listenTcp(address: SocketAddress, options: ListenOptions): number {
  const fd = bindTcp(address, options.reusePort);
  return fd < 0 ? fd : orClose(fd, listen(fd, options.backlog ?? BACKLOG));
}

/** Like listenTcp without the listen: a bound socket that refuses connections until `listen` is called. */
export function bindTcp(address: SocketAddress, reusePort: boolean): number {
  const bytes = new Uint8Array(SOCKADDR_BYTES_MAX);
  const length = encodeSockaddr(address, bytes, 0);
  if (length < 0) return -EINVAL;
  const v6 = isV6(address.ip);
  const fd = socket(v6 ? option.TCP6 : option.TCP4);
  if (fd < 0) return fd;
  let result = setsockopt(fd, option.SOL_SOCKET, option.SO_REUSEADDR, 1);
  if (result >= 0) result = setsockopt(fd, option.IPPROTO_TCP, option.TCP_NODELAY, 1);
  if (result >= 0 && reusePort) result = setsockopt(fd, option.SOL_SOCKET, option.SO_REUSEPORT, 1);
  if (result >= 0 && v6) result = setsockopt(fd, option.IPPROTO_IPV6, option.IPV6_V6ONLY, 1);
  if (result >= 0) result = native.bind(fd, bytes.subarray(0, length));
  return orClose(fd, result);
}

/** Binds a socket to an address. 0 or -errno. */
export function bind(fd: number, address: SocketAddress): number {
  const bytes = new Uint8Array(SOCKADDR_BYTES_MAX);
  const length = encodeSockaddr(address, bytes, 0);
  return length < 0 ? -EINVAL : native.bind(fd, bytes.subarray(0, length));
}

/**
 * A listening unix socket at `path`, which must not exist yet (-EADDRINUSE): nothing is unlinked here, neither before nor
 * when it is closed. The file never has more than `mode`, not even for a moment. Returns the descriptor or -errno.
 */
export function listenUnix(path: string, mode: number, kind: number = option.UNIX_STREAM): number {
  const fd = bindUnix(path, mode, kind);
  return fd < 0 ? fd : orClose(fd, listen(fd, BACKLOG));
}

/** Like listenUnix without the listen: all that a datagram socket needs to receive. */
export function bindUnix(path: string, mode: number, kind: number): number {
  const bytes = new Uint8Array(SOCKADDR_BYTES_MAX);
  const length = encodeUnixSockaddr(path, bytes, 0);
  if (length < 0) return -EINVAL;
  const fd = socket(kind);
  if (fd < 0) return fd;
  // Linux gives the file the mode of the socket's inode, less the umask.
  regs[1] = fd;
  regs[2] = mode;
  native.changeMode();
  let result = regs[0];
  if (result >= 0) result = native.bind(fd, bytes.subarray(0, length));
  if (result >= 0) result = widenMode(path, mode);
  return orClose(fd, result);
}

/** Connects to a unix socket. Unix connects are immediate: -EAGAIN means that the backlog of the peer is full. */
export function connectUnix(path: string, kind: number = option.UNIX_STREAM): number {
  const bytes = new Uint8Array(SOCKADDR_BYTES_MAX);
  const length = encodeUnixSockaddr(path, bytes, 0);
  if (length < 0) return -EINVAL;
  const fd = socket(kind);
  if (fd < 0) return fd;
  return orClose(fd, native.connectTo(fd, bytes.subarray(0, length)));
}

/** A socket of `kind` (TCP4, UDP6, ...) that is connected, or for TCP being connected, to an IP address; or -errno. */
export function connectIp(kind: number, address: SocketAddress): number {
  const bytes = new Uint8Array(SOCKADDR_BYTES_MAX);
  const length = encodeSockaddr(address, bytes, 0);
  if (length < 0) return -EINVAL;
  const fd = socket(kind);
  if (fd < 0) return fd;
  const result = native.connectTo(fd, bytes.subarray(0, length));
  return orClose(fd, result === -EINPROGRESS ? 0 : result);
}

/** A connected pair of unix sockets: `kind` is UNIX_STREAM, UNIX_DGRAM or UNIX_SEQPACKET. Throws OsError. */
export function socketpair(kind: number): [number, number] {
  regs[1] = kind & 255;
  native.socketpair();
  if (regs[0] < 0) throw new OsError("cannot make a socket pair", regs[0]);
  return [regs[REG_EXTRA], regs[REG_EXTRA + 1]];
}

/** Who is at the other end of a unix stream or pair, as of its connect; or -errno. */
export function peerCred(fd: number): { pid: number; uid: number; gid: number } | number {
  regs[1] = fd;
  native.peerCredentials();
  if (regs[0] < 0) return regs[0];
  return { pid: regs[REG_EXTRA], uid: regs[REG_EXTRA + 1] >>> 0, gid: regs[REG_EXTRA + 2] >>> 0 };
}

/** The local IP address of a socket, null for other families, or -errno. */
export function getsockname(fd: number): SocketAddress | null | number {
  return nameOf(fd, 0);
}

/** The remote IP address of a socket, null for other families, or -errno. */
export function getpeername(fd: number): SocketAddress | null | number {
  return nameOf(fd, 1);
}

function nameOf(fd: number, peer: number): SocketAddress | null | number {
  const bytes = new Uint8Array(128);
  const length = native.socketName(fd, bytes, peer);
  return length < 0 ? length : decodeSockaddr(bytes, length);
}

function widenMode(path: string, mode: number): number {
  try {
    chmodSync(path, mode);
    return 0;
  } catch (error) {
    return -Math.abs((error as NodeJS.ErrnoException).errno ?? EINVAL);
  }
}

function orClose(fd: number, result: number): number {
  if (result >= 0) return fd;
  close(fd);
  return result;
}
