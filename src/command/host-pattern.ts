// Host names with regular expressions: `cdn/[0-9]+/.example.com`, `/.+/.example.com`. What stands between two slashes is
// a regular expression, the rest is literal, and a label may have both. Each label is matched as a whole (decisions 15)
// and without regard to case (decisions 16); an expression never reaches over a dot of the host, wherever the rule
// stands (PRE, TREE or POST).

import { PATTERN_LENGTH_MAX } from "./limits.ts";
import { compilePattern, quotePattern, type Regex } from "./pattern.ts";

/** A host name with regular expressions. */
export interface HostPattern {
  /** As given, the literal parts in lower case, without a trailing dot. */
  readonly host: string;
  /** From left to right: a literal, or what the whole label must match. */
  readonly labels: readonly (string | Regex)[];
}

/** Whether a host name holds regular expressions. */
export function isHostPattern(host: string): boolean {
  return host.includes("/");
}

/** The literal parts in lower case, without a trailing dot: two spellings of one pattern become one. */
export function foldHostPattern(text: string): string {
  const parts = text.split("/");
  for (let i = 0; i < parts.length; i += 2) parts[i] = parts[i]!.toLowerCase();
  const folded = parts.join("/");
  return folded.endsWith(".") && parts.length % 2 === 1 ? folded.slice(0, -1) : folded;
}

/** Labels of a pattern that hold no regular expression. */
export function literalLabels(host: string): number {
  return splitLabels(host)?.filter((label) => !label.includes("/")).length ?? 0;
}

/** Reads a host name with regular expressions, or says why it cannot be used. */
export function parseHostPattern(text: string): HostPattern | { readonly reason: string } {
  if (text.length > PATTERN_LENGTH_MAX) return { reason: `it is longer than ${PATTERN_LENGTH_MAX} characters` };
  const host = foldHostPattern(text);
  const texts = splitLabels(host);
  if (texts === null) return { reason: "a regular expression begins with a slash and does not end with one" };
  const labels: (string | Regex)[] = [];
  for (const label of texts) {
    if (label === "") return { reason: "it has an empty label" };
    const result = label.includes("/") ? compileLabel(label) : checkLiteral(label);
    if (result !== null && "reason" in result) return result;
    labels.push(result === null ? label : result.regex);
  }
  return { host, labels };
}

/** The labels, dots between slashes not counting; null: a slash is left open. */
function splitLabels(host: string): string[] | null {
  const parts = host.split("/");
  if (parts.length % 2 === 0) return null;
  const labels = [""];
  parts.forEach((part, index) => {
    const pieces = index % 2 === 0 ? part.split(".") : [`/${part}/`];
    labels[labels.length - 1] += pieces[0]!;
    labels.push(...pieces.slice(1));
  });
  return labels;
}

function compileLabel(label: string): { readonly regex: Regex } | { readonly reason: string } {
  const parts = label.split("/");
  let joined = "";
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!;
    if (i % 2 === 0) {
      const bad = part === "" ? null : checkLiteral(part);
      if (bad !== null) return bad;
      joined += quotePattern(part);
      continue;
    }
    if (part === "") return { reason: "a regular expression between two slashes is empty" };
    // By itself first: only what is whole by itself can be put into a group.
    const own = compilePattern(part, true);
    if ("reason" in own) return own;
    joined += `(?:${part})`;
  }
  return compilePattern(joined, true);
}

function checkLiteral(text: string): { readonly reason: string } | null {
  if (text.includes("*")) return { reason: "a wildcard cannot stand beside a regular expression: write /.+/ for it" };
  if (/^[a-z0-9_-]+$/.test(text)) return null;
  return { reason: `"${text}" has other characters than a-z 0-9 - _ outside of its regular expressions` };
}
