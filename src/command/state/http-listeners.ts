// HTTP listeners of the state: what is common to all listeners is in listeners.ts, here is what workers hear of it.

import { toHttpListener } from "../convert-listener.ts";
import type { HttpListenerConfig, UpdateHttpListenerConfig } from "../gen/sozu_pb.ts";
import { HttpListenerConfigSchema, UpdateHttpListenerConfigSchema } from "../gen/sozu_pb.ts";
import type { Change, HttpListenerObject } from "../objects.ts";
import { listenerPatch } from "./listener-patch.ts";
import { Listeners } from "./listeners.ts";
import { Table } from "./table.ts";

export type HttpListeners = Listeners<HttpListenerConfig, UpdateHttpListenerConfig, HttpListenerObject>;

export function httpListeners(): HttpListeners {
  return new Listeners(new Table("HttpListener", listenerChanges), {
    schema: HttpListenerConfigSchema,
    toObject: toHttpListener,
    patch: listenerPatch(HttpListenerConfigSchema, UpdateHttpListenerConfigSchema),
    unbuilt: null,
  });
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
