// The texts of answers in the configuration file (spec 2.4): a template written out, `file://` and a path, or the path
// alone under the older key of one status. Pure: files are read by a function that is given, once each. What was found is
// kept with its place, so that a broken template is reported where it is written.

import { ANSWERS_MAX } from "../command/limits.ts";
import type { ConfigPath, ProblemList } from "./problems.ts";
import { absolutePath } from "./socket.ts";

/** The text of a file by its absolute path, or why there is none. */
export type ReadFile = (path: string, form?: FileForm) => string | { readonly reason: string };

/** How a file is read; answers are texts of at most 64 kB. */
export interface FileForm {
  readonly bytesMax: number;
  /** The text is its bytes in base64. */
  readonly binary: boolean;
}

/** What one table says about answers. */
export interface FoundAnswers {
  readonly texts: Map<string, string>;
  /** By the field that refusals name: `answers.404`. */
  readonly places: Map<string, ConfigPath>;
}

const SCHEME = "file://";

/** Reads templates for the tables of one file. */
export class Templates {
  readonly #problems: ProblemList;
  readonly #folder: string;
  readonly #readFile: ReadFile;

  constructor(problems: ProblemList, folder: string, readFile: ReadFile = () => ({ reason: "no file can be read" })) {
    this.#problems = problems;
    this.#folder = folder;
    this.#readFile = readFile;
  }

  /** The text of a value; empty after a problem. */
  text(value: string, place: ConfigPath): string {
    return value.startsWith(SCHEME) ? this.file(value.slice(SCHEME.length), place) : value;
  }

  /** The answers of a table: those of `answers` win over those of `answer_<status>`; empty ones are skipped. */
  answers(values: Readonly<Record<string, unknown>>, path: ConfigPath): FoundAnswers {
    const texts = new Map<string, string>();
    const places = new Map<string, ConfigPath>();
    const put = (status: string, text: string, place: ConfigPath): void => {
      if (text === "") return;
      texts.set(status, text);
      places.set(`answers.${status}`, place);
    };
    for (const name of Object.keys(values)) {
      const status = /^answer_([0-9]{3})$/.exec(name)?.[1];
      const place = [...path, name];
      if (status !== undefined) put(status, this.file(values[name] as string, place), place);
    }
    const map = values["answers"] as ReadonlyMap<string, string> | undefined;
    let left = ANSWERS_MAX + 1;
    for (const [status, value] of map ?? []) {
      const place = [...path, "answers", status];
      if (left-- > 0) put(status, this.text(value, place), place);
    }
    return { texts, places };
  }

  /** The text of a file; empty after a problem. */
  file(path: string, place: ConfigPath, form?: FileForm): string {
    const text = this.#readFile(absolutePath(path, this.#folder), form);
    if (typeof text === "string") return text;
    this.#problems.error(place, `${String(place.at(-1))}: ${text.reason}`);
    return "";
  }
}
