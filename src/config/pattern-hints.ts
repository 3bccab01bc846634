// What `config check` says of path regexes that look as if their author took them for anchored (decisions 15). They are
// valid and do what they say, so these are warnings.

import type { CheckContext } from "./check.ts";
import type { ConfigPath } from "./problems.ts";

/** A warning, or null. `source` may be invalid: that is said elsewhere. */
function hintPattern(source: string): string | null {
  const alternatives = splitAlternatives(source);
  const anchored = alternatives.map((one) => ANCHOR.test(one));
  if (anchored.includes(true) && anchored.includes(false)) {
    return '"^" does not hold for every alternative: write ^(?:...|...) to anchor all of them';
  }
  const open = alternatives.find((one, at) => !anchored[at] && SLASH.test(one));
  if (open !== undefined) {
    return 'this is searched for anywhere in the path, so it matches in deeper folders too: begin it with "^" to anchor it';
  }
  if (/\\\?|\[\?\]|\\x3[fF]/.test(source)) return "the query is not part of what is compared, so this never matches";
  return null;
}

/** The alternatives outside of groups and classes. */
function splitAlternatives(source: string): string[] {
  const found: string[] = [];
  let from = 0;
  let depth = 0;
  let inClass = false;
  for (let at = 0; at < source.length; at++) {
    const char = source.charAt(at);
    if (char === "\\") at++;
    else if (inClass) inClass = char !== "]";
    else if (char === "[") inClass = true;
    else if (char === "(") depth++;
    else if (char === ")") depth--;
    else if (char === "|" && depth === 0) {
      found.push(source.slice(from, at));
      from = at + 1;
    }
  }
  found.push(source.slice(from));
  return found;
}

/** The start of the text, perhaps behind flags and openings of groups. */
const ANCHOR = /^(?:\((?:\?(?:[a-zA-Z-]*[:)]|P?<\w+>))?)*(?:\^|\\A)/;
/** What begins like a path: a slash behind the same. */
const SLASH = /^(?:\((?:\?(?:[a-zA-Z-]*[:)]|P?<\w+>))?)*\\?\//;

/** Warns of a path rule that is allowed and most likely not meant: nothing or too much matches it. */
export function hintPath({ problems }: CheckContext, type: string | undefined, rule: string, place: ConfigPath): void {
  if (type === "REGEX") {
    // It is searched for anywhere in the path (decisions 15), which those who write one do not always expect.
    const hint = hintPattern(rule);
    if (hint !== null) problems.warning(place, `path: ${hint}`);
  } else if (rule !== "" && !rule.startsWith("/")) {
    problems.warning(place, `path: no request path starts with ${JSON.stringify(rule.charAt(0))}`);
  } else if (/[?#]/.test(rule)) {
    problems.warning(place, "path: the query is not part of what is compared, so this never matches");
  }
}
