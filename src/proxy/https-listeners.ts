// The HTTPS listeners of a worker: HTTP listeners with TLS, and what changes of the state do to them. Whatever changes,
// connections that are open go on: a new policy, new names and new certificates count from the next handshake on.

import type { ClusterTable } from "../balancing/cluster-table.ts";
import { formatAddress } from "../command/address-text.ts";
import type { SocketAddress } from "../command/objects.ts";
import type { HttpsFrontendObject, HttpsListenerObject, TlsChange } from "../command/objects-tls.ts";
import type { CertificateQuery, ServedCertificate } from "../command/worker-protocol.ts";
import {
  METRIC_HTTP_HSTS_FRONTEND_ADDED,
  METRIC_HTTP_HSTS_FRONTEND_REFRESHED,
  METRIC_HTTP_HSTS_LISTENER_DEFAULT_PATCHED,
} from "../observe/metrics-tls.ts";
import { describeErrno } from "../os/errno.ts";
import { close } from "../os/sockets.ts";
import type { Admission } from "./admission.ts";
import { answersOf, checkListener } from "./check-change.ts";
import type { HttpContext } from "./http/http-context.ts";
import { HttpListener } from "./http-listener.ts";
import { ListenerTls } from "./tls/listener-tls.ts";

/** A listener of this kind always has its TLS. */
type HttpsListener = HttpListener & { readonly tls: ListenerTls };

export class HttpsListeners {
  readonly #http: HttpContext;
  readonly #admission: Admission;
  readonly #clusters: ClusterTable;
  readonly #listeners: Map<string, HttpsListener>;
  /** Removed ones whose connections are still there. */
  readonly #retired: Set<HttpsListener>;

  constructor(http: HttpContext, admission: Admission, clusters: ClusterTable) {
    this.#http = http;
    this.#admission = admission;
    this.#clusters = clusters;
    this.#listeners = new Map();
    this.#retired = new Set();
  }

  /** Removed ones with connections, too. */
  forEach(visit: (listener: HttpListener) => void): void {
    for (const listener of this.#listeners.values()) visit(listener);
    for (const listener of this.#retired) visit(listener);
  }

  /** Forgets removed listeners without connections. */
  trim(): void {
    for (const listener of this.#retired) if (!listener.hasConnections) this.#retired.delete(listener);
  }

  /**
   * Applies one change; null, or the reason of its refusal. Frontends and certificates come only for listeners that are
   * there (replica.ts); activation comes through activate().
   */
  apply(change: TlsChange): string | null {
    switch (change.kind) {
      case "add_https_listener":
        return this.#add(change.listener);
      case "remove_https_listener":
        return this.#with(change.address, (listener) => this.#remove(listener));
      case "activate_https_listener":
        return this.#with(change.address, () => null);
      case "deactivate_https_listener":
        return this.#with(change.address, closeSockets);
      case "add_https_frontend":
        return this.#with(change.frontend.address, (listener) => this.#addFrontend(listener, change.frontend));
      case "remove_https_frontend":
        return this.#with(change.frontend.address, (listener) => listener.removeFrontend(change.frontend));
      case "add_certificate":
        return this.#with(change.certificate.address, ({ tls }) => tls.addCertificate(change.certificate));
      case "remove_certificate":
        return this.#with(change.address, ({ tls }) => tls.removeCertificate(change.fingerprint));
    }
  }

  /** Accepts on a listening socket of this address; takes ownership of `fd` also when it refuses. */
  activate(address: SocketAddress, fd: number): string | null {
    const listener = this.#listeners.get(formatAddress(address));
    if (listener === undefined) {
      close(fd);
      return noListener(address);
    }
    const result = listener.listen(fd);
    return result < 0 ? `cannot listen on ${listener.name}: ${describeErrno(-result)}` : null;
  }

  /** Stops accepting; the listening sockets are the caller's again. */
  release(address: SocketAddress): readonly number[] {
    return this.#listeners.get(formatAddress(address))?.release() ?? [];
  }

  /** Names and their certificates, as handshakes find them. */
  certificates({ domain, fingerprint }: CertificateQuery): ServedCertificate[] {
    const found: ServedCertificate[] = [];
    for (const { tls } of this.#listeners.values()) {
      for (const [name, each] of tls.certificates.served(domain)) {
        if (fingerprint === null || fingerprint === each) {
          found.push({ address: tls.config.address, domain: name, fingerprint: each });
        }
      }
    }
    return found;
  }

  /** Seconds since 1970 when the first certificate expires; 0: there is none. */
  get earliestExpiry(): number {
    let earliest = 0;
    for (const { tls } of this.#listeners.values()) {
      const expiry = tls.certificates.earliestExpiry;
      if (expiry > 0 && (earliest === 0 || expiry < earliest)) earliest = expiry;
    }
    return earliest;
  }

  #with(address: SocketAddress, change: (listener: HttpsListener) => string | null): string | null {
    const listener = this.#listeners.get(formatAddress(address));
    return listener === undefined ? noListener(address) : change(listener);
  }

  #add(config: HttpsListenerObject): string | null {
    const name = formatAddress(config.address);
    const answers = answersOf(`listener ${name}`, config.answers);
    if (typeof answers === "string") return answers;
    const problem = checkListener(config);
    if (problem !== null) return problem;
    const known = this.#listeners.get(name);
    if (known !== undefined) {
      const { hsts } = known.tls.config;
      const refused = known.tls.update(config);
      if (refused !== null) return refused;
      known.update(config, answers);
      if (JSON.stringify(hsts) !== JSON.stringify(config.hsts)) this.#notePatched(known);
      return null;
    }
    const { context } = this.#http;
    if (context.loop.registered >= context.slabCapacity) return "session list is full, cannot add a listener";
    const tls = ListenerTls.create(this.#http, config);
    if (typeof tls === "string") return tls;
    const listener = new HttpListener(this.#http, this.#admission, this.#clusters, config, answers, tls);
    this.#listeners.set(name, listener as HttpsListener);
    return null;
  }

  #remove(listener: HttpsListener): null {
    closeSockets(listener);
    listener.dropRoutes();
    listener.tls.dispose();
    this.#listeners.delete(listener.name);
    if (listener.hasConnections) this.#retired.add(listener);
    return null;
  }

  #addFrontend(listener: HttpsListener, frontend: HttpsFrontendObject): string | null {
    const refused = listener.addFrontend(frontend, frontend.hsts);
    const hsts = frontend.hsts ?? listener.tls.config.hsts;
    if (refused === null && hsts?.enabled === true) {
      this.#http.context.stats.values[METRIC_HTTP_HSTS_FRONTEND_ADDED]++;
    }
    return refused;
  }

  #notePatched(listener: HttpsListener): void {
    const { values } = this.#http.context.stats;
    values[METRIC_HTTP_HSTS_LISTENER_DEFAULT_PATCHED]++;
    values[METRIC_HTTP_HSTS_FRONTEND_REFRESHED] += listener.routesWithoutHsts;
  }
}

function closeSockets(listener: HttpListener): null {
  for (const fd of listener.release()) close(fd);
  return null;
}

function noListener(address: SocketAddress): string {
  return `there is no HTTPS listener at ${formatAddress(address)}`;
}
