// The rules of a host in the order in which they are tried (decisions 14), each with what kept it from deciding. Which one
// decides is the router's word; this only says in words why the ones before it did not.

import { PATH_EQUALS, PATH_PREFIX } from "../command/objects.ts";
import type { HostLeaf, RouteRule } from "../routing/router.ts";

/** A rule on the way to the verdict. */
export interface TriedRule {
  readonly rule: RouteRule;
  readonly matches: boolean;
  /** Why it does not match; null: it does. */
  readonly because: string | null;
}

/** Rules that are named; the others are skipped, but never the one that decides. */
export const TRIED_MAX = 100;

/** `decides`: what the router chose. */
export function triedRules<T>(
  leaf: HostLeaf<T>,
  decides: T | null,
  input: { readonly path: string; readonly method: string },
): TriedRule[] {
  const tried: TriedRule[] = [];
  for (const { rule, payload, pattern } of leaf.candidates) {
    if (payload === decides) {
      tried.push({ rule, matches: true, because: null });
      break;
    }
    if (tried.length >= TRIED_MAX) continue;
    const bytes = new TextEncoder().encode(input.path);
    const found = pattern === null ? null : pattern.automaton.test(bytes, 0, bytes.length);
    tried.push({ rule, matches: false, because: reasonOf(rule, input, found) });
  }
  return tried;
}

function reasonOf(
  rule: RouteRule,
  { path, method }: { readonly path: string; readonly method: string },
  found: boolean | null,
): string {
  if (found === false) return "the expression is not found in the path";
  if (rule.pathKind === PATH_EQUALS && path !== rule.path) return "the path is another one";
  if (rule.pathKind === PATH_PREFIX && !path.startsWith(rule.path)) return "the path does not begin so";
  return rule.method !== null && rule.method !== method ? `the method is not ${rule.method}` : "it does not match";
}
