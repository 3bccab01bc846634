// The HTTPS listeners of a worker: what changes of the state do to them. As long as their traffic is not built, they are
// known and none of them accepts: activation is refused with the reason, so that no client ever meets a silent port.

import { AlpnPolicy } from "../certificates/alpn.ts";
import { CertificateStore } from "../certificates/store.ts";
import { formatAddress } from "../command/address-text.ts";
import type { SocketAddress } from "../command/objects.ts";
import type { HttpsListenerObject, TlsChange } from "../command/objects-tls.ts";
import { close } from "../os/sockets.ts";

/** One of them. */
interface SecureListener {
  config: HttpsListenerObject;
  alpn: AlpnPolicy;
  readonly certificates: CertificateStore;
}

export class HttpsListeners {
  readonly #listeners: Map<string, SecureListener>;

  constructor() {
    this.#listeners = new Map();
  }

  /**
   * Applies one change; null, or the reason of its refusal. Frontends and certificates come only for listeners that are
   * there (replica.ts); activation comes through activate().
   */
  apply(change: TlsChange): string | null {
    switch (change.kind) {
      case "add_https_listener":
        this.#put(change.listener);
        return null;
      case "remove_https_listener":
        return this.#listeners.delete(formatAddress(change.address)) ? null : noListener(change.address);
      case "add_certificate":
        this.#listeners.get(formatAddress(change.certificate.address))?.certificates.add(change.certificate);
        return null;
      case "remove_certificate":
        this.#listeners.get(formatAddress(change.address))?.certificates.remove(change.fingerprint);
        return null;
      default:
        return null;
    }
  }

  /** Accepts on a listening socket of this address; takes ownership of `fd` also when it refuses. */
  activate(address: SocketAddress, fd: number): string | null {
    close(fd);
    if (!this.#listeners.has(formatAddress(address))) return noListener(address);
    return "HTTPS traffic is not built yet: activation refused";
  }

  /** Stops accepting; the listening sockets are the caller's again. */
  release(_address: SocketAddress): readonly number[] {
    return [];
  }

  #put(config: HttpsListenerObject): void {
    const alpn = new AlpnPolicy(config.tls.alpnProtocols, config.tls.disableHttp11);
    const name = formatAddress(config.address);
    const known = this.#listeners.get(name);
    if (known === undefined) {
      this.#listeners.set(name, { config, alpn, certificates: new CertificateStore() });
      return;
    }
    known.config = config;
    known.alpn = alpn;
  }
}

function noListener(address: SocketAddress): string {
  return `there is no HTTPS listener at ${formatAddress(address)}`;
}
