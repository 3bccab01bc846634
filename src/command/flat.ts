// The flat encoding: how main hands changes and whole states to workers. Hand-written, compact, little-endian:
//
//   header  magic u32 | version u16 | 0 u16 | revision u64 | count u32 | bytes u32 | hash low u32 | hash high u32
//   change  length u32 (of what follows) | kind u8 | payload
//
// Texts are those of flat-bytes.ts, optional parts of objects those of flat-policies.ts. The hash is the one of the whole
// state (mirror.ts) after the last change. A payload begins with the identity of its object, encoded alike in "add" and
// "remove"; the bytes of an "add" are also what the state hash is made of. So the encoding of an object must be
// canonical: equal objects, equal bytes. A private key comes last and is left out of the hash: the certificate before it
// belongs to no other. The reader never throws on input: it returns CHANGE, END or an error code.

import { FlatBytes, writeU32 } from "./flat-bytes.ts";
import {
  writeAnswers,
  writeClusterPolicy,
  writeFrontendPolicy,
  writeHealthCheck,
  writeTexts,
  writeTransport,
  writeTuning,
} from "./flat-policies.ts";
import { writeBackendTls, writeCertificate, writeClientAuth, writeHsts, writeHttp2, writeTls } from "./flat-tls.ts";
import type { Change, ClusterObject, HttpFrontendObject, HttpListenerObject, SocketAddress } from "./objects.ts";
import type { CertificateObject, HttpsFrontendObject, HttpsListenerObject, TlsChange } from "./objects-tls.ts";

/** Version of the encoding; main and worker must agree on it. */
export const FLAT_VERSION = 5;
/** Bytes of the header. */
export const FLAT_HEADER_BYTES = 32;

/** What ChangeReader.next() and ChangeReader.error tell. */
export const FLAT = {
  END: 0,
  CHANGE: 1,
  /** Shorter than its header or its own length says, or longer. */
  TRUNCATED: -1,
  BAD_MAGIC: -2,
  BAD_VERSION: -3,
  UNKNOWN_KIND: -4,
  /** A change's content does not fill its length exactly, or a value is out of range. */
  BAD_CHANGE: -5,
  /** The count of the header is wrong. */
  BAD_COUNT: -6,
} as const;

export type FlatResult = (typeof FLAT)[keyof typeof FLAT];

const MAGIC = 0x315a4f53; // "SOZ1"

/** In the byte of a frontend's position: a policy follows. */
export const HAS_POLICY = 0x80;

/** The byte that says what a change is. */
export const KIND = {
  ADD_HTTP_LISTENER: 1,
  REMOVE_HTTP_LISTENER: 2,
  ACTIVATE_HTTP_LISTENER: 3,
  DEACTIVATE_HTTP_LISTENER: 4,
  ADD_CLUSTER: 5,
  REMOVE_CLUSTER: 6,
  ADD_BACKEND: 7,
  REMOVE_BACKEND: 8,
  ADD_HTTP_FRONTEND: 9,
  REMOVE_HTTP_FRONTEND: 10,
  ADD_HTTPS_LISTENER: 11,
  REMOVE_HTTPS_LISTENER: 12,
  ACTIVATE_HTTPS_LISTENER: 13,
  DEACTIVATE_HTTPS_LISTENER: 14,
  ADD_HTTPS_FRONTEND: 15,
  REMOVE_HTTPS_FRONTEND: 16,
  ADD_CERTIFICATE: 17,
  REMOVE_CERTIFICATE: 18,
} as const;

/** Encodes changes into one growing buffer. `change()` any number of times, then `finish()`; `reset()` starts over. */
export class ChangeWriter extends FlatBytes {
  count: number;
  /** Where the last change's [kind, payload] lies. */
  changeStart: number;
  /** Where the identity of its object ends; it begins behind the kind. */
  identityEnd: number;
  /** Where the part ends that the state hash covers; a private key follows, or nothing. */
  hashedEnd: number;
  changeEnd: number;

  constructor(initialBytes = 1024) {
    super(Math.max(initialBytes, FLAT_HEADER_BYTES));
    this.length = FLAT_HEADER_BYTES;
    this.count = 0;
    this.changeStart = 0;
    this.identityEnd = 0;
    this.hashedEnd = 0;
    this.changeEnd = 0;
  }

  reset(): void {
    this.length = FLAT_HEADER_BYTES;
    this.count = 0;
  }

  /** Appends one change. Texts longer than the encoding can say are a bug of the caller (see limits.ts) and throw. */
  change(change: Change): void {
    const at = this.length;
    this.u32(0);
    this.changeStart = this.length;
    this.hashedEnd = -1;
    this.#content(change);
    if (this.hashedEnd < 0) this.hashedEnd = this.length;
    this.changeEnd = this.length;
    writeU32(this.bytes, at, this.length - at - 4);
    this.count += 1;
  }

  /** Fills in the header and returns a view of the whole: valid until the next call of any method. */
  finish(revision: number, hashLow: number, hashHigh: number): Uint8Array {
    const bytes = this.bytes;
    writeU32(bytes, 0, MAGIC);
    writeU32(bytes, 4, FLAT_VERSION);
    writeU32(bytes, 8, revision % 0x100000000);
    writeU32(bytes, 12, Math.floor(revision / 0x100000000));
    writeU32(bytes, 16, this.count);
    writeU32(bytes, 20, this.length);
    writeU32(bytes, 24, hashLow);
    writeU32(bytes, 28, hashHigh);
    return bytes.subarray(0, this.length);
  }

  #content(change: Change): void {
    switch (change.kind) {
      case "add_http_listener":
        this.#listener(KIND.ADD_HTTP_LISTENER, change.listener);
        return;
      case "remove_http_listener":
        this.#listenerIdentity(KIND.REMOVE_HTTP_LISTENER, change.address);
        return;
      case "activate_http_listener":
        this.#listenerIdentity(KIND.ACTIVATE_HTTP_LISTENER, change.address);
        return;
      case "deactivate_http_listener":
        this.#listenerIdentity(KIND.DEACTIVATE_HTTP_LISTENER, change.address);
        return;
      case "add_cluster":
        this.#cluster(change.cluster);
        return;
      case "remove_cluster":
        this.#clusterIdentity(KIND.REMOVE_CLUSTER, change.clusterId);
        return;
      case "add_backend":
        this.#backend(change.backend);
        return;
      case "remove_backend":
        this.#backendIdentity(KIND.REMOVE_BACKEND, change.clusterId, change.backendId, change.address);
        return;
      case "add_http_frontend":
        this.#frontend(KIND.ADD_HTTP_FRONTEND, change.frontend);
        return;
      case "remove_http_frontend":
        this.#frontend(KIND.REMOVE_HTTP_FRONTEND, change.frontend);
        return;
      default:
        this.#tlsContent(change);
    }
  }

  #tlsContent(change: TlsChange): void {
    switch (change.kind) {
      case "add_https_listener":
        this.#httpsListener(change.listener);
        return;
      case "remove_https_listener":
        this.#listenerIdentity(KIND.REMOVE_HTTPS_LISTENER, change.address);
        return;
      case "activate_https_listener":
        this.#listenerIdentity(KIND.ACTIVATE_HTTPS_LISTENER, change.address);
        return;
      case "deactivate_https_listener":
        this.#listenerIdentity(KIND.DEACTIVATE_HTTPS_LISTENER, change.address);
        return;
      case "add_https_frontend":
        this.#httpsFrontend(KIND.ADD_HTTPS_FRONTEND, change.frontend);
        return;
      case "remove_https_frontend":
        this.#httpsFrontend(KIND.REMOVE_HTTPS_FRONTEND, change.frontend);
        return;
      case "add_certificate":
        this.#certificate(change.certificate);
        return;
      case "remove_certificate":
        this.#certificateIdentity(KIND.REMOVE_CERTIFICATE, change.address, change.fingerprint);
        return;
    }
  }

  /** `active` is not part of it: activation is a change of its own, and hashed as such. */
  #listener(kind: number, listener: HttpListenerObject): void {
    const flags =
      (listener.expectProxy ? 1 : 0) |
      (listener.elideXRealIp ? 2 : 0) |
      (listener.sendXRealIp ? 4 : 0) |
      (listener.publicAddress !== null ? 8 : 0);
    this.#listenerIdentity(kind, listener.address);
    this.u8(flags);
    if (listener.publicAddress !== null) this.address(listener.publicAddress);
    this.text(listener.stickyName);
    this.text(listener.sozuIdHeader);
    this.u32(listener.frontTimeout);
    this.u32(listener.backTimeout);
    this.u32(listener.connectTimeout);
    this.u32(listener.requestTimeout);
    this.u8(listener.underscoreNames | (listener.dotSegments << 2) | (listener.encodedSlashes << 4));
    writeAnswers(this, listener.answers);
    writeTexts(this, listener.trustedProxies);
  }

  #listenerIdentity(kind: number, address: SocketAddress): void {
    this.u8(kind);
    this.address(address);
    this.identityEnd = this.length;
  }

  #httpsListener(listener: HttpsListenerObject): void {
    const { hsts, clientAuth } = listener;
    this.#listener(KIND.ADD_HTTPS_LISTENER, listener);
    this.u8((hsts === null ? 0 : 1) | (clientAuth === null ? 0 : 2));
    writeTls(this, listener.tls);
    writeHttp2(this, listener.http2);
    if (hsts !== null) writeHsts(this, hsts);
    if (clientAuth !== null) writeClientAuth(this, clientAuth);
  }

  #cluster(cluster: ClusterObject): void {
    const { policy, healthCheck, tuning, transport, tls } = cluster;
    const flags =
      (cluster.stickySession ? 1 : 0) |
      (cluster.httpsRedirect ? 2 : 0) |
      (cluster.sharedBackendConnections ? 4 : 0) |
      (policy === null ? 0 : 8) |
      (healthCheck === null ? 0 : 16) |
      (tuning === null ? 0 : 32) |
      (transport === null ? 0 : 64) |
      (tls === null ? 0 : 128);
    this.#clusterIdentity(KIND.ADD_CLUSTER, cluster.clusterId);
    this.u8(flags);
    this.u8(cluster.loadBalancing);
    this.u8(cluster.loadMetric);
    this.u16(cluster.httpsRedirectPort ?? 0);
    if (policy !== null) writeClusterPolicy(this, policy);
    if (healthCheck !== null) writeHealthCheck(this, healthCheck);
    if (tuning !== null) writeTuning(this, tuning);
    if (transport !== null) writeTransport(this, transport);
    if (tls !== null) {
      writeBackendTls(this, tls);
      this.#privateKey(tls.key);
    }
  }

  #clusterIdentity(kind: number, clusterId: string): void {
    this.u8(kind);
    this.text(clusterId);
    this.identityEnd = this.length;
  }

  #backend(backend: (Change & { kind: "add_backend" })["backend"]): void {
    this.#backendIdentity(KIND.ADD_BACKEND, backend.clusterId, backend.backendId, backend.address);
    this.u8(backend.backup ? 1 : 0);
    this.u16(backend.weight);
    this.text(backend.stickyId);
  }

  #backendIdentity(kind: number, clusterId: string, backendId: string, address: SocketAddress): void {
    this.u8(kind);
    this.text(clusterId);
    this.text(backendId);
    this.address(address);
    this.identityEnd = this.length;
  }

  #frontend(kind: number, frontend: HttpFrontendObject): void {
    this.u8(kind);
    this.u8(frontend.pathKind);
    this.address(frontend.address);
    this.text(frontend.hostname);
    this.text(frontend.path);
    this.text(frontend.method);
    this.identityEnd = this.length;
    this.u8(frontend.position | (frontend.policy === null ? 0 : HAS_POLICY));
    this.text(frontend.clusterId);
    this.u8(frontend.tags.length);
    for (let i = 0; i < frontend.tags.length; i++) {
      this.text(frontend.tags[i]![0]);
      this.text(frontend.tags[i]![1]);
    }
    if (frontend.policy !== null) writeFrontendPolicy(this, frontend.policy);
  }

  #httpsFrontend(kind: number, frontend: HttpsFrontendObject): void {
    this.#frontend(kind, frontend);
    this.u8(frontend.hsts === null ? 0 : 1);
    if (frontend.hsts !== null) writeHsts(this, frontend.hsts);
  }

  #certificate(certificate: CertificateObject): void {
    this.#certificateIdentity(KIND.ADD_CERTIFICATE, certificate.address, certificate.fingerprint);
    writeCertificate(this, certificate);
    this.#privateKey(certificate.key);
  }

  #certificateIdentity(kind: number, address: SocketAddress, fingerprint: string): void {
    this.u8(kind);
    this.text(fingerprint);
    this.address(address);
    this.identityEnd = this.length;
  }

  /** The last part of an object. */
  #privateKey(key: string | null): void {
    this.hashedEnd = this.length;
    this.longText(key);
  }
}
