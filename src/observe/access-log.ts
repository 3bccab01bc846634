// One line per request, in Sozu's format to the byte (spec 12.2, decisions 5):
// `<time> <pid> INFO-ACCESS  <tag>\t[session request cluster backend] client backend request/service/response/crtt/srtt
//  in out [tags, user-agent=UA] otel protocol authority method path status | message`.
// Rendered byte by byte into the sink's buffer: no strings, no allocation, no system call. What was not known is `-`.
// Targets and authorities cannot hold control bytes (the parser refuses them); a User-Agent can hold tabs and bytes
// above 0x7f, so it is cleaned here.

import { LOG_TIME_LENGTH, LogTime } from "./log-time.ts";
import type { BatchSink } from "./sink.ts";
import { ULID_LENGTH } from "./ulid.ts";

/**
 * The facts of one line; one object per worker, filled anew for each request. Spans are offset and length in the arena,
 * offset -1: unknown. Texts are ready bytes, null: unknown. Times are microseconds, -1: unknown.
 */
export class AccessRecord {
  /** Offsets of 26 bytes in the arena. */
  sessionUlid = -1;
  requestUlid = -1;
  clusterId: Uint8Array | null = null;
  backendId: Uint8Array | null = null;
  /** `127.0.0.1:50312`, `[::1]:50312`. */
  clientAddress: Uint8Array | null = null;
  backendAddress: Uint8Array | null = null;
  requestUs = -1;
  serviceUs = -1;
  responseUs = -1;
  clientRttUs = -1;
  serverRttUs = -1;
  /** Everything read from and written to the client for this request. */
  bytesIn = 0;
  bytesOut = 0;
  /** `k=v, k2=v2`. */
  tags: Uint8Array | null = null;
  userAgentOffset = -1;
  userAgentLength = 0;
  authorityOffset = -1;
  authorityLength = 0;
  methodOffset = -1;
  methodLength = 0;
  pathOffset = -1;
  pathLength = 0;
  /** 0: none was sent. */
  status = 0;
  protocol: Uint8Array | null = null;
  /** `H1::Complete`, a timeout token, ... */
  message: Uint8Array | null = null;
  /** An `ERROR-ACCESS` line. */
  error = false;

  /** Forgets everything. */
  reset(): void {
    this.sessionUlid = -1;
    this.requestUlid = -1;
    this.clusterId = null;
    this.backendId = null;
    this.clientAddress = null;
    this.backendAddress = null;
    this.requestUs = -1;
    this.serviceUs = -1;
    this.responseUs = -1;
    this.clientRttUs = -1;
    this.serverRttUs = -1;
    this.bytesIn = 0;
    this.bytesOut = 0;
    this.tags = null;
    this.userAgentOffset = -1;
    this.userAgentLength = 0;
    this.authorityOffset = -1;
    this.authorityLength = 0;
    this.methodOffset = -1;
    this.methodLength = 0;
    this.pathOffset = -1;
    this.pathLength = 0;
    this.status = 0;
    this.protocol = null;
    this.message = null;
    this.error = false;
  }
}

/** How an access log is set up. */
export interface AccessLogOptions {
  readonly sink: BatchSink;
  /** The arena that spans point into. */
  readonly memoryBytes: Uint8Array;
  /** `WRK-00`. */
  readonly tag: string;
  readonly pid: number;
}

/** Renders access lines. */
export class AccessLog {
  private readonly sink: BatchSink;
  private readonly memory: Uint8Array;
  private readonly time: LogTime;
  /** The line up to the first bracket; its time is renewed in place. */
  private readonly prefix: Uint8Array;
  private readonly levelAt: number;

  constructor(options: AccessLogOptions) {
    this.sink = options.sink;
    this.memory = options.memoryBytes;
    this.time = new LogTime();
    const pid = `${options.pid} `;
    this.levelAt = LOG_TIME_LENGTH + pid.length;
    this.prefix = Uint8Array.from(`${" ".repeat(LOG_TIME_LENGTH)}${pid}INFO-ACCESS  ${options.tag}\t[`, latin1);
  }

  /** Writes a line; dropped and counted by the sink when that is full. `realtimeUs`: CLOCK_REALTIME, microseconds. */
  write(record: AccessRecord, realtimeUs: number): void {
    const prefix = this.prefix;
    const start = this.sink.reserve(prefix.length + lengthMax(record));
    if (start === -1) {
      return;
    }
    const target = this.sink.bytes;
    const memory = this.memory;
    this.time.render(prefix, realtimeUs);
    target.set(prefix, start);
    if (record.error) {
      target.set(ERROR_LEVEL, start + this.levelAt);
    }
    let at = renderContext(target, start + prefix.length, memory, record);
    at = renderTimes(target, at, record);
    at = decimal(target, at, record.bytesIn);
    target[at++] = SPACE;
    at = decimal(target, at, record.bytesOut);
    at = renderTags(target, at, memory, record);
    at = renderEndpoint(target, at, memory, record);
    target[at++] = LINE_FEED;
    this.sink.commit(at - start);
  }
}

/** An upper bound of the bytes of a line behind its prefix. */
function lengthMax(record: AccessRecord): number {
  return (
    FIXED_MAX +
    lengthOf(record.clusterId) +
    lengthOf(record.backendId) +
    lengthOf(record.clientAddress) +
    lengthOf(record.backendAddress) +
    lengthOf(record.tags) +
    lengthOf(record.protocol) +
    lengthOf(record.message) +
    record.userAgentLength +
    record.authorityLength +
    record.methodLength +
    record.pathLength
  );
}

function lengthOf(text: Uint8Array | null): number {
  return text === null ? 1 : text.length;
}

/** `session request cluster backend] client backend ` */
function renderContext(target: Uint8Array, at: number, memory: Uint8Array, record: AccessRecord): number {
  at = span(target, at, memory, record.sessionUlid, ULID_LENGTH);
  target[at++] = SPACE;
  at = span(target, at, memory, record.requestUlid, ULID_LENGTH);
  target[at++] = SPACE;
  at = text(target, at, record.clusterId);
  target[at++] = SPACE;
  at = text(target, at, record.backendId);
  target[at++] = CLOSE;
  target[at++] = SPACE;
  at = text(target, at, record.clientAddress);
  target[at++] = SPACE;
  at = text(target, at, record.backendAddress);
  target[at++] = SPACE;
  return at;
}

/** `request/service/response/client_rtt/server_rtt ` */
function renderTimes(target: Uint8Array, at: number, record: AccessRecord): number {
  at = duration(target, at, record.requestUs);
  target[at++] = SLASH;
  at = duration(target, at, record.serviceUs);
  target[at++] = SLASH;
  at = duration(target, at, record.responseUs);
  target[at++] = SLASH;
  at = duration(target, at, record.clientRttUs);
  target[at++] = SLASH;
  at = duration(target, at, record.serverRttUs);
  target[at++] = SPACE;
  return at;
}

/** ` [tags, user-agent=UA] None ` */
function renderTags(target: Uint8Array, at: number, memory: Uint8Array, record: AccessRecord): number {
  target[at++] = SPACE;
  target[at++] = OPEN;
  const tags = record.tags;
  const tagged = tags !== null && tags.length > 0;
  if (tagged) {
    at = text(target, at, tags);
  }
  if (record.userAgentOffset >= 0) {
    if (tagged) {
      target[at++] = COMMA;
      target[at++] = SPACE;
    }
    at = text(target, at, USER_AGENT);
    const source = record.userAgentOffset;
    const length = record.userAgentLength;
    for (let i = 0; i < length; i++) {
      target[at + i] = CLEAN[memory[source + i]];
    }
    at += length;
  }
  return text(target, at, AFTER_TAGS);
}

/** `protocol authority method path status | message` */
function renderEndpoint(target: Uint8Array, at: number, memory: Uint8Array, record: AccessRecord): number {
  at = text(target, at, record.protocol);
  target[at++] = SPACE;
  at = span(target, at, memory, record.authorityOffset, record.authorityLength);
  target[at++] = SPACE;
  at = span(target, at, memory, record.methodOffset, record.methodLength);
  target[at++] = SPACE;
  at = span(target, at, memory, record.pathOffset, record.pathLength);
  target[at++] = SPACE;
  if (record.status === 0) {
    target[at++] = DASH;
  } else {
    at = decimal(target, at, record.status);
  }
  if (record.message !== null) {
    at = text(target, at, BEFORE_MESSAGE);
    at = text(target, at, record.message);
  }
  return at;
}

function span(target: Uint8Array, at: number, memory: Uint8Array, offset: number, length: number): number {
  if (offset < 0) {
    target[at] = DASH;
    return at + 1;
  }
  for (let i = 0; i < length; i++) {
    target[at + i] = memory[offset + i];
  }
  return at + length;
}

function text(target: Uint8Array, at: number, bytes: Uint8Array | null): number {
  if (bytes === null) {
    target[at] = DASH;
    return at + 1;
  }
  const length = bytes.length;
  for (let i = 0; i < length; i++) {
    target[at + i] = bytes[i];
  }
  return at + length;
}

/** At least 10 s: seconds; 10 ms: milliseconds; 10 us: microseconds; else nanoseconds. Truncated. */
function duration(target: Uint8Array, at: number, microseconds: number): number {
  if (microseconds < 0) {
    target[at] = DASH;
    return at + 1;
  }
  if (microseconds >= 1e7) {
    at = decimal(target, at, Math.floor(microseconds / 1e6));
  } else if (microseconds >= 10_000) {
    at = decimal(target, at, (microseconds / 1000) | 0);
    target[at++] = LETTER_M;
  } else if (microseconds >= 10) {
    at = decimal(target, at, microseconds | 0);
    target[at++] = MU_FIRST;
    target[at++] = MU_SECOND;
  } else {
    at = decimal(target, at, (microseconds * 1000) | 0);
    target[at++] = LETTER_N;
  }
  target[at++] = LETTER_S;
  return at;
}

/** Digits of an integer from 0 to 2^53. */
function decimal(target: Uint8Array, at: number, value: number): number {
  if (value > 0x7fffffff) {
    const high = Math.floor(value / 1e9);
    at = decimal(target, at, high);
    return digits(target, at, (value - high * 1e9) | 0, 9);
  }
  let count = 1;
  for (let limit = 10; count < 10 && value >= limit; limit *= 10) {
    count++;
  }
  return digits(target, at, value | 0, count);
}

function digits(target: Uint8Array, at: number, value: number, count: number): number {
  for (let i = at + count - 1; i >= at; i--) {
    const rest = (value / 10) | 0;
    target[i] = ZERO + value - rest * 10;
    value = rest;
  }
  return at + count;
}

function latin1(character: string): number {
  return character.charCodeAt(0);
}

const SPACE = 0x20;
const COMMA = 0x2c;
const DASH = 0x2d;
const SLASH = 0x2f;
const ZERO = 0x30;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const LINE_FEED = 0x0a;
const LETTER_M = 0x6d;
const LETTER_N = 0x6e;
const LETTER_S = 0x73;
const MU_FIRST = 0xce;
const MU_SECOND = 0xbc;
const USER_AGENT = Uint8Array.from("user-agent=", latin1);
const AFTER_TAGS = Uint8Array.from("] None ", latin1);
const BEFORE_MESSAGE = Uint8Array.from(" | ", latin1);
const ERROR_LEVEL = Uint8Array.from("ERROR-ACCESS", latin1);
/** Two ULIDs (52), five durations of at most 15 + 3, two byte counts of 16, status, separators and constants. */
const FIXED_MAX = 256;

/** What a byte of a User-Agent is logged as. */
const CLEAN = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  CLEAN[byte] = byte < 0x20 || byte >= 0x7f ? 0x3f : byte;
}
CLEAN[SPACE] = 0x5f;
CLEAN[OPEN] = 0x7b;
CLEAN[CLOSE] = 0x7d;
