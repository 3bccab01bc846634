// What differs between two messages of one kind, field by field, as people read it: `front_timeout`, 60, 30. Parts of
// messages and entries of maps are named by their path (`health_check.uri`, `answers.404`). Secrets are named, never
// shown. Pure.

import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { create, isFieldSet } from "@bufbuild/protobuf";
import { addressFromMessage, formatAddress } from "./address.ts";
import { type SocketAddress, SocketAddressSchema } from "./gen/sozu_pb.ts";

/** A field that differs; null: there is none, or (both) it is secret. */
export interface FieldChange {
  readonly field: string;
  readonly before: string | null;
  readonly after: string | null;
}

/** The differences, in the order of the schema. A field that is absent counts as its default. */
export function fieldChanges(desc: DescMessage, before: Message, after: Message): FieldChange[] {
  const changes: FieldChange[] = [];
  compareMessages(desc, before as Fields, after as Fields, "", changes);
  return changes;
}

type Fields = Message & Record<string, unknown>;

/** Characters of a value that are shown. */
const SHOWN_MAX = 80;
const SECRETS: readonly string[] = ["authorized_hashes", "key"];

function compareMessages(desc: DescMessage, before: Fields, after: Fields, prefix: string, changes: FieldChange[]) {
  for (const field of desc.fields) {
    const a = readField(field, before);
    const b = readField(field, after);
    const name = `${prefix}${field.name}`;
    if (field.fieldKind === "map") compareMaps(name, (a ?? {}) as Named, (b ?? {}) as Named, changes);
    else if (field.fieldKind === "message" && isOpened(field.message, a, b)) {
      const none = create(field.message) as Fields;
      compareMessages(field.message, (a ?? none) as Fields, (b ?? none) as Fields, `${name}.`, changes);
    } else if (textOf(field, a) !== textOf(field, b)) {
      const secret = SECRETS.includes(field.name);
      changes.push({
        field: name,
        before: secret ? null : shorten(textOf(field, a)),
        after: secret ? null : shorten(textOf(field, b)),
      });
    }
  }
}

/** Messages are compared by their fields when both are there, and always when one of those is secret. */
function isOpened(message: DescMessage, a: unknown, b: unknown): boolean {
  if (message === SocketAddressSchema || (a === null && b === null)) return false;
  return (a !== null && b !== null) || message.fields.some(({ name }) => SECRETS.includes(name));
}

type Named = Readonly<Record<string, unknown>>;

function compareMaps(name: string, before: Named, after: Named, changes: FieldChange[]): void {
  for (const key of [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()) {
    const a = Object.hasOwn(before, key) ? plain(before[key]) : null;
    const b = Object.hasOwn(after, key) ? plain(after[key]) : null;
    if (a !== b) changes.push({ field: `${name}.${key}`, before: shorten(a), after: shorten(b) });
  }
}

function readField(field: DescField, message: Fields): unknown {
  const isThere = isFieldSet(message, field) || (field.fieldKind === "scalar" && field.getDefaultValue() !== undefined);
  return isThere ? message[field.localName] : null;
}

function textOf(field: DescField, value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (field.message === SocketAddressSchema) {
    const address = addressFromMessage(value as SocketAddress);
    return typeof address === "string" ? address : formatAddress(address);
  }
  if (field.fieldKind === "enum") return field.enum.value[value as number]?.name ?? String(value);
  return plain(value);
}

function plain(value: unknown): string {
  if (typeof value !== "object") return String(value);
  return JSON.stringify(value, (key, inner: unknown) => {
    if (key === "$typeName") return undefined;
    return typeof inner === "bigint" ? String(inner) : inner;
  });
}

function shorten(text: string | null): string | null {
  return text === null || text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}...`;
}
