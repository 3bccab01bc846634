// Decodes the flat encoding of flat.ts, in the worker. Reusable, so that a batch of one change allocates little.
// Contract: next() returns CHANGE, END or an error code of FLAT; it never throws on input and never reads outside the
// bytes it was given. After CHANGE, `change` is a new record, and [start, end) are the bytes that the state hash is
// made of.

import { FLAT, FLAT_HEADER_BYTES, FLAT_VERSION, type FlatResult, HAS_POLICY, KIND } from "./flat.ts";
import { FlatCursor, NO_BYTES, readU32 } from "./flat-bytes.ts";
import {
  readAnswers,
  readClusterPolicy,
  readFrontendPolicy,
  readHealthCheck,
  readTexts,
  readTransport,
  readTuning,
} from "./flat-policies.ts";
import { readBackendTls, readCertificate, readClientAuth, readHsts, readHttp2, readTls } from "./flat-tls.ts";
import type { Change, HttpFrontendObject, HttpListenerObject, SocketAddress } from "./objects.ts";
import type { BackendTlsObject, CertificateObject, HttpsFrontendObject, HttpsListenerObject } from "./objects-tls.ts";

/** Reads encoded batches or states: open() one, check `error` (END when the header is good), then next() to its end. */
export class ChangeReader extends FlatCursor {
  /** The header's verdict, or that of the last next(). */
  error: FlatResult;
  revision: number;
  count: number;
  /** Hash of the whole state after the last change, two unsigned 32-bit halves. */
  hashLow: number;
  hashHigh: number;
  /** The change after CHANGE. */
  change: Change | null;
  /** Its [kind, payload] in `bytes` begins here and ends at `end`; the identity of its object ends before. */
  start: number;
  identityEnd: number;
  /** Where the part ends that the state hash covers. */
  hashedEnd: number;
  /** Where what was opened ends. */
  #last: number;
  #seen: number;

  constructor(bytes: Uint8Array = NO_BYTES) {
    super();
    this.error = FLAT.TRUNCATED;
    this.revision = 0;
    this.count = 0;
    this.hashLow = 0;
    this.hashHigh = 0;
    this.change = null;
    this.start = 0;
    this.identityEnd = 0;
    this.hashedEnd = 0;
    this.#last = 0;
    this.#seen = 0;
    this.open(bytes);
  }

  /** Starts over with what lies at [from, to) of these bytes. They must not change before the last next(). */
  open(bytes: Uint8Array, from = 0, to: number = bytes.length): void {
    const whole = to - from >= FLAT_HEADER_BYTES;
    this.use(bytes);
    this.revision = whole ? readU32(bytes, from + 8) + readU32(bytes, from + 12) * 0x100000000 : 0;
    this.count = whole ? readU32(bytes, from + 16) : 0;
    this.hashLow = whole ? readU32(bytes, from + 24) : 0;
    this.hashHigh = whole ? readU32(bytes, from + 28) : 0;
    this.change = null;
    this.#last = to;
    this.at = from + FLAT_HEADER_BYTES;
    this.#seen = 0;
    this.bad = false;
    this.error = whole ? checkHeader(bytes, from, to - from) : FLAT.TRUNCATED;
  }

  /** Lets go of the bytes: call it after a state that lies in memory of its own. */
  release(): void {
    this.open(NO_BYTES);
  }

  /** The change that next() found with `start` at this place, decoded once more. */
  again(start: number): Change {
    this.start = start;
    this.end = start + readU32(this.bytes, start - 4);
    this.at = start + 1;
    return this.#content(this.bytes[start]!)!;
  }

  next(): FlatResult {
    if (this.error < 0) return this.error;
    this.change = null;
    if (this.at === this.#last) return this.#stop(this.#seen === this.count ? FLAT.END : FLAT.BAD_COUNT);
    if (this.at + 5 > this.#last) return this.#stop(FLAT.TRUNCATED);
    const length = readU32(this.bytes, this.at);
    this.start = this.at + 4;
    if (length < 1 || length > this.#last - this.start) return this.#stop(FLAT.TRUNCATED);
    this.end = this.start + length;
    this.hashedEnd = this.end;
    this.at = this.start + 1;
    const change = this.#content(this.bytes[this.start]!);
    if (change === null) return this.#stop(FLAT.UNKNOWN_KIND);
    if (this.bad || this.at !== this.end) return this.#stop(FLAT.BAD_CHANGE);
    this.change = change;
    this.#seen += 1;
    return FLAT.CHANGE;
  }

  #stop(result: FlatResult): FlatResult {
    this.error = result;
    return result;
  }

  #content(kind: number): Change | null {
    switch (kind) {
      case KIND.ADD_HTTP_LISTENER:
        return { kind: "add_http_listener", listener: this.#listener() };
      case KIND.REMOVE_HTTP_LISTENER:
        return { kind: "remove_http_listener", address: this.#identityAddress() };
      case KIND.ACTIVATE_HTTP_LISTENER:
        return { kind: "activate_http_listener", address: this.#identityAddress() };
      case KIND.DEACTIVATE_HTTP_LISTENER:
        return { kind: "deactivate_http_listener", address: this.#identityAddress() };
      case KIND.ADD_CLUSTER:
        return this.#cluster();
      case KIND.REMOVE_CLUSTER:
        return { kind: "remove_cluster", clusterId: this.#identityText() };
      case KIND.ADD_BACKEND:
        return this.#backend();
      case KIND.REMOVE_BACKEND:
        return {
          kind: "remove_backend",
          clusterId: this.text(),
          backendId: this.text(),
          address: this.#identityAddress(),
        };
      case KIND.ADD_HTTP_FRONTEND:
        return { kind: "add_http_frontend", frontend: this.#frontend() };
      case KIND.REMOVE_HTTP_FRONTEND:
        return { kind: "remove_http_frontend", frontend: this.#frontend() };
      default:
        return this.#tlsContent(kind);
    }
  }

  #tlsContent(kind: number): Change | null {
    switch (kind) {
      case KIND.ADD_HTTPS_LISTENER:
        return { kind: "add_https_listener", listener: this.#httpsListener() };
      case KIND.REMOVE_HTTPS_LISTENER:
        return { kind: "remove_https_listener", address: this.#identityAddress() };
      case KIND.ACTIVATE_HTTPS_LISTENER:
        return { kind: "activate_https_listener", address: this.#identityAddress() };
      case KIND.DEACTIVATE_HTTPS_LISTENER:
        return { kind: "deactivate_https_listener", address: this.#identityAddress() };
      case KIND.ADD_HTTPS_FRONTEND:
        return { kind: "add_https_frontend", frontend: this.#httpsFrontend() };
      case KIND.REMOVE_HTTPS_FRONTEND:
        return { kind: "remove_https_frontend", frontend: this.#httpsFrontend() };
      case KIND.ADD_CERTIFICATE:
        return { kind: "add_certificate", certificate: this.#certificate() };
      case KIND.REMOVE_CERTIFICATE:
        return { kind: "remove_certificate", fingerprint: this.text(), address: this.#identityAddress() };
      default:
        return null;
    }
  }

  #listener(): HttpListenerObject {
    const address = this.#identityAddress();
    const flags = this.u8();
    const publicAddress = (flags & 8) === 0 ? null : this.address();
    const stickyName = this.text();
    const sozuIdHeader = this.text();
    const frontTimeout = this.u32();
    const backTimeout = this.u32();
    const connectTimeout = this.u32();
    const requestTimeout = this.u32();
    const tolerances = this.u8();
    const answers = readAnswers(this);
    const trustedProxies = readTexts(this);
    return {
      address,
      publicAddress,
      expectProxy: (flags & 1) !== 0,
      stickyName,
      frontTimeout,
      backTimeout,
      connectTimeout,
      requestTimeout,
      active: false,
      sozuIdHeader,
      elideXRealIp: (flags & 2) !== 0,
      sendXRealIp: (flags & 4) !== 0,
      answers,
      trustedProxies,
      underscoreNames: tolerances & 3,
      dotSegments: (tolerances >>> 2) & 3,
      encodedSlashes: (tolerances >>> 4) & 3,
    };
  }

  #httpsListener(): HttpsListenerObject {
    const listener = this.#listener();
    const parts = this.u8();
    const tls = readTls(this);
    const http2 = readHttp2(this);
    const hsts = (parts & 1) === 0 ? null : readHsts(this);
    const clientAuth = (parts & 2) === 0 ? null : readClientAuth(this);
    return { ...listener, tls, http2, hsts, clientAuth };
  }

  #httpsFrontend(): HttpsFrontendObject {
    const frontend = this.#frontend();
    const hsts = this.u8() === 0 ? null : readHsts(this);
    return { ...frontend, hsts };
  }

  #certificate(): CertificateObject {
    const fingerprint = this.text();
    const rest = readCertificate(this, this.#identityAddress(), fingerprint);
    return { ...rest, key: this.#privateKey() ?? "" };
  }

  #backendTls(): BackendTlsObject {
    const rest = readBackendTls(this);
    return { ...rest, key: this.#privateKey() };
  }

  /** The last part of an object. */
  #privateKey(): string | null {
    this.hashedEnd = this.at;
    return this.optionalLongText();
  }

  #cluster(): Change {
    const clusterId = this.#identityText();
    const flags = this.u8();
    const loadBalancing = this.u8();
    const loadMetric = this.u8();
    const port = this.u16();
    const policy = (flags & 8) === 0 ? null : readClusterPolicy(this);
    const healthCheck = (flags & 16) === 0 ? null : readHealthCheck(this);
    const tuning = (flags & 32) === 0 ? null : readTuning(this);
    const transport = (flags & 64) === 0 ? null : readTransport(this);
    const tls = (flags & 128) === 0 ? null : this.#backendTls();
    return {
      kind: "add_cluster",
      cluster: {
        clusterId,
        stickySession: (flags & 1) !== 0,
        httpsRedirect: (flags & 2) !== 0,
        httpsRedirectPort: port === 0 ? null : port,
        loadBalancing,
        loadMetric,
        sharedBackendConnections: (flags & 4) !== 0,
        policy,
        healthCheck,
        tuning,
        transport,
        tls,
      },
    };
  }

  #backend(): Change {
    const clusterId = this.text();
    const backendId = this.text();
    const address = this.#identityAddress();
    const backup = this.u8() !== 0;
    const weight = this.u16();
    const stickyId = this.optionalText();
    return { kind: "add_backend", backend: { clusterId, backendId, address, weight, stickyId, backup } };
  }

  #frontend(): HttpFrontendObject {
    const pathKind = this.u8();
    const address = this.address();
    const hostname = this.text();
    const path = this.text();
    const method = this.optionalText();
    this.identityEnd = this.at;
    const placed = this.u8();
    const position = placed & ~HAS_POLICY;
    const clusterId = this.optionalText();
    const tags = this.#tags();
    const policy = (placed & HAS_POLICY) === 0 ? null : readFrontendPolicy(this);
    return { clusterId, address, hostname, pathKind, path, method, position, tags, policy };
  }

  #tags(): readonly (readonly [string, string])[] {
    const count = this.u8();
    if (count === 0) return NO_TAGS;
    const tags: [string, string][] = [];
    for (let i = 0; i < count && !this.bad; i++) tags.push([this.text(), this.text()]);
    return tags;
  }

  /** The last part of an identity. */
  #identityAddress(): SocketAddress {
    const address = this.address();
    this.identityEnd = this.at;
    return address;
  }

  #identityText(): string {
    const text = this.text();
    this.identityEnd = this.at;
    return text;
  }
}

const MAGIC = 0x315a4f53;
const NO_TAGS: readonly (readonly [string, string])[] = [];

function checkHeader(bytes: Uint8Array, at: number, length: number): FlatResult {
  if (readU32(bytes, at) !== MAGIC) return FLAT.BAD_MAGIC;
  if (readU32(bytes, at + 4) !== FLAT_VERSION) return FLAT.BAD_VERSION;
  return readU32(bytes, at + 20) === length ? FLAT.END : FLAT.TRUNCATED;
}
