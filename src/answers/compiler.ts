// From the text of a template to its parts: the status line, the fields, the body, each checked as far as it can be
// before a request is there. What is refused and why: docs/answers.md. Reasons are for operators: they say what to write.

import { nearest } from "../config/suggest.ts";
import { CONTEXT_HTML, CONTEXT_JSON, CONTEXT_PLAIN } from "./escape.ts";
import { PART_CONNECTION, PART_FIELD, PART_LENGTH, PART_LITERAL, PART_VARIABLE, Part } from "./parts.ts";
import { isKnownTo, VARIABLES, variableOf } from "./variables.ts";

/** Why a text is no template, and in which of its lines, from 1. */
export interface TemplateProblem {
  readonly reason: string;
  readonly line: number;
}

/** Reads one text. After `compile()` the parts are here, or the problem is. */
export class TemplateCompiler {
  /** What the status line says. */
  status: number;
  closes: boolean;
  readonly head: Part[];
  readonly body: Part[];
  bodyContext: number;
  problem: TemplateProblem;
  /** The status it is for; null: a redirect. */
  /** It has a Strict-Transport-Security of its own. */
  hasHsts: boolean;
  readonly #key: number | null;
  readonly #lines: readonly string[];
  readonly #used: Set<number>;
  #literal: string;
  #hasConnection: boolean;
  #hasLength: boolean;
  #hasType: boolean;

  constructor(key: number | null, text: string, bodyContext: number) {
    this.status = 0;
    this.closes = false;
    this.hasHsts = false;
    this.head = [];
    this.body = [];
    this.bodyContext = bodyContext;
    this.problem = { reason: "", line: 0 };
    this.#key = key;
    this.#lines = text.replaceAll("\r\n", "\n").split("\n");
    this.#used = new Set();
    this.#literal = "";
    this.#hasConnection = false;
    this.#hasLength = false;
    this.#hasType = false;
  }

  /** False: `problem` says why not. */
  compile(): boolean {
    const lines = this.#lines;
    if (!this.#statusLine(lines[0])) return false;
    let at = 1;
    for (; at < lines.length - 1 && lines[at] !== ""; at++) if (!this.#field(lines[at], at + 1)) return false;
    if (at >= lines.length - 1) return this.#fail("the empty line that ends the header fields is missing", at + 1);
    this.#flush(this.head);
    if (!this.#hasConnection) this.head.push(new Part(PART_CONNECTION, "", -1));
    if (!this.#hasLength) this.head.push(new Part(PART_LENGTH, "", -1));
    return this.#bodyFrom(at + 1);
  }

  #fail(reason: string, line: number): false {
    this.problem = { reason, line };
    return false;
  }

  #statusLine(line: string): boolean {
    const match = /^HTTP\/1\.[01] (\d{3})(?: (.*))?$/s.exec(line);
    if (match === null) {
      return this.#fail("the first line is no status line; write for example `HTTP/1.1 503 Service Unavailable`", 1);
    }
    const [, digits, reason = ""] = match as unknown as [string, string, string | undefined];
    this.status = Number(digits);
    if (this.#key !== null && this.status !== this.#key) {
      return this.#fail(`the status line says ${digits}, but this is the answer for ${this.#key}`, 1);
    }
    if (this.status < 200 || this.status > 599) return this.#fail(`${digits} is no status of an answer`, 1);
    if (CONTROL.test(reason)) return this.#fail("the status line holds a control character", 1);
    if (findVariable(reason, 0) !== null) return this.#fail("the status line cannot hold a variable", 1);
    this.#literal = `HTTP/1.1 ${digits} ${reason}\r\n`;
    return true;
  }

  #field(line: string, number: number): boolean {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/s.exec(line);
    if (match === null) {
      const hint = "an empty line goes between the header fields and the body";
      return this.#fail(`\`${shorten(line)}\` is no header field (\`Name: value\`); ${hint}`, number);
    }
    const [, name, value] = match as unknown as [string, string, string];
    if (CONTROL.test(value)) return this.#fail(`the value of ${name} holds a control character`, number);
    const found = findVariable(value, 0);
    const folded = name.toLowerCase();
    if (found !== null && FIXED_FIELDS.has(folded)) return this.#fail(`${name} cannot hold a variable`, number);
    switch (folded) {
      case "transfer-encoding":
        return this.#fail("Transfer-Encoding cannot be set: answers have a Content-Length", number);
      case "content-length":
        if (this.#hasLength) return this.#fail("a second Content-Length", number);
        this.#hasLength = true;
        return this.#place(PART_LENGTH);
      case "connection":
        if (/(^|,)[ \t]*close[ \t]*(,|$)/i.test(value)) this.closes = true;
        if (this.#hasConnection) return true;
        this.#hasConnection = true;
        return this.#place(PART_CONNECTION);
      case "strict-transport-security":
        this.hasHsts = true;
        break;
      case "content-type":
        if (this.#hasType) return this.#fail("a second Content-Type", number);
        this.#hasType = true;
        this.bodyContext = contextOf(value);
        break;
    }
    if (found === null) {
      this.#literal += `${line}\r\n`;
      return true;
    }
    return this.#variableField(name, value, found, number);
  }

  #variableField(name: string, value: string, found: Found, number: number): boolean {
    const variable = this.#check(found, "inHeader", number);
    if (variable === -1) return false;
    if (value !== `%${found.name}`) {
      return this.#fail(`the value of ${name} must be exactly %${found.name}, without anything beside it`, number);
    }
    this.#flush(this.head);
    this.head.push(new Part(PART_FIELD, `${name}: `, variable));
    return true;
  }

  #bodyFrom(first: number): boolean {
    const lines = this.#lines;
    for (let at = first; at < lines.length; at++) {
      if (at > first) this.#literal += "\r\n";
      let rest = 0;
      for (let found = findVariable(lines[at], 0); found !== null; found = findVariable(lines[at], rest)) {
        const variable = this.#check(found, "inBody", at + 1);
        if (variable === -1) return false;
        this.#literal += lines[at].slice(rest, found.at);
        this.body.push(new Part(PART_VARIABLE, this.#literal, variable));
        this.#literal = "";
        rest = found.at + 1 + found.name.length;
      }
      this.#literal += lines[at].slice(rest);
    }
    this.#flush(this.body);
    if (this.body.length > 0 && WITHOUT_BODY.has(this.status)) {
      return this.#fail(`an answer with status ${this.status} cannot have a body`, first + 1);
    }
    return true;
  }

  /** The number of a variable that may stand here, or -1: the problem is noted. */
  #check(found: Found, place: "inHeader" | "inBody", line: number): number {
    const number = variableOf(found.name);
    const allowed = VARIABLES.filter((variable) => isKnownTo(variable, this.#key) && variable[place]);
    const whose = this.#key === null ? "the template of a redirect" : `the answer for ${this.#key}`;
    if (number === -1) {
      const near = nearest(found.name, NAMES);
      const names = allowed.map((variable) => `%${variable.name}`).join(", ");
      const hint = near === null ? `there are ${names}; a plain % in HTML is written &#37;` : `did you mean %${near}?`;
      this.#fail(`there is no variable %${found.name}: ${hint}`, line);
      return -1;
    }
    const variable = VARIABLES[number];
    if (!isKnownTo(variable, this.#key)) {
      this.#fail(`${whose} does not know %${found.name}`, line);
      return -1;
    }
    if (!variable[place]) {
      this.#fail(`%${found.name} cannot stand in ${place === "inHeader" ? "a header field" : "the body"}`, line);
      return -1;
    }
    if (variable.once && this.#used.has(number)) {
      this.#fail(`%${found.name} can be used only once`, line);
      return -1;
    }
    this.#used.add(number);
    return number;
  }

  #place(kind: number): true {
    this.#flush(this.head);
    this.head.push(new Part(kind, "", -1));
    return true;
  }

  #flush(parts: Part[]): void {
    if (this.#literal !== "") parts.push(new Part(PART_LITERAL, this.#literal, -1));
    this.#literal = "";
  }
}

/** A `%NAME` in a line. */
interface Found {
  readonly at: number;
  readonly name: string;
}

/**
 * The first `%NAME` from `from` on. A name is at least three capitals, digits and `_`, beginning with a capital; what
 * also reads as a percent-encoded byte (`%C3`) is one only when it is, or nearly is, the name of a variable.
 */
function findVariable(line: string, from: number): Found | null {
  NAME.lastIndex = from;
  for (let match = NAME.exec(line); match !== null; match = NAME.exec(line)) {
    const name = match[1] as string;
    if (!/^[0-9A-F]{2}/.test(name) || nearest(name, NAMES) !== null) {
      return { at: match.index, name };
    }
  }
  return null;
}

/** How values are escaped in a body of this type. Whatever a browser might render is HTML. */
function contextOf(contentType: string): number {
  const type = contentType.split(";", 1)[0].trim().toLowerCase();
  if (type === "text/plain") return CONTEXT_PLAIN;
  return /^[a-z]+\/([a-z0-9.-]+\+)?json$/.test(type) ? CONTEXT_JSON : CONTEXT_HTML;
}

function shorten(line: string): string {
  return line.length > 40 ? `${line.slice(0, 40)}...` : line;
}

const NAMES = VARIABLES.map((variable) => variable.name);
const NAME = /%([A-Z][A-Z0-9_]{2,})/g;
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
/** Fields whose meaning is decided when the template is set. */
const FIXED_FIELDS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "content-type",
  "transfer-encoding",
]);
/** RFC 9110 15.3.5, 15.3.6, 15.4.5. */
const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 205, 304]);
