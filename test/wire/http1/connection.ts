// Reads all messages of one direction of a connection with the decoders, as the proxy would, and tells what it saw. For
// the vector tests, whose inputs hold pipelined messages, bodies and trailers.

import { CHUNKED, ChunkedDecoder } from "../../../src/wire/http1/chunked-decoder.ts";
import { wireErrors } from "../../../src/wire/http1/errors.ts";
import type { Head } from "../../../src/wire/http1/head.ts";
import { RequestDecoder } from "../../../src/wire/http1/request-decoder.ts";
import { BODY, ResponseDecoder } from "../../../src/wire/http1/response-decoder.ts";
import { TrailerDecoder } from "../../../src/wire/http1/trailer-decoder.ts";

/** A message as it was read. */
export interface Message {
  /** Method and target, or status. */
  start: string[];
  host: string;
  /** Fields of the head, then trailers. */
  fields: [name: string, value: string][];
  body: string;
}

/** All that was read, and how it ended: `ok`, `close`, `upgrade`, `until close`, `incomplete`, or the name of an error. */
export interface Reading {
  messages: Message[];
  outcome: string;
}

const requests = new RequestDecoder();
const responses = new ResponseDecoder();
const chunks = new ChunkedDecoder();
const trailers = new TrailerDecoder();

/** True for outcomes that refuse the input. */
export function isRefusal(outcome: string): boolean {
  return wireErrors.some(({ name }) => name === outcome);
}

/** Reads requests until the input ends, is refused, or the connection would close. */
export function readRequests(bytes: Uint8Array): Reading {
  const messages: Message[] = [];
  let at = 0;
  while (at < bytes.length) {
    requests.reset();
    const length = requests.decode(bytes, at, at, bytes.length);
    if (length <= 0) return { messages, outcome: nameOf(length) };
    const message: Message = {
      start: [
        text(bytes, at, requests.methodStart, requests.methodEnd),
        text(bytes, at, requests.targetStart, requests.targetEnd),
      ],
      host: text(bytes, at, requests.hostStart, requests.hostEnd),
      fields: fieldsOf(requests.head, bytes, at),
      body: "",
    };
    const end = readBody(bytes, at + length, requests.chunked, requests.contentLength, message);
    if (end <= 0) return { messages, outcome: nameOf(end) };
    at = end;
    messages.push(message);
    if (requests.upgrade) return { messages, outcome: "upgrade" };
    if (!requests.keepAlive) return { messages, outcome: "close" };
  }
  return { messages, outcome: "ok" };
}

/** Reads responses to GET requests, likewise. */
export function readResponses(bytes: Uint8Array): Reading {
  const messages: Message[] = [];
  let at = 0;
  while (at < bytes.length) {
    responses.begin(false);
    const length = responses.decode(bytes, at, at, bytes.length);
    if (length <= 0) return { messages, outcome: nameOf(length) };
    const message: Message = {
      start: [String(responses.status)],
      host: "",
      fields: fieldsOf(responses.head, bytes, at),
      body: "",
    };
    const { bodyKind } = responses;
    messages.push(message);
    at += length;
    if (bodyKind === BODY.UNTIL_CLOSE) {
      message.body = text(bytes, at, 0, bytes.length - at);
      return { messages, outcome: "until close" };
    }
    const end = readBody(
      bytes,
      at,
      bodyKind === BODY.CHUNKED,
      bodyKind === BODY.LENGTH ? responses.contentLength : 0,
      message,
    );
    if (end <= 0) return { messages, outcome: nameOf(end) };
    at = end;
    if (responses.status === 101) return { messages, outcome: "upgrade" };
    if (!responses.keepAlive && !responses.interim) return { messages, outcome: "close" };
  }
  return { messages, outcome: "ok" };
}

/** Position after the body, 0 when it is incomplete, or an error. */
function readBody(bytes: Uint8Array, from: number, chunked: boolean, length: number, message: Message): number {
  if (!chunked) {
    const end = from + Math.max(0, length);
    message.body = text(bytes, from, 0, Math.min(end, bytes.length) - from);
    return end > bytes.length ? 0 : end;
  }
  chunks.reset();
  let at = from;
  for (;;) {
    const event = chunks.next(bytes, at, bytes.length);
    if (event <= 0) return event;
    at = chunks.position;
    if (event === CHUNKED.DATA) message.body += text(bytes, 0, chunks.dataStart, chunks.dataEnd);
    else if (event === CHUNKED.END) return at;
    else break;
  }
  trailers.reset();
  const length2 = trailers.decode(bytes, at, at, bytes.length);
  if (length2 <= 0) return length2;
  message.fields.push(...fieldsOf(trailers.head, bytes, at));
  return at + length2;
}

function nameOf(result: number): string {
  return result === 0 ? "incomplete" : wireErrors[-result].name;
}

function fieldsOf(head: Head, bytes: Uint8Array, base: number): [string, string][] {
  const fields: [string, string][] = [];
  for (let index = 0; index < head.count; index++) {
    const name = text(bytes, base, head.nameStart(index), head.nameEnd(index));
    fields.push([name, text(bytes, base, head.valueStart(index), head.valueEnd(index))]);
  }
  return fields;
}

function text(bytes: Uint8Array, base: number, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + base + from, to - from).toString("latin1");
}
