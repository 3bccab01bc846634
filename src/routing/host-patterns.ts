// The hosts with regular expressions that a name matches. They are kept by the literal labels they end with, so
// `/.+/.example.com` costs nothing for a name outside of example.com, however many tenants have such a rule: a name asks
// for as many endings as the longest pattern has labels before its ending. Only what begins with a pattern-like last
// label (`a./com|org/`) is tried for every name.

import { parseHostPattern } from "../command/host-pattern.ts";
import type { Regex } from "../command/pattern.ts";
import { boundMemory } from "./pattern-table.ts";

/** What names are compared with: the labels before the literal ending. */
class Entry<N> {
  readonly host: string;
  readonly labels: readonly (string | Regex)[];
  readonly node: N;

  constructor(host: string, labels: readonly (string | Regex)[], node: N) {
    this.host = host;
    this.labels = labels;
    this.node = node;
  }
}

/** Nodes by host pattern. */
export class HostPatterns<N> {
  private readonly byEnding: Map<string, Entry<N>[]>;
  private readonly byHost: Map<string, { readonly ending: string; readonly entry: Entry<N> }>;
  /** Labels before the ending, the most that any pattern ever had. */
  private labelsMax: number;

  constructor() {
    this.byEnding = new Map();
    this.byHost = new Map();
    this.labelsMax = 0;
  }

  /** Number of patterns. */
  get size(): number {
    return this.byHost.size;
  }

  /** The node of a folded pattern. */
  get(host: string): N | undefined {
    return this.byHost.get(host)?.entry.node;
  }

  /** Adds a folded pattern that is not there yet. Returns null, or why it cannot be used. */
  add(host: string, node: N): string | null {
    const pattern = parseHostPattern(host);
    if ("reason" in pattern) {
      return pattern.reason;
    }
    let lead = pattern.labels.length;
    while (typeof pattern.labels[lead - 1] === "string") {
      lead--;
    }
    const ending = pattern.labels.slice(lead).join(".");
    const labels = pattern.labels.slice(0, lead);
    for (const label of labels) {
      if (typeof label !== "string") {
        boundMemory(label);
      }
    }
    const entry = new Entry(host, labels, node);
    const entries = this.byEnding.get(ending);
    if (entries === undefined) {
      this.byEnding.set(ending, [entry]);
    } else {
      entries.push(entry);
    }
    this.byHost.set(host, { ending, entry });
    this.labelsMax = Math.max(this.labelsMax, labels.length);
    return null;
  }

  delete(host: string): void {
    const found = this.byHost.get(host);
    if (found === undefined) {
      return;
    }
    this.byHost.delete(host);
    const entries = this.byEnding.get(found.ending) ?? [];
    entries.splice(entries.indexOf(found.entry), 1);
    if (entries.length === 0) {
      this.byEnding.delete(found.ending);
    }
  }

  /** The nodes whose pattern a folded name matches, in no order that means anything. */
  matching(name: string): N[] {
    const found: N[] = [];
    if (this.byHost.size === 0) {
      return found;
    }
    // An IPv6 literal is one label, whatever dots it has.
    const labels = name.startsWith("[") ? [name] : name.split(".");
    let from = 0;
    for (let lead = 1; lead <= labels.length && lead <= this.labelsMax; lead++) {
      from += labels[lead - 1].length + 1;
      const entries = this.byEnding.get(name.slice(from));
      if (entries === undefined) {
        continue;
      }
      for (const entry of entries) {
        if (entry.labels.length === lead && allMatch(entry.labels, labels)) {
          found.push(entry.node);
        }
      }
    }
    return found;
  }
}

function allMatch(wanted: readonly (string | Regex)[], labels: readonly string[]): boolean {
  for (let i = 0; i < wanted.length; i++) {
    const label = wanted[i];
    if (labels[i] === "" || !(typeof label === "string" ? label === labels[i] : label.matches(labels[i]))) {
      return false;
    }
  }
  return true;
}
