// The saved-state file (spec 4.9, decisions 3 and 4): for each request the JSON of a WorkerRequest, then "\n" and NUL.
// Pure codec over bytes: RecordDecoder takes a file in pieces and returns a record, an error with its place, or
// NEED_MORE; it never throws on input and holds at most one record. Readers of stock programs can read what is written
// here.

import { create } from "@bufbuild/protobuf";
import type { Request } from "./gen/sozu_pb.ts";
import { WorkerRequestSchema } from "./gen/sozu_pb.ts";
import { fromJson, toJson } from "./json.ts";
import { RECORD_BYTES_MAX } from "./limits.ts";

/** One record as text with its terminator. Ids are `<prefix>-<index>`; readers ignore them. */
export function encodeRecord(request: Request, index: number, prefix = "SAVE"): string {
  const record = create(WorkerRequestSchema, { id: `${prefix}-${index}` });
  record.content = request;
  return `${toJson(WorkerRequestSchema, record)}\n\0`;
}

/** A whole state as chunks of at least `chunkBytes` (the last may be smaller), to be written one after the other. */
export function* encodeRecords(requests: Iterable<Request>, chunkBytes = 262_144): Generator<Uint8Array> {
  let text = "";
  let index = 0;
  for (const request of requests) {
    text += encodeRecord(request, index);
    index += 1;
    if (text.length < chunkBytes) continue;
    yield utf8.encode(text);
    text = "";
  }
  if (text !== "") yield utf8.encode(text);
}

/** What RecordDecoder.next() found. */
export const RECORD = { NEED_MORE: 0, REQUEST: 1, BROKEN: -1 } as const;
export type RecordResult = (typeof RECORD)[keyof typeof RECORD];

/** Cuts a saved state into records. push() pieces and call next() until NEED_MORE; after the last piece call end(). */
export class RecordDecoder {
  /** The request after REQUEST. */
  request: Request | null;
  /** The id that the writer gave it. */
  id: string;
  /** Why, after BROKEN. Reading goes on behind the record. */
  reason: string;
  /** Of the record last returned: its number from 1, and the line and byte where it starts. */
  number: number;
  line: number;
  byte: number;
  /** The bytes of the record last returned, without terminator; for quarantine. Empty when it was too large. */
  raw: Uint8Array;
  readonly #bytesMax: number;
  #buffer: Uint8Array;
  #start: number;
  #end: number;
  #searched: number;
  #ended: boolean;
  #dropping: boolean;
  #nextLine: number;
  #nextByte: number;

  constructor(bytesMax: number = RECORD_BYTES_MAX) {
    this.request = null;
    this.id = "";
    this.reason = "";
    this.number = 0;
    this.line = 1;
    this.byte = 0;
    this.raw = NOTHING;
    this.#bytesMax = bytesMax;
    this.#buffer = NOTHING;
    this.#start = 0;
    this.#end = 0;
    this.#searched = 0;
    this.#ended = false;
    this.#dropping = false;
    this.#nextLine = 1;
    this.#nextByte = 0;
  }

  /** Takes a copy of `chunk`. */
  push(chunk: Uint8Array): void {
    const held = this.#end - this.#start;
    if (this.#end + chunk.length > this.#buffer.length) {
      const grown = new Uint8Array(
        Math.max(held + chunk.length, Math.min(this.#buffer.length * 2, this.#bytesMax * 2)),
      );
      grown.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = grown;
      this.#searched -= this.#start;
      this.#start = 0;
      this.#end = held;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** The file is over: what is left counts as a record. */
  end(): void {
    this.#ended = true;
  }

  next(): RecordResult {
    for (;;) {
      const stop = this.#findStop();
      if (stop < 0) return this.#unfinished();
      const start = this.#start;
      this.#start = Math.min(stop + 1, this.#end);
      this.#searched = this.#start;
      const dropped = this.#dropping;
      this.#dropping = false;
      const result = this.#take(start, stop, dropped);
      if (result !== RECORD.NEED_MORE) return result;
    }
  }

  /** Position of the next NUL, or of the end of the file when something is left; -1 when more is needed. */
  #findStop(): number {
    const at = this.#buffer.subarray(0, this.#end).indexOf(0, this.#searched);
    if (at >= 0) return at;
    this.#searched = this.#end;
    return this.#ended && this.#end > this.#start ? this.#end : -1;
  }

  #unfinished(): RecordResult {
    if (this.#end - this.#start <= this.#bytesMax || this.#dropping) {
      if (this.#dropping) this.#skip(this.#start, this.#end);
      return RECORD.NEED_MORE;
    }
    // Told once, then dropped up to the next NUL: memory stays bounded whatever the file holds.
    this.#place();
    this.#dropping = true;
    this.#skip(this.#start, this.#end);
    return this.#broken(`the record is larger than ${this.#bytesMax} bytes`);
  }

  #take(start: number, stop: number, dropped: boolean): RecordResult {
    const from = this.#skipSpace(start, stop);
    if (dropped || from === stop) {
      this.#count(start, stop);
      return RECORD.NEED_MORE;
    }
    this.#count(start, from - 1);
    this.#place();
    this.#count(from, stop);
    this.raw = this.#buffer.slice(from, stop);
    if (stop - from > this.#bytesMax) return this.#broken(`the record is larger than ${this.#bytesMax} bytes`);
    return this.#decode();
  }

  #decode(): RecordResult {
    let text: string;
    try {
      text = strictUtf8.decode(this.raw);
    } catch {
      // The decoder says nothing more than that.
      return this.#broken("the record is not UTF-8");
    }
    const read = fromJson(WorkerRequestSchema, text);
    if (!read.ok) return this.#broken(read.reason);
    this.id = read.message.id;
    this.request = read.message.content ?? null;
    this.reason = "";
    return this.request === null ? this.#broken("content: missing field") : RECORD.REQUEST;
  }

  #place(): void {
    this.number += 1;
    this.line = this.#nextLine;
    this.byte = this.#nextByte;
  }

  #broken(reason: string): RecordResult {
    this.request = null;
    this.reason = reason;
    return RECORD.BROKEN;
  }

  #skip(from: number, to: number): void {
    this.#count(from, to - 1);
    this.#start = to;
    this.#searched = to;
    this.raw = NOTHING;
  }

  /** Moves the place over the bytes [from, to], `to` included. */
  #count(from: number, to: number): void {
    const last = Math.min(to, this.#end - 1);
    for (let at = from; at <= last; at++) if (this.#buffer[at] === 10) this.#nextLine += 1;
    this.#nextByte += Math.max(0, last - from + 1);
  }

  #skipSpace(from: number, to: number): number {
    let at = from;
    while (at < to && SPACE.includes(this.#buffer[at]!)) at++;
    return at;
  }
}

/** What a whole file holds. */
export interface DecodedRecords {
  readonly requests: readonly Request[];
  readonly broken: readonly BrokenRecord[];
}

/** A record that cannot be used, and where it is. */
export interface BrokenRecord {
  readonly number: number;
  readonly line: number;
  readonly byte: number;
  readonly reason: string;
  readonly raw: Uint8Array;
}

/** Decodes a whole file. */
export function decodeRecords(bytes: Uint8Array): DecodedRecords {
  const decoder = new RecordDecoder();
  const requests: Request[] = [];
  const broken: BrokenRecord[] = [];
  decoder.push(bytes);
  decoder.end();
  for (let result = decoder.next(); result !== RECORD.NEED_MORE; result = decoder.next()) {
    if (result === RECORD.REQUEST) requests.push(decoder.request!);
    else
      broken.push({
        number: decoder.number,
        line: decoder.line,
        byte: decoder.byte,
        reason: decoder.reason,
        raw: decoder.raw,
      });
  }
  return { requests, broken };
}

const utf8: TextEncoder = new TextEncoder();
const strictUtf8: TextDecoder = new TextDecoder("utf-8", { fatal: true });
const NOTHING: Uint8Array = new Uint8Array(0);
/** Space, tab, line feed, carriage return: what JSON allows around a value (RFC 8259 2). */
const SPACE: readonly number[] = [32, 9, 10, 13];
