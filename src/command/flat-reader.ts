// Decodes the flat encoding of flat.ts, in the worker. Reusable, so that a batch of one change allocates little.
// Contract: next() returns CHANGE, END or an error code of FLAT; it never throws on input and never reads outside the
// bytes it was given. After CHANGE, `change` is a new record, and [start, end) are the bytes that the state hash is
// made of.

import { FLAT, FLAT_HEADER_BYTES, FLAT_VERSION, type FlatResult, KIND } from "./flat.ts";
import type { Change, HttpFrontendObject, SocketAddress } from "./objects.ts";

/** Reads encoded batches or states: open() one, check `error` (END when the header is good), then next() to its end. */
export class ChangeReader {
  /** The header's verdict, or that of the last next(). */
  error: FlatResult;
  revision: number;
  count: number;
  /** Hash of the whole state after the last change, two unsigned 32-bit halves. */
  hashLow: number;
  hashHigh: number;
  /** The change after CHANGE. */
  change: Change | null;
  /** Its [kind, payload] in `bytes`, and where the identity of its object ends. */
  start: number;
  identityEnd: number;
  end: number;
  bytes: Uint8Array;
  /** The whole memory behind `bytes`, kept as long as batches come from the same memory. */
  #buffer: SlicingBuffer | null;
  #memory: ArrayBufferLike | null;
  #base: number;
  #total: number;
  #at: number;
  #seen: number;
  #bad: boolean;

  constructor(bytes: Uint8Array = NO_BYTES) {
    this.error = FLAT.TRUNCATED;
    this.revision = 0;
    this.count = 0;
    this.hashLow = 0;
    this.hashHigh = 0;
    this.change = null;
    this.start = 0;
    this.identityEnd = 0;
    this.end = 0;
    this.bytes = bytes;
    this.#buffer = null;
    this.#memory = null;
    this.#base = 0;
    this.#total = 0;
    this.#at = FLAT_HEADER_BYTES;
    this.#seen = 0;
    this.#bad = false;
    this.open(bytes);
  }

  /** Starts over with other bytes. They must not change before the last next(). */
  open(bytes: Uint8Array): void {
    const whole = bytes.length >= FLAT_HEADER_BYTES;
    this.bytes = bytes;
    if (this.#memory !== bytes.buffer) {
      this.#memory = bytes.buffer;
      this.#buffer = Buffer.from(bytes.buffer) as unknown as SlicingBuffer;
    }
    this.#base = bytes.byteOffset;
    this.revision = whole ? readU32(bytes, 8) + readU32(bytes, 12) * 0x100000000 : 0;
    this.count = whole ? readU32(bytes, 16) : 0;
    this.#total = whole ? readU32(bytes, 20) : 0;
    this.hashLow = whole ? readU32(bytes, 24) : 0;
    this.hashHigh = whole ? readU32(bytes, 28) : 0;
    this.change = null;
    this.#at = FLAT_HEADER_BYTES;
    this.#seen = 0;
    this.#bad = false;
    this.error = whole ? checkHeader(bytes, this.#total) : FLAT.TRUNCATED;
  }

  /** Lets go of the bytes: call it after a state that lies in memory of its own. */
  release(): void {
    this.open(NO_BYTES);
  }

  next(): FlatResult {
    if (this.error < 0) return this.error;
    this.change = null;
    if (this.#at === this.#total) return this.#stop(this.#seen === this.count ? FLAT.END : FLAT.BAD_COUNT);
    if (this.#at + 5 > this.#total) return this.#stop(FLAT.TRUNCATED);
    const length = readU32(this.bytes, this.#at);
    this.start = this.#at + 4;
    if (length < 1 || length > this.#total - this.start) return this.#stop(FLAT.TRUNCATED);
    this.end = this.start + length;
    this.#at = this.start + 1;
    const change = this.#content(this.bytes[this.start]!);
    if (change === null) return this.#stop(FLAT.UNKNOWN_KIND);
    if (this.#bad || this.#at !== this.end) return this.#stop(FLAT.BAD_CHANGE);
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
        return this.#listener();
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
          clusterId: this.#text(),
          backendId: this.#text(),
          address: this.#identityAddress(),
        };
      case KIND.ADD_HTTP_FRONTEND:
        return { kind: "add_http_frontend", frontend: this.#frontend() };
      case KIND.REMOVE_HTTP_FRONTEND:
        return { kind: "remove_http_frontend", frontend: this.#frontend() };
      default:
        return null;
    }
  }

  #listener(): Change {
    const address = this.#identityAddress();
    const flags = this.#u8();
    return {
      kind: "add_http_listener",
      listener: {
        address,
        publicAddress: (flags & 8) === 0 ? null : this.#address(),
        expectProxy: (flags & 1) !== 0,
        elideXRealIp: (flags & 2) !== 0,
        sendXRealIp: (flags & 4) !== 0,
        stickyName: this.#text(),
        sozuIdHeader: this.#text(),
        frontTimeout: this.#u32(),
        backTimeout: this.#u32(),
        connectTimeout: this.#u32(),
        requestTimeout: this.#u32(),
        active: false,
        answers: [],
        trustedProxies: [],
        underscoreNames: 0,
        dotSegments: 0,
        encodedSlashes: 0,
      },
    };
  }

  #cluster(): Change {
    const clusterId = this.#identityText();
    const flags = this.#u8();
    const loadBalancing = this.#u8();
    const loadMetric = this.#u8();
    const port = this.#u16();
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
        policy: null,
        healthCheck: null,
        tuning: null,
      },
    };
  }

  #backend(): Change {
    const clusterId = this.#text();
    const backendId = this.#text();
    const address = this.#identityAddress();
    const backup = this.#u8() !== 0;
    const weight = this.#u16();
    const stickyId = this.#optionalText();
    return { kind: "add_backend", backend: { clusterId, backendId, address, weight, stickyId, backup } };
  }

  #frontend(): HttpFrontendObject {
    const pathKind = this.#u8();
    const address = this.#address();
    const hostname = this.#text();
    const path = this.#text();
    const method = this.#optionalText();
    this.identityEnd = this.#at;
    const position = this.#u8();
    const clusterId = this.#optionalText();
    const tagCount = this.#u8();
    if (tagCount === 0)
      return { clusterId, address, hostname, pathKind, path, method, position, tags: NO_TAGS, policy: null };
    const tags: [string, string][] = [];
    for (let i = 0; i < tagCount && !this.#bad; i++) tags.push([this.#text(), this.#text()]);
    return { clusterId, address, hostname, pathKind, path, method, position, tags, policy: null };
  }

  /** The last part of an identity. */
  #identityAddress(): SocketAddress {
    const address = this.#address();
    this.identityEnd = this.#at;
    return address;
  }

  #identityText(): string {
    const text = this.#text();
    this.identityEnd = this.#at;
    return text;
  }

  #address(): SocketAddress {
    const port = this.#u16();
    if (port === 0) this.#bad = true;
    return { ip: this.#text(), port };
  }

  #text(): string {
    const text = this.#optionalText();
    if (text !== null) return text;
    this.#bad = true;
    return "";
  }

  #optionalText(): string | null {
    const head = this.#u16();
    if (head === 0xffff) return null;
    const from = this.#at;
    const to = from + (head & 0x7fff);
    if (to > this.end) {
      this.#bad = true;
      return "";
    }
    this.#at = to;
    const buffer = this.#buffer!;
    const base = this.#base;
    return (head & 0x8000) === 0
      ? buffer.latin1Slice(base + from, base + to)
      : buffer.utf8Slice(base + from, base + to);
  }

  #u8(): number {
    if (this.#at >= this.end) return this.#missing();
    return this.bytes[this.#at++]!;
  }

  #u16(): number {
    if (this.#at + 2 > this.end) return this.#missing();
    const at = this.#at;
    this.#at = at + 2;
    return this.bytes[at]! | (this.bytes[at + 1]! << 8);
  }

  #u32(): number {
    if (this.#at + 4 > this.end) return this.#missing();
    const at = this.#at;
    this.#at = at + 4;
    return readU32(this.bytes, at);
  }

  #missing(): number {
    this.#bad = true;
    return 0;
  }
}

/** Methods that Node documents for Buffer subclasses only; they skip the encoding lookup of toString(). */
interface SlicingBuffer {
  latin1Slice(from: number, to: number): string;
  utf8Slice(from: number, to: number): string;
}

const MAGIC = 0x315a4f53;
const NO_BYTES: Uint8Array = new Uint8Array(0);
const NO_TAGS: readonly (readonly [string, string])[] = [];

function checkHeader(bytes: Uint8Array, total: number): FlatResult {
  if (readU32(bytes, 0) !== MAGIC) return FLAT.BAD_MAGIC;
  if (readU32(bytes, 4) !== FLAT_VERSION) return FLAT.BAD_VERSION;
  return total === bytes.length ? FLAT.END : FLAT.TRUNCATED;
}

function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
