// The JSON form of protocol messages, as saved states and `--json` have it: fields under their schema names in schema
// order, absent optional fields as null, enums as integers, a oneof as `{"member":{"CASE":value}}`, bytes as arrays of
// integers, 64-bit integers as numbers with all digits. Driven by the descriptors: a new field needs no code here.
// Additions (tags from 1000) are left out when absent, so that what a stock program reads is what it would have
// written.

import type { DescField, DescMessage, DescOneof, Message, MessageShape } from "@bufbuild/protobuf";
import { create, isFieldSet, ScalarType } from "@bufbuild/protobuf";
import { parseJson } from "./json-text.ts";
import { isRequired } from "./required.ts";

/** Prints a message on one line. */
export function toJson<D extends DescMessage>(desc: D, message: MessageShape<D>): string {
  return messageText(desc, message, "", "");
}

/** Prints a message with two spaces of indentation, as `--json` shows it. */
export function toPrettyJson<D extends DescMessage>(desc: D, message: MessageShape<D>): string {
  return messageText(desc, message, "\n", "  ");
}

/**
 * The JSON of what a oneof holds, without the object around it: `{"WORKERS":{"vec":[]}}`. `{}` when it is empty. This
 * is what `--json` prints of an answer's content.
 */
export function oneofToPrettyJson<D extends DescMessage>(desc: D, message: MessageShape<D>): string {
  const member = desc.oneofs[0];
  if (member === undefined) return "{}";
  const text = oneofText(member, message as Fields, "\n", "  ");
  return text === "null" ? "{}" : text;
}

/** What reading JSON gave: the message, or the reason with the path of the offending member. */
export type JsonResult<T> =
  | { readonly ok: true; readonly message: T }
  | { readonly ok: false; readonly reason: string };

/** Reads the JSON form. Unknown members are ignored; only required members must be there. Never throws. */
export function fromJson<D extends DescMessage>(desc: D, text: string): JsonResult<MessageShape<D>> {
  const parsed = parseJson(text);
  if (!parsed.ok) return parsed;
  try {
    return { ok: true, message: readMessage(desc, parsed.value, "") as MessageShape<D> };
  } catch (error) {
    if (error instanceof ShapeError) return { ok: false, reason: error.message };
    if (error instanceof RangeError) return { ok: false, reason: "nested too deep" };
    throw error;
  }
}

/** `add_http_frontend` -> `ADD_HTTP_FRONTEND`, `Logging` -> `LOGGING`. */
export function caseName(field: DescField): string {
  return field.name.toUpperCase();
}

const ADDITIONS_FROM = 1000;

type Fields = Message & Record<string, unknown>;
interface OneofValue {
  case: string | undefined;
  value?: unknown;
}

function messageText(desc: DescMessage, message: unknown, line: string, indent: string): string {
  const fields = message as Fields;
  const inner = line === "" ? "" : line + indent;
  const colon = line === "" ? ":" : ": ";
  let text = "";
  for (const member of desc.members) {
    if (member.kind === "field" && member.number >= ADDITIONS_FROM && !isFieldSet(fields, member)) continue;
    const value =
      member.kind === "oneof" ? oneofText(member, fields, inner, indent) : fieldText(member, fields, inner, indent);
    text += `${text === "" ? "" : ","}${inner}"${member.name}"${colon}${value}`;
  }
  return text === "" ? "{}" : `{${text}${line}}`;
}

function oneofText(member: DescOneof, fields: Fields, line: string, indent: string): string {
  const held = fields[member.localName] as OneofValue;
  const field = held.case === undefined ? undefined : member.fields.find((f) => f.localName === held.case);
  if (field === undefined) return "null";
  const inner = line === "" ? "" : line + indent;
  const colon = line === "" ? ":" : ": ";
  return `{${inner}"${caseName(field)}"${colon}${valueText(field, held.value, inner, indent)}${line}}`;
}

function fieldText(field: DescField, fields: Fields, line: string, indent: string): string {
  const value = fields[field.localName];
  if (field.fieldKind === "list") {
    const items = (value as unknown[]).map((item) => valueText(field, item, line === "" ? "" : line + indent, indent));
    return listText(items, line, indent, "[", "]");
  }
  if (field.fieldKind === "map") return mapText(field, value as Record<string, unknown>, line, indent);
  if (value === undefined || (!isRequired(field) && !isFieldSet(fields, field))) return "null";
  return valueText(field, value, line, indent);
}

function mapText(field: DescField, map: Record<string, unknown>, line: string, indent: string): string {
  const inner = line === "" ? "" : line + indent;
  const colon = line === "" ? ":" : ": ";
  const keys = Object.keys(map).sort(compareUtf8);
  const items = keys.map((key) => `${JSON.stringify(key)}${colon}${valueText(field, map[key], inner, indent)}`);
  return listText(items, line, indent, "{", "}");
}

function listText(items: string[], line: string, indent: string, open: string, close: string): string {
  if (items.length === 0) return open + close;
  const inner = line === "" ? "" : line + indent;
  return `${open}${items.map((item) => inner + item).join(",")}${line}${close}`;
}

function valueText(field: DescField, value: unknown, line: string, indent: string): string {
  if (field.message !== undefined) return messageText(field.message, value, line, indent);
  if (value instanceof Uint8Array) return listText(Array.from(value, String), line, indent, "[", "]");
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** Order of the UTF-8 bytes, which for surrogate pairs is not the order of the UTF-16 units. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    let x = a.charCodeAt(i);
    let y = b.charCodeAt(i);
    if (x === y) continue;
    if (x >= 0xd800 && y >= 0xd800) {
      // Surrogates stand for code points above U+FFFF: they sort behind U+E000 to U+FFFF.
      x = x >= 0xe000 ? x - 0x800 : x + 0x2000;
      y = y >= 0xe000 ? y - 0x800 : y + 0x2000;
    }
    return x - y;
  }
  return a.length - b.length;
}

/** Thrown inside this file only; fromJson() turns it into a result. */
class ShapeError extends Error {}

function fail(path: string, reason: string): never {
  throw new ShapeError(path === "" ? reason : `${path}: ${reason}`);
}

function readMessage(desc: DescMessage, value: unknown, path: string): Message {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    fail(path, `expected an object, got ${kindOf(value)}`);
  }
  const source = value as Record<string, unknown>;
  const message = create(desc) as Fields;
  for (const member of desc.members) {
    const memberPath = path === "" ? member.name : `${path}.${member.name}`;
    const given = Object.hasOwn(source, member.name) ? source[member.name] : undefined;
    if (given === undefined || given === null) {
      if (member.kind === "field" && isRequired(member)) fail(memberPath, "missing field");
      continue;
    }
    if (member.kind === "oneof") message[member.localName] = readOneof(member, given, memberPath);
    else message[member.localName] = readField(member, given, memberPath);
  }
  return message;
}

function readOneof(member: DescOneof, value: unknown, path: string): OneofValue {
  if (typeof value !== "object" || value === null || Array.isArray(value)) fail(path, "expected an object");
  const names = Object.keys(value as object);
  const name = names[0];
  if (name === undefined || names.length !== 1) fail(path, `expected exactly one member, got ${names.length}`);
  const field = member.fields.find((candidate) => caseName(candidate) === name);
  if (field === undefined) fail(path, `unknown variant ${JSON.stringify(name)}`);
  const inner = readValue(field, (value as Record<string, unknown>)[name], `${path}.${name}`);
  return { case: field.localName, value: inner };
}

function readField(field: DescField, value: unknown, path: string): unknown {
  if (field.fieldKind === "list") {
    if (!Array.isArray(value)) fail(path, `expected an array, got ${kindOf(value)}`);
    return value.map((item, index) => readValue(field, item, `${path}[${index}]`));
  }
  if (field.fieldKind === "map") {
    if (typeof value !== "object" || value === null || Array.isArray(value)) fail(path, "expected an object");
    const map: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      // defineProperty: a key named __proto__ is a key like any other.
      const read = readValue(field, item, `${path}[${JSON.stringify(key)}]`);
      Object.defineProperty(map, key, { value: read, writable: true, enumerable: true, configurable: true });
    }
    return map;
  }
  return readValue(field, value, path);
}

function readValue(field: DescField, value: unknown, path: string): unknown {
  if (field.message !== undefined) return readMessage(field.message, value, path);
  if (field.enum !== undefined) {
    if (typeof value !== "number" || field.enum.value[value] === undefined) {
      fail(path, `expected a number of ${field.enum.name}, got ${shown(value)}`);
    }
    return value;
  }
  return readScalar(field.scalar!, value, path);
}

function readScalar(scalar: ScalarType, value: unknown, path: string): unknown {
  switch (scalar) {
    case ScalarType.STRING:
      if (typeof value !== "string") fail(path, `expected a string, got ${kindOf(value)}`);
      if (!value.isWellFormed()) fail(path, "the string holds half of a surrogate pair");
      return value;
    case ScalarType.BOOL:
      if (typeof value !== "boolean") fail(path, `expected a boolean, got ${kindOf(value)}`);
      return value;
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return readInteger(value, 0, 0xffffffff, path);
    case ScalarType.INT32:
      return readInteger(value, -0x80000000, 0x7fffffff, path);
    case ScalarType.UINT64:
      return readBigInteger(value, 0n, 0xffffffffffffffffn, path);
    case ScalarType.INT64:
      return readBigInteger(value, -0x8000000000000000n, 0x7fffffffffffffffn, path);
    case ScalarType.BYTES:
      if (!Array.isArray(value)) fail(path, `expected an array of bytes, got ${kindOf(value)}`);
      return Uint8Array.from(value, (item, index) => readInteger(item, 0, 255, `${path}[${index}]`));
    default:
      return fail(path, "this type is not part of the schema");
  }
}

function readInteger(value: unknown, min: number, max: number, path: string): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
    fail(path, `expected an integer from ${min} to ${max}, got ${shown(value)}`);
  }
  return value;
}

function readBigInteger(value: unknown, min: bigint, max: bigint, path: string): bigint {
  const big = typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof big !== "bigint" || big < min || big > max) {
    fail(path, `expected an integer from ${min} to ${max}, got ${shown(value)}`);
  }
  return big;
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  return Array.isArray(value) ? "an array" : `a ${typeof value}`;
}

function shown(value: unknown): string {
  return typeof value === "number" || typeof value === "bigint" ? String(value) : kindOf(value);
}
