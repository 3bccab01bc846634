// Error numbers of Linux (x64 and arm64 agree), their names and what they mean for a person.
// Calls of this room return them negated: `result === -EAGAIN`.

export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EIO = 5;
export const EBADF = 9;
export const ECHILD = 10;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENOTDIR = 20;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const ENOSPC = 28;
export const EPIPE = 32;
export const ENAMETOOLONG = 36;
export const ENOSYS = 38;
export const EPROTO = 71;
export const ENOTSOCK = 88;
export const EMSGSIZE = 90;
export const ENOPROTOOPT = 92;
export const EOPNOTSUPP = 95;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const ENETDOWN = 100;
export const ENETUNREACH = 101;
export const ECONNABORTED = 103;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const EISCONN = 106;
export const ENOTCONN = 107;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;
export const EALREADY = 114;
export const EINPROGRESS = 115;

const TABLE = new Map<number, readonly [name: string, meaning: string]>([
  [EPERM, ["EPERM", "operation not permitted"]],
  [ENOENT, ["ENOENT", "no such file or directory"]],
  [ESRCH, ["ESRCH", "no such process"]],
  [EINTR, ["EINTR", "interrupted by a signal"]],
  [EIO, ["EIO", "input/output error"]],
  [EBADF, ["EBADF", "bad file descriptor"]],
  [ECHILD, ["ECHILD", "not a child of this process"]],
  [EAGAIN, ["EAGAIN", "not ready, try again"]],
  [ENOMEM, ["ENOMEM", "out of memory"]],
  [EACCES, ["EACCES", "permission denied"]],
  [EFAULT, ["EFAULT", "range outside the arena"]],
  [EBUSY, ["EBUSY", "busy"]],
  [EEXIST, ["EEXIST", "already exists"]],
  [ENOTDIR, ["ENOTDIR", "not a directory"]],
  [EINVAL, ["EINVAL", "invalid argument"]],
  [ENFILE, ["ENFILE", "too many open files in the system"]],
  [EMFILE, ["EMFILE", "too many open files in the process"]],
  [ENOSPC, ["ENOSPC", "no space left on device"]],
  [EPIPE, ["EPIPE", "the peer no longer reads"]],
  [ENAMETOOLONG, ["ENAMETOOLONG", "name too long"]],
  [ENOSYS, ["ENOSYS", "not supported by this kernel"]],
  [EPROTO, ["EPROTO", "protocol error"]],
  [ENOTSOCK, ["ENOTSOCK", "not a socket"]],
  [EMSGSIZE, ["EMSGSIZE", "message too long"]],
  [ENOPROTOOPT, ["ENOPROTOOPT", "no such option"]],
  [EOPNOTSUPP, ["EOPNOTSUPP", "operation not supported"]],
  [EADDRINUSE, ["EADDRINUSE", "address already in use"]],
  [EADDRNOTAVAIL, ["EADDRNOTAVAIL", "address not available on this machine"]],
  [ENETDOWN, ["ENETDOWN", "network is down"]],
  [ENETUNREACH, ["ENETUNREACH", "network unreachable"]],
  [ECONNABORTED, ["ECONNABORTED", "connection aborted before it was accepted"]],
  [ECONNRESET, ["ECONNRESET", "connection reset by peer"]],
  [ENOBUFS, ["ENOBUFS", "no buffer space"]],
  [EISCONN, ["EISCONN", "already connected"]],
  [ENOTCONN, ["ENOTCONN", "not connected"]],
  [ETIMEDOUT, ["ETIMEDOUT", "timed out"]],
  [ECONNREFUSED, ["ECONNREFUSED", "connection refused"]],
  [EHOSTUNREACH, ["EHOSTUNREACH", "no route to host"]],
  [EALREADY, ["EALREADY", "already in progress"]],
  [EINPROGRESS, ["EINPROGRESS", "in progress"]],
]);

/** `ECONNRESET` for 104 or -104; `errno 200` for a number without a name here. */
export function errnoName(number: number): string {
  return TABLE.get(Math.abs(number))?.[0] ?? `errno ${Math.abs(number)}`;
}

/** `connection refused (ECONNREFUSED)` for 111 or -111. */
export function describeErrno(number: number): string {
  const known = TABLE.get(Math.abs(number));
  return known === undefined ? `errno ${Math.abs(number)}` : `${known[1]} (${known[0]})`;
}

/** Thrown by the few calls of this room that run at set-up only and whose failure nobody handles on the spot. */
export class OsError extends Error {
  /** Positive. */
  readonly errno: number;

  /** `result` is the -errno of the call that `doing` names. */
  constructor(doing: string, result: number) {
    super(`${doing}: ${describeErrno(result)}`);
    this.name = "OsError";
    this.errno = Math.abs(result);
  }
}
