// What an update changes of a listener, for the audit trail: `:front_timeout=60→30 sticky_name=A→B`, `:(no-op)` when
// nothing. Lists, maps and texts of answers are only named: they may be long or private.

import { type DescField, isFieldSet, type Message } from "@bufbuild/protobuf";
import { addressFromMessage, formatAddress } from "../command/address.ts";
import { HttpListenerConfigSchema, type Request, UpdateHttpListenerConfigSchema } from "../command/gen/sozu_pb.ts";
import type { ConfigState } from "../command/state.ts";
import { column } from "../observe/audit.ts";

/** The part of the target behind the address; empty for everything but updates of a listener that exists. */
export function listenerChanges({ requestType }: Request, state: ConfigState): string {
  if (requestType.case !== "updateHttpListener") return "";
  const address = addressFromMessage(requestType.value.address);
  const old = typeof address === "string" ? undefined : state.httpListeners.get(formatAddress(address))?.message;
  if (old === undefined) return "";
  const changes: string[] = [];
  for (const field of UpdateHttpListenerConfigSchema.fields) {
    if (field.name === "address" || !isFieldSet(requestType.value, field)) continue;
    const before = HttpListenerConfigSchema.fields.find(({ name }) => name === field.name);
    const change = describe(
      field,
      fieldOf(requestType.value, field),
      before === undefined ? null : fieldOf(old, before),
    );
    if (change !== null) changes.push(change);
  }
  return `:${changes.length === 0 ? "(no-op)" : changes.join(" ")}`;
}

function fieldOf(message: Message, field: DescField): unknown {
  return isFieldSet(message, field) ? (message as unknown as Record<string, unknown>)[field.localName] : null;
}

function describe(field: DescField, after: unknown, before: unknown): string | null {
  if (typeof after === "object") return `${field.name}=changed`;
  if (after === before) return null;
  const shown = (value: unknown): string => (value === null || value === undefined ? "-" : column(String(value), 64));
  return `${field.name}=${shown(before)}→${shown(after)}`;
}
