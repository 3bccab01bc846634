// Update*Listener laid over the message of a listener (spec 4.7): only the fields that were given change, answers one by
// one. What a patch says is part of the state like everything else, so a later worker and a saved state have it too
// (oddity 9). An empty answer takes the listener's own away; an empty list is no list, so what is the default counts.

import { clone, create, type DescField, isFieldSet, type Message } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import { httpAnswers } from "../answer-texts.ts";
import { type CommandError, commandError } from "../errors.ts";
import type { CustomHttpAnswers } from "../gen/sozu_pb.ts";
import { CustomHttpAnswersSchema } from "../gen/sozu_pb.ts";
import { setEntry } from "../map-entry.ts";

/** Makes the function that lays patches of one kind over listeners of one kind; it changes neither of its arguments. */
export function listenerPatch<M extends Message, P extends Message>(
  schema: GenMessage<M>,
  patchSchema: GenMessage<P>,
): (message: M, patch: P) => M | CommandError {
  const fields = patchSchema.fields.filter(({ localName }) => !BY_HAND.includes(localName));
  return (message, patch) => {
    const patched = clone(schema, message) as M;
    const from = patch as unknown as Fields;
    const to = patched as unknown as Fields;
    for (const field of fields) {
      if (!isFieldSet(patch, field)) continue;
      const value = unwrapped(field, from[field.localName]);
      // Spec 4.7: in a whole listener an empty name stands for the default, in a patch it is a mistake.
      if (field.name === "sozu_id_header" && value === "")
        return commandError("INVALID_VALUE", field.name, "it is empty");
      to[field.localName] = value;
    }
    if ("answers" in patch) patchAnswers(to as unknown as WithAnswers, patch as unknown as WithAnswers);
    return patched;
  };
}

type Fields = Record<string, unknown>;
interface WithAnswers {
  answers: Record<string, string>;
  httpAnswers?: CustomHttpAnswers;
}

/** The others have the same name and type in both messages, or are lists that a message wraps. */
const BY_HAND: readonly string[] = ["address", "httpAnswers", "answers"];

/** In a patch a list is wrapped, so that an empty one can be told from none. */
function unwrapped({ message }: DescField, value: unknown): unknown {
  const wrapped = message?.fields.length === 1 && message.fields[0]!.name === "values";
  return wrapped ? [...(value as { values: unknown[] }).values] : value;
}

function patchAnswers(message: WithAnswers, patch: WithAnswers): void {
  for (const [status, text] of httpAnswers(patch.httpAnswers)) setDeprecatedAnswer(message, status, text);
  for (const status of Object.keys(patch.answers)) setAnswer(message, status, patch.answers[status]!);
}

/** The map wins over the deprecated field, so what it had for this status goes. */
function setDeprecatedAnswer(message: WithAnswers, status: string, text: string): void {
  delete message.answers[status];
  message.httpAnswers ??= create(CustomHttpAnswersSchema);
  const fields = message.httpAnswers as unknown as Fields;
  if (text === "") delete fields[`answer${status}`];
  else fields[`answer${status}`] = text;
}

function setAnswer(message: WithAnswers, status: string, text: string): void {
  const deprecated = message.httpAnswers;
  if (deprecated !== undefined) delete (deprecated as unknown as Fields)[`answer${status}`];
  if (text === "") delete message.answers[status];
  else setEntry(message.answers, status, text);
}
