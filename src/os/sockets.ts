// Sockets. Each function is one system call; it returns >= 0 or -errno, retries EINTR and makes descriptors that are
// close-on-exec and non-blocking. Offsets count from the start of the arena; a range outside it is -EFAULT.
// The calls of the byte path (recv, peek, send, writev, accept, connect, close) convert no arguments and allocate nothing.

import { IOV_MAX, iovWords, native, REG_EXTRA, REG_PEER, regs } from "./native.ts";
import { SO_ERROR, SOL_SOCKET } from "./socket-options.ts";

// The addon's exports have so many properties that V8 keeps them in a dictionary: a constant saves the lookup (75
// instructions), and compiled code knows the function that it calls.
const nativeRecv = native.recv;
const nativeSend = native.send;
const nativeWritev = native.writev;
const nativeAccept = native.accept;
const nativeClose = native.close;
const nativeConnect = native.connect;
const nativeTcpRoundTrip = native.tcpRoundTrip;

export { encodeSockaddr, encodeUnixSockaddr, formatPeer } from "./sockaddr.ts";
export * from "./socket-options.ts";

/** Spans of the next `writev`: pairs of (offset, length), at most 64. */
export const iov: Int32Array = iovWords;
/** Most spans of one `writev`. */
export const iovMax: number = IOV_MAX;

/**
 * Peer of the last successful `accept`: [family 0|4|6, port, w0, w1, w2, w3]. Words are big-endian values as signed
 * 32-bit numbers; IPv4 is in w0; IPv4-mapped IPv6 is given as IPv4; family 0 is a unix socket.
 */
export const peerAddress: Int32Array = regs.subarray(REG_PEER, REG_PEER + 6);

/** Reads into the arena. 0 is the end of the stream (or length 0). Refreshes the monotonic clock. */
export function recv(fd: number, offset: number, length: number): number {
  regs[1] = fd;
  regs[2] = offset;
  regs[3] = length;
  nativeRecv();
  return regs[0];
}

/** Like recv, but the bytes stay in the socket (MSG_PEEK | MSG_DONTWAIT), and the clock is not refreshed. */
export function peek(fd: number, offset: number, length: number): number {
  regs[1] = fd;
  regs[2] = offset;
  regs[3] = length;
  native.peek();
  return regs[0];
}

/** Writes from the arena. A closed peer is -EPIPE, never a signal. Refreshes the monotonic clock. */
export function send(fd: number, offset: number, length: number): number {
  regs[1] = fd;
  regs[2] = offset;
  regs[3] = length;
  nativeSend();
  return regs[0];
}

/** Writes the first `count` (at most 64) spans of `iov` in one call. Refreshes the monotonic clock. */
export function writev(fd: number, count: number): number {
  regs[1] = fd;
  regs[2] = count;
  nativeWritev();
  return regs[0];
}

/** Accepts one connection and fills `peerAddress`. -EAGAIN when none waits. Refreshes the monotonic clock. */
export function accept(listenFd: number): number {
  regs[1] = listenFd;
  nativeAccept();
  return regs[0];
}

/** Closes. Take the descriptor out of every epoll set first: a duplicate elsewhere would keep it in. */
export function close(fd: number): number {
  regs[1] = fd;
  nativeClose();
  return regs[0];
}

/** Connects to the sockaddr at `offset` (see encodeSockaddr). -EINPROGRESS is the usual answer. */
export function connect(fd: number, offset: number, length: number): number {
  regs[1] = fd;
  regs[2] = offset;
  regs[3] = length;
  nativeConnect();
  return regs[0];
}

/** `how`: SHUT_RD, SHUT_WR or SHUT_RDWR. */
export function shutdown(fd: number, how: number): number {
  regs[1] = fd;
  regs[2] = how;
  native.shutdown();
  return regs[0];
}

/** `kind`: TCP4, TCP6, UDP4, UDP6, UNIX_STREAM, UNIX_DGRAM or UNIX_SEQPACKET. */
export function socket(kind: number): number {
  regs[1] = kind >> 8;
  regs[2] = kind & 255;
  native.socket();
  return regs[0];
}

export function listen(fd: number, backlog: number): number {
  regs[1] = fd;
  regs[2] = backlog;
  native.listen();
  return regs[0];
}

/** Sets an integer option. */
export function setsockopt(fd: number, level: number, name: number, value: number): number {
  regs[1] = fd;
  regs[2] = level;
  regs[3] = name;
  regs[4] = value;
  native.setOption();
  return regs[0];
}

/** Value of an integer option (>= 0 for all options named in this room), or -errno. */
export function getsockopt(fd: number, level: number, name: number): number {
  regs[1] = fd;
  regs[2] = level;
  regs[3] = name;
  native.getOption();
  return regs[0] < 0 ? regs[0] : regs[REG_EXTRA];
}

/** The pending error of a socket as -errno, 0 when there is none. Tells whether a connect succeeded. */
export function takeSocketError(fd: number): number {
  const value = getsockopt(fd, SOL_SOCKET, SO_ERROR);
  return value > 0 ? -value : value;
}

/** `seconds` of SO_LINGER; 0 makes close send a reset; below 0 turns it off. */
export function setLinger(fd: number, seconds: number): number {
  regs[1] = fd;
  regs[2] = seconds;
  native.setLinger();
  return regs[0];
}

/** The smoothed round trip time of a TCP connection in microseconds, or -errno. */
export function tcpInfo(fd: number): number {
  regs[1] = fd;
  nativeTcpRoundTrip();
  return regs[0];
}

/** Milliseconds since the peer's last segment came, or -errno. */
export function quietMs(fd: number): number {
  const result = tcpInfo(fd);
  return result < 0 ? result : regs[REG_EXTRA];
}

/** Connections in the accept queue of a listening socket, or -errno. */
export function waitingConnections(listenFd: number): number {
  const result = tcpInfo(listenFd);
  return result < 0 ? result : regs[REG_EXTRA + 1];
}

/** Bytes in the receive queue (FIONREAD). */
export function unreadBytes(fd: number): number {
  regs[1] = fd;
  regs[2] = 0;
  native.bytesQueued();
  return regs[0];
}

/** Bytes in the send queue that the peer has not acknowledged (SIOCOUTQ). */
export function unsentBytes(fd: number): number {
  regs[1] = fd;
  regs[2] = 1;
  native.bytesQueued();
  return regs[0];
}

/**
 * New connections of the SO_REUSEPORT group of `fd` go to the sockets at these positions of the group (the order in
 * which they began to listen), evenly. An empty list gives the choice back to the kernel's hash. At most 1,000.
 */
export function steerReuseport(fd: number, positions: readonly number[]): number {
  return native.steerReuseport(fd, Int32Array.from(positions));
}
