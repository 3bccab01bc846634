// What a request looks like when it is logged, and who writes that down: as a line of text (access-log.ts) or as a record
// of protobuf (access-protobuf.ts). What is the same for many requests (tags of a route, TLS of a connection) is rendered
// once, by the writer that will show it.

/**
 * The facts of one record; one object per worker, filled anew for each request. Spans are offset and length in the arena,
 * offset -1: unknown. Texts are ready bytes, null: unknown. Times are microseconds, -1: unknown.
 */
export class AccessRecord {
  /** Offsets of 26 bytes in the arena. */
  sessionUlid = -1;
  requestUlid = -1;
  clusterId: Uint8Array | null = null;
  backendId: Uint8Array | null = null;
  /** `127.0.0.1:50312`, `[::1]:50312`, in the arena. */
  clientOffset = -1;
  clientLength = 0;
  backendAddress: Uint8Array | null = null;
  requestUs = -1;
  serviceUs = -1;
  responseUs = -1;
  clientRttUs = -1;
  serverRttUs = -1;
  /** Everything read from and written to the client for this request. */
  bytesIn = 0;
  bytesOut = 0;
  /** What `tagBytes` of the writer gave. */
  tags: Uint8Array | null = null;
  /** What `tlsBytes` of the writer gave. */
  tls: Uint8Array | null = null;
  userAgentOffset = -1;
  userAgentLength = 0;
  authorityOffset = -1;
  authorityLength = 0;
  methodOffset = -1;
  methodLength = 0;
  pathOffset = -1;
  pathLength = 0;
  /** The head as it was encoded for the backend; what a text line does not show is looked for there. */
  headOffset = -1;
  headLength = 0;
  /** 0: none was sent. */
  status = 0;
  protocol: Uint8Array | null = null;
  /** `H1::Complete`, a timeout token, ... */
  message: Uint8Array | null = null;
  /** Of an exchange that failed. */
  error = false;

  /** Forgets everything. */
  reset(): void {
    Object.assign(this, new AccessRecord());
  }
}

/** What a client and the proxy have agreed on, as logs show it; null: not known, or none. */
export interface TlsFacts {
  /** `TLSv1.3`. */
  readonly version: string;
  /** `TLS13_AES_128_GCM_SHA256`. */
  readonly cipher: string;
  /** `X25519MLKEM768`. */
  readonly group: string;
  readonly serverName: string | null;
  readonly alpn: string | null;
  readonly resumed: boolean;
}

/** Writes access records to a sink. */
export interface AccessWriter {
  /** Writes one; dropped and counted by the sink when that is full. `realtimeUs`: CLOCK_REALTIME, microseconds. */
  write(record: AccessRecord, realtimeUs: number): void;
  /** Tags of a route as `record.tags` wants them; null: none. */
  tagBytes(tags: readonly (readonly [key: string, value: string])[]): Uint8Array | null;
  /** TLS of a connection as `record.tls` wants it, to be kept for its requests; null: it is not shown. */
  tlsBytes(facts: TlsFacts): Uint8Array | null;
}

/** How an access log is set up. */
export interface AccessLogOptions {
  readonly sink: AccessSink;
  /** The arena that spans point into. */
  readonly memoryBytes: Uint8Array;
  /** `WRK-00`. */
  readonly tag: string;
  readonly pid: number;
  /** Text lines show TLS, too (an addition). */
  readonly showsTls?: boolean;
}

/** The part of a batch sink that writers use. */
export interface AccessSink {
  readonly bytes: Uint8Array;
  reserve(length: number): number;
  commit(length: number): void;
}
