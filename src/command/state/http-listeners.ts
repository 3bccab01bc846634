// HTTP listeners of the state (spec 4.7): identity is the address; a second one is refused; frontends stay when a
// listener goes. A listener is added inactive whatever its message says: only ActivateListener opens a socket, so
// "active" in the state always means that main holds one.

import { clone } from "@bufbuild/protobuf";
import { formatAddress } from "../address.ts";
import { isError, toAddress, toHttpListener } from "../convert.ts";
import { commandError } from "../errors.ts";
import type { SocketAddress as AddressMessage, HttpListenerConfig } from "../gen/sozu_pb.ts";
import { HttpListenerConfigSchema } from "../gen/sozu_pb.ts";
import type { Change, HttpListenerObject } from "../objects.ts";
import type { Outcome } from "./clusters.ts";
import { type Entry, type Origin, sameObject, Table } from "./table.ts";

export type HttpListenerTable = Table<HttpListenerConfig, HttpListenerObject>;
export type HttpListenerEntry = Entry<HttpListenerConfig, HttpListenerObject>;

export function httpListenerTable(): HttpListenerTable {
  return new Table("HttpListener", listenerChanges);
}

export function addHttpListener(
  table: HttpListenerTable,
  message: HttpListenerConfig,
  origin: Origin,
  revision: number,
): Outcome {
  const object = toHttpListener(message);
  if (isError(object)) return object;
  const key = formatAddress(object.address);
  if (table.get(key) !== undefined) return commandError("EXISTS", table.kind, key);
  return [table.step(key, { message: withActive(message, false), object, origin, revision })];
}

export function removeHttpListener(table: HttpListenerTable, message: AddressMessage | undefined): Outcome {
  const address = toAddress("address", message);
  if (isError(address)) return address;
  const key = formatAddress(address);
  return table.get(key) === undefined ? commandError("NO_CHANGE") : [table.step(key, undefined)];
}

export function setHttpListenerActive(
  table: HttpListenerTable,
  message: AddressMessage | undefined,
  active: boolean,
  revision: number,
): Outcome {
  const address = toAddress("address", message);
  if (isError(address)) return address;
  const key = formatAddress(address);
  const entry = table.get(key);
  if (entry === undefined) return commandError("NOT_FOUND", table.kind, key);
  if (entry.object.active === active) return [];
  const object = { ...entry.object, active };
  return [table.step(key, { message: withActive(entry.message, active), object, origin: entry.origin, revision })];
}

function withActive(message: HttpListenerConfig, active: boolean): HttpListenerConfig {
  const copy = clone(HttpListenerConfigSchema, message);
  copy.active = active;
  return copy;
}

function listenerChanges(before: HttpListenerObject | undefined, after: HttpListenerObject | undefined): Change[] {
  const changes: Change[] = [];
  const stays = before !== undefined && after !== undefined && sameObject({ ...before, active: after.active }, after);
  if (before?.active === true && !(stays && after?.active === true)) {
    changes.push({ kind: "deactivate_http_listener", address: before.address });
  }
  if (before !== undefined && !stays) changes.push({ kind: "remove_http_listener", address: before.address });
  if (after !== undefined && !stays) changes.push({ kind: "add_http_listener", listener: { ...after, active: false } });
  if (after?.active === true && !(stays && before?.active === true)) {
    changes.push({ kind: "activate_http_listener", address: after.address });
  }
  return changes;
}
