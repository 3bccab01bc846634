// One line per request, in Sozu's format to the byte (spec 12.2, decisions 5):
// `<time> <pid> INFO-ACCESS  <tag>\t[session request cluster backend] client backend request/service/response/crtt/srtt
//  in out [tags, user-agent=UA] otel protocol authority method path status | message`.
// Rendered byte by byte into the sink's buffer: no strings, no allocation, no system call. What was not known is `-`.
// Targets and authorities cannot hold control bytes (the parser refuses them); a User-Agent can hold tabs and bytes
// above 0x7f, so it is cleaned here.

import { LOG_TIME_LENGTH, LogTime } from "./log-time.ts";
import type { BatchSink } from "./sink.ts";
import { SLACK, TextWriter } from "./text-writer.ts";
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
    this.clientOffset = -1;
    this.clientLength = 0;
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
  private readonly writer: TextWriter;
  private readonly memory: Uint8Array;
  private readonly time: LogTime;
  /** The line up to the first bracket, and SLACK; its time is renewed in place. */
  private readonly prefix: DataView;
  private readonly prefixLength: number;
  private readonly levelAt: number;

  constructor(options: AccessLogOptions) {
    const memory = options.memoryBytes;
    const pid = `${options.pid} `;
    this.sink = options.sink;
    this.writer = new TextWriter(options.sink.bytes, memory);
    this.memory = memory;
    const prefix = `${" ".repeat(LOG_TIME_LENGTH)}${pid}INFO-ACCESS  ${options.tag}\t[`;
    const bytes = Uint8Array.from(prefix + " ".repeat(SLACK), latin1);
    this.prefix = new DataView(bytes.buffer);
    this.prefixLength = prefix.length;
    this.time = new LogTime(bytes);
    this.levelAt = LOG_TIME_LENGTH + pid.length;
  }

  /** Writes a line; dropped and counted by the sink when that is full. `realtimeUs`: CLOCK_REALTIME, microseconds. */
  write(record: AccessRecord, realtimeUs: number): void {
    const start = this.sink.reserve(this.prefixLength + lengthMax(record));
    if (start === -1) {
      return;
    }
    const writer = this.writer;
    const bytes = writer.bytes;
    this.time.render(realtimeUs);
    let at = writer.words(start, this.prefix, 0, this.prefixLength);
    if (record.error) {
      bytes.set(ERROR_LEVEL, start + this.levelAt);
    }
    at = renderContext(writer, at, record);
    at = renderTimes(writer, at, record);
    at = writer.decimal(at, record.bytesIn);
    bytes[at++] = SPACE;
    at = writer.decimal(at, record.bytesOut);
    at = renderTags(writer, at, this.memory, record);
    at = renderEndpoint(writer, at, record);
    bytes[at++] = LINE_FEED;
    this.sink.commit(at - start);
  }
}

/** An upper bound of the bytes of a line behind its prefix. */
function lengthMax(record: AccessRecord): number {
  return (
    FIXED_MAX +
    lengthOf(record.clusterId) +
    lengthOf(record.backendId) +
    record.clientLength +
    lengthOf(record.backendAddress) +
    lengthOf(record.tags) +
    lengthOf(record.protocol) +
    lengthOf(record.message) +
    record.clientLength +
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
function renderContext(writer: TextWriter, at: number, record: AccessRecord): number {
  const bytes = writer.bytes;
  at = writer.span(at, record.sessionUlid, ULID_LENGTH);
  bytes[at++] = SPACE;
  at = writer.span(at, record.requestUlid, ULID_LENGTH);
  bytes[at++] = SPACE;
  at = writer.text(at, record.clusterId);
  bytes[at++] = SPACE;
  at = writer.text(at, record.backendId);
  bytes[at++] = CLOSE;
  bytes[at++] = SPACE;
  at = writer.span(at, record.clientOffset, record.clientLength);
  bytes[at++] = SPACE;
  at = writer.text(at, record.backendAddress);
  bytes[at++] = SPACE;
  return at;
}

/** `request/service/response/client_rtt/server_rtt ` */
function renderTimes(writer: TextWriter, at: number, record: AccessRecord): number {
  at = duration(writer, at, record.requestUs, SLASH);
  at = duration(writer, at, record.serviceUs, SLASH);
  at = duration(writer, at, record.responseUs, SLASH);
  at = duration(writer, at, record.clientRttUs, SLASH);
  return duration(writer, at, record.serverRttUs, SPACE);
}

/** ` [tags, user-agent=UA] None ` */
function renderTags(writer: TextWriter, at: number, memory: Uint8Array, record: AccessRecord): number {
  const bytes = writer.bytes;
  const tags = record.tags;
  const tagged = tags !== null && tags.length > 0;
  bytes[at++] = SPACE;
  bytes[at++] = OPEN;
  if (tagged) {
    at = writer.text(at, tags);
  }
  const source = record.userAgentOffset;
  if (source >= 0) {
    if (tagged) {
      bytes[at++] = COMMA;
      bytes[at++] = SPACE;
    }
    at = writer.words(at, CONSTANTS, 0, USER_AGENT_LENGTH);
    const length = record.userAgentLength;
    for (let i = 0; i < length; i++) {
      bytes[at + i] = CLEAN[memory[source + i]];
    }
    at += length;
  }
  return writer.words(at, CONSTANTS, AFTER_TAGS_AT, AFTER_TAGS_LENGTH);
}

/** `protocol authority method path status | message` */
function renderEndpoint(writer: TextWriter, at: number, record: AccessRecord): number {
  const bytes = writer.bytes;
  at = writer.text(at, record.protocol);
  bytes[at++] = SPACE;
  at = writer.span(at, record.authorityOffset, record.authorityLength);
  bytes[at++] = SPACE;
  at = writer.span(at, record.methodOffset, record.methodLength);
  bytes[at++] = SPACE;
  at = writer.span(at, record.pathOffset, record.pathLength);
  bytes[at++] = SPACE;
  if (record.status === 0) {
    bytes[at++] = DASH;
  } else {
    at = writer.decimal(at, record.status);
  }
  if (record.message !== null) {
    at = writer.words(at, CONSTANTS, BEFORE_MESSAGE_AT, BEFORE_MESSAGE_LENGTH);
    at = writer.text(at, record.message);
  }
  return at;
}

/** At least 10 s: seconds; 10 ms: milliseconds; 10 us: microseconds; else nanoseconds. Truncated. */
function duration(writer: TextWriter, at: number, microseconds: number, following: number): number {
  let unit = DASH;
  let unitLength = 1;
  if (microseconds >= 1e7) {
    at = writer.decimal(at, Math.floor(microseconds / 1e6));
    unit = LETTER_S;
  } else if (microseconds >= 10_000) {
    at = writer.decimal(at, (microseconds / 1000) | 0);
    unit = LETTER_M | (LETTER_S << 8);
    unitLength = 2;
  } else if (microseconds >= 10) {
    at = writer.decimal(at, microseconds | 0);
    unit = MU_FIRST | (MU_SECOND << 8) | (LETTER_S << 16);
    unitLength = 3;
  } else if (microseconds >= 0) {
    at = writer.decimal(at, (microseconds * 1000) | 0);
    unit = LETTER_N | (LETTER_S << 8);
    unitLength = 2;
  }
  writer.word(at, unit | (following << (unitLength << 3)));
  return (at + unitLength + 1) | 0;
}

function latin1(character: string): number {
  return character.charCodeAt(0);
}

const SPACE = 0x20;
const COMMA = 0x2c;
const DASH = 0x2d;
const SLASH = 0x2f;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const LINE_FEED = 0x0a;
const LETTER_M = 0x6d;
const LETTER_N = 0x6e;
const LETTER_S = 0x73;
const MU_FIRST = 0xce;
const MU_SECOND = 0xbc;
const USER_AGENT_LENGTH = 11;
const AFTER_TAGS_AT = 11;
const AFTER_TAGS_LENGTH = 7;
const BEFORE_MESSAGE_AT = 18;
const BEFORE_MESSAGE_LENGTH = 3;
/** With room behind, so that they are copied in words. */
const CONSTANTS = new DataView(Uint8Array.from(`user-agent=] None  | ${" ".repeat(SLACK)}`, latin1).buffer);
const ERROR_LEVEL = Uint8Array.from("ERROR-ACCESS", latin1);
/** Two ULIDs (52), five durations of at most 15 + 3, two byte counts of 16, status, separators and constants. */
const FIXED_MAX = 256 + SLACK;

/** What a byte of a User-Agent is logged as. */
const CLEAN = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  CLEAN[byte] = byte < 0x20 || byte >= 0x7f ? 0x3f : byte;
}
CLEAN[SPACE] = 0x5f;
CLEAN[OPEN] = 0x7b;
CLEAN[CLOSE] = 0x7d;
