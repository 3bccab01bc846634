// The facts of a decoded head as plain objects of texts and numbers, for tests to compare.

import { CANONICAL, DROP, type Head } from "../../../src/wire/http1/head.ts";
import { methodNames } from "../../../src/wire/http1/methods.ts";
import type { RequestDecoder } from "../../../src/wire/http1/request-decoder.ts";
import type { ResponseDecoder } from "../../../src/wire/http1/response-decoder.ts";

const text = (bytes: Uint8Array, base: number, from: number, to: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + base + from, to - from).toString("latin1");

/** One row: `name: value` with `drop ` before a field that is not forwarded and `loose ` before one that is not canonical. */
export function describeFields(head: Head, bytes: Uint8Array, base: number): string[] {
  const lines: string[] = [];
  for (let index = 0; index < head.count; index++) {
    const name = text(bytes, base, head.nameStart(index), head.nameEnd(index));
    const value = text(bytes, base, head.valueStart(index), head.valueEnd(index));
    const flags = head.flags(index);
    lines.push(`${flags & DROP ? "drop " : ""}${flags & CANONICAL ? "" : "loose "}${name}: ${value}`);
  }
  return lines;
}

/** All facts of a request. */
export function describeRequest(decoder: RequestDecoder, bytes: Uint8Array, base: number) {
  const span = (from: number, to: number) => text(bytes, base, from, to);
  const method = span(decoder.methodStart, decoder.methodEnd);
  return {
    method,
    methodId: decoder.method === 0 ? "OTHER" : methodNames[decoder.method],
    requestStart: decoder.requestStart,
    target: span(decoder.targetStart, decoder.targetEnd),
    form: decoder.targetForm,
    path: span(decoder.pathStart, decoder.pathEnd),
    query: decoder.queryStart < 0 ? null : span(decoder.queryStart, decoder.pathEnd),
    authority: span(decoder.authorityStart, decoder.authorityEnd),
    host: span(decoder.hostStart, decoder.hostEnd),
    port: decoder.port,
    hostRewrite: decoder.hostRewrite,
    versionMinor: decoder.versionMinor,
    contentLength: decoder.contentLength,
    chunked: decoder.chunked,
    hasBody: decoder.hasBody,
    keepAlive: decoder.keepAlive,
    expectContinue: decoder.expectContinue,
    upgrade: decoder.upgrade,
    teTrailers: decoder.teTrailers,
    connectionAuth: decoder.connectionAuth,
    fields: describeFields(decoder.head, bytes, base),
    present: decoder.head.present,
    repeated: decoder.head.repeated,
  };
}

/** All facts of a response. */
export function describeResponse(decoder: ResponseDecoder, bytes: Uint8Array, base: number) {
  return {
    status: decoder.status,
    versionMinor: decoder.versionMinor,
    reason: text(bytes, base, decoder.reasonStart, decoder.reasonEnd),
    bodyKind: decoder.bodyKind,
    contentLength: decoder.contentLength,
    chunked: decoder.chunked,
    interim: decoder.interim,
    keepAlive: decoder.keepAlive,
    keepAliveTimeoutS: decoder.keepAliveTimeoutS,
    connectionAuth: decoder.connectionAuth,
    fields: describeFields(decoder.head, bytes, base),
    present: decoder.head.present,
    repeated: decoder.head.repeated,
  };
}
