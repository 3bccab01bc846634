// Templates of local answers (spec 5.9): the raw text of a response, compiled once, when it is set, and rendered for
// each answer. Rules of the language: docs/answers.md.
// Invariants: whatever the values are, no line and no markup is added (escape.ts); Content-Length is right, whatever the
// text said; `Connection: close` is sent when, and only when, the connection closes; nothing is written that does not
// fit. Literals are bytes and values are ASCII, so a length is known before a byte is written.

import type { AnswerTexts } from "../command/objects.ts";
import { TemplateCompiler, type TemplateProblem } from "./compiler.ts";
import { CONTEXT_HEADER, CONTEXT_HTML, escapeValue } from "./escape.ts";
import { TEMPLATE_BYTES_MAX } from "./limits.ts";
import { PART_CONNECTION, PART_LENGTH, type Part, writeText } from "./parts.ts";
import { VARIABLES } from "./variables.ts";

/** What a template shows: the text of a variable (variables.ts), as it is; "" when there is none. */
export interface AnswerValues {
  text(variable: number): string;
}

/**
 * Compiles the template of a status such as `404`; "": that of a redirect, whose status line may say any status.
 * The text has at most 64 kB. `bodyContext` (escape.ts) counts when it has no Content-Type.
 */
export function compileAnswer(
  status: string,
  text: string,
  bodyContext = CONTEXT_HTML,
): AnswerTemplate | TemplateProblem {
  const key = status === "" ? null : Number(status);
  if (key !== null && !/^[2-5]\d\d$/.test(status)) {
    return { reason: `\`${status}\` is no status of an answer: it must be a number from 200 to 599`, line: 1 };
  }
  if (new TextEncoder().encode(text).length > TEMPLATE_BYTES_MAX) {
    return { reason: `the text is longer than ${TEMPLATE_BYTES_MAX} bytes`, line: 1 };
  }
  const compiler = new TemplateCompiler(key, text, bodyContext);
  return compiler.compile() ? new AnswerTemplate(compiler) : compiler.problem;
}

/** Compiles all templates of a listener or cluster; the first that is broken refuses them all. */
export function compileAnswers(texts: AnswerTexts): AnswerSet | (TemplateProblem & { readonly status: string }) {
  const templates = new Map<number, AnswerTemplate>();
  for (const [status, text] of texts) {
    const template = status === "" ? { reason: "a template needs a status", line: 1 } : compileAnswer(status, text);
    if (!(template instanceof AnswerTemplate)) return { status, ...template };
    templates.set(template.status, template);
  }
  return new AnswerSet(templates);
}

/** The templates of a listener or cluster by status. */
export class AnswerSet {
  readonly #templates: ReadonlyMap<number, AnswerTemplate>;

  constructor(templates: ReadonlyMap<number, AnswerTemplate> = new Map()) {
    this.#templates = templates;
  }

  get(status: number): AnswerTemplate | null {
    return this.#templates.get(status) ?? null;
  }
}

/** A compiled template. */
export class AnswerTemplate {
  readonly status: number;
  /** It has `Connection: close`: the connection closes after it. */
  readonly closes: boolean;
  /** It has a Strict-Transport-Security of its own. */
  readonly hasHsts: boolean;
  readonly #head: readonly Part[];
  readonly #body: readonly Part[];
  readonly #bodyContext: number;
  /** False for 204 and 304 (RFC 9110 8.6). */
  readonly #hasLength: boolean;

  constructor(compiled: TemplateCompiler) {
    this.status = compiled.status;
    this.closes = compiled.closes;
    this.hasHsts = compiled.hasHsts;
    this.#head = compiled.head;
    this.#body = compiled.body;
    this.#bodyContext = compiled.bodyContext;
    this.#hasLength = compiled.status !== 204 && compiled.status !== 304;
  }

  /**
   * Writes the answer at `offset` of `target`, at most up to `limit`; `close`: the connection closes after it; `withBody`:
   * false for HEAD, whose answer has the fields of the whole; `fields`: ASCII lines that are added to the head. Returns its
   * length in bytes, or -1: it does not fit, nothing was written.
   */
  render(
    values: AnswerValues,
    close: boolean,
    withBody: boolean,
    target: Uint8Array,
    offset: number,
    limit: number,
    fields = "",
  ): number {
    const headTexts = fillTexts(HEAD_TEXTS, this.#head, values, CONTEXT_HEADER);
    const bodyTexts = fillTexts(BODY_TEXTS, this.#body, values, this.#bodyContext);
    let bodyLength = 0;
    for (const part of this.#body) bodyLength += part.lengthWith(bodyTexts);
    const connection = close ? CONNECTION_CLOSE + fields : fields;
    const contentLength = this.#hasLength ? `Content-Length: ${bodyLength}\r\n` : "";
    let length = END.length + connection.length + contentLength.length + (withBody ? bodyLength : 0);
    for (const part of this.#head) length += part.lengthWith(headTexts);
    if (offset + length > limit) return -1;
    let at = offset;
    for (const part of this.#head) {
      if (part.kind === PART_CONNECTION) at = writeText(target, at, connection);
      else if (part.kind === PART_LENGTH) at = writeText(target, at, contentLength);
      else at = part.write(headTexts, target, at);
    }
    at = writeText(target, at, END);
    if (withBody) for (const part of this.#body) at = part.write(bodyTexts, target, at);
    return length;
  }
}

/** Sets the escaped values of the variables that these parts show, by number. */
function fillTexts(texts: string[], parts: readonly Part[], values: AnswerValues, context: number): readonly string[] {
  for (let i = 0; i < texts.length; i++) texts[i] = UNASKED;
  for (const { variable } of parts) {
    if (variable === -1 || texts[variable] !== UNASKED) continue;
    texts[variable] = escapeValue(variable, values.text(variable), context);
  }
  return texts;
}

/** No escaped value has a line end. */
const UNASKED = "\n";
/** Made once: an answer is rendered before the next one is begun. */
const HEAD_TEXTS: string[] = VARIABLES.map(() => UNASKED);
const BODY_TEXTS: string[] = VARIABLES.map(() => UNASKED);
const END = "\r\n";
const CONNECTION_CLOSE = "Connection: close\r\n";
