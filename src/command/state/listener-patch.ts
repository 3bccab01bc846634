// UpdateHttpListener laid over the message of a listener (spec 4.7): only the fields that were given change, answers one
// by one. What a patch says is part of the state like everything else, so a later worker and a saved state have it too
// (oddity 9). An empty answer takes the listener's own away.

import { clone, create, isFieldSet } from "@bufbuild/protobuf";
import { httpAnswers } from "../answer-texts.ts";
import type { HttpListenerConfig, UpdateHttpListenerConfig } from "../gen/sozu_pb.ts";
import { CustomHttpAnswersSchema, HttpListenerConfigSchema, UpdateHttpListenerConfigSchema } from "../gen/sozu_pb.ts";
import { setEntry } from "../map-entry.ts";

/** A new message; neither argument is changed. */
export function patchHttpListener(message: HttpListenerConfig, patch: UpdateHttpListenerConfig): HttpListenerConfig {
  const patched = clone(HttpListenerConfigSchema, message);
  const from = patch as unknown as Fields;
  const to = patched as unknown as Fields;
  for (const field of COPIED) if (isFieldSet(patch, field)) to[field.localName] = from[field.localName];
  if (patch.trustedProxies !== undefined) patched.trustedProxies = [...patch.trustedProxies.values];
  const deprecated = httpAnswers(patch.httpAnswers);
  for (const [status, text] of deprecated) setDeprecatedAnswer(patched, status, text);
  for (const status of Object.keys(patch.answers)) setAnswer(patched, status, patch.answers[status]!);
  return patched;
}

type Fields = Record<string, unknown>;

/** These have the same name and type in both messages. */
const COPIED = UpdateHttpListenerConfigSchema.fields.filter(
  ({ localName }) => !["address", "httpAnswers", "answers", "trustedProxies"].includes(localName),
);

/** The map wins over the deprecated field, so what it had for this status goes. */
function setDeprecatedAnswer(message: HttpListenerConfig, status: string, text: string): void {
  delete message.answers[status];
  message.httpAnswers ??= create(CustomHttpAnswersSchema);
  const fields = message.httpAnswers as unknown as Fields;
  if (text === "") delete fields[`answer${status}`];
  else fields[`answer${status}`] = text;
}

function setAnswer(message: HttpListenerConfig, status: string, text: string): void {
  const deprecated = message.httpAnswers;
  if (deprecated !== undefined) delete (deprecated as unknown as Fields)[`answer${status}`];
  if (text === "") delete message.answers[status];
  else setEntry(message.answers, status, text);
}
