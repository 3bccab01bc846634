// Compiled regular expressions by their source: rules that share one compile it once and share what its automaton has
// learnt, so 100,000 hosts with the same path pattern cost as much as one.
// The automaton makes its states as texts ask for them. The memory for that is bounded per pattern (the engine starts
// over when it is used up), because it is clients who choose the texts.

import { compilePattern, type Regex } from "../command/pattern.ts";
import { PathAutomaton } from "./path-automaton.ts";

/** Finds a match anywhere in a path. */
export class PathPattern {
  readonly source: string;
  /** Rules that use it. */
  uses: number;
  readonly automaton: PathAutomaton;
  private readonly regex: Regex;

  constructor(source: string, regex: Regex) {
    this.source = source;
    this.uses = 0;
    this.regex = regex;
    boundMemory(regex);
    this.automaton = new PathAutomaton(regex);
  }

  /** Memory of the states that re2js keeps, as it reckons it. */
  get stateBytes(): number {
    const automaton = this.regex.re2().dfa;
    return automaton.stateBudget - automaton.memBudget;
  }
}

/** The path patterns of a router. */
export class PatternTable {
  private readonly patterns: Map<string, PathPattern>;

  constructor() {
    this.patterns = new Map();
  }

  /** Number of different patterns. */
  get size(): number {
    return this.patterns.size;
  }

  /** The pattern of a source, for one more rule; or the reason why it cannot be used. */
  take(source: string): PathPattern | string {
    let pattern = this.patterns.get(source);
    if (pattern === undefined) {
      const result = compilePattern(source);
      if ("reason" in result) {
        return result.reason;
      }
      pattern = new PathPattern(source, result.regex);
      this.patterns.set(source, pattern);
    }
    pattern.uses++;
    return pattern;
  }

  /** A rule that took the pattern is gone. */
  give(pattern: PathPattern): void {
    pattern.uses--;
    if (pattern.uses === 0) {
      this.patterns.delete(pattern.source);
    }
  }
}

/** Lets the automaton of a pattern keep no more than STATES_BYTES_MAX of states. */
export function boundMemory(regex: Regex): void {
  const automaton = regex.re2().dfa;
  automaton.maxMem = STATES_BYTES_MAX;
  automaton.stateBudget = STATES_BYTES_MAX;
  automaton.memBudget = STATES_BYTES_MAX;
}

/** Enough for some thousand states of an ordinary pattern; the engine's own default is 8 MB. */
export const STATES_BYTES_MAX = 262_144;
