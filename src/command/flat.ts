// The flat encoding: how main hands changes and whole states to workers. Hand-written, compact, little-endian:
//
//   header  magic u32 | version u16 | 0 u16 | revision u64 | count u32 | bytes u32 | hash low u32 | hash high u32
//   change  length u32 (of what follows) | kind u8 | payload
//   text    u16: length, bit 15 set when not ASCII, 0xffff for null | UTF-8 bytes
//
// The hash is the one of the whole state (mirror.ts) after the last change. A payload begins with the identity of its
// object, encoded alike in "add" and "remove"; the bytes of an "add" are also what the state hash is made of. So the
// encoding of an object must be canonical: equal objects, equal bytes. The reader never throws on input: it returns
// CHANGE, END or an error code.

import type { Change, HttpFrontendObject, SocketAddress } from "./objects.ts";

/** Version of the encoding; main and worker must agree on it. */
export const FLAT_VERSION = 1;
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
const TEXT_BYTES_MAX = 0x7ffe;
const NULL_TEXT = 0xffff;
const NOT_ASCII = 0x8000;

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
} as const;

/** Encodes changes into one growing buffer. `change()` any number of times, then `finish()`; `reset()` starts over. */
export class ChangeWriter {
  /** The buffer; valid up to `length`. Replaced when it grows. */
  bytes: Uint8Array;
  length: number;
  count: number;
  /** Where the last change's [kind, payload] lies. */
  changeStart: number;
  /** Where the identity of its object ends; it begins behind the kind. */
  identityEnd: number;
  changeEnd: number;

  constructor(initialBytes = 1024) {
    this.bytes = new Uint8Array(Math.max(initialBytes, FLAT_HEADER_BYTES));
    this.length = FLAT_HEADER_BYTES;
    this.count = 0;
    this.changeStart = 0;
    this.identityEnd = 0;
    this.changeEnd = 0;
  }

  reset(): void {
    this.length = FLAT_HEADER_BYTES;
    this.count = 0;
  }

  /** Appends one change. Texts beyond 32,766 bytes are a bug of the caller (limits.ts is far below) and throw. */
  change(change: Change): void {
    const at = this.length;
    this.#u32(0);
    this.changeStart = this.length;
    this.#content(change);
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
        this.#listener(change.listener);
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
    }
  }

  /** `active` is not part of it: activation is a change of its own, and hashed as such. */
  #listener(listener: (Change & { kind: "add_http_listener" })["listener"]): void {
    const flags =
      (listener.expectProxy ? 1 : 0) |
      (listener.elideXRealIp ? 2 : 0) |
      (listener.sendXRealIp ? 4 : 0) |
      (listener.publicAddress !== null ? 8 : 0);
    this.#listenerIdentity(KIND.ADD_HTTP_LISTENER, listener.address);
    this.#u8(flags);
    if (listener.publicAddress !== null) this.#address(listener.publicAddress);
    this.#text(listener.stickyName);
    this.#text(listener.sozuIdHeader);
    this.#u32(listener.frontTimeout);
    this.#u32(listener.backTimeout);
    this.#u32(listener.connectTimeout);
    this.#u32(listener.requestTimeout);
  }

  #listenerIdentity(kind: number, address: SocketAddress): void {
    this.#u8(kind);
    this.#address(address);
    this.identityEnd = this.length;
  }

  #cluster(cluster: (Change & { kind: "add_cluster" })["cluster"]): void {
    const flags =
      (cluster.stickySession ? 1 : 0) | (cluster.httpsRedirect ? 2 : 0) | (cluster.sharedBackendConnections ? 4 : 0);
    this.#clusterIdentity(KIND.ADD_CLUSTER, cluster.clusterId);
    this.#u8(flags);
    this.#u8(cluster.loadBalancing);
    this.#u8(cluster.loadMetric);
    this.#u16(cluster.httpsRedirectPort ?? 0);
  }

  #clusterIdentity(kind: number, clusterId: string): void {
    this.#u8(kind);
    this.#text(clusterId);
    this.identityEnd = this.length;
  }

  #backend(backend: (Change & { kind: "add_backend" })["backend"]): void {
    this.#backendIdentity(KIND.ADD_BACKEND, backend.clusterId, backend.backendId, backend.address);
    this.#u8(backend.backup ? 1 : 0);
    this.#u16(backend.weight);
    this.#text(backend.stickyId);
  }

  #backendIdentity(kind: number, clusterId: string, backendId: string, address: SocketAddress): void {
    this.#u8(kind);
    this.#text(clusterId);
    this.#text(backendId);
    this.#address(address);
    this.identityEnd = this.length;
  }

  #frontend(kind: number, frontend: HttpFrontendObject): void {
    this.#u8(kind);
    this.#u8(frontend.pathKind);
    this.#address(frontend.address);
    this.#text(frontend.hostname);
    this.#text(frontend.path);
    this.#text(frontend.method);
    this.identityEnd = this.length;
    this.#u8(frontend.position);
    this.#text(frontend.clusterId);
    this.#u8(frontend.tags.length);
    for (let i = 0; i < frontend.tags.length; i++) {
      this.#text(frontend.tags[i]![0]);
      this.#text(frontend.tags[i]![1]);
    }
  }

  #address(address: SocketAddress): void {
    this.#u16(address.port);
    this.#text(address.ip);
  }

  #text(text: string | null): void {
    if (text === null) {
      this.#u16(NULL_TEXT);
      return;
    }
    const length = text.length;
    // Three bytes a unit is the worst case of UTF-8.
    this.#ensure(2 + length * 3);
    const bytes = this.bytes;
    const start = this.length + 2;
    let at = start;
    let flag = 0;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) {
        at = start + utf8.encodeInto(text, bytes.subarray(start)).written;
        flag = NOT_ASCII;
        break;
      }
      bytes[at++] = code;
    }
    if (at - start > TEXT_BYTES_MAX) throw new RangeError(`a text of ${at - start} bytes reached the flat encoding`);
    this.#u16((at - start) | flag);
    this.length = at;
  }

  #u8(value: number): void {
    this.#ensure(1);
    this.bytes[this.length++] = value;
  }

  #u16(value: number): void {
    this.#ensure(2);
    this.bytes[this.length++] = value & 0xff;
    this.bytes[this.length++] = value >>> 8;
  }

  #u32(value: number): void {
    this.#ensure(4);
    writeU32(this.bytes, this.length, value);
    this.length += 4;
  }

  #ensure(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}

const utf8: TextEncoder = new TextEncoder();

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}
