// What a reload or a load did or would do, printed like a diff: a line for each object, `+` added, `-` removed, `~`
// changed with each field before and after. Pure.

import { isFieldSet } from "@bufbuild/protobuf";
import type { ChangeReport, FieldChange, ObjectChange } from "../../command/gen/sozu_pb.ts";
import { FieldChangeSchema } from "../../command/gen/sozu_pb.ts";
import { shown } from "./objects.ts";

const SIGNS: Readonly<Record<string, string>> = { add: "+", remove: "-", change: "~" };

/** The lines, then how many more there are, then the notes. */
export function changeReportText(report: ChangeReport): string {
  const { added, changed, removed, changes, notes } = report;
  const total = added + changed + removed;
  const lines = changes.map(changeText);
  if (total === 0) lines.push("no object differs");
  else if (total > changes.length) lines.push(`... and ${total - changes.length} more`);
  return [...lines, ...notes.map((note) => `note: ${shown(note)}`)].map((line) => `${line}\n`).join("");
}

function changeText({ action, kind, name, fields, overridden }: ObjectChange): string {
  const parts = [`${SIGNS[action] ?? "?"} ${shown(kind)} ${shown(name)}`];
  if (fields.length > 0) parts.push(fields.map(fieldText).join(", "));
  if (overridden) parts.push("(was changed since the file was loaded)");
  return parts.join(" ");
}

function fieldText(change: FieldChange): string {
  const { before, after } = FieldChangeSchema.field;
  const was = isFieldSet(change, before);
  const is = isFieldSet(change, after);
  if (!was && !is) return `${shown(change.field)} changed`;
  return `${shown(change.field)} ${was ? shown(change.before) : "none"} -> ${is ? shown(change.after) : "none"}`;
}
