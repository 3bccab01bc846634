// Access records in Sozu's protobuf format (spec 12.3): length, ProtobufAccessLog, two zero bytes.
//
// Encoded by hand into the sink's buffer: no strings, no message objects, nothing that grows with what a client sends
// beyond the head of its request. Optional fields that are not known are left out. Strings of protobuf are UTF-8, so bytes
// of clients that are not ASCII become `?`.

import type { AccessLogOptions, AccessRecord, AccessSink, AccessWriter, TlsFacts } from "./access-writer.ts";
import {
  addressField,
  FIELD_OVERHEAD,
  messageField,
  nanosecondsField,
  numberField,
  spanField,
  spanFieldLength,
  stringBytes,
  textField,
  ulidField,
  varint,
  varintLength,
} from "./protobuf-writer.ts";

export class ProtobufAccessLog implements AccessWriter {
  readonly #sink: AccessSink;
  readonly #bytes: Uint8Array;
  readonly #memory: Uint8Array;
  /** The field `tag`. */
  readonly #tag: Uint8Array;

  constructor(options: AccessLogOptions) {
    this.#sink = options.sink;
    this.#bytes = options.sink.bytes;
    this.#memory = options.memoryBytes;
    this.#tag = stringBytes(18, options.tag);
  }

  write(record: AccessRecord, realtimeUs: number): void {
    const bytes = this.#bytes;
    const start = this.#sink.reserve(lengthMax(record) + this.#tag.length);
    if (start === -1) return;
    let at = this.#context(start + LENGTH_BYTES, record);
    at = this.#endpoint(at, record);
    at = numbers(bytes, at, record);
    at = spanField(bytes, at, 16, this.#memory, record.userAgentOffset, record.userAgentLength);
    at = copy(bytes, at, record.tags);
    at = copy(bytes, at, this.#tag);
    at = times(bytes, at, record, realtimeUs);
    if (record.sessionUlid >= 0) at = ulidField(bytes, at, 23, this.#memory, record.sessionUlid);
    at = copy(bytes, at, record.tls);
    if (record.headLength > 0) at = this.#forwarding(at, record.headOffset, record.headOffset + record.headLength);
    at = withLength(bytes, start, at);
    bytes[at] = 0;
    bytes[at + 1] = 0;
    this.#sink.commit(at + 2 - start);
  }

  /** Map entries of field 17. */
  tagBytes(tags: readonly (readonly [key: string, value: string])[]): Uint8Array | null {
    if (tags.length === 0) return null;
    const entries = tags.map(([key, value]) => Buffer.concat([stringBytes(1, key), stringBytes(2, value)]));
    return Buffer.concat(entries.map((entry) => bytesField(17, entry)));
  }

  /** Fields 25 to 28, and ours from 1000 on. */
  tlsBytes(facts: TlsFacts): Uint8Array {
    const { version, cipher, serverName, alpn, group, resumed } = facts;
    const texts = [stringBytes(25, version), stringBytes(26, cipher)];
    if (serverName !== null) texts.push(stringBytes(27, serverName));
    if (alpn !== null) texts.push(stringBytes(28, alpn));
    const isResumed = new Uint8Array(FIELD_OVERHEAD);
    const end = numberField(isResumed, 0, 1001, resumed ? 1 : 0);
    return Buffer.concat([...texts, stringBytes(1000, group), isResumed.subarray(0, end)]);
  }

  /** Fields 1 to 7. */
  #context(at: number, record: AccessRecord): number {
    const bytes = this.#bytes;
    const memory = this.#memory;
    at = textField(bytes, at, 1, record.message);
    at = ulidField(bytes, at, 2, memory, record.requestUlid);
    at = textField(bytes, at, 3, record.clusterId);
    at = textField(bytes, at, 4, record.backendId);
    if (record.clientOffset >= 0) {
      at = addressField(bytes, at, 5, memory, record.clientOffset, record.clientLength);
    }
    const backend = record.backendAddress;
    if (backend !== null) at = addressField(bytes, at, 6, backend, 0, backend.length);
    return textField(bytes, at, 7, record.protocol ?? NOTHING);
  }

  /** Field 8: `{ http: { method, authority, path, status } }`. */
  #endpoint(at: number, record: AccessRecord): number {
    const bytes = this.#bytes;
    const memory = this.#memory;
    const { methodOffset, methodLength, authorityOffset, authorityLength, pathOffset, pathLength, status } = record;
    const length =
      spanFieldLength(1, methodOffset, methodLength) +
      spanFieldLength(2, authorityOffset, authorityLength) +
      spanFieldLength(3, pathOffset, pathLength) +
      (status === 0 ? 0 : 1 + varintLength(status));
    at = messageField(bytes, at, 8, 1 + varintLength(length) + length);
    at = messageField(bytes, at, 1, length);
    at = spanField(bytes, at, 1, memory, methodOffset, methodLength);
    at = spanField(bytes, at, 2, memory, authorityOffset, authorityLength);
    at = spanField(bytes, at, 3, memory, pathOffset, pathLength);
    return status === 0 ? at : numberField(bytes, at, 4, status);
  }

  /** Fields 24 and 29: X-Request-Id and X-Forwarded-For of the head in [at, end) of the arena, as a backend gets it. */
  #forwarding(to: number, at: number, end: number): number {
    const memory = this.#memory;
    for (let line = at; line < end; ) {
      const lineEnd = memory.indexOf(LINE_FEED, line);
      if (lineEnd === -1 || lineEnd >= end) return to;
      const first = memory[line] | SMALL;
      // x-...
      if (first === 0x78 && memory[line + 1] === 0x2d) {
        if (isNamed(memory, line, REQUEST_ID)) to = this.#value(to, 24, line + REQUEST_ID.length, lineEnd);
        else if (isNamed(memory, line, FORWARDED_FOR)) to = this.#value(to, 29, line + FORWARDED_FOR.length, lineEnd);
      }
      line = lineEnd + 1;
    }
    return to;
  }

  #value(to: number, field: number, at: number, lineEnd: number): number {
    const memory = this.#memory;
    while (at < lineEnd && memory[at] <= 0x20) at++;
    let end = lineEnd;
    while (end > at && memory[end - 1] <= 0x20) end--;
    return spanField(this.#bytes, to, field, memory, at, end - at);
  }
}

/** Fields 9 to 15. */
function numbers(bytes: Uint8Array, at: number, record: AccessRecord): number {
  if (record.clientRttUs >= 0) at = numberField(bytes, at, 9, record.clientRttUs);
  if (record.serverRttUs >= 0) at = numberField(bytes, at, 10, record.serverRttUs);
  at = numberField(bytes, at, 13, Math.max(0, record.serviceUs));
  at = numberField(bytes, at, 14, record.bytesIn);
  return numberField(bytes, at, 15, record.bytesOut);
}

/** Fields 19 to 21, and 30, whose place in the record does not matter. */
function times(bytes: Uint8Array, at: number, record: AccessRecord, realtimeUs: number): number {
  at = nanosecondsField(bytes, at, 19, realtimeUs);
  if (record.responseUs >= 0) at = numberField(bytes, at, 21, record.responseUs);
  if (record.requestUs < 0) return at;
  at = numberField(bytes, at, 20, record.requestUs);
  return nanosecondsField(bytes, at, 30, realtimeUs - record.requestUs);
}

function copy(bytes: Uint8Array, at: number, ready: Uint8Array | null): number {
  if (ready === null) return at;
  bytes.set(ready, at);
  return at + ready.length;
}

/** Puts the length of [start + LENGTH_BYTES, end) in front of it; returns where it ends then. */
function withLength(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start - LENGTH_BYTES;
  const moved = varintLength(length) - LENGTH_BYTES;
  if (moved !== 0) bytes.copyWithin(start + LENGTH_BYTES + moved, start + LENGTH_BYTES, end);
  varint(bytes, start, length);
  return end + moved;
}

function bytesField(field: number, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(content.length + FIELD_OVERHEAD);
  return bytes.subarray(0, textField(bytes, 0, field, content));
}

function isNamed(memory: Uint8Array, at: number, name: Uint8Array): boolean {
  for (let i = 0; i < name.length; i++) {
    if ((memory[at + i] | SMALL) !== name[i]) return false;
  }
  return true;
}

/** An upper bound of the bytes of a record. The fields of the head come out of it once each. */
function lengthMax(record: AccessRecord): number {
  return (
    FIXED_MAX +
    lengthOf(record.clusterId) +
    lengthOf(record.backendId) +
    lengthOf(record.tags) +
    lengthOf(record.tls) +
    lengthOf(record.protocol) +
    lengthOf(record.message) +
    record.userAgentLength +
    record.authorityLength +
    record.methodLength +
    record.pathLength +
    2 * record.headLength
  );
}

function lengthOf(text: Uint8Array | null): number {
  return text === null ? 0 : text.length;
}

const LINE_FEED = 0x0a;
/** Makes a capital letter small, and leaves `-` and `:` as they are. */
const SMALL = 0x20;
const REQUEST_ID = Buffer.from("x-request-id:");
const FORWARDED_FOR = Buffer.from("x-forwarded-for:");
const NOTHING = new Uint8Array(0);
/** Room for the length: most records have 128 bytes to 16 kB. */
const LENGTH_BYTES = 2;
/** Keys and lengths of all fields, four Uint128, two addresses, eight numbers. */
const FIXED_MAX = 1024;
