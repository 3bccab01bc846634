// The host and the path of the request at hand as its route rewrites them (spec 5.8, 6.6): rendered into an area of the
// arena before the request's head is encoded, valid during that event only.
//
// What comes out is checked again where a request has a say in it: a host must be an authority, a path gets its slash.
// The query of the request is kept unless the template has one of its own.

import type { Rewrite } from "../policies/rewrite.ts";
import { Authority } from "../wire/http1/authority.ts";
import { encodeSpan } from "../wire/http1/encoder.ts";
import { WireError } from "../wire/http1/errors.ts";
import type { RoutePolicy } from "./route-policy.ts";

/** Longest host with its port, and longest path with its query. */
const HOST_BYTES_MAX = 512;
const PATH_BYTES_MAX = 16_384;
const SLASH = 0x2f;
const QUESTION = 0x3f;
const ASTERISK = 0x2a;

/** Where host and path of a request are; positions are relative to a base. */
export interface RewriteInput {
  readonly hostStart: number;
  readonly hostEnd: number;
  readonly pathStart: number;
  readonly pathEnd: number;
  /** Position of the `?`, or -1. */
  readonly queryStart: number;
}

/** Bytes that one area takes. */
export const REWRITTEN_BYTES: number = HOST_BYTES_MAX + PATH_BYTES_MAX;

export class Rewritten {
  readonly hostAt: number;
  /** Where the path begins. */
  pathAt: number;
  /** -1: the host of the request stays. */
  hostLength: number;
  /** -1: the path of the request stays. */
  pathLength: number;
  readonly #bytes: Uint8Array;
  readonly #pathArea: number;
  readonly #authority: Authority;

  /** `at`: an area of REWRITTEN_BYTES in `bytes`, which hold the requests, too. */
  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.hostAt = at;
    this.#pathArea = this.hostAt + HOST_BYTES_MAX;
    this.pathAt = this.#pathArea;
    this.hostLength = -1;
    this.pathLength = -1;
    this.#authority = new Authority();
  }

  /** Applies the rewrites of a route. Returns 0, or the wire error to answer with; then nothing is rewritten. */
  render(policy: RoutePolicy, message: RewriteInput, base: number): number {
    this.hostLength = -1;
    this.pathLength = -1;
    const { captures, rewriteHost, rewritePath } = policy;
    if (captures === null) return 0;
    const bytes = this.#bytes;
    const pathEnd = base + (message.queryStart === -1 ? message.pathEnd : message.queryStart);
    captures.readHost(bytes, base + message.hostStart, base + message.hostEnd);
    captures.readPath(bytes, base + message.pathStart, pathEnd);
    let hostLength = -1;
    if (rewriteHost !== null) {
      const limit = this.hostAt + HOST_BYTES_MAX;
      const end = rewriteHost.render(bytes, this.hostAt, limit, captures.host, captures.path);
      // A host that is always the same was read when it was set.
      const isWrong = end < 0 || (!rewriteHost.isLiteral && this.#authority.read(bytes, this.hostAt, end) < 0);
      if (isWrong) return WireError.InvalidHost;
      hostLength = end - this.hostAt;
    }
    // RFC 9112 3.2.4: `*` names no resource, so there is no path to rewrite.
    if (rewritePath !== null && bytes[base + message.pathStart] !== ASTERISK) {
      const end = this.#renderPath(rewritePath, captures.host, captures.path, pathEnd, base + message.pathEnd);
      if (end < 0) return WireError.HeadTooLarge;
      this.pathLength = end - this.pathAt;
    }
    this.hostLength = hostLength;
    return 0;
  }

  /** Returns the end of the path, or -1. [queryAt, queryEnd): `?` and the query of the request, or nothing. */
  #renderPath(rewrite: Rewrite, host: Int32Array, path: Int32Array, queryAt: number, queryEnd: number): number {
    const bytes = this.#bytes;
    const limit = this.#pathArea + PATH_BYTES_MAX;
    // One byte further in, so that a slash can precede it.
    const start = this.#pathArea + 1;
    const end = rewrite.render(bytes, start, limit, host, path);
    if (end < 0) return -1;
    this.pathAt = start;
    if (end === start || bytes[start] !== SLASH) {
      this.pathAt = this.#pathArea;
      bytes[this.pathAt] = SLASH;
    }
    if (rewrite.hasQuery) return bytes[end - 1] === QUESTION ? end - 1 : end;
    if (end + queryEnd - queryAt > limit) return -1;
    return encodeSpan(bytes, end, bytes, queryAt, queryEnd);
  }
}
