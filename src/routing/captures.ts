// What a rule captured of a request, for the templates of its rewrites (spec 6.6). Asked only for routes that use it, after
// the route was found.
//
// Captures are spans of the request's bytes. Most kinds of rules need a look at a few bytes; groups of regular expressions
// need the expression to run, so their spans are remembered for as many texts as fit into a small table: the next request
// for a path costs a comparison. Invariant: the rule matches the request.

import { hostGroups, pathGroups } from "../command/captures.ts";
import { isHostPattern, parseHostPattern } from "../command/host-pattern.ts";
import { PATH_PREFIX, PATH_REGEX } from "../command/objects.ts";
import { compilePattern, type Regex } from "../command/pattern.ts";
import { latin1 } from "../wire/http1/bytes.ts";
import { foldRuleHost, type RouteRule } from "./rule.ts";

const DOT = 0x2e;
const REMEMBERED = 256;
const REMEMBERED_BYTES_MAX = 256;

/** Reads the captures of one rule. `host` and `path` hold pairs of absolute positions, whole first, until the next read. */
export class RuleCaptures {
  readonly host: Int32Array;
  readonly path: Int32Array;
  readonly #isWildcard: boolean;
  readonly #isAny: boolean;
  /** Of a host with expressions: its labels. */
  readonly #labels: readonly (string | Regex)[] | null;
  readonly #prefixLength: number;
  readonly #pattern: Regex | null;
  readonly #hosts: SpanMemory | null;
  readonly #paths: SpanMemory | null;

  constructor(rule: RouteRule) {
    const hostname = foldRuleHost(rule.hostname);
    const pattern = isHostPattern(hostname) ? parseHostPattern(hostname) : null;
    const compiled = rule.pathKind === PATH_REGEX ? compilePattern(rule.path) : null;
    this.host = new Int32Array(2 * (1 + hostGroups(hostname)));
    this.path = new Int32Array(2 * (1 + pathGroups(rule.pathKind, rule.path)));
    this.#isAny = hostname === "*";
    this.#isWildcard = hostname.startsWith("*.");
    this.#labels = pattern === null || "reason" in pattern ? null : pattern.labels;
    this.#prefixLength = rule.pathKind === PATH_PREFIX ? Buffer.byteLength(rule.path) : -1;
    this.#pattern = compiled === null || "reason" in compiled ? null : compiled.regex;
    this.#hosts = this.#labels === null ? null : new SpanMemory();
    this.#paths = this.#pattern === null ? null : new SpanMemory();
  }

  /** The host [start, end) of the request, without port; a trailing dot is left out. */
  readHost(bytes: Uint8Array, start: number, end: number): void {
    const spans = this.host;
    const last = end - start > 1 && bytes[end - 1] === DOT ? end - 1 : end;
    spans[0] = start;
    spans[1] = last;
    if (this.#isAny) {
      spans[2] = start;
      spans[3] = last;
    } else if (this.#isWildcard) {
      spans[2] = start;
      spans[3] = start;
      while (spans[3] < last && bytes[spans[3]] !== DOT) spans[3]++;
    } else if (this.#hosts !== null && !this.#hosts.recall(bytes, start, last, spans)) {
      this.#readLabels(latin1(bytes, start, last), start);
      this.#hosts.remember(bytes, start, last, spans);
    }
  }

  /** The path [start, end) of the request, without its query; it may be empty. */
  readPath(bytes: Uint8Array, start: number, end: number): void {
    const spans = this.path;
    spans[0] = start;
    spans[1] = end;
    if (this.#prefixLength >= 0) {
      spans[2] = Math.min(start + this.#prefixLength, end);
      spans[3] = end;
    } else if (this.#paths !== null && !this.#paths.recall(bytes, start, end, spans)) {
      const matcher = (this.#pattern as Regex).matcher(latin1(bytes, start, end));
      // An absolute-form target without a path is matched as "/" and has nothing to capture.
      if (matcher.find()) {
        for (let group = 1; 2 * group < spans.length; group++) {
          setSpan(spans, group, start, matcher.start(group), matcher.end(group));
        }
      } else spans.fill(start, 2);
      this.#paths.remember(bytes, start, end, spans);
    }
  }

  #readLabels(host: string, start: number): void {
    const labels = this.#labels as readonly (string | Regex)[];
    // An IPv6 literal is one label, whatever dots it has.
    const texts = host.startsWith("[") ? [host] : host.split(".");
    let at = start;
    let group = 1;
    for (let i = 0; i < labels.length; i++) {
      const label = labels[i];
      if (typeof label !== "string") {
        const matcher = label.matcher(texts[i]);
        const matched = matcher.matches();
        for (let own = 1; own <= label.groupCount(); own++, group++) {
          setSpan(this.host, group, at, matched ? matcher.start(own) : -1, matched ? matcher.end(own) : -1);
        }
      }
      at += texts[i].length + 1;
    }
  }
}

/** A group that took no part in the match (-1) is empty. */
function setSpan(spans: Int32Array, group: number, base: number, start: number, end: number): void {
  spans[2 * group] = start < 0 ? base : base + start;
  spans[2 * group + 1] = start < 0 ? base : base + end;
}

/** Spans by text, a bounded table without chains: a text that falls on the place of another takes it. */
class SpanMemory {
  readonly #texts: (Uint8Array | null)[];
  readonly #spans: (Int32Array | null)[];

  constructor() {
    this.#texts = new Array<Uint8Array | null>(REMEMBERED).fill(null);
    this.#spans = new Array<Int32Array | null>(REMEMBERED).fill(null);
  }

  /** Sets `spans` from what is remembered of the text [start, end); false: nothing is. */
  recall(bytes: Uint8Array, start: number, end: number, spans: Int32Array): boolean {
    const place = placeOf(bytes, start, end);
    const text = this.#texts[place];
    const known = this.#spans[place];
    if (text === null || known === null || text.length !== end - start) return false;
    for (let i = 0; i < text.length; i++) if (text[i] !== bytes[start + i]) return false;
    for (let i = 2; i < known.length; i++) spans[i] = start + known[i];
    return true;
  }

  remember(bytes: Uint8Array, start: number, end: number, spans: Int32Array): void {
    if (end - start > REMEMBERED_BYTES_MAX) return;
    const place = placeOf(bytes, start, end);
    this.#texts[place] = bytes.slice(start, end);
    this.#spans[place] = spans.map((position) => position - start);
  }
}

function placeOf(bytes: Uint8Array, start: number, end: number): number {
  let sum = 0x811c9dc5;
  for (let i = start; i < end; i++) sum = Math.imul(sum ^ bytes[i], 0x01000193);
  return (sum ^ (sum >>> 16)) & (REMEMBERED - 1);
}
