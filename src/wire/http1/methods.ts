// Request methods as numbers. Methods are case-sensitive (RFC 9110 9.1): `get` is OTHER and passes as an unknown method.

import { ascii } from "./bytes.ts";

/** Numeric method ids. OTHER is any other token. */
export const METHOD = {
  OTHER: 0,
  GET: 1,
  HEAD: 2,
  POST: 3,
  PUT: 4,
  DELETE: 5,
  OPTIONS: 6,
  PATCH: 7,
  TRACE: 8,
  CONNECT: 9,
} as const;

/** Names by id, for logs and rules. OTHER has none: read the bytes. */
export const methodNames: readonly string[] = [
  "",
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "DELETE",
  "OPTIONS",
  "PATCH",
  "TRACE",
  "CONNECT",
];

const names = methodNames.map(ascii);

/** The id of the method in [from, to). */
export function methodOf(bytes: Uint8Array, from: number, to: number): number {
  const length = to - from;
  const first = bytes[from];
  for (let id = 1; id < names.length; id++) {
    const name = names[id];
    if (name[0] !== first || name.length !== length) continue;
    let k = 1;
    while (k < length && bytes[from + k] === name[k]) k++;
    if (k === length) return id;
  }
  return METHOD.OTHER;
}

/** True when a repeated request has the effect of one (RFC 9110 9.2.2): it may be sent again. */
export function isIdempotent(method: number): boolean {
  switch (method) {
    case METHOD.GET:
    case METHOD.HEAD:
    case METHOD.PUT:
    case METHOD.DELETE:
    case METHOD.OPTIONS:
    case METHOD.TRACE:
      return true;
    default:
      return false;
  }
}
