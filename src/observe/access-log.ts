// One line per request, in Sozu's format to the byte (spec 12.2, decisions 5):
// `<time> <pid> INFO-ACCESS  <tag>\t[session request cluster backend] client backend request/service/response/crtt/srtt
//  in out [tags, user-agent=UA] otel protocol authority method path status | message`.
// Rendered byte by byte into the sink's buffer: no strings, no allocation, no system call. What was not known is `-`.
// Targets and authorities cannot hold control bytes (the parser refuses them); a User-Agent can hold tabs and bytes
// above 0x7f, so it is cleaned here.

import type { AccessLogOptions, AccessRecord, AccessSink, AccessWriter, TlsFacts } from "./access-writer.ts";
import { LOG_TIME_LENGTH, LogTime } from "./log-time.ts";
import { SLACK, TextWriter } from "./text-writer.ts";
import { ULID_LENGTH } from "./ulid.ts";

/** Renders access lines. */
export class AccessLog implements AccessWriter {
  private readonly sink: AccessSink;
  private readonly writer: TextWriter;
  private readonly memory: Uint8Array;
  private readonly time: LogTime;
  /** The line up to the first bracket, and SLACK; its time is renewed in place. */
  private readonly prefix: DataView;
  private readonly prefixLength: number;
  private readonly levelAt: number;
  private readonly showsTls: boolean;

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
    this.showsTls = options.showsTls === true;
  }

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

  /** `k=v, k2=v2`. */
  tagBytes(tags: readonly (readonly [key: string, value: string])[]): Uint8Array | null {
    return tags.length === 0
      ? null
      : new TextEncoder().encode(tags.map(([key, value]) => `${key}=${value}`).join(", "));
  }

  /** `, tls-version=TLSv1.3, ...`: more tags (an addition); what is not known is left out. */
  tlsBytes(facts: TlsFacts): Uint8Array | null {
    if (!this.showsTls) return null;
    const { version, cipher, group, serverName, alpn, resumed } = facts;
    const parts = [`tls-version=${version}`, `tls-cipher=${cipher}`, `tls-group=${group}`];
    if (serverName !== null) parts.push(`tls-sni=${serverName}`);
    if (alpn !== null) parts.push(`tls-alpn=${alpn}`);
    parts.push(`tls-resumed=${resumed}`);
    return Uint8Array.from(`, ${parts.join(", ")}`, latin1);
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
    lengthOf(record.tls) +
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

/** ` [tags, user-agent=UA, tls] None ` */
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
  if (record.tls !== null) {
    // It begins with a comma.
    const isFirst = !tagged && source < 0;
    bytes.set(isFirst ? record.tls.subarray(2) : record.tls, at);
    at += record.tls.length - (isFirst ? 2 : 0);
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
