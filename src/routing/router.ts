// Finds what a request leads to: host first (a string, once per connection and host), then path and method (bytes).
//
// A host can be named by rules of three kinds: its own name, `*.` before its parent, and `*`. Each kind is one
// lookup, so a host costs three at most, whatever the number of rules. The merged rules of an exact name are kept
// with it and so are those of each wildcard; hosts that only a wildcard knows share them. What is remembered per host
// name is bounded and in two halves, so a flood of random names cannot push out names that are in use; names without
// a rule are not remembered.
// Invariants: the order of insertion decides nothing; `generation` grows with every change, and leaves of an older one
// must not be used any more.

import { HostLeaf } from "./leaf.ts";
import {
  Candidate,
  compareCandidates,
  foldHost,
  HOST_EXACT,
  HOST_SUFFIX,
  type RouteRule,
  refuseRule,
  ruleKey,
} from "./rule.ts";

export type { HostLeaf, RouteRule };

/** The routes of one listener. `T` is whatever a route leads to; never null. */
export class Router<T> {
  /** Grows with every change. */
  generation: number;
  private readonly rules: Map<string, Candidate<T>>;
  private readonly exact: Map<string, HostNode<T>>;
  private readonly suffixes: Map<string, HostNode<T>>;
  private readonly any: HostNode<T>;
  /** Grows when a wildcard changes: merged rules of an older one are merged anew. */
  private sharedGeneration: number;
  private recent: Map<string, HostLeaf<T>>;
  private older: Map<string, HostLeaf<T>>;
  private readonly rememberedMin: number;

  /** `rememberedMin`: host names known only through wildcards that are kept at least; at most twice as many. */
  constructor(rememberedMin = HOSTS_REMEMBERED) {
    this.generation = 0;
    this.rules = new Map();
    this.exact = new Map();
    this.suffixes = new Map();
    this.any = new HostNode();
    this.sharedGeneration = 0;
    this.recent = new Map();
    this.older = new Map();
    this.rememberedMin = rememberedMin;
  }

  /** Number of rules. */
  get size(): number {
    return this.rules.size;
  }

  /** Number of host names that are kept although no rule names them. */
  get remembered(): number {
    return this.recent.size + this.older.size;
  }

  /** Adds a rule. Returns null, or the reason why nothing changed. */
  add(rule: RouteRule, payload: T): string | null {
    const refused = refuseRule(rule);
    if (refused !== null) {
      return refused;
    }
    const candidate = new Candidate(rule, payload);
    if (this.rules.has(candidate.key)) {
      return `could not add route: ${describe(rule)} exists already`;
    }
    this.rules.set(candidate.key, candidate);
    this.node(candidate).insert(candidate);
    this.changed(candidate);
    return null;
  }

  /** Removes the rule with this host, path and method, whatever its position. Returns null, or why nothing changed. */
  remove(rule: RouteRule): string | null {
    const key = ruleKey(rule);
    const candidate = this.rules.get(key);
    if (candidate === undefined) {
      return `could not remove route: there is no ${describe(rule)}`;
    }
    this.rules.delete(key);
    const node = this.node(candidate);
    node.remove(candidate);
    if (node.candidates.length === 0 && node !== this.any) {
      (candidate.hostClass === HOST_EXACT ? this.exact : this.suffixes).delete(candidate.host);
    }
    this.changed(candidate);
    return null;
  }

  /** What the rule with this host, path and method leads to, or null. */
  get(rule: RouteRule): T | null {
    const candidate = this.rules.get(ruleKey(rule));
    return candidate === undefined ? null : candidate.payload;
  }

  /** The rules for a host (without port; any case), or null when none can apply. Valid while `generation` stays. */
  leafFor(host: string): HostLeaf<T> | null {
    const name = foldHost(host);
    const own = this.exact.get(name);
    if (own !== undefined) {
      if (own.leaf === null || own.mergedAt !== this.sharedGeneration) {
        own.leaf = new HostLeaf(ENCODER.encode(name), this.merge(name, own));
        own.mergedAt = this.sharedGeneration;
      }
      return own.leaf;
    }
    const known = this.recall(name);
    if (known !== undefined) {
      return known;
    }
    const shared = this.suffixes.get(parentOf(name)) ?? this.any;
    if (shared.merged === null || shared.mergedAt !== this.sharedGeneration) {
      shared.merged = this.merge(name, null);
      shared.mergedAt = this.sharedGeneration;
    }
    if (shared.merged.length === 0) {
      return null;
    }
    const leaf = new HostLeaf(ENCODER.encode(name), shared.merged);
    this.remember(name, leaf);
    return leaf;
  }

  private node(candidate: Candidate<T>): HostNode<T> {
    if (candidate.hostClass !== HOST_EXACT && candidate.hostClass !== HOST_SUFFIX) {
      return this.any;
    }
    const nodes = candidate.hostClass === HOST_EXACT ? this.exact : this.suffixes;
    let node = nodes.get(candidate.host);
    if (node === undefined) {
      node = new HostNode();
      nodes.set(candidate.host, node);
    }
    return node;
  }

  private changed(candidate: Candidate<T>): void {
    this.generation++;
    if (candidate.hostClass === HOST_EXACT) {
      // A name that only a wildcard knew may have become exact.
      this.recent.delete(candidate.host);
      this.older.delete(candidate.host);
      return;
    }
    this.sharedGeneration++;
    if (this.recent.size > 0 || this.older.size > 0) {
      this.recent = new Map();
      this.older = new Map();
    }
  }

  private merge(name: string, own: HostNode<T> | null): readonly Candidate<T>[] {
    const suffix = this.suffixes.get(parentOf(name));
    const parts = own === null ? [] : own.candidates.slice();
    if (suffix !== undefined) {
      parts.push(...suffix.candidates);
    }
    parts.push(...this.any.candidates);
    return parts.sort(compareCandidates);
  }

  private recall(name: string): HostLeaf<T> | undefined {
    const recent = this.recent.get(name);
    if (recent !== undefined) {
      return recent;
    }
    const older = this.older.get(name);
    if (older !== undefined) {
      this.remember(name, older);
    }
    return older;
  }

  private remember(name: string, leaf: HostLeaf<T>): void {
    if (this.recent.size >= this.rememberedMin) {
      this.older = this.recent;
      this.recent = new Map();
    }
    this.recent.set(name, leaf);
  }
}

/** The rules of one host pattern. */
class HostNode<T> {
  readonly candidates: Candidate<T>[] = [];
  /** Of an exact name: its leaf. */
  leaf: HostLeaf<T> | null = null;
  /** Of a wildcard: the rules of every host that it is the best name for. */
  merged: readonly Candidate<T>[] | null = null;
  mergedAt = -1;

  insert(candidate: Candidate<T>): void {
    this.candidates.push(candidate);
    this.forget();
  }

  remove(candidate: Candidate<T>): void {
    this.candidates.splice(this.candidates.indexOf(candidate), 1);
    this.forget();
  }

  private forget(): void {
    this.leaf = null;
    this.merged = null;
  }
}

/** What follows the first label: what `*.` stands before. Empty for a single label. */
function parentOf(name: string): string {
  const dot = name.indexOf(".");
  // The first label must not be empty: ".example.com" is no host of "*.example.com".
  return dot <= 0 || name.startsWith("[") ? "" : name.slice(dot + 1);
}

function describe(rule: RouteRule): string {
  const method = rule.method === null ? "" : ` ${rule.method}`;
  return `rule for host "${rule.hostname}", path "${rule.path}" (kind ${rule.pathKind})${method}`;
}

const HOSTS_REMEMBERED = 4096;
const ENCODER = new TextEncoder();
