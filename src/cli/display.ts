// What the content of an answer looks like: a table for people, exact JSON for programs (decisions 1 and 3). Pure.

import type { ResponseContent } from "../command/gen/sozu_pb.ts";
import { ResponseContentSchema } from "../command/gen/sozu_pb.ts";
import { oneofToPrettyJson } from "../command/json.ts";
import { renderTable } from "./table.ts";

const RUN_STATES: readonly string[] = ["RUNNING", "STOPPING", "STOPPED", "NOT_ANSWERING"];

/** The JSON of a content, ending in a newline; `{}` when there is none. */
export function contentJson(content: ResponseContent | undefined): string {
  return content === undefined ? "{}\n" : `${oneofToPrettyJson(ResponseContentSchema, content)}\n`;
}

/** The text of a content for people, ending in a newline; `No content` when there is none. */
export function contentText(content: ResponseContent | undefined): string {
  const held = content?.contentType;
  if (held?.case === undefined) return "No content\n";
  if (held.case === "workers") {
    const rows = [...held.value.vec]
      .sort((a, b) => a.id - b.id)
      .map((worker) => [String(worker.id), String(worker.pid), RUN_STATES[worker.runState] ?? String(worker.runState)]);
    return renderTable(["worker id", "pid", "run state"], rows);
  }
  // A kind of answer that has no table yet is still shown, exactly.
  return contentJson(content);
}
