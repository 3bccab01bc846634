// An independent reading of HTTP/1.1 (RFC 9112) by regular expressions over latin1 text: what the fuzzer believes.
//
// It shares no line with src/wire: two implementations that agree on millions of inputs are two witnesses. It reads in two
// moods. As a client's input it accepts what docs/http-parsing.md accepts. As what reached a peer ("canonical") it
// accepts one spelling only: `name: value`, one framing field, no extensions, no white space that could be left out.
// A reader answers with messages read whole, and with how the rest of the text ends: complete, incomplete, refused.

import { isIPv6 } from "node:net";

export type End = "complete" | "incomplete" | "refused";

export interface Field {
  readonly name: string;
  readonly value: string;
}

export interface StrictRequest {
  readonly method: string;
  /** As a backend gets it: origin-form or `*`. */
  readonly target: string;
  readonly host: string;
  readonly minor: number;
  readonly fields: readonly Field[];
  readonly body: string;
  readonly trailers: readonly Field[];
  /** Offset behind it. */
  readonly end: number;
}

export interface RequestStream {
  readonly requests: readonly StrictRequest[];
  readonly end: End;
  /** Why, when refused. */
  readonly reason: string;
  /** The head of the message that is incomplete or refused was fine; the trouble is in its body. */
  readonly partial: StrictRequest | null;
  /** What comes behind belongs to nobody: the last request asked for a close. */
  readonly closed: boolean;
  /** The method of a request that is incomplete or refused, as far as it can be told. */
  readonly method: string;
  /** A size is so near a limit that a byte decides. */
  readonly nearLimit: boolean;
}

export interface StrictResponse {
  readonly status: number;
  readonly fields: readonly Field[];
  readonly body: string;
  readonly trailers: readonly Field[];
  /** Ends with the connection. */
  readonly untilClose: boolean;
  readonly end: number;
}

export interface ResponseReading {
  readonly interims: readonly StrictResponse[];
  readonly final: StrictResponse | null;
  readonly end: End;
  readonly reason: string;
  /** The final head was read: what is missing or wrong is in the body. */
  readonly headRead: boolean;
  /** Status of a head that was read. */
  readonly status: number;
  /** Body bytes read before the end or the error. */
  readonly bodySoFar: string;
  readonly at: number;
}

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const REQUEST_LINE = new RegExp(`^(${TOKEN}) ([\\x21-\\x7e]+) HTTP/1\\.([01])$`);
const FIELD_LINE = new RegExp(`^(${TOKEN}):[ \\t]*([\\t\\x20-\\x7e\\x80-\\xff]*?)[ \\t]*$`);
const CANONICAL_LINE = new RegExp(
  `^(${TOKEN}): ([\\x21-\\x7e\\x80-\\xff](?:[\\t\\x20-\\x7e\\x80-\\xff]*[\\x21-\\x7e\\x80-\\xff])?|)$`,
);
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const CANONICAL_STATUS_LINE = /^HTTP\/1\.(1) ([1-9]\d\d) ([\t\x20-\x7e\x80-\xff]*)$/;
const EXTENSION = `;${TOKEN}(?:=(?:${TOKEN}|"(?:[\\t\\x20\\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\[\\t\\x20-\\x7e\\x80-\\xff])*"))?`;
const SIZE_LINE = new RegExp(`^([0-9A-Fa-f]{1,16})((?:${EXTENSION})*)$`);
const CANONICAL_SIZE_LINE = /^([1-9a-fA-F][0-9a-fA-F]*|0)$/;
const HOST_NAME = /^(?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+\.?$/;

/** Bytes of a head or trailer section that the proxy takes (buffer_size); sizes around it are not judged. */
const HEAD_BYTES_MAX = 16393;
const NEAR = 700;
const FIELDS_MAX = 128;
/** Fields that the proxy adds to those of the sender. */
const OURS_MAX = 16;
const OVERHEAD_BYTES_MAX = 16384;
const PER_DATA_OF_ANSWERS = 6;

/** Trailers that mean something in a head only (RFC 9110 6.5.1). */
export const HEAD_ONLY =
  /^(host|connection|content-length|transfer-encoding|te|trailer|upgrade|keep-alive|proxy-connection|expect|x-forwarded-(for|proto|port|host)|forwarded|x-real-ip|x-request-id|cookie|authorization|proxy-authorization|set-cookie|www-authenticate|proxy-authenticate|strict-transport-security|http2-settings)$/i;

class Refusal extends Error {}

function refuse(reason: string): never {
  throw new Refusal(reason);
}

interface Section {
  readonly fields: Field[];
  /** The raw text behind the colon, field by field. */
  readonly raw: string[];
  readonly end: number;
}

interface Framing {
  readonly length: number;
  readonly chunked: boolean;
}

interface Body {
  readonly body: string;
  readonly trailers: readonly Field[];
  readonly end: number;
  readonly done: boolean;
  readonly error: string | null;
  readonly nearLimit: boolean;
}

/** Reads a stream of requests. */
export function readRequests(text: string, canonical: boolean): RequestStream {
  const requests: StrictRequest[] = [];
  let at = 0;
  let nearLimit = false;
  let partial: StrictRequest | null = null;
  const done = (end: End, reason = "", closed = false): RequestStream => {
    const method = partial?.method ?? /^(?:\r\n)?(HEAD) /.exec(text.slice(at, at + 8))?.[1] ?? "?";
    return { requests, end, reason, partial, closed, method, nearLimit };
  };
  while (at < text.length) {
    partial = null;
    try {
      const head = readRequestHead(text, at, canonical);
      if (head === null) {
        nearLimit ||= text.length - at > HEAD_BYTES_MAX - NEAR;
        return done("incomplete");
      }
      nearLimit ||= Math.abs(head.end - at - HEAD_BYTES_MAX) < NEAR;
      partial = head.request;
      const body = readBody(text, head.end, head, canonical);
      nearLimit ||= body.nearLimit;
      if (body.error !== null) return done("refused", body.error);
      partial = { ...head.request, body: body.body, trailers: body.trailers, end: body.end };
      if (!body.done) return done("incomplete");
      requests.push(partial);
      at = body.end;
      partial = null;
      if (head.closes) return done("complete", "", true);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return done("refused", error.message);
    }
  }
  return done("complete");
}

interface RequestHead {
  readonly request: StrictRequest;
  readonly end: number;
  readonly length: number;
  readonly chunked: boolean;
  readonly closes: boolean;
}

function readRequestHead(text: string, from: number, canonical: boolean): RequestHead | null {
  let at = from;
  // RFC 9112 2.2: one empty line before a request.
  if (!canonical && text.startsWith("\r\n", at)) at += 2;
  const end = text.indexOf("\r\n\r\n", at);
  if (end === -1) return null;
  if (end - from > HEAD_BYTES_MAX) refuse("head too large");
  const lineEnd = text.indexOf("\r\n", at);
  const line = REQUEST_LINE.exec(text.slice(at, lineEnd));
  if (line === null) refuse("request line");
  const method = line[1];
  const minor = Number(line[3]);
  if (method.length > 64) refuse("method too long");
  const section = readSection(text, lineEnd + 2, canonical, canonical ? FIELDS_MAX + OURS_MAX : FIELDS_MAX);
  if (section === null) return null;
  const { fields } = section;
  const { target, authority } = readTarget(method, line[2]);
  if (canonical && (authority !== null || minor !== 1)) refuse("request line is not canonical");
  const hosts = valuesOf(fields, "host");
  if (hosts.length > 1) refuse("two hosts");
  if (hosts.length === 0 && (minor === 1 || authority === null)) refuse("no host");
  if (hosts.length === 1) checkAuthority(hosts[0]);
  const framing = readFraming(section, minor, !canonical);
  if (method === "TRACE" && (framing.chunked || framing.length > 0)) refuse("body in TRACE");
  const expect = valuesOf(fields, "expect");
  if (expect.length > 1 || (expect.length === 1 && expect[0].toLowerCase() !== "100-continue")) refuse("expectation");
  if (canonical) checkHopByHop(fields);
  else if (namedBy(fields).length > FIELDS_MAX) refuse("Connection names too many fields");
  const request = {
    method,
    target,
    host: authority ?? hosts[0],
    minor,
    fields,
    body: "",
    trailers: [],
    end: section.end,
  };
  return { request, end: section.end, ...framing, closes: !staysOpen(fields, minor) };
}

function readTarget(method: string, target: string): { target: string; authority: string | null } {
  if (method === "CONNECT") refuse("CONNECT");
  if (target.includes("#")) refuse("fragment");
  const query = target.indexOf("?");
  const path = query === -1 ? target : target.slice(0, query);
  if (path.includes("\\")) refuse("backslash");
  if (target.startsWith("/")) return { target, authority: null };
  if (target === "*") return method === "OPTIONS" ? { target, authority: null } : refuse("asterisk");
  const absolute = /^https?:\/\/([^/?]*)(.*)$/i.exec(target);
  if (absolute === null) refuse("target");
  checkAuthority(absolute[1]);
  const rest = absolute[2];
  const empty = method === "OPTIONS" ? "*" : "/";
  return { target: rest === "" ? empty : rest.startsWith("/") ? rest : `/${rest}`, authority: absolute[1] };
}

function checkAuthority(authority: string): void {
  const match = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(authority);
  if (match === null) refuse("authority");
  const [, host, port] = match;
  if (host.startsWith("[") ? !isIPv6(host.slice(1, -1)) || host.includes("%") : !HOST_NAME.test(host)) refuse("host");
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65535)) refuse("port");
}

/** Fields up to the empty line; null when it is not there yet. */
function readSection(text: string, from: number, canonical: boolean, max: number): Section | null {
  const fields: Field[] = [];
  const raw: string[] = [];
  let at = from;
  for (;;) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd === -1) return null;
    if (lineEnd === at) return { fields, raw, end: at + 2 };
    const line = text.slice(at, lineEnd);
    const match = (canonical ? CANONICAL_LINE : FIELD_LINE).exec(line);
    if (match === null) refuse(`field line ${JSON.stringify(line.slice(0, 80))}`);
    if (fields.length === max) refuse("too many fields");
    fields.push({ name: match[1], value: match[2] });
    raw.push(line.slice(match[1].length + 1));
    at = lineEnd + 2;
  }
}

/** RFC 9112 6. `tight`: no white space around the value beyond one space. */
function readFraming(section: Section, minor: number, tight: boolean): { length: number; chunked: boolean } {
  const of = (name: string): number[] =>
    section.fields.flatMap((field, index) => (field.name.toLowerCase() === name ? [index] : []));
  const lengths = of("content-length");
  const codings = of("transfer-encoding");
  const loose = (index: number): boolean => tight && !/^ ?[^ \t]*$/.test(section.raw[index]);
  if (codings.length > 0) {
    if (lengths.length > 0) refuse("both framings");
    if (minor === 0) refuse("coding in 1.0");
    const value = section.fields[codings[0]].value.toLowerCase();
    if (codings.length > 1 || value !== "chunked" || loose(codings[0])) refuse("coding");
    return { length: -1, chunked: true };
  }
  if (lengths.length === 0) return { length: -1, chunked: false };
  const value = section.fields[lengths[0]].value;
  if (lengths.length > 1 || !/^(0|[1-9]\d*)$/.test(value) || loose(lengths[0])) refuse("length");
  if (BigInt(value) > BigInt(Number.MAX_SAFE_INTEGER)) refuse("length too large");
  return { length: Number(value), chunked: false };
}

function readBody(text: string, from: number, framing: Framing, canonical: boolean, perData = 2): Body {
  const { length, chunked } = framing;
  const none = { trailers: [], error: null, nearLimit: false };
  if (!chunked) {
    const end = from + Math.max(length, 0);
    return { ...none, body: text.slice(from, end), end: Math.min(end, text.length), done: end <= text.length };
  }
  let body = "";
  let at = from;
  let overhead = 0;
  let nearLimit = false;
  const result = (done: boolean, error: string | null, trailers: readonly Field[] = []): Body => {
    return { body, trailers, end: at, done, error, nearLimit };
  };
  for (;;) {
    const lineEnd = text.indexOf("\r\n", at);
    const size = (lineEnd === -1 ? text.length : lineEnd) - at;
    const budget = OVERHEAD_BYTES_MAX + perData * body.length;
    if (Math.abs(overhead + size - budget) < 64) nearLimit = true;
    if (!canonical && overhead + size > budget) return result(false, "chunk overhead");
    if (lineEnd === -1) return result(false, null);
    overhead += size + 4;
    const line = (canonical ? CANONICAL_SIZE_LINE : SIZE_LINE).exec(text.slice(at, lineEnd));
    if (line === null) return result(false, `size line ${JSON.stringify(text.slice(at, Math.min(lineEnd, at + 60)))}`);
    const bytes = Number.parseInt(line[1], 16);
    if (bytes > Number.MAX_SAFE_INTEGER) return result(false, "chunk too large");
    at = lineEnd + 2;
    if (bytes === 0) break;
    body += text.slice(at, at + bytes);
    if (at + bytes > text.length) return result(false, null);
    const tail = text.slice(at + bytes, at + bytes + 2);
    if (!"\r\n".startsWith(tail)) return result(false, "no CRLF behind a chunk");
    if (tail.length < 2) return result(false, null);
    at += bytes + 2;
  }
  try {
    const section = readSection(text, at, canonical, FIELDS_MAX);
    const length2 = (section === null ? text.length : section.end) - at;
    if (Math.abs(length2 - HEAD_BYTES_MAX) < NEAR) nearLimit = true;
    if (length2 > HEAD_BYTES_MAX) return result(false, "trailers too large");
    if (section === null) return result(false, null);
    at = section.end;
    if (canonical && section.fields.some((field) => HEAD_ONLY.test(field.name)))
      return result(false, "forbidden trailer");
    return result(true, null, section.fields);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return result(false, `trailers: ${error.message}`);
  }
}

function valuesOf(fields: readonly Field[], name: string): string[] {
  return fields.filter((field) => field.name.toLowerCase() === name).map((field) => field.value);
}

/** Members of the lists of all fields of this name, lower case. */
function membersOf(fields: readonly Field[], name: string): string[] {
  return valuesOf(fields, name).flatMap((value) =>
    value.split(",").map((member) => member.replace(/^[ \t]+|[ \t]+$/g, "").toLowerCase()),
  );
}

/** The fields that Connection names, without its own options. */
function namedBy(fields: readonly Field[]): string[] {
  return membersOf(fields, "connection").filter((name) => !["", "close", "keep-alive", "upgrade"].includes(name));
}

/** RFC 9112 9.3. */
function staysOpen(fields: readonly Field[], minor: number): boolean {
  const options = membersOf(fields, "connection");
  if (options.includes("close")) return false;
  return minor === 1 || options.includes("keep-alive");
}

/** RFC 9110 7.6.1: what concerns one hop only does not reach the next. */
function checkHopByHop(fields: readonly Field[]): void {
  const options = membersOf(fields, "connection");
  const present = (name: string): boolean => valuesOf(fields, name).length > 0;
  if (options.some((option) => !["te", "upgrade", "close"].includes(option))) refuse("Connection names other fields");
  if (valuesOf(fields, "connection").length > 1) refuse("two Connection fields");
  for (const name of ["keep-alive", "proxy-connection", "http2-settings"]) if (present(name)) refuse(name);
  if (present("te") && (!options.includes("te") || membersOf(fields, "te").join() !== "trailers")) refuse("TE");
  if (present("upgrade") !== options.includes("upgrade")) refuse("Upgrade");
}

/**
 * Reads the response to a request with this method: interim answers, then the final one. `ended`: the connection is at
 * its end, so a body that lasts until then is complete.
 */
export function readResponse(
  text: string,
  from: number,
  method: string,
  ended: boolean,
  canonical: boolean,
): ResponseReading {
  const interims: StrictResponse[] = [];
  let at = from;
  let status = 0;
  let headRead = false;
  let bodySoFar = "";
  const done = (end: End, reason: string, final: StrictResponse | null = null): ResponseReading => {
    return { interims, final, end, reason, headRead, status, bodySoFar, at };
  };
  try {
    for (;;) {
      const head = readResponseHead(text, at, canonical);
      if (head === null) return done("incomplete", "head");
      ({ status } = head);
      const { fields } = head;
      if (status < 200) {
        if (status === 101) refuse("101");
        at = head.end;
        interims.push({ status, fields, body: "", trailers: [], untilClose: false, end: at });
        if (interims.length > 64) refuse("endless interim answers");
        continue;
      }
      headRead = true;
      at = head.end;
      const bodiless = method === "HEAD" || status === 204 || status === 304;
      if (!bodiless && !head.chunked && head.length < 0) {
        bodySoFar = text.slice(at);
        at = text.length;
        const final = { status, fields, body: bodySoFar, trailers: [], untilClose: true, end: at };
        return ended ? done("complete", "", final) : done("incomplete", "until close", final);
      }
      const body = bodiless
        ? { body: "", trailers: [], end: at, done: true, error: null }
        : readBody(text, at, head, canonical, PER_DATA_OF_ANSWERS);
      bodySoFar = body.body;
      at = body.end;
      if (body.error !== null) return done("refused", body.error);
      if (!body.done) return done("incomplete", "body");
      const { trailers } = body;
      return done("complete", "", { status, fields, body: bodySoFar, trailers, untilClose: false, end: at });
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return done("refused", error.message);
  }
}

interface ResponseHead {
  readonly status: number;
  readonly fields: readonly Field[];
  readonly end: number;
  readonly length: number;
  readonly chunked: boolean;
}

function readResponseHead(text: string, from: number, canonical: boolean): ResponseHead | null {
  const end = text.indexOf("\r\n\r\n", from);
  if (end === -1) return null;
  if (end + 4 - from > HEAD_BYTES_MAX && !canonical) refuse("head too large");
  const lineEnd = text.indexOf("\r\n", from);
  const line = (canonical ? CANONICAL_STATUS_LINE : STATUS_LINE).exec(text.slice(from, lineEnd));
  if (line === null) refuse(`status line ${JSON.stringify(text.slice(from, lineEnd).slice(0, 60))}`);
  const section = readSection(text, lineEnd + 2, canonical, canonical ? FIELDS_MAX + OURS_MAX : FIELDS_MAX);
  if (section === null) return null;
  const status = Number(line[2]);
  const framing = readFraming(section, Number(line[1]), false);
  if (canonical && (status < 200 || status === 204) && (framing.chunked || framing.length >= 0)) refuse("framed 204");
  return { status, fields: section.fields, end: section.end, ...framing };
}
