// All rules that can apply to one host, merged in the total order: what is left of routing on the hot path.
// A connection keeps the leaf of its last request and asks for another only when the authority or the router's
// generation changed. Matching compares bytes of the request head with bytes of the rules; nothing is allocated, also
// by regular expressions once they know their way.

import { PATH_EQUALS, PATH_PREFIX } from "../command/objects.ts";
import type { Candidate } from "./rule.ts";

/** The rules of one host. Immutable. */
export class HostLeaf<T> {
  /** The host, lower case, without port and trailing dot. */
  readonly hostBytes: Uint8Array;
  readonly candidates: readonly Candidate<T>[];
  /** Rules that have a regular expression for the path. */
  readonly patterns: number;
  /** What every request leads to when the first rule takes any path and method; null otherwise. */
  private readonly always: T | null;
  /** What every path that starts with `/` leads to; null when that depends on more. */
  private readonly anyPath: T | null;
  /**
   * Of a host with many rules: length and last byte of each path, which turn most of them away without touching
   * them.
   */
  private readonly lengths: Int32Array;
  private readonly lastBytes: Uint8Array;

  constructor(hostBytes: Uint8Array, candidates: readonly Candidate<T>[]) {
    this.hostBytes = hostBytes;
    this.candidates = candidates;
    this.patterns = candidates.reduce((count, { pattern }) => count + (pattern === null ? 0 : 1), 0);
    const first = candidates[0];
    const open = first.method === null && first.pathKind === PATH_PREFIX;
    this.always = open && first.path.length === 0 ? first.payload : null;
    this.anyPath = open && first.path.length === 1 && first.path[0] === SLASH ? first.payload : null;
    const many = candidates.length > SIEVE_MIN;
    this.lengths = many ? Int32Array.from(candidates, (candidate) => candidate.path.length) : NO_LENGTHS;
    this.lastBytes = many ? Uint8Array.from(candidates, (candidate) => candidate.path.at(-1) ?? 0) : NO_BYTES;
  }

  /**
   * Whether a path of so many bytes can be matched at a bearable price: each regular expression looks at each byte, so
   * long paths are for hosts with few of them (RX-24).
   */
  bears(pathBytes: number): boolean {
    return pathBytes <= PATTERN_PATH_BYTES || pathBytes * this.patterns <= PATTERN_STEPS_MAX;
  }

  /**
   * What a request leads to; null: no rule matches. The path is [pathStart, pathEnd) of `bytes` without its query; an
   * empty one means "/" (absolute-form, RFC 9110 4.2.3). The method is [methodStart, methodEnd).
   */
  match(bytes: Uint8Array, pathStart: number, pathEnd: number, methodStart: number, methodEnd: number): T | null {
    if (this.always !== null) {
      return this.always;
    }
    if (this.anyPath !== null && (pathStart === pathEnd || bytes[pathStart] === SLASH)) {
      return this.anyPath;
    }
    if (pathStart === pathEnd) {
      return this.scan(ROOT, 0, 1, bytes, methodStart, methodEnd);
    }
    return this.scan(bytes, pathStart, pathEnd, bytes, methodStart, methodEnd);
  }

  private scan(
    path: Uint8Array,
    pathStart: number,
    pathEnd: number,
    bytes: Uint8Array,
    methodStart: number,
    methodEnd: number,
  ): T | null {
    const candidates = this.candidates;
    const lengths = this.lengths;
    const lastBytes = this.lastBytes;
    const length = pathEnd - pathStart;
    for (let i = 0; i < candidates.length; i++) {
      if (i < lengths.length) {
        const end = lengths[i];
        if (end > length || (end > 0 && path[pathStart + end - 1] !== lastBytes[i])) {
          continue;
        }
      }
      const candidate = candidates[i];
      const wanted = candidate.path;
      if (wanted.length > length || (candidate.pathKind === PATH_EQUALS && wanted.length !== length)) {
        continue;
      }
      if (!startsWith(path, pathStart, wanted) || !methodFits(candidate.method, bytes, methodStart, methodEnd)) {
        continue;
      }
      if (candidate.pattern !== null && !candidate.pattern.automaton.test(path, pathStart, pathEnd)) {
        continue;
      }
      return candidate.payload;
    }
    return null;
  }
}

/** Backwards: rules of one host differ at their ends. The caller has checked the length. */
function startsWith(bytes: Uint8Array, start: number, wanted: Uint8Array): boolean {
  for (let i = wanted.length - 1; i >= 0; i--) {
    if (bytes[start + i] !== wanted[i]) {
      return false;
    }
  }
  return true;
}

function methodFits(method: Uint8Array | null, bytes: Uint8Array, start: number, end: number): boolean {
  return method === null || (method.length === end - start && startsWith(bytes, start, method));
}

const SLASH = 0x2f;
/** Paths up to here are matched against any number of regular expressions. */
export const PATTERN_PATH_BYTES = 1024;
/** Bytes of a longer path times regular expressions. */
export const PATTERN_STEPS_MAX = 50_000;
/** Hosts with fewer rules are not worth the arrays. */
const SIEVE_MIN = 4;
const NO_LENGTHS = new Int32Array(0);
const NO_BYTES = new Uint8Array(0);
const ROOT = new Uint8Array([SLASH]);
