// Finds what a request leads to: host first (a string, once per connection and host), then path and method (bytes).
//
// A host can be named by rules of four kinds: its own name, `*.` before its parent, regular expressions, and `*`. Each
// of the first is one lookup and expressions are found by their literal ending, so a host costs the same whatever the
// number of rules. The merged rules of an exact name are kept with it and so are those of each wildcard; hosts that only
// wildcards and expressions know share them. What is remembered per host name is bounded and in two halves, so a flood
// of random names cannot push out names that are in use; names without a rule are not remembered.
// Invariants: the order of insertion decides nothing; `generation` grows with every change, and leaves of an older one
// must not be used any more.

import { PATH_REGEX } from "../command/objects.ts";
import { ShardedMap } from "../command/sharded-map.ts";
import { utf8Bytes } from "../command/utf8.ts";
import { HostNode } from "./host-node.ts";
import { HostPatterns } from "./host-patterns.ts";
import { HostLeaf } from "./leaf.ts";
import { type PathPattern, PatternTable } from "./pattern-table.ts";
import {
  Candidate,
  compareCandidates,
  foldHost,
  foldRuleHost,
  HOST_ANY,
  HOST_EXACT,
  HOST_REGEX,
  HOST_SUFFIX,
  hostClassOf,
  type RouteRule,
  refuseRule,
} from "./rule.ts";

export type { HostLeaf, RouteRule };

/** Rules that are in force and not in the tables yet. */
export interface Unsettled {
  /** Puts those of one folded host into the tables, or takes them out; nothing happens when there are none. */
  settle(host: string): void;
}

/** The routes of one listener. `T` is whatever a route leads to; never null. */
export class Router<T> {
  /** Grows with every change. */
  generation: number;
  private readonly exact: ShardedMap<HostNode<T>>;
  private readonly suffixes: ShardedMap<HostNode<T>>;
  private readonly hostPatterns: HostPatterns<HostNode<T>>;
  private readonly any: HostNode<T>;
  private readonly pathPatterns: PatternTable;
  /** Grows when a wildcard or an expression changes: merged rules of an older one are merged anew. */
  private sharedGeneration: number;
  /** Merged rules of hosts that expressions match, by the nodes that were merged. */
  private combined: Map<string, readonly Candidate<T>[]>;
  private nodesMade: number;
  private count: number;
  private recent: Map<string, HostLeaf<T>>;
  private older: Map<string, HostLeaf<T>>;
  private readonly rememberedMin: number;
  private unsettled: Unsettled | null;

  /** `rememberedMin`: host names known only through wildcards that are kept at least; at most twice as many. */
  constructor(rememberedMin = HOSTS_REMEMBERED) {
    this.generation = 0;
    this.count = 0;
    this.exact = new ShardedMap();
    this.suffixes = new ShardedMap();
    this.hostPatterns = new HostPatterns();
    this.any = new HostNode(0);
    this.pathPatterns = new PatternTable();
    this.sharedGeneration = 0;
    this.combined = new Map();
    this.nodesMade = 0;
    this.recent = new Map();
    this.older = new Map();
    this.rememberedMin = rememberedMin;
    this.unsettled = null;
  }

  /** Number of rules. */
  get size(): number {
    return this.count;
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
    const host = foldRuleHost(rule.hostname);
    const hostClass = hostClassOf(host);
    const known = this.nodeOf(hostClass, host);
    if (known?.find(rule) != null) {
      return `could not add route: ${describe(rule)} exists already`;
    }
    const pattern = rule.pathKind === PATH_REGEX ? this.pathPatterns.take(rule.path) : null;
    if (typeof pattern === "string") {
      return pattern;
    }
    const node = known ?? this.makeNode(hostClass, host);
    if (typeof node === "string") {
      this.giveBack(pattern);
      return node;
    }
    const candidate = new Candidate(rule, host, hostClass, pattern, payload);
    node.insert(candidate);
    this.count++;
    this.changed(candidate);
    return null;
  }

  /** Removes the rule with this host, path and method, whatever its position. Returns null, or why nothing changed. */
  remove(rule: RouteRule): string | null {
    const host = foldRuleHost(rule.hostname);
    const hostClass = hostClassOf(host);
    const node = this.nodeOf(hostClass, host);
    const candidate = node?.find(rule) ?? null;
    if (node === undefined || candidate === null) {
      return `could not remove route: there is no ${describe(rule)}`;
    }
    node.remove(candidate);
    if (node.candidates.length === 0) {
      this.nodesOf(hostClass)?.delete(host);
    }
    this.giveBack(candidate.pattern);
    this.count--;
    this.changed(candidate);
    return null;
  }

  /** What the rule with this host, path and method leads to, or null. */
  get(rule: RouteRule): T | null {
    const host = foldRuleHost(rule.hostname);
    const candidate = this.nodeOf(hostClassOf(host), host)?.find(rule) ?? null;
    return candidate === null ? null : candidate.payload;
  }

  /**
   * Many changes come into force at once: until settled(), each host asks for its own when it is first looked up.
   * Rules of hosts with expressions and of `*` are in the tables before.
   */
  follow(unsettled: Unsettled): void {
    this.unsettled = unsettled;
    this.generation++;
    this.forgetShared();
  }

  /** Nothing is outstanding any more. */
  settled(): void {
    this.unsettled = null;
  }

  /** The rules for a host (without port; any case), or null when none can apply. Valid while `generation` stays. */
  leafFor(host: string): HostLeaf<T> | null {
    const name = foldHost(host);
    if (this.unsettled !== null) {
      this.unsettled.settle(name);
      this.unsettled.settle(`*.${parentOf(name)}`);
    }
    const own = this.exact.get(name);
    if (own !== undefined) {
      if (own.leaf === null || own.mergedAt !== this.sharedGeneration) {
        const merged = this.merge(own, this.suffixOf(name), this.hostPatterns.matching(name));
        own.leaf = new HostLeaf(utf8Bytes(name), merged);
        own.mergedAt = this.sharedGeneration;
      }
      return own.leaf;
    }
    const known = this.recall(name);
    if (known !== undefined) {
      return known;
    }
    const merged = this.mergedFor(name);
    if (merged.length === 0) {
      return null;
    }
    const leaf = new HostLeaf(utf8Bytes(name), merged);
    this.remember(name, leaf);
    return leaf;
  }

  private suffixOf(name: string): HostNode<T> | undefined {
    return this.suffixes.size === 0 ? undefined : this.suffixes.get(`*.${parentOf(name)}`);
  }

  /** Where the nodes of a kind of host are; null: there is but one. */
  private nodesOf(hostClass: number): Nodes<T> | null {
    switch (hostClass) {
      case HOST_EXACT:
        return this.exact;
      case HOST_SUFFIX:
        return this.suffixes;
      case HOST_REGEX:
        return this.hostPatterns;
      default:
        return null;
    }
  }

  private nodeOf(hostClass: number, host: string): HostNode<T> | undefined {
    return hostClass === HOST_ANY ? this.any : this.nodesOf(hostClass)?.get(host);
  }

  /** A node for a host that has none; or why there cannot be one. */
  private makeNode(hostClass: number, host: string): HostNode<T> | string {
    this.nodesMade++;
    const node = new HostNode<T>(this.nodesMade);
    if (hostClass === HOST_REGEX) {
      return this.hostPatterns.add(host, node) ?? node;
    }
    (hostClass === HOST_EXACT ? this.exact : this.suffixes).set(host, node);
    return node;
  }

  private giveBack(pattern: PathPattern | null): void {
    if (pattern !== null) {
      this.pathPatterns.give(pattern);
    }
  }

  private changed(candidate: Candidate<T>): void {
    // What was outstanding has been in force since follow(): no leaf that was made since then lacks it.
    const isNew = this.unsettled === null;
    if (isNew) {
      this.generation++;
    }
    if (candidate.hostClass === HOST_EXACT) {
      // A name that only a wildcard knew may have become exact.
      this.recent.delete(candidate.host);
      this.older.delete(candidate.host);
    } else if (isNew) {
      this.forgetShared();
    }
  }

  /** Whatever was merged with the rules of wildcards and expressions is merged anew. */
  private forgetShared(): void {
    this.sharedGeneration++;
    if (this.combined.size > 0) {
      this.combined = new Map();
    }
    if (this.recent.size > 0 || this.older.size > 0) {
      this.recent = new Map();
      this.older = new Map();
    }
  }

  /** The merged rules of a name that no rule names exactly. */
  private mergedFor(name: string): readonly Candidate<T>[] {
    const suffix = this.suffixOf(name);
    const matching = this.hostPatterns.matching(name);
    if (matching.length > 0) {
      return this.combine(suffix, matching);
    }
    const shared = suffix ?? this.any;
    if (shared.merged === null || shared.mergedAt !== this.sharedGeneration) {
      shared.merged = this.merge(null, suffix, matching);
      shared.mergedAt = this.sharedGeneration;
    }
    return shared.merged;
  }

  /** As many names match the same expressions, their merged rules are kept by what was merged. */
  private combine(suffix: HostNode<T> | undefined, matching: readonly HostNode<T>[]): readonly Candidate<T>[] {
    let key = suffix === undefined ? "" : `${suffix.id}`;
    for (const node of matching) {
      key += ` ${node.id}`;
    }
    let merged = this.combined.get(key);
    if (merged === undefined) {
      merged = this.merge(null, suffix, matching);
      if (this.combined.size >= this.rememberedMin) {
        this.combined = new Map();
      }
      this.combined.set(key, merged);
    }
    return merged;
  }

  private merge(
    own: HostNode<T> | null,
    suffix: HostNode<T> | undefined,
    matching: readonly HostNode<T>[],
  ): readonly Candidate<T>[] {
    const parts = own === null ? [] : own.candidates.slice();
    append(parts, suffix);
    for (const node of matching) {
      append(parts, node);
    }
    append(parts, this.any);
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

/** What a kind of host keeps its nodes in. */
interface Nodes<T> {
  get(host: string): HostNode<T> | undefined;
  delete(host: string): void;
}

function append<T>(parts: Candidate<T>[], node: HostNode<T> | undefined): void {
  if (node !== undefined) {
    for (const candidate of node.candidates) {
      parts.push(candidate);
    }
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
