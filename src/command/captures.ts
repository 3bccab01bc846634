// What a rule of a frontend can capture for rewrites (spec 6.6): the highest index of `$HOST[n]` and of `$PATH[n]`.

import { isHostPattern, parseHostPattern } from "./host-pattern.ts";
import { PATH_PREFIX, PATH_REGEX } from "./objects.ts";
import { compilePattern } from "./pattern.ts";

/** Highest index of `$HOST[n]` for a normalised host: 0 for a name, 1 for a wildcard, the groups of expressions. */
export function hostGroups(hostname: string): number {
  if (!isHostPattern(hostname)) return hostname.startsWith("*") ? 1 : 0;
  const pattern = parseHostPattern(hostname);
  if ("reason" in pattern) return 0;
  let groups = 0;
  for (const label of pattern.labels) if (typeof label !== "string") groups += label.groupCount();
  return groups;
}

/** Highest index of `$PATH[n]`: 0 for EQUALS, 1 for PREFIX (what follows it), the groups of an expression. */
export function pathGroups(pathKind: number, path: string): number {
  if (pathKind !== PATH_REGEX) return pathKind === PATH_PREFIX ? 1 : 0;
  const compiled = compilePattern(path);
  return "reason" in compiled ? 0 : compiled.regex.groupCount();
}
