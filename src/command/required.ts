// Required fields of a decoded message (proto2). The decoder leaves them unset when a peer did not send them, and nothing
// could write such a message again: it is refused where it comes in. Values of enums that this version does not know count
// as not sent. Pure.

import { type DescField, type DescMessage, isFieldSet, type Message } from "@bufbuild/protobuf";

/** `descriptor.proto`: the presence of a field that proto2 calls required. */
const LEGACY_REQUIRED = 3;

/** Whether a message is malformed without the field. */
export function isRequired(field: DescField): boolean {
  return field.presence === LEGACY_REQUIRED;
}

/** The path of the first required field that is not set, `add_cluster.cluster_id`; null when all are. */
export function missingField(schema: DescMessage, message: Message): string | null {
  for (const field of schema.fields) {
    if (!isFieldSet(message, field)) {
      if (isRequired(field)) return field.name;
      continue;
    }
    const missing = missingWithin(field, heldIn(message, field));
    if (missing !== null) return `${field.name}.${missing}`;
  }
  return null;
}

function missingWithin({ message: inner }: DescField, value: unknown): string | null {
  if (inner === undefined || typeof value !== "object" || value === null) return null;
  if ("$typeName" in value) return missingField(inner, value as Message);
  // A list, or a map by its keys.
  for (const each of Object.values(value)) {
    const missing = missingField(inner, each as Message);
    if (missing !== null) return missing;
  }
  return null;
}

function heldIn(message: Message, field: DescField): unknown {
  const members = message as unknown as Readonly<Record<string, unknown>>;
  if (field.oneof === undefined) return members[field.localName];
  return (members[field.oneof.localName] as { value: unknown }).value;
}
