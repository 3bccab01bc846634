// From paths to positions: parses the file a second time with toml-eslint-parser, which keeps a position for every key
// and value. It is an order of magnitude slower than the parser for values, so it runs only when there is something to
// say.

import type { AST } from "toml-eslint-parser";
import { parseTOML } from "toml-eslint-parser";
import { blotKeys, type ConfigPath, type ConfigProblem, type FoundProblem } from "./problems.ts";

/** Gives each problem its place. A path that is not in the file is placed at the nearest parent that is. */
export function placeProblems(file: string, text: string, found: readonly FoundProblem[]): ConfigProblem[] {
  const lines = blotKeys(text).split(/\r?\n/);
  const spots = collect(text);
  const placed = found.map((problem) => place(file, lines, spots, problem));
  return placed.sort((a, b) => a.line - b.line || a.column - b.column);
}

interface Spot {
  readonly key: Span;
  readonly value: Span;
}

interface Span {
  readonly line: number;
  /** From 0. */
  readonly column: number;
  /** Characters on its first line; 0: to the end of the line. */
  readonly width: number;
}

type Spots = Map<string, Spot>;

function place(file: string, lines: readonly string[], spots: Spots, problem: FoundProblem): ConfigProblem {
  for (let length = problem.path.length; length > 0; length--) {
    const spot = spots.get(pathKey(problem.path.slice(0, length)));
    if (spot === undefined) continue;
    // What is missing has no place of its own: the table it is missing from is shown by its name.
    const span = problem.atKey || length < problem.path.length ? spot.key : spot.value;
    const source = lines[span.line - 1] ?? "";
    const width = span.width === 0 ? source.trimEnd().length - span.column : span.width;
    return { ...problem, file, line: span.line, column: span.column + 1, width: Math.max(1, width), source };
  }
  return { ...problem, file, line: 1, column: 1, width: 1, source: lines[0] ?? "" };
}

function collect(text: string): Spots {
  const spots: Spots = new Map();
  const program = parseTOML(text, { tomlVersion: "1.0" });
  for (const node of program.body[0].body) {
    if (node.type === "TOMLKeyValue") {
      collectPair(spots, [], node);
      continue;
    }
    const key = spanOf(node.key);
    note(spots, node.resolvedKey, { key, value: key });
    for (let length = 1; length < node.resolvedKey.length; length++) {
      noteOnce(spots, node.resolvedKey.slice(0, length), { key, value: key });
    }
    for (const pair of node.body) collectPair(spots, node.resolvedKey, pair);
  }
  return spots;
}

function collectPair(spots: Spots, base: ConfigPath, pair: AST.TOMLKeyValue): void {
  const path = [...base];
  for (const part of pair.key.keys) {
    path.push(part.type === "TOMLBare" ? part.name : part.value);
    const key = spanOf(part);
    noteOnce(spots, path, { key, value: key });
  }
  const last = pair.key.keys[pair.key.keys.length - 1]!;
  note(spots, path, { key: spanOf(last), value: spanOf(pair.value) });
  collectValue(spots, path, pair.value);
}

function collectValue(spots: Spots, path: ConfigPath, value: AST.TOMLContentNode): void {
  if (value.type === "TOMLInlineTable") {
    for (const pair of value.body) collectPair(spots, path, pair);
  } else if (value.type === "TOMLArray") {
    value.elements.forEach((element, index) => {
      const inner = [...path, index];
      const span = spanOf(element);
      note(spots, inner, { key: span, value: span });
      collectValue(spots, inner, element);
    });
  }
}

function note(spots: Spots, path: ConfigPath, spot: Spot): void {
  spots.set(pathKey(path), spot);
}

function noteOnce(spots: Spots, path: ConfigPath, spot: Spot): void {
  const key = pathKey(path);
  if (!spots.has(key)) spots.set(key, spot);
}

function spanOf(node: { readonly loc: AST.SourceLocation }): Span {
  const { start, end } = node.loc;
  return { line: start.line, column: start.column, width: end.line === start.line ? end.column - start.column : 0 };
}

function pathKey(path: ConfigPath): string {
  return JSON.stringify(path);
}
