// What becomes of a record of a saved state that the state refused (decisions 11): an object that is already there as
// the record has it is fine, one that is there otherwise is kept and reported, a removal of what is not there is skipped.
// Pure.

import { formatAddress } from "./address.ts";
import { toHttpFrontend } from "./convert.ts";
import { type Converted, isError } from "./convert-checks.ts";
import { toHttpsFrontend, toHttpsListener } from "./convert-https.ts";
import { toHttpListener } from "./convert-listener.ts";
import { toStreamFrontend, toTcpListener, toUdpListener } from "./convert-stream.ts";
import type { CommandError } from "./errors.ts";
import type { Request } from "./gen/sozu_pb.ts";
import type { HttpFrontendObject, SocketAddress, StreamFrontendObject } from "./objects.ts";
import { stateKey } from "./state/http-frontends.ts";
import { frontendKey, streamFrontendKey } from "./state/keys.ts";
import { sameObject, type Table } from "./state/table.ts";
import type { ConfigState } from "./state.ts";

/** How a refused record ends. */
export type LoadVerdict =
  /** The object is there and equal. */
  | { readonly kind: "same" }
  /** The object is there and differs; `object` names it. */
  | { readonly kind: "kept"; readonly object: string }
  /** There was nothing to remove or to activate; `reason` says what. */
  | { readonly kind: "skipped"; readonly reason: string };

/** Judges a record that passed ConfigState.check() and was refused by apply() with `error`. */
export function judgeRefusal(state: ConfigState, request: Request, error: CommandError): LoadVerdict {
  if (error.code !== "EXISTS") return { kind: "skipped", reason: error.message };
  const twin = twinOf(state, request);
  if (twin === null) return { kind: "kept", object: error.message };
  const { there, wanted, name } = twin;
  const same = there !== undefined && sameObject({ ...there, active: false }, { ...wanted, active: false });
  return same ? { kind: "same" } : { kind: "kept", object: name };
}

interface Twin {
  readonly there: object | undefined;
  readonly wanted: object;
  readonly name: string;
}

/** The object that is there and the one that was to be added; null when the request adds none. */
function twinOf(state: ConfigState, { requestType }: Request): Twin | null {
  switch (requestType.case) {
    case "addHttpListener":
      return listenerTwin(state.httpListeners, toHttpListener(requestType.value));
    case "addHttpsListener":
      return listenerTwin(state.httpsListeners, toHttpsListener(requestType.value));
    case "addTcpListener":
      return listenerTwin(state.tcpListeners, toTcpListener(requestType.value));
    case "addUdpListener":
      return listenerTwin(state.udpListeners, toUdpListener(requestType.value));
    case "addTcpFrontend":
      return streamTwin(state.tcpFrontends, toStreamFrontend(requestType.value));
    case "addUdpFrontend":
      return streamTwin(state.udpFrontends, toStreamFrontend(requestType.value));
    case "addHttpFrontend":
      return frontendTwin(state.httpFrontends, toHttpFrontend(requestType.value));
    case "addHttpsFrontend":
      return frontendTwin(state.httpsFrontends, toHttpsFrontend(requestType.value));
    default:
      return null;
  }
}

function listenerTwin<M, O extends { readonly address: SocketAddress }>(
  table: Table<M, O>,
  wanted: Converted<O>,
): Twin | null {
  if (isError(wanted)) return null;
  const key = formatAddress(wanted.address);
  return { there: table.get(key)?.object, wanted, name: `${table.kind} ${key}` };
}

function frontendTwin<M, O extends HttpFrontendObject>(table: Table<M, O>, wanted: Converted<O>): Twin | null {
  if (isError(wanted)) return null;
  const there = table.get(frontendKey(wanted))?.object;
  return { there, wanted, name: `${table.kind} ${stateKey(wanted)}` };
}

function streamTwin<M>(table: Table<M, StreamFrontendObject>, wanted: Converted<StreamFrontendObject>): Twin | null {
  if (isError(wanted)) return null;
  const { clusterId, address } = wanted;
  const there = table.get(streamFrontendKey(clusterId, address))?.object;
  return { there, wanted, name: `${table.kind} ${clusterId};${formatAddress(address)}` };
}
