// The rules of one host as written (a name, `*.suffix`, a pattern or `*`), and what was merged from them for requests.
// A rule is unique by path, kind and method; the position is no part of that, as in the state (spec 4.7).

import type { HostLeaf } from "./leaf.ts";
import type { Candidate, RouteRule } from "./rule.ts";

/** The rules of one host pattern. */
export class HostNode<T> {
  /** Different for each node of a router. */
  readonly id: number;
  readonly candidates: Candidate<T>[];
  /** Of an exact name: its leaf. */
  leaf: HostLeaf<T> | null;
  /** Of a wildcard: the rules of every host that it is the best name for. */
  merged: readonly Candidate<T>[] | null;
  mergedAt: number;
  /** Of a host with many rules: the candidates by path, kind and method. */
  private byKey: Map<string, Candidate<T>> | null;

  constructor(id: number) {
    this.id = id;
    this.candidates = [];
    this.leaf = null;
    this.merged = null;
    this.mergedAt = -1;
    this.byKey = null;
  }

  /** The candidate of a rule's path, kind and method; null: there is none. */
  find(rule: RouteRule): Candidate<T> | null {
    if (this.byKey !== null) {
      return this.byKey.get(keyOf(rule)) ?? null;
    }
    for (const candidate of this.candidates) {
      const known = candidate.rule;
      if (known.path === rule.path && known.pathKind === rule.pathKind && known.method === rule.method) {
        return candidate;
      }
    }
    return null;
  }

  insert(candidate: Candidate<T>): void {
    this.candidates.push(candidate);
    if (this.byKey !== null) {
      this.byKey.set(keyOf(candidate.rule), candidate);
    } else if (this.candidates.length > FEW) {
      this.byKey = new Map(this.candidates.map((one) => [keyOf(one.rule), one]));
    }
    this.forget();
  }

  remove(candidate: Candidate<T>): void {
    this.candidates.splice(this.candidates.indexOf(candidate), 1);
    this.byKey?.delete(keyOf(candidate.rule));
    this.forget();
  }

  private forget(): void {
    this.leaf = null;
    this.merged = null;
  }
}

function keyOf(rule: RouteRule): string {
  return `${rule.pathKind}${rule.method === null ? "" : `;${rule.method}`} ${rule.path}`;
}

/** So many rules are looked through one by one. */
const FEW = 16;
