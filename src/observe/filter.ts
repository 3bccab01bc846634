// Filter directives (spec 12.1): a comma-separated list of `level` or `module=level`; a `/regex` behind it is
// accepted and ignored, as Sozu does. The longest directive whose module is a prefix of the asking module wins; among
// equals the last.
// Module names hold no slash (`proxy.http`). Pure: text in, filter or reasons out. Nothing is half applied: with one
// wrong directive there is no filter.

import { LEVEL_INFO, LEVEL_OFF, parseLevel } from "./levels.ts";

/** Decides by module. Levels are remembered per module, because modules are few and fixed. */
export class LogFilter {
  /** The highest level of any module: below it nothing needs to be looked up. */
  readonly highest: number;
  private readonly directives: readonly Directive[];
  private readonly known: Map<string, number>;

  constructor(directives: readonly Directive[]) {
    this.directives = directives;
    this.known = new Map();
    let highest = LEVEL_OFF;
    for (const directive of directives) {
      highest = Math.max(highest, directive.level);
    }
    this.highest = highest;
  }

  /** The level of a module. A module that no directive names is off. */
  levelOf(module: string): number {
    const known = this.known.get(module);
    if (known !== undefined) {
      return known;
    }
    let best = -1;
    let level = LEVEL_OFF;
    for (const directive of this.directives) {
      if (directive.module.length >= best && module.startsWith(directive.module)) {
        best = directive.module.length;
        level = directive.level;
      }
    }
    if (this.known.size < MODULES_REMEMBERED) {
      this.known.set(module, level);
    }
    return level;
  }
}

/** One directive; the module is "" for all. */
export interface Directive {
  readonly module: string;
  readonly level: number;
}

/** A filter, or the reasons why the text is not one. */
export type FilterResult =
  | { readonly filter: LogFilter; readonly errors: null }
  | { readonly filter: null; readonly errors: readonly string[] };

/** Reads directives, e.g. `info` or `warn,http=debug,worker=trace`. An empty text means `info`. */
export function parseFilter(text: string): FilterResult {
  const errors: string[] = [];
  const halves = text.split("/");
  if (halves.length > 2) {
    errors.push(`too many slashes in log filter "${text}": write at most one /regex`);
  }
  const directives: Directive[] = [];
  for (const part of halves[0].split(",")) {
    const entry = part.trim();
    if (entry !== "") {
      parseDirective(entry, directives, errors);
    }
  }
  if (errors.length > 0) {
    return { filter: null, errors };
  }
  if (directives.length === 0) {
    directives.push({ module: "", level: LEVEL_INFO });
  }
  return { filter: new LogFilter(directives), errors: null };
}

function parseDirective(entry: string, directives: Directive[], errors: string[]): void {
  const sides = entry.split("=");
  if (sides.length > 2) {
    errors.push(`too many equals in log directive "${entry}": write module=level`);
    return;
  }
  const name = sides[sides.length - 1].trim();
  const level = parseLevel(name);
  if (level === -1) {
    errors.push(`invalid level "${name}" in log directive "${entry}": use off, error, warn, info, debug or trace`);
    return;
  }
  directives.push({ module: sides.length === 2 ? sides[0].trim() : "", level });
}

const MODULES_REMEMBERED = 256;
