// Which protocol a connection speaks (RFC 7301; spec 8.6): the first of the listener's list that the client offers. Decided
// once for each handshake; nothing is allocated.

/** What follows from a ClientHello. */
export const ALPN = {
  /** The client has no ALPN: HTTP/1.1, without an answer in the handshake. */
  ABSENT: 0,
  HTTP11: 1,
  H2: 2,
  /** Nothing that both speak: alert no_application_protocol. */
  UNSUPPORTED: -1,
  /** It would be HTTP/1.1, which this listener does not speak (`disable_http11`). */
  HTTP11_DISABLED: -2,
} as const;

/** HTTP/2 is not built yet: it stands in lists and is not offered. */
export const IS_HTTP2_BUILT = false;

/** The protocols of one listener. */
export class AlpnPolicy {
  /** ALPN.HTTP11 and ALPN.H2, in order of preference. */
  readonly #offered: Int8Array;
  readonly #http11Disabled: boolean;

  /** `protocols`: of `h2` and `http/1.1`. */
  constructor(protocols: readonly string[], http11Disabled: boolean) {
    const offered: number[] = [];
    for (const protocol of protocols) {
      if (protocol === "h2" && IS_HTTP2_BUILT) offered.push(ALPN.H2);
      if (protocol === "http/1.1") offered.push(ALPN.HTTP11);
    }
    this.#offered = Int8Array.from(offered);
    this.#http11Disabled = http11Disabled;
  }

  /** One of ALPN for the client's list at [start, end) of `bytes` (-1: it sent none), as decodeClientHello() found it. */
  choose(bytes: Uint8Array, start: number, end: number): number {
    if (start < 0) return this.#http11Disabled ? ALPN.HTTP11_DISABLED : ALPN.ABSENT;
    const sent = sentBits(bytes, start, end);
    for (let i = 0; i < this.#offered.length; i++) {
      const protocol = this.#offered[i];
      if ((sent & (1 << protocol)) === 0) continue;
      return protocol === ALPN.HTTP11 && this.#http11Disabled ? ALPN.HTTP11_DISABLED : protocol;
    }
    return this.#http11Disabled && (sent & (1 << ALPN.HTTP11)) !== 0 ? ALPN.HTTP11_DISABLED : ALPN.UNSUPPORTED;
  }
}

const H2 = [0x68, 0x32];
const HTTP11 = [0x68, 0x74, 0x74, 0x70, 0x2f, 0x31, 0x2e, 0x31];

/** Bit n: the client offers protocol n. */
function sentBits(bytes: Uint8Array, start: number, end: number): number {
  let sent = 0;
  for (let at = start; at < end; at += 1 + bytes[at]) {
    if (isName(bytes, at, H2)) sent |= 1 << ALPN.H2;
    else if (isName(bytes, at, HTTP11)) sent |= 1 << ALPN.HTTP11;
  }
  return sent;
}

function isName(bytes: Uint8Array, at: number, name: readonly number[]): boolean {
  if (bytes[at] !== name.length) return false;
  for (let i = 0; i < name.length; i++) if (bytes[at + 1 + i] !== name[i]) return false;
  return true;
}
