// HTTP listeners of the state (spec 4.7): identity is the address; a second one is refused; frontends stay when a
// listener goes. A listener is added inactive whatever its message says: only ActivateListener opens a socket, so
// "active" in the state always means that main holds one.

import { clone, equals } from "@bufbuild/protobuf";
import { formatAddress } from "../address.ts";
import { isError, toAddress } from "../convert-checks.ts";
import { toHttpListener } from "../convert-listener.ts";
import { commandError } from "../errors.ts";
import type { SocketAddress as AddressMessage, HttpListenerConfig, UpdateHttpListenerConfig } from "../gen/sozu_pb.ts";
import { HttpListenerConfigSchema } from "../gen/sozu_pb.ts";
import type { Change, HttpListenerObject } from "../objects.ts";
import type { Outcome } from "./clusters.ts";
import { patchHttpListener } from "./listener-patch.ts";
import { type Entry, type Origin, Table } from "./table.ts";

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

/** Changes a listener in place; its connections and sockets stay. */
export function updateHttpListener(
  table: HttpListenerTable,
  patch: UpdateHttpListenerConfig,
  origin: Origin,
  revision: number,
): Outcome {
  const address = toAddress("address", patch.address);
  if (isError(address)) return address;
  const key = formatAddress(address);
  const entry = table.get(key);
  if (entry === undefined) return commandError("NOT_FOUND", table.kind, key);
  const message = patchHttpListener(entry.message, patch);
  const object = toHttpListener(message);
  if (isError(object)) return object;
  if (equals(HttpListenerConfigSchema, entry.message, message)) return [];
  const { active } = entry.object;
  return [table.step(key, { message, object: { ...object, active }, origin, revision })];
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

/** A listener that stays is changed in place: with `active` as it was, what differs is the rest. */
function listenerChanges(before: HttpListenerObject | undefined, after: HttpListenerObject | undefined): Change[] {
  const changes: Change[] = [];
  const wasActive = before?.active === true;
  const isActive = after?.active === true;
  if (before !== undefined && wasActive && !isActive) {
    changes.push({ kind: "deactivate_http_listener", address: before.address });
  }
  if (before !== undefined && after === undefined) {
    changes.push({ kind: "remove_http_listener", address: before.address });
  }
  if (after !== undefined && (before === undefined || wasActive === isActive)) {
    changes.push({ kind: "add_http_listener", listener: { ...after, active: false } });
  }
  if (after !== undefined && isActive && !wasActive) {
    changes.push({ kind: "activate_http_listener", address: after.address });
  }
  return changes;
}
