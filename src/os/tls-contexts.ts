// TLS contexts (the policy of a listener or of a backend), identities (certificate, chain, key) and ticket keys. These are
// made when configuration changes, so they take options and give reasons. Contexts are few: one per policy, not one per
// certificate; an identity is given to a single session (src/os/tls.ts) and costs only its parsed parts.

import { EINVAL, EPROTO } from "./errno.ts";
import { native, REG_EXTRA, regs } from "./native.ts";
import { findTlsGroup, findTlsSuite, TLS_GROUPS, TLS_SUITES, TLS12, TLS13 } from "./tls-names.ts";

export interface TlsContextOptions {
  /** Default "server". A client verifies what the server shows unless `verify` is "none". */
  readonly role?: "server" | "client";
  /** TLS12 or TLS13. Defaults: TLS12 to TLS13. */
  readonly minVersion?: number;
  readonly maxVersion?: number;
  /** Names of TLS_SUITES in the order of preference; default all. None of a version: that version cannot be agreed on. */
  readonly suites?: readonly string[];
  /** Names of TLS_GROUPS in the order of preference; default all. */
  readonly groups?: readonly string[];
  /** OpenSSL's list, `ECDSA+SHA256:RSA-PSS+SHA256`; default OpenSSL's. */
  readonly signatureAlgorithms?: string;
  /** TLS 1.3 tickets after a full handshake, 0 to 64, default 2; 0: no tickets in any version. */
  readonly tickets?: number;
  /** Seconds that a ticket is good for, default 7,200. */
  readonly ticketLifetimeS?: number;
  /** 1 to 32 bytes. A session is resumed only where they are equal: make them of listener and client-CA policy. */
  readonly sessionIdContext?: Uint8Array;
  /** Whether the peer must show a certificate of `authorities`. Default "none" for servers, "required" for clients. */
  readonly verify?: "none" | "optional" | "required";
  /** PEM bundle. A server sends the names of its certificates to clients. */
  readonly authorities?: string | Uint8Array;
  /** What a client offers, in its order. A server's choice is made for each session. */
  readonly alpn?: readonly string[];
  /** Handshake messages (KeyUpdate and the like) an open session may get in a second, default 100. */
  readonly handshakeMessagesPerSecond?: number;
}

/** Why a context or an identity was refused, for a person. */
export interface TlsRefusal {
  readonly reason: string;
}

const VERIFY = { none: 0, optional: 1, required: 2 } as const;

/** A handle (>= 0), or the reason. */
export function createContext(options: TlsContextOptions): number | TlsRefusal {
  const isClient = options.role === "client";
  const suites = (options.suites ?? TLS_SUITES.map((suite) => suite.name)).map(findTlsSuite);
  const groups = (options.groups ?? TLS_GROUPS.map((group) => group.name)).map(findTlsGroup);
  if (suites.includes(undefined) || suites.length === 0) return { reason: "unknown cipher suite" };
  if (groups.includes(undefined) || groups.length === 0) return { reason: "unknown group" };
  const numbers = Int32Array.of(
    isClient ? 1 : 0,
    options.minVersion ?? TLS12,
    options.maxVersion ?? TLS13,
    options.tickets ?? 2,
    VERIFY[options.verify ?? (isClient ? "required" : "none")],
    options.ticketLifetimeS ?? 7200,
    options.handshakeMessagesPerSecond ?? 100,
  );
  const names = (isTls13: boolean): string =>
    suites.flatMap((suite) => (suite?.isTls13 === isTls13 ? [suite.openssl] : [])).join(":");
  const result = native.tlsCreateContext(
    numbers,
    text(names(false)),
    text(names(true)),
    text(groups.map((group) => group?.openssl).join(":")),
    text(options.signatureAlgorithms ?? ""),
    options.sessionIdContext ?? Buffer.from("sozu"),
    bytesOf(options.authorities),
    alpnList(options.alpn ?? []),
  );
  return result >= 0 ? result : refusal(result);
}

/** Sessions made with it go on. 0 or -EBADF. */
export function destroyContext(context: number): number {
  regs[1] = context;
  native.tlsDestroyContext();
  return regs[0];
}

/**
 * A certificate with its key, from PEM: a handle (>= 0), or the reason. Certificates behind the first join the chain; one
 * equal to the leaf is left out. Refused: what does not parse, a key that does not belong to the certificate, a key that
 * needs a passphrase, keys and signatures below OpenSSL's security level 2 (RSA below 2,048 bits).
 */
export function createIdentity(
  certificate: string | Uint8Array,
  chain: string | Uint8Array,
  key: string | Uint8Array,
): number | TlsRefusal {
  const result = native.tlsCreateIdentity(bytesOf(certificate), bytesOf(chain), bytesOf(key));
  return result >= 0 ? result : refusal(result);
}

/** Sessions that use it go on. 0 or -EBADF. */
export function destroyIdentity(identity: number): number {
  regs[1] = identity;
  native.tlsDestroyIdentity();
  return regs[0];
}

/** The OCSP response (DER, at most 16 kB) that goes with the certificate when a client asks; empty: none. 0 or -errno. */
export function setStaple(identity: number, response: Uint8Array): number {
  return native.tlsSetStaple(identity, response);
}

/** Bytes of one ticket key: 16 of name, 32 for AES-256, 32 for HMAC-SHA256; all random. */
export const TICKET_KEY_BYTES = 80;

/**
 * The ticket keys of this process, newest first, at most 16. The newest encrypts; a ticket of another is accepted and
 * replaced. None: no tickets. Processes with the same keys resume each other's sessions.
 */
export function setTicketKeys(keys: readonly Uint8Array[]): number {
  return native.tlsTicketKeys(Buffer.concat(keys));
}

/** A place for the tickets of one backend: its next connections resume the session of the last. A handle or -ENOMEM. */
export function createResumption(): number {
  native.tlsCreateResumption();
  return regs[0];
}

export function destroyResumption(resumption: number): number {
  regs[1] = resumption;
  native.tlsDestroyResumption();
  return regs[0];
}

/** Live handles, for tests and `doctor`. */
export function tlsHandles(): { contexts: number; identities: number; sessions: number; resumptions: number } {
  native.tlsCountHandles();
  const [contexts = 0, identities = 0, sessions = 0, resumptions = 0] = regs.subarray(REG_EXTRA, REG_EXTRA + 4);
  return { contexts, identities, sessions, resumptions };
}

function refusal(result: number): TlsRefusal {
  if (result === -EINVAL) return { reason: "an option is out of range" };
  if (result !== -EPROTO) return { reason: "out of memory" };
  const bytes = Buffer.alloc(256);
  return { reason: bytes.toString("latin1", 0, native.tlsLastReason(bytes)) };
}

function text(value: string): Uint8Array {
  return Buffer.from(`${value}\0`, "latin1");
}

function bytesOf(value: string | Uint8Array | undefined): Uint8Array {
  return typeof value === "string" ? Buffer.from(value) : (value ?? new Uint8Array(0));
}

/** The list as in the ALPN extension: a length byte before each name (RFC 7301 3.1). */
function alpnList(names: readonly string[]): Uint8Array {
  return Buffer.concat(names.map((name) => Buffer.from(`${String.fromCharCode(name.length)}${name}`, "latin1")));
}
