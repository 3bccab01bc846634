// HTTP and HTTPS frontends of the state (spec 4.7): identity is address, host, path rule and method; neither the cluster nor
// the position belong to it. A second frontend of one identity is refused, and so is removing one that is not there.

import { formatAddress } from "../address.ts";
import { toFrontend } from "../convert.ts";
import { type Converted, isError } from "../convert-checks.ts";
import { commandError } from "../errors.ts";
import type { RequestHttpFrontend } from "../gen/sozu_pb.ts";
import type { Change, HttpFrontendObject } from "../objects.ts";
import type { HttpsFrontendObject } from "../objects-tls.ts";
import type { Outcome } from "./clusters.ts";
import { frontendKey } from "./keys.ts";
import { type Entry, type Origin, Table } from "./table.ts";

export type HttpFrontendTable = Table<RequestHttpFrontend, HttpFrontendObject>;
export type HttpsFrontendTable = Table<RequestHttpFrontend, HttpsFrontendObject>;
export type HttpFrontendEntry = Entry<RequestHttpFrontend, HttpFrontendObject>;

export function httpFrontendTable(): HttpFrontendTable {
  return new Table("HttpFrontend", (before, after): Change[] => {
    const changes: Change[] = [];
    if (before !== undefined) changes.push({ kind: "remove_http_frontend", frontend: before });
    if (after !== undefined) changes.push({ kind: "add_http_frontend", frontend: after });
    return changes;
  });
}

export function httpsFrontendTable(): HttpsFrontendTable {
  return new Table("HttpsFrontend", (before, after): Change[] => {
    const changes: Change[] = [];
    if (before !== undefined) changes.push({ kind: "remove_https_frontend", frontend: before });
    if (after !== undefined) changes.push({ kind: "add_https_frontend", frontend: after });
    return changes;
  });
}

export function addHttpFrontend<O extends HttpFrontendObject>(
  table: Table<RequestHttpFrontend, O>,
  toObject: (message: RequestHttpFrontend) => Converted<O>,
  message: RequestHttpFrontend,
  origin: Origin,
  revision: number,
): Outcome {
  const object = toObject(message);
  if (isError(object)) return object;
  const key = frontendKey(object);
  if (table.get(key) !== undefined) return commandError("EXISTS", table.kind, stateKey(object));
  return [table.step(key, { message, object, origin, revision })];
}

export function removeHttpFrontend<O extends HttpFrontendObject>(
  table: Table<RequestHttpFrontend, O>,
  message: RequestHttpFrontend,
): Outcome {
  // What else the frontend had does not matter here, so HSTS may be in it or not.
  const object = toFrontend(message);
  if (isError(object)) return object;
  const key = frontendKey(object);
  if (table.get(key) === undefined) return commandError("NOT_FOUND", table.kind, stateKey(object));
  return [table.step(key, undefined)];
}

const PATH_LETTERS = ["P", "R", "="] as const;

/** The key that messages show and that decides ties between rules: `address;hostname;<P|R|=><path>[;method]`. */
export function stateKey(frontend: HttpFrontendObject): string {
  const method = frontend.method === null ? "" : `;${frontend.method}`;
  const rule = `${PATH_LETTERS[frontend.pathKind] ?? "P"}${frontend.path}`;
  return `${formatAddress(frontend.address)};${frontend.hostname};${rule}${method}`;
}
