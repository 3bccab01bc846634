// The certificates of one HTTPS listener (spec 8.1, 8.2): by fingerprint, and by the names that clients ask for. A lookup
// costs the same with ten certificates and with ten thousand. Each change is one step: a handshake finds the store before
// it or after it. Connections keep what they were shown.

import type { CertificateObject } from "../command/objects-tls.ts";
import type { ClientHello } from "../wire/client-hello/decoder.ts";
import { ServedNames } from "./served-names.ts";
import { accepts } from "./signatures.ts";

/** One certificate of a store. A change of what it says makes another one. */
export class StoredCertificate {
  readonly object: CertificateObject;
  /** What the proxy has built for it; null: nothing yet, or no more. */
  attachment: object | null;
  #names: ServedNames | null;

  constructor(object: CertificateObject) {
    this.object = object;
    this.attachment = null;
    this.#names = null;
  }

  /** Its names, for the binding of connections; made when it is first shown. */
  get names(): ServedNames {
    this.#names ??= new ServedNames(this.object.names);
    return this.#names;
  }
}

/** The certificates for one name, one kind of key after the other, of each kind the one that lasts longest first. */
export class CertificateChoices {
  readonly list: StoredCertificate[];
  /** For clients that asked for no name, or for one that no certificate is for. */
  readonly isDefault: boolean;

  constructor(isDefault: boolean) {
    this.list = [];
    this.isDefault = isDefault;
  }

  /**
   * The one to show to a client: of a kind whose signatures it accepts, the cheapest first; one that is out of its time
   * only when there is nothing better; any when it accepts none, so that its handshake fails for the right reason.
   * `tls13`: that will be spoken.
   */
  choose(hello: ClientHello, bytes: Uint8Array, tls13: boolean, nowSeconds: number): StoredCertificate {
    const { list } = this;
    let second: StoredCertificate | null = null;
    for (let i = 0; i < list.length; i++) {
      const { object } = list[i];
      if (!accepts(object.keyKind, hello, bytes, tls13)) continue;
      if (object.notBefore <= nowSeconds && nowSeconds < object.notAfter) return list[i];
      if (second === null || object.notAfter > second.object.notAfter) second = list[i];
    }
    return second ?? list[0];
  }
}

export class CertificateStore {
  readonly #certificates: Map<string, StoredCertificate>;
  readonly #names: Map<string, CertificateChoices>;
  readonly #default: CertificateChoices;
  /** -1: to be looked for again. */
  #earliestExpiry: number;

  constructor() {
    this.#certificates = new Map();
    this.#names = new Map();
    this.#default = new CertificateChoices(true);
    this.#earliestExpiry = 0;
  }

  get size(): number {
    return this.#certificates.size;
  }

  /** Seconds since 1970 when the first of them expires; 0: there is none. For `tls.cert.min_expires_at_seconds`. */
  get earliestExpiry(): number {
    if (this.#earliestExpiry < 0) {
      let earliest = Number.POSITIVE_INFINITY;
      for (const { object } of this.#certificates.values()) earliest = Math.min(earliest, object.expiresAt);
      this.#earliestExpiry = this.#certificates.size === 0 ? 0 : Math.max(0, earliest);
    }
    return this.#earliestExpiry;
  }

  get(fingerprint: string): StoredCertificate | null {
    return this.#certificates.get(fingerprint) ?? null;
  }

  certificates(): IterableIterator<StoredCertificate> {
    return this.#certificates.values();
  }

  /** Names with the certificates for them: all, or those for a client that asks for `domain`. */
  *served(domain: string | null): Generator<readonly [name: string, fingerprint: string]> {
    if (domain === null) {
      for (const [name, { list }] of this.#names) for (const { object } of list) yield [name, object.fingerprint];
      return;
    }
    for (const { object } of this.resolve(domain)?.list ?? []) yield [domain, object.fingerprint];
  }

  /** Adds one, or puts it in the place of what has its fingerprint; returns the latter, or null. */
  add(object: CertificateObject): StoredCertificate | null {
    const earlier = this.remove(object.fingerprint);
    const certificate = new StoredCertificate(object);
    this.#certificates.set(object.fingerprint, certificate);
    for (const name of object.names) {
      let choices = this.#names.get(name);
      if (choices === undefined) {
        choices = new CertificateChoices(false);
        this.#names.set(name, choices);
      }
      insert(choices.list, certificate);
    }
    if (object.isDefault) insert(this.#default.list, certificate);
    this.#earliestExpiry = -1;
    return earlier;
  }

  /** Takes one out: what else there is for its names takes over. null: there is none with this fingerprint. */
  remove(fingerprint: string): StoredCertificate | null {
    const certificate = this.#certificates.get(fingerprint);
    if (certificate === undefined) return null;
    this.#certificates.delete(fingerprint);
    for (const name of certificate.object.names) {
      const list = this.#names.get(name)?.list;
      if (list === undefined) continue;
      drop(list, certificate);
      if (list.length === 0) this.#names.delete(name);
    }
    drop(this.#default.list, certificate);
    this.#earliestExpiry = -1;
    return certificate;
  }

  /**
   * What there is for the name of a ClientHello (small letters, no trailing dot; null: none, or none that can be): exactly,
   * by the wildcard of its first label, by default. null: nothing, the client gets the alert unrecognized_name.
   */
  resolve(serverName: string | null): CertificateChoices | null {
    if (serverName !== null) {
      const exact = this.#names.get(serverName);
      if (exact !== undefined) return exact;
      const dot = serverName.indexOf(".");
      const wild = dot > 0 ? this.#names.get(`*${serverName.slice(dot)}`) : undefined;
      if (wild !== undefined) return wild;
    }
    return this.#default.list.length === 0 ? null : this.#default;
  }
}

/** By KEY_*, the cheaper a signature, the earlier: P-256, Ed25519, P-384, P-521, RSA-PSS, RSA. */
const RANKS: readonly number[] = [5, 4, 0, 2, 3, 1];

function insert(list: StoredCertificate[], certificate: StoredCertificate): void {
  let at = list.length;
  while (at > 0 && isBefore(certificate.object, list[at - 1].object)) at--;
  list.splice(at, 0, certificate);
}

/** A total order, so that all workers choose alike. */
function isBefore(a: CertificateObject, b: CertificateObject): boolean {
  if (a.keyKind !== b.keyKind) return RANKS[a.keyKind] < RANKS[b.keyKind];
  if (a.expiresAt !== b.expiresAt) return a.expiresAt > b.expiresAt;
  if (a.notBefore !== b.notBefore) return a.notBefore > b.notBefore;
  return a.fingerprint < b.fingerprint;
}

function drop(list: StoredCertificate[], certificate: StoredCertificate): void {
  const at = list.indexOf(certificate);
  if (at >= 0) list.splice(at, 1);
}
