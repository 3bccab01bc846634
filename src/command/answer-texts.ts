// The answers of listeners and clusters as messages carry them (spec 5.9): a map by status, and the deprecated fields
// `http_answers` and `answer_503`, which the map wins over. Here they become one list, and one message is laid over
// another. An empty text is no answer: laid over another, it takes that one away.

import { isFieldSet } from "@bufbuild/protobuf";
import { TEMPLATE_BYTES_MAX } from "../answers/limits.ts";
import { compileAnswer } from "../answers/template.ts";
import { type CommandError, commandError } from "./errors.ts";
import type { Cluster, CustomHttpAnswers } from "./gen/sozu_pb.ts";
import { ClusterSchema, CustomHttpAnswersSchema } from "./gen/sozu_pb.ts";
import { ANSWERS_BYTES_MAX, ANSWERS_MAX } from "./limits.ts";
import type { AnswerTexts } from "./objects.ts";
import { checkLines, utf8Length } from "./text.ts";

/** By status. */
export type AnswerMap = Map<string, string>;

/** What a message says, empty texts included: the map over the deprecated fields. */
export function answersOf(map: Readonly<Record<string, string>>, deprecated: AnswerMap): AnswerMap {
  const answers = new Map(deprecated);
  for (const status of Object.keys(map)) answers.set(status, map[status]!);
  return answers;
}

/** The fields that are set in `http_answers`. */
export function httpAnswers(message: CustomHttpAnswers | undefined): AnswerMap {
  const answers: AnswerMap = new Map();
  if (message === undefined) return answers;
  for (const field of CustomHttpAnswersSchema.fields) {
    if (!isFieldSet(message, field)) continue;
    answers.set(field.name.slice("answer_".length), message[field.localName as AnswerField]);
  }
  return answers;
}

/** All answers of a cluster's message. */
export function clusterAnswers(message: Cluster): AnswerMap {
  const deprecated: AnswerMap = new Map();
  if (isFieldSet(message, ClusterSchema.field.answer503)) deprecated.set("503", message.answer503);
  return answersOf(message.answers, deprecated);
}

/** The list of the records, or the first text that cannot be used. */
export function toAnswers(answers: AnswerMap): AnswerTexts | CommandError {
  const list = [...answers].filter(([, text]) => text !== "").sort(([a], [b]) => (a < b ? -1 : 1));
  if (list.length > ANSWERS_MAX) return commandError("INVALID_VALUE", "answers", `there are more than ${ANSWERS_MAX}`);
  let bytes = 0;
  for (const [status, text] of list) {
    const reason = checkStatus(status) ?? checkTemplate(status, text);
    if (reason !== null) return commandError("INVALID_VALUE", `answers.${status}`, reason);
    bytes += utf8Length(text);
  }
  if (bytes <= ANSWERS_BYTES_MAX) return list;
  return commandError("INVALID_VALUE", "answers", `all together are longer than ${ANSWERS_BYTES_MAX} bytes`);
}

/** Why a text is no template for this status ("": a redirect's); null when it is one. */
export function checkTemplate(status: string, text: string): string | null {
  const bad = checkLines(text, TEMPLATE_BYTES_MAX);
  if (bad !== null) return bad;
  const compiled = compileAnswer(status, text);
  return "reason" in compiled ? `line ${compiled.line} of the template: ${compiled.reason}` : null;
}

type AnswerField = Exclude<keyof CustomHttpAnswers, "$typeName" | "$unknown">;

function checkStatus(status: string): string | null {
  return /^[2-5][0-9]{2}$/.test(status) ? null : "the key must be a status from 200 to 599";
}
