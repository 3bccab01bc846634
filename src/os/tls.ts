// TLS sessions over our own descriptors. The calls of the byte path have the habits of recv, send and writev, so a
// connection needs one comparison to choose between plain and TLS. Handles are numbers >= 0; a stale one is -EBADF.
//
// Life of a session in the server role: accept -> handshake, which ends in HANDSHAKE_HELLO with the ClientHello in the
// arena -> choose or refuse, now or in a later turn -> handshake until DONE -> read, write, writev -> shutdown -> free.
// The session never closes the descriptor. Free it before the descriptor is closed.

import { native, REG_EXTRA, regs } from "./native.ts";

export * from "./tls-contexts.ts";
export * from "./tls-names.ts";

// Constants: see sockets.ts.
const nativeAccept = native.tlsAccept;
const nativeHandshake = native.tlsHandshake;
const nativeChoose = native.tlsChoose;
const nativeRead = native.tlsRead;
const nativeWrite = native.tlsWrite;
const nativeWritev = native.tlsWritev;
const nativeFree = native.tlsFree;

/** Results of `handshake`. */
export const HANDSHAKE_DONE = 0;
/** Call again when the descriptor is readable. */
export const HANDSHAKE_READ = 1;
/** Call again when it is writable. */
export const HANDSHAKE_WRITE = 2;
/** Paused until `choose` or `refuse`. */
export const HANDSHAKE_HELLO = 3;
/** `failureWords` tell why. The alert is sent; what remains is to free the session and close. */
export const HANDSHAKE_FAILED = 4;

export const ALPN_NONE = 0;
export const ALPN_HTTP11 = 1;
export const ALPN_H2 = 2;
/** In facts only: a protocol with another name. */
export const ALPN_OTHER = 3;

/**
 * A session in the server role on `fd`. `length` bytes at `offset` (at most 64 kB; 0: none) were read before from the
 * socket and come first. The context is that of the listener; `choose` may change it.
 */
export function tlsAccept(fd: number, context: number, offset: number, length: number): number {
  regs[1] = fd;
  regs[2] = context;
  regs[3] = offset;
  regs[4] = length;
  nativeAccept();
  return regs[0];
}

/**
 * A session in the client role. `serverName` is sent (SNI) and `expectedHost`, a name or an IP address, must be in the
 * certificate; empty: neither. `identity` and `resumption` may be -1. A handle or -errno.
 */
export function tlsConnect(
  fd: number,
  context: number,
  serverName: string,
  expectedHost: string,
  identity: number,
  resumption: number,
): number {
  const numbers = Int32Array.of(fd, context, identity, resumption);
  return native.tlsConnect(numbers, Buffer.from(`${serverName}\0`), Buffer.from(`${expectedHost}\0`));
}

/**
 * Goes on with the handshake as far as the socket allows: one of the HANDSHAKE results or -errno for a wrong argument.
 * HELLO: the ClientHello lies at `offset`, `helloLength()` bytes: the handshake message with its four bytes of type
 * (1) and length, without record headers. It is given once; a longer one than `length` is refused with an alert.
 */
export function handshake(session: number, offset: number, length: number): number {
  regs[1] = session;
  regs[2] = offset;
  regs[3] = length;
  nativeHandshake();
  return regs[0];
}

/** Right after HANDSHAKE_HELLO; 0 when the message was given before. */
export function helloLength(): number {
  return regs[REG_EXTRA];
}

/**
 * Ends the pause: the policy of `context` (versions, suites, groups, client CA, session-id context), the protocol to
 * agree on (ALPN_NONE, ALPN_HTTP11 or ALPN_H2; the caller has seen that the client offers it) and the certificate.
 * 0; -EPROTO when OpenSSL refuses the combination (the session stays paused); -EINVAL when it is not paused.
 */
export function choose(session: number, context: number, alpn: number, identity: number): number {
  regs[1] = session;
  regs[2] = context;
  regs[3] = alpn;
  regs[4] = identity;
  nativeChoose();
  return regs[0];
}

/** A second identity with another kind of key: OpenSSL takes the one that the client can verify. 0 or -errno. */
export function addIdentity(session: number, identity: number): number {
  regs[1] = session;
  regs[2] = identity;
  native.tlsAddIdentity();
  return regs[0];
}

/** Ends the pause with this alert: the next `handshake` sends it and fails with the cause "refused". */
export function refuse(session: number, alert: number): number {
  regs[1] = session;
  regs[2] = alert;
  native.tlsRefuse();
  return regs[0];
}

/**
 * Reads into the arena like `recv`: 0 is a close_notify, -EAGAIN is nothing now, fewer bytes than `length` (> 0) means that
 * the socket is empty, unless `tlsHasMore()`. -ECONNABORTED: the stream ended without close_notify, so what came may be cut
 * off. -EPROTO: a violation, the alert is sent and `failureWords` tell. Refreshes the monotonic clock.
 */
export function tlsRead(session: number, offset: number, length: number): number {
  regs[1] = session;
  regs[2] = offset;
  regs[3] = length;
  nativeRead();
  return regs[0];
}

/** Right after a `tlsRead` that gave bytes: the next one has an end or an error to tell, and no event will come for it. */
export function tlsHasMore(): boolean {
  return regs[REG_EXTRA] !== 0;
}

/**
 * Writes from the arena like `send`. Fewer bytes than `length`, or -EAGAIN: the kernel is full; give the rest (the same
 * bytes: some may be encrypted already) when the descriptor is writable. With `isLast`, close_notify leaves in the same send
 * when all is taken; nothing may be written after it. Refreshes the monotonic clock.
 */
export function tlsWrite(session: number, offset: number, length: number, isLast = false): number {
  regs[1] = session;
  regs[2] = offset;
  regs[3] = length;
  regs[4] = isLast ? 1 : 0;
  nativeWrite();
  return regs[0];
}

/** Writes the first `count` spans of `iov` like `writev`. Up to 16 kB of them become one record, all of them few sends. */
export function tlsWritev(session: number, count: number, isLast = false): number {
  regs[1] = session;
  regs[2] = count;
  regs[3] = isLast ? 1 : 0;
  nativeWritev();
  return regs[0];
}

/** Sends close_notify; reading goes on. 0: sent; -EAGAIN: call again when writable; or -errno. */
export function tlsShutdown(session: number): number {
  regs[1] = session;
  native.tlsShutdown();
  return regs[0];
}

/** Ciphertext that waits for the kernel, in bytes; goes out with the next call on the session. */
export function tlsPending(session: number): number {
  regs[1] = session;
  native.tlsPending();
  return regs[0];
}

/** Ends the session at any point; sends nothing and leaves the descriptor open. 0 or -EBADF. */
export function tlsFree(session: number): number {
  regs[1] = session;
  nativeFree();
  return regs[0];
}

/** Places in `failureWords`. */
export const FAILURE_CAUSE = 0;
export const FAILURE_ALERT_SENT = 1;
export const FAILURE_ALERT_RECEIVED = 2;
export const FAILURE_OPENSSL_REASON = 3;
export const FAILURE_ERRNO = 4;

/**
 * Right after HANDSHAKE_FAILED or a negative read or write: [cause (index of TLS_CAUSES), alert sent or -1, alert received
 * or -1, OpenSSL's reason number, errno of the socket].
 */
export const failureWords: Int32Array = regs.subarray(REG_EXTRA, REG_EXTRA + 5);

export const FACT_VERSION = 0;
export const FACT_CIPHER = 1;
export const FACT_GROUP = 2;
export const FACT_RESUMED = 3;
export const FACT_ALPN = 4;
export const FACT_VERIFY = 5;
export const FACT_HAS_CERTIFICATE = 6;

/**
 * Right after `readFacts`: [version, cipher suite, group (0: none), 1 when resumed, ALPN, result of the verification (0:
 * good), 1 when the peer has shown a certificate].
 */
export const factWords: Int32Array = regs.subarray(REG_EXTRA, REG_EXTRA + 7);

/** Fills `factWords`; 0 or -errno. */
export function readFacts(session: number): number {
  regs[1] = session;
  native.tlsFacts();
  return regs[0];
}

/** Parts of the peer's certificate. SUBJECT and ISSUER: RFC 2253; FINGERPRINT: 32 bytes of SHA-256; SERIAL: hex text. */
export const PEER_SUBJECT = 0;
export const PEER_ISSUER = 1;
export const PEER_FINGERPRINT = 2;
export const PEER_SERIAL = 3;
export const PEER_DER = 4;
export const PEER_PEM = 5;

/** Writes the part into the arena; its length, -ENOENT without a certificate, -ENOBUFS when it does not fit. */
export function peerCertificate(session: number, part: number, offset: number, length: number): number {
  regs[1] = session;
  regs[2] = part;
  regs[3] = offset;
  regs[4] = length;
  native.tlsPeerCertificate();
  return regs[0];
}
