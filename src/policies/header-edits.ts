// Edits of header fields that a frontend makes (spec 5.8; oddity 27: a value replaces, as documented).
//
// An edit with a value replaces all fields of its name, one without a value removes them, one that appends adds a field.
// Edits apply in the order of the configuration, so all of them together come down to two lists that are made once: names
// to drop, and lines to add. Fields that frame a message or belong to one connection cannot be edited (RFC 9110 7.6.1):
// the proxy writes them from what it understood.

import type { HeaderEditObject } from "../command/objects.ts";
import { ascii, FIELD_CONTENT, TOKEN } from "../wire/http1/bytes.ts";
import { Constant } from "../wire/http1/encoder.ts";
import * as field from "../wire/http1/head.ts";
import { DROP, FIELD_STRIDE, type Head } from "../wire/http1/head.ts";
import { lookupName } from "../wire/http1/names.ts";

/** Edits of one frontend, bytes of one name, of one value, and of all lines that one message gets. */
export const EDITS_MAX = 64;
export const EDIT_NAME_BYTES_MAX = 128;
export const EDIT_VALUE_BYTES_MAX = 4096;
export const EDIT_LINES_BYTES_MAX = 8192;

/** Names that no edit may touch, and why. */
const FRAMING = "it frames the message; the proxy writes it";
const HOP = "it belongs to one connection; the proxy writes it";
const REFUSED: ReadonlyMap<string, string> = new Map([
  ["content-length", FRAMING],
  ["transfer-encoding", FRAMING],
  ["trailer", FRAMING],
  ["connection", HOP],
  ["keep-alive", HOP],
  ["proxy-connection", HOP],
  ["te", HOP],
  ["upgrade", HOP],
  ["http2-settings", HOP],
  ["expect", "whether a body follows is agreed by client and backend"],
]);

/** The edits of one direction, compiled. */
export class HeaderEdits {
  /** Lines to add, `name: value CRLF` each. */
  readonly lines: Constant;
  /** Bits of the known names that are dropped, also where the proxy would write them itself. */
  readonly dropped: number;
  /** The new value of Host, null when it stays. It is not among the lines. */
  readonly host: Constant | null;
  /** Other names that are dropped, lower case. */
  readonly #names: readonly Uint8Array[];

  constructor(lines: string, dropped: number, names: readonly string[], host: string | null) {
    this.lines = new Constant(Buffer.from(lines, "utf8").toString("latin1"));
    this.dropped = dropped;
    this.host = host === null ? null : new Constant(host);
    this.#names = names.map(ascii);
  }

  /** Flags the fields that the edits drop so that no encoder writes them. */
  apply(head: Head, bytes: Uint8Array, base: number): void {
    const known = this.dropped & head.present;
    for (let id = 0; known >>> id !== 0; id++) if (((known >>> id) & 1) === 1) head.drop(id);
    if (this.#names.length === 0 || (head.present & UNKNOWN_BIT) === 0) return;
    const { fields } = head;
    const end = head.count * FIELD_STRIDE;
    for (let row = 0; row < end; row += FIELD_STRIDE) {
      if (fields[row + 4] !== field.UNKNOWN || (fields[row + 5] & DROP) !== 0) continue;
      if (this.#isNamed(bytes, base + fields[row], fields[row + 1] - fields[row])) fields[row + 5] |= DROP;
    }
  }

  #isNamed(bytes: Uint8Array, at: number, length: number): boolean {
    for (const name of this.#names) {
      if (name.length === length && field.equalsLowerCase(bytes, at, name)) return true;
    }
    return false;
  }
}

/** Why an edit cannot be used, or null. */
export function checkHeaderEdit(edit: HeaderEditObject): string | null {
  const { name, value } = edit;
  if (name === "" || !isMadeOf(name, TOKEN)) return `${JSON.stringify(name)} is not a header name`;
  if (name.length > EDIT_NAME_BYTES_MAX) return `the name is longer than ${EDIT_NAME_BYTES_MAX} bytes`;
  const lower = name.toLowerCase();
  const refused = REFUSED.get(lower);
  if (refused !== undefined) return `${name} cannot be edited: ${refused}`;
  if (Buffer.byteLength(value) > EDIT_VALUE_BYTES_MAX) return `the value is longer than ${EDIT_VALUE_BYTES_MAX} bytes`;
  if (!isMadeOf(value, FIELD_CONTENT)) return "the value holds a control character";
  if (value !== value.trim()) return "the value begins or ends with white space";
  if (edit.append && value === "") return "an edit that appends needs a value";
  if ((edit.position & 1) === 0 || lower !== "host") return null;
  if (value === "") return "Host cannot be removed: a request needs one";
  if (edit.append) return "a second Host cannot be added";
  return /^(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/.test(value)
    ? null
    : `${JSON.stringify(value)} is not a host with an optional port`;
}

/** Why these edits of one frontend cannot be used together, or null. */
export function checkHeaderEdits(edits: readonly HeaderEditObject[]): string | null {
  if (edits.length > EDITS_MAX) return `there are more than ${EDITS_MAX} edits`;
  for (const edit of edits) {
    const bad = checkHeaderEdit(edit);
    if (bad !== null) return bad;
  }
  let bytes = 0;
  for (const { name, value } of edits) bytes += name.length + Buffer.byteLength(value) + 4;
  return bytes > EDIT_LINES_BYTES_MAX ? `the edits together are longer than ${EDIT_LINES_BYTES_MAX} bytes` : null;
}

/** Compiles the edits whose position has the bit `side` (HEADER_REQUEST or HEADER_RESPONSE); null: there are none. */
export function compileHeaderEdits(edits: readonly HeaderEditObject[], side: number): HeaderEdits | null {
  let lines: { readonly name: string; readonly text: string }[] = [];
  let dropped = 0;
  let host: string | null = null;
  const names = new Set<string>();
  let used = false;
  for (const edit of edits) {
    if ((edit.position & side) === 0) continue;
    used = true;
    const name = edit.name.toLowerCase();
    if (name === "host" && side === 1) {
      host = edit.value;
      continue;
    }
    if (!edit.append) {
      lines = lines.filter((line) => line.name !== name);
      const id = idOf(name);
      if (id === field.UNKNOWN) names.add(name);
      else dropped |= 1 << id;
    }
    if (edit.value !== "") lines.push({ name, text: `${edit.name}: ${edit.value}\r\n` });
  }
  return used ? new HeaderEdits(lines.map((line) => line.text).join(""), dropped, [...names], host) : null;
}

const UNKNOWN_BIT = 1 << field.UNKNOWN;

function idOf(name: string): number {
  const bytes = ascii(name);
  const id = name.length > 32 ? -1 : lookupName(new DataView(bytes.buffer), 0, bytes.length);
  return id < 0 ? field.UNKNOWN : id;
}

/** Characters above 0x7f become bytes of UTF-8, all of which a value may hold. */
function isMadeOf(text: string, table: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (table[Math.min(text.charCodeAt(i), 0xff)] === 0) return false;
  return true;
}
