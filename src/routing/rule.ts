// What a route rule says, and the one total order of rules (decisions 14): PRE, TREE, POST; exact host, `*.suffix`,
// hosts with regex segments (most literal labels first), `*`; EQUALS, REGEX, PREFIX (longest first); with a method
// before without; the bytes of the state key. The first rule in this order that matches a request decides, so the order
// of insertion never does, and a rule of a more exact host that does not match the path lets the next one try
// (backtracking).

import { foldHostPattern, isHostPattern, literalLabels } from "../command/host-pattern.ts";
import {
  PATH_EQUALS,
  PATH_PREFIX,
  PATH_REGEX,
  POSITION_POST,
  POSITION_PRE,
  POSITION_TREE,
} from "../command/objects.ts";
import { utf8Bytes } from "../command/utf8.ts";
import type { PathPattern } from "./pattern-table.ts";

/** A rule: what a request must look like. The constants are those of command/objects.ts. */
export interface RouteRule {
  /**
   * `example.com`, `*.example.com` (exactly one label more), `*`, `[::1]`, `/regex/.example.com` (host-pattern.ts). Case
   * and a trailing dot do not matter.
   */
  readonly hostname: string;
  readonly pathKind: number;
  /** Compared with the request path without its query; of PATH_REGEX searched for in it, unanchored (decisions 15). */
  readonly path: string;
  /** Case-sensitive; null: any. */
  readonly method: string | null;
  readonly position: number;
}

/** Host classes, in the order in which they are tried. */
export const HOST_EXACT = 0;
export const HOST_SUFFIX = 1;
export const HOST_REGEX = 2;
export const HOST_ANY = 3;

/** A rule as the router holds it: parsed once, with what it leads to. */
export class Candidate<T> {
  readonly payload: T;
  readonly rule: RouteRule;
  readonly hostClass: number;
  /** The host folded. */
  readonly host: string;
  /** Of HOST_REGEX: labels without a regular expression. */
  readonly literalLabels: number;
  readonly pathKind: number;
  /** Empty for PATH_REGEX. */
  readonly path: Uint8Array;
  /** Of PATH_REGEX only. */
  readonly pattern: PathPattern | null;
  readonly method: Uint8Array | null;
  readonly position: number;
  /** The state key behind the address, which is the same for all rules of a router; made when first compared. */
  private order: Uint8Array | null;

  /** `host` and `hostClass`: of foldRuleHost and hostClassOf. */
  constructor(rule: RouteRule, host: string, hostClass: number, pattern: PathPattern | null, payload: T) {
    this.payload = payload;
    this.rule = rule;
    this.hostClass = hostClass;
    this.host = host;
    this.literalLabels = hostClass === HOST_REGEX ? literalLabels(host) : 0;
    this.pathKind = rule.pathKind;
    this.path = rule.pathKind === PATH_REGEX ? NO_BYTES : encode(rule.path);
    this.pattern = pattern;
    this.method = rule.method === null ? null : encode(rule.method);
    this.position = rule.position;
    this.order = null;
  }

  get stateKey(): Uint8Array {
    if (this.order === null) {
      const { path, method } = this.rule;
      const end = method === null ? "" : `;${method}`;
      this.order = utf8Bytes(`${this.host};${KIND_LETTERS[this.pathKind]}${path}${end}`);
    }
    return this.order;
  }
}

/** Why a rule cannot be routed, or null. Regular expressions are judged when they are compiled, not here. */
export function refuseRule(rule: RouteRule): string | null {
  const host = foldRuleHost(rule.hostname);
  if (host === "") {
    return "the hostname is empty";
  }
  if (host !== "*" && !isHostPattern(host) && !HOST.test(host)) {
    return `"${rule.hostname}" is not a hostname: use example.com, *.example.com, *, [::1] or /regex/.example.com`;
  }
  if (host.includes("\0") || rule.path.includes("\0") || rule.method?.includes("\0")) {
    return "a host, path or method must not contain NUL";
  }
  if (KIND_ORDER[rule.pathKind] === undefined) {
    return `unknown path kind ${rule.pathKind}`;
  }
  if (POSITION_ORDER[rule.position] === undefined) {
    return `unknown rule position ${rule.position}`;
  }
  return null;
}

/** Lower case, without a trailing dot (decisions 16). */
export function foldHost(host: string): string {
  const folded = host.toLowerCase();
  // "*." is no host, and must not become the one that stands for all.
  return folded.length > 1 && folded.endsWith(".") && folded !== "*." ? folded.slice(0, -1) : folded;
}

/** As foldHost for the host of a rule: regular expressions keep their case. One change asks several times. */
export function foldRuleHost(host: string): string {
  if (host === folded.host) {
    return folded.text;
  }
  const text = isHostPattern(host) ? foldHostPattern(host) : foldHost(host);
  folded.host = host;
  folded.text = text;
  return text;
}

/** The last host that was folded. */
const folded = { host: "", text: "" };

/** Negative when `a` is tried before `b`. Only rules whose hosts match one and the same host are ever compared. */
export function compareCandidates<T>(a: Candidate<T>, b: Candidate<T>): number {
  return (
    POSITION_ORDER[a.position] - POSITION_ORDER[b.position] ||
    a.hostClass - b.hostClass ||
    (a.hostClass === HOST_SUFFIX ? b.host.length - a.host.length : b.literalLabels - a.literalLabels) ||
    KIND_ORDER[a.pathKind] - KIND_ORDER[b.pathKind] ||
    (a.pathKind === PATH_PREFIX ? b.path.length - a.path.length : 0) ||
    (a.method === null ? 1 : 0) - (b.method === null ? 1 : 0) ||
    compareBytes(a.stateKey, b.stateKey)
  );
}

/** The class of a folded host. */
export function hostClassOf(host: string): number {
  if (host === "*") {
    return HOST_ANY;
  }
  if (isHostPattern(host)) {
    return HOST_REGEX;
  }
  return host.startsWith("*.") ? HOST_SUFFIX : HOST_EXACT;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    if (a[i] !== b[i]) {
      return a[i] - b[i];
    }
  }
  return a.length - b.length;
}

/** Rules share the bytes of the paths and methods that nearly all of them have. */
function encode(text: string): Uint8Array {
  if (text === "") {
    return NO_BYTES;
  }
  return text === "/" ? SLASH : utf8Bytes(text);
}

const NO_BYTES = new Uint8Array(0);
const SLASH = new Uint8Array([0x2f]);
/** Labels of letters, digits, `-` and `_`; the first may be `*`; or an IPv6 literal. */
const HOST = /^(?:(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])$/;
const KIND_LETTERS: Readonly<Record<number, string>> = { [PATH_PREFIX]: "P", [PATH_REGEX]: "R", [PATH_EQUALS]: "=" };
const KIND_ORDER: Readonly<Record<number, number>> = { [PATH_EQUALS]: 0, [PATH_REGEX]: 1, [PATH_PREFIX]: 2 };
const POSITION_ORDER: Readonly<Record<number, number>> = { [POSITION_PRE]: 0, [POSITION_TREE]: 1, [POSITION_POST]: 2 };
