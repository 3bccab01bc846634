// What is wrong with a configuration file, all of it at once: each problem with its place, the source line with a
// caret, and what was probably meant. Problems are collected by path (["clusters", "app", "frontends", 0, "hostname"])
// while checking; the positions are looked up afterwards, because finding them needs a second, slower parse.

/** Where in the file: keys and indexes from the root. */
export type ConfigPath = readonly (string | number)[];

/** A problem as found. */
export interface FoundProblem {
  readonly path: ConfigPath;
  readonly message: string;
  /** Point at the key rather than at its value. */
  readonly atKey: boolean;
  /** The nearest valid name, or null. */
  readonly suggestion: string | null;
  readonly severity: "error" | "warning";
}

/** A problem with its place. Lines and columns count from 1. */
export interface ConfigProblem extends FoundProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Characters to underline, at least 1. */
  readonly width: number;
  /** The line of the file. */
  readonly source: string;
}

/** Collects problems. */
export class ProblemList {
  readonly items: FoundProblem[] = [];

  error(path: ConfigPath, message: string, suggestion: string | null = null, atKey = false): void {
    this.items.push({ path, message, atKey, suggestion, severity: "error" });
  }

  warning(path: ConfigPath, message: string, suggestion: string | null = null, atKey = false): void {
    this.items.push({ path, message, atKey, suggestion, severity: "warning" });
  }

  get failed(): boolean {
    return this.items.some((item) => item.severity === "error");
  }
}

/** The text with what private keys hold, in PEM, blotted out: somebody may have put one into the file. Places stay. */
export function blotKeys(text: string): string {
  return text.replace(PRIVATE_KEY, (_match, begin: string, body: string) => begin + body.replace(/[^\r\n]/g, "*"));
}

/** One problem as text: the place and message, then the line with carets. */
export function renderProblem(problem: ConfigProblem): string {
  const kind = problem.severity === "warning" ? "warning: " : "";
  const head = `${problem.file}:${problem.line}:${problem.column}: ${kind}${blotKeys(problem.message)}`;
  const number = String(problem.line);
  const { shown, offset } = window(problem.source, problem.column);
  const carets = "^".repeat(Math.max(1, Math.min(problem.width, shown.length - offset)));
  const hint = problem.suggestion === null ? "" : ` did you mean "${problem.suggestion}"?`;
  const pad = " ".repeat(number.length);
  return `${head}\n  ${number} | ${shown}\n  ${pad} | ${" ".repeat(offset)}${carets}${hint}`;
}

/** All problems, a blank line between them. */
export function renderProblems(problems: readonly ConfigProblem[]): string {
  return problems.map(renderProblem).join("\n\n");
}

/** `clusters.app.frontends[0].hostname`. */
export function formatPath(path: ConfigPath): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += `${text === "" ? "" : "."}${/^[A-Za-z0-9_-]+$/.test(part) ? part : JSON.stringify(part)}`;
  }
  return text;
}

const PRIVATE_KEY = /(-----BEGIN [A-Z ]*PRIVATE KEY-----)(.*?)(?=-----END|$)/gs;
const SHOWN_MAX = 120;

/** A long line is cut around the column; tabs become spaces so that the caret stands right. */
function window(source: string, column: number): { shown: string; offset: number } {
  // Control characters of a hostile file must not reach a terminal.
  const line = source.replace(/[\u0000-\u001f\u007f]/g, " ");
  const at = column - 1;
  if (line.length <= SHOWN_MAX) return { shown: line, offset: at };
  const from = Math.max(0, Math.min(at - 40, line.length - SHOWN_MAX));
  return { shown: line.slice(from, from + SHOWN_MAX), offset: at - from };
}
