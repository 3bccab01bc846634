// What a plan did or would do, as an answer: counts and a sentence for everybody, and the objects one by one with their
// fields for who wants to see them. Bounded: an answer names a thousand objects at most and counts the rest.

import type { ObjectChange, Plan } from "../command/diff.ts";
import type { ContentInit } from "../command/messages.ts";

/** Objects listed in one answer. */
export const LISTED_MAX = 1000;
/** Objects named in one sentence. */
const NAMED_MAX = 5;

/** How many objects a plan concerns, by what happens to them. */
export interface Counts {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
}

/** The content of the answer: `change_report`. */
export function reportContent(plan: Plan, notes: readonly string[], dryRun: boolean): ContentInit {
  const listed = plan.changes.slice(0, LISTED_MAX).map((change) => ({
    action: change.action,
    kind: change.kind,
    name: change.name,
    fields: change.fields().map(({ field, before, after }) => ({
      field,
      ...(before === null ? {} : { before }),
      ...(after === null ? {} : { after }),
    })),
    overridden: change.overridden,
  }));
  return { case: "changeReport", value: { changes: listed, ...countChanges(plan.changes), notes: [...notes], dryRun } };
}

/** `2 added, 1 changed, 0 removed`. */
export function countsText(plan: Plan): string {
  const { added, changed, removed } = countChanges(plan.changes);
  return `${added} added, ${changed} changed, ${removed} removed`;
}

/** What was changed over the socket since and gives way to the file; "" when nothing. */
export function overriddenText(plan: Plan): string {
  const names = plan.changes.filter((change) => change.overridden).map(({ kind, name }) => `${kind} ${name}`);
  return names.length === 0 ? "" : `the file won over changes of ${list(names)}`;
}

/** Objects that differ and stay; "" when there are none. */
export function keptText(plan: Plan): string {
  return plan.kept.length === 0 ? "" : `kept as they are, though the file differs: ${list(plan.kept)}`;
}

/** The first few, and how many more. */
export function list(texts: readonly string[]): string {
  const more = texts.length > NAMED_MAX ? ` and ${texts.length - NAMED_MAX} more` : "";
  return `${texts.slice(0, NAMED_MAX).join(", ")}${more}`;
}

function countChanges(changes: readonly ObjectChange[]): Counts {
  const counts = { add: 0, change: 0, remove: 0 };
  for (const { action } of changes) counts[action] += 1;
  return { added: counts.add, changed: counts.change, removed: counts.remove };
}
