// HTTP and HTTPS listeners of the state: what is common to all listeners is in listeners.ts, here is what workers hear of
// them.

import { toHttpsListener } from "../convert-https.ts";
import { toHttpListener } from "../convert-listener.ts";
import type {
  HttpListenerConfig,
  HttpsListenerConfig,
  UpdateHttpListenerConfig,
  UpdateHttpsListenerConfig,
} from "../gen/sozu_pb.ts";
import {
  HttpListenerConfigSchema,
  HttpsListenerConfigSchema,
  UpdateHttpListenerConfigSchema,
  UpdateHttpsListenerConfigSchema,
} from "../gen/sozu_pb.ts";
import type { Change, HttpListenerObject, SocketAddress } from "../objects.ts";
import type { HttpsListenerObject } from "../objects-tls.ts";
import { listenerPatch } from "./listener-patch.ts";
import { Listeners } from "./listeners.ts";
import { Table, type Transition } from "./table.ts";

export type HttpListeners = Listeners<HttpListenerConfig, UpdateHttpListenerConfig, HttpListenerObject>;
export type HttpsListeners = Listeners<HttpsListenerConfig, UpdateHttpsListenerConfig, HttpsListenerObject>;

export function httpListeners(): HttpListeners {
  const transition = listenerTransition<HttpListenerObject>({
    add: (listener) => ({ kind: "add_http_listener", listener: { ...listener, active: false } }),
    remove: (address) => ({ kind: "remove_http_listener", address }),
    activate: (address) => ({ kind: "activate_http_listener", address }),
    deactivate: (address) => ({ kind: "deactivate_http_listener", address }),
  });
  return new Listeners(new Table("HttpListener", transition), {
    schema: HttpListenerConfigSchema,
    toObject: toHttpListener,
    patch: listenerPatch(HttpListenerConfigSchema, UpdateHttpListenerConfigSchema),
    unbuilt: null,
  });
}

export function httpsListeners(): HttpsListeners {
  const transition = listenerTransition<HttpsListenerObject>({
    add: (listener) => ({ kind: "add_https_listener", listener: { ...listener, active: false } }),
    remove: (address) => ({ kind: "remove_https_listener", address }),
    activate: (address) => ({ kind: "activate_https_listener", address }),
    deactivate: (address) => ({ kind: "deactivate_https_listener", address }),
  });
  return new Listeners(new Table("HttpsListener", transition), {
    schema: HttpsListenerConfigSchema,
    toObject: toHttpsListener,
    patch: listenerPatch(HttpsListenerConfigSchema, UpdateHttpsListenerConfigSchema),
    unbuilt: null,
  });
}

/** The changes that one protocol has for its listeners. */
interface ListenerChanges<O> {
  readonly add: (listener: O) => Change;
  readonly remove: (address: SocketAddress) => Change;
  readonly activate: (address: SocketAddress) => Change;
  readonly deactivate: (address: SocketAddress) => Change;
}

/** A listener that stays is changed in place: with `active` as it was, what differs is the rest. */
function listenerTransition<O extends HttpListenerObject>(make: ListenerChanges<O>): Transition<O> {
  return (before, after) => {
    const changes: Change[] = [];
    const wasActive = before?.active === true;
    const isActive = after?.active === true;
    if (before !== undefined && wasActive && !isActive) changes.push(make.deactivate(before.address));
    if (before !== undefined && after === undefined) changes.push(make.remove(before.address));
    if (after !== undefined && (before === undefined || wasActive === isActive)) changes.push(make.add(after));
    if (after !== undefined && isActive && !wasActive) changes.push(make.activate(after.address));
    return changes;
  };
}
