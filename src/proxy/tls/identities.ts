// Certificates that OpenSSL has parsed: made when a handshake first needs them, so that ten thousand certificates cost their
// text alone, and given up again when others were used since.

import type { StoredCertificate } from "../../certificates/store.ts";
import type { Logger } from "../../observe/logger.ts";
import { METRIC_TLS_CONTEXTS } from "../../observe/metrics-tls.ts";
import { createIdentity, destroyIdentity, setStaple } from "../../os/tls.ts";

/** Parsed certificates that are kept at most; one takes about 10 kB. */
const KEPT_MAX = 2000;

export class Identities {
  /** The one that was used longest ago comes first. -1: OpenSSL refuses it. */
  readonly #loaded: Map<StoredCertificate, number>;
  readonly #values: Float64Array;
  readonly #logger: Logger;
  readonly #max: number;

  constructor(values: Float64Array, logger: Logger, max: number = KEPT_MAX) {
    this.#loaded = new Map();
    this.#values = values;
    this.#logger = logger;
    this.#max = max;
  }

  /** The handle of a certificate with its key, or -1: OpenSSL refuses it. */
  of(certificate: StoredCertificate): number {
    const known = this.#loaded.get(certificate);
    if (known !== undefined) {
      // Only when room is short does it matter which was used last.
      if (2 * this.#loaded.size > this.#max) {
        this.#loaded.delete(certificate);
        this.#loaded.set(certificate, known);
      }
      return known;
    }
    if (this.#loaded.size >= this.#max) this.#giveUpOldest();
    const identity = this.#load(certificate);
    this.#loaded.set(certificate, identity);
    this.#count();
    return identity;
  }

  /** It is not in use any more; open sessions keep what they have. */
  drop(certificate: StoredCertificate): void {
    const identity = this.#loaded.get(certificate);
    if (identity === undefined) return;
    if (identity !== -1) destroyIdentity(identity);
    this.#loaded.delete(certificate);
    this.#count();
  }

  #load({ object }: StoredCertificate): number {
    const { chain, fingerprint, key, ocspResponse } = object;
    const identity = createIdentity(object.certificate, chain.join("\n"), key);
    if (typeof identity !== "number") {
      this.#logger.error("https", `certificate ${fingerprint} cannot be used: ${identity.reason}`);
      return -1;
    }
    if (ocspResponse !== null && setStaple(identity, Buffer.from(ocspResponse, "base64")) < 0) {
      this.#logger.warn("https", `the OCSP response of certificate ${fingerprint} is longer than 16 kB: not stapled`);
    }
    return identity;
  }

  #giveUpOldest(): void {
    for (const oldest of this.#loaded.keys()) {
      this.drop(oldest);
      return;
    }
  }

  #count(): void {
    this.#values[METRIC_TLS_CONTEXTS] = this.#loaded.size;
  }
}
