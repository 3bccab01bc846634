// What becomes of a record of a saved state that the state refused (decisions 11): an object that is already there as
// the record has it is fine, one that is there otherwise is kept and reported, a removal of what is not there is skipped.
// Pure.

import { formatAddress } from "./address.ts";
import { toHttpFrontend } from "./convert.ts";
import { isError } from "./convert-checks.ts";
import { toHttpListener } from "./convert-listener.ts";
import type { CommandError } from "./errors.ts";
import type { Request } from "./gen/sozu_pb.ts";
import { stateKey } from "./state/http-frontends.ts";
import { frontendKey } from "./state/keys.ts";
import { sameObject } from "./state/table.ts";
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
  const { requestType } = request;
  if (requestType.case === "addHttpListener") {
    const wanted = toHttpListener(requestType.value);
    if (!isError(wanted)) {
      const key = formatAddress(wanted.address);
      const there = state.httpListeners.get(key)?.object;
      const same = there !== undefined && sameObject({ ...there, active: false }, { ...wanted, active: false });
      return same ? { kind: "same" } : { kind: "kept", object: `HttpListener ${key}` };
    }
  } else if (requestType.case === "addHttpFrontend") {
    const wanted = toHttpFrontend(requestType.value);
    if (!isError(wanted)) {
      const same = sameObject(state.httpFrontends.get(frontendKey(wanted))?.object, wanted);
      return same ? { kind: "same" } : { kind: "kept", object: `HttpFrontend ${stateKey(wanted)}` };
    }
  }
  return { kind: "kept", object: error.message };
}
