// HTTPS for tests in one process: a listener of a rig with certificates, and clients of node:tls.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import nodeTls from "node:tls";
import { create } from "@bufbuild/protobuf";
import { toCertificate } from "../../src/command/certificate.ts";
import { CommandError } from "../../src/command/errors.ts";
import { CertificateAndKeySchema } from "../../src/command/gen/sozu_pb.ts";
import type { SocketAddress } from "../../src/command/objects.ts";
import type { CertificateObject, HttpsListenerObject, TlsObject } from "../../src/command/objects-tls.ts";
import { getsockname, listenTcp } from "../../src/os/listeners.ts";
import { type MadeCertificate, makeCertificate } from "../command/certs.ts";
import { backendOf, clusterOf, frontendOf, type ListenerOptions, type Rig } from "./rig.ts";
import { Peer } from "./wire-peers.ts";

export const authority: MadeCertificate = makeCertificate({ commonName: "Test CA", names: [], isAuthority: true });
/** For `example.com` and one label below it. */
export const leaf: MadeCertificate = makeCertificate({ names: ["example.com", "*.example.com"], issuer: authority });

export interface SecureOptions extends ListenerOptions {
  readonly tls?: Partial<TlsObject>;
  /** Anything else of the listener. */
  readonly listener?: Partial<HttpsListenerObject>;
  readonly certificates?: readonly MadeCertificate[];
  /** The first certificate is for clients that name nobody that is known. */
  readonly hasDefault?: boolean;
}

export function tlsOf(tls: Partial<TlsObject> = {}): TlsObject {
  return {
    versions: [4, 5],
    cipherList: [],
    cipherSuites: [],
    signatureAlgorithms: [],
    groupsList: [],
    alpnProtocols: ["h2", "http/1.1"],
    sendTls13Tickets: 4,
    strictSniBinding: true,
    disableHttp11: false,
    ...tls,
  };
}

export function certificateAt(address: SocketAddress, made: MadeCertificate, isDefault = false): CertificateObject {
  const message = create(CertificateAndKeySchema, { certificate: made.pem, key: made.key });
  const object = toCertificate(address, message, null, "certificate");
  if (object instanceof CommandError) throw object;
  return { ...object, isDefault };
}

/** The listener of `listenSecure`, to be changed. */
export function secureListenerAt(rig: Rig, address: SocketAddress, options: SecureOptions = {}): HttpsListenerObject {
  return {
    ...rig.listenerAt(address, options),
    tls: tlsOf(options.tls),
    http2: {} as HttpsListenerObject["http2"],
    hsts: null,
    clientAuth: null,
    ...options.listener,
  };
}

/** An HTTPS listener on a free port with one cluster `app-PORT` for every host and these backends. Returns the port. */
export function listenSecure(rig: Rig, backendPorts: readonly number[], options: SecureOptions = {}): number {
  const fd = listenTcp({ ip: "127.0.0.1", port: 0 }, { reusePort: false });
  assert.ok(fd >= 0, `cannot listen: ${fd}`);
  const bound = getsockname(fd);
  assert.ok(bound !== null && typeof bound !== "number");
  const cluster = `app-${bound.port}`;
  rig.must({ kind: "add_https_listener", listener: secureListenerAt(rig, bound, options) });
  rig.must({ kind: "add_cluster", cluster: { ...clusterOf(cluster), ...options.cluster } });
  rig.must({ kind: "add_https_frontend", frontend: { ...frontendOf(cluster, bound), hsts: null } });
  for (const port of backendPorts) rig.must({ kind: "add_backend", backend: backendOf(cluster, port) });
  for (const made of options.certificates ?? [leaf]) {
    const isDefault = options.hasDefault === true && made === (options.certificates ?? [leaf])[0];
    rig.must({ kind: "add_certificate", certificate: certificateAt(bound, made, isDefault) });
  }
  assert.equal(rig.proxy.activate(bound, fd, true), null);
  return bound.port;
}

/** A client that believes `authority` alone; rejects when the handshake fails. */
export async function connectSecure(
  port: number,
  options: nodeTls.ConnectionOptions = {},
): Promise<Peer & { readonly socket: nodeTls.TLSSocket }> {
  const defaults = { port, host: "127.0.0.1", servername: "example.com", ca: authority.pem, allowHalfOpen: true };
  const socket = nodeTls.connect({ ...defaults, ...options } as nodeTls.ConnectionOptions);
  const peer = new Peer(socket);
  await once(socket, "secureConnect");
  return peer as Peer & { readonly socket: nodeTls.TLSSocket };
}

/** Passes bytes on to a port; `cut` ends what the client sends with a FIN that TLS knows nothing of. */
export class Relay {
  readonly port: number;
  readonly #server: net.Server;
  readonly #upstream: net.Socket[] = [];

  private constructor(server: net.Server, to: number) {
    this.#server = server;
    this.port = (server.address() as net.AddressInfo).port;
    server.on("connection", (socket) => {
      const upstream = net.connect({ port: to, host: "127.0.0.1", allowHalfOpen: true });
      this.#upstream.push(upstream);
      socket.on("data", (data) => upstream.write(data));
      socket.on("error", () => upstream.destroy());
      upstream.on("data", (data) => socket.write(data));
      upstream.on("end", () => socket.end());
      upstream.on("error", () => socket.destroy());
    });
  }

  static async start(to: number): Promise<Relay> {
    const server = net.createServer({ allowHalfOpen: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Relay(server, to);
  }

  cut(): void {
    for (const upstream of this.#upstream) upstream.end();
  }

  close(): void {
    this.#server.close();
    for (const upstream of this.#upstream) upstream.destroy();
  }
}
