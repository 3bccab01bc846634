// TCP and UDP frontends of the state (spec 4.7, 10.1): a listener serves the cluster whose frontend came last. Identity is
// cluster and address; the same once more is refused, other tags replace those that were there, as in Sozu's workers.

import { formatAddress } from "../address.ts";
import { isError, toAddress } from "../convert-checks.ts";
import { toStreamFrontend } from "../convert-stream.ts";
import { commandError } from "../errors.ts";
import type { RequestTcpFrontend, RequestUdpFrontend } from "../gen/sozu_pb.ts";
import type { StreamFrontendObject } from "../objects.ts";
import type { Outcome } from "./clusters.ts";
import { streamFrontendKey } from "./keys.ts";
import { type Origin, sameObject, type Table } from "./table.ts";

/** The frontends of one of the two protocols. */
export class StreamFrontends<M extends RequestTcpFrontend | RequestUdpFrontend> {
  readonly table: Table<M, StreamFrontendObject>;

  constructor(table: Table<M, StreamFrontendObject>) {
    this.table = table;
  }

  add(message: M, origin: Origin, revision: number): Outcome {
    const object = toStreamFrontend(message);
    if (isError(object)) return object;
    const key = streamFrontendKey(object.clusterId, object.address);
    const before = this.table.get(key);
    if (before !== undefined && sameObject(before.object, object)) {
      return commandError("EXISTS", this.table.kind, `${object.clusterId};${formatAddress(object.address)}`);
    }
    return [this.table.step(key, { message, object, origin, revision })];
  }

  remove(message: M): Outcome {
    const address = toAddress("address", message.address);
    if (isError(address)) return address;
    const key = streamFrontendKey(message.clusterId, address);
    if (this.table.get(key) !== undefined) return [this.table.step(key, undefined)];
    for (const { object } of this.table.entries.values()) {
      if (object.clusterId === message.clusterId) return commandError("NO_CHANGE");
    }
    return commandError("NOT_FOUND", this.table.kind, formatAddress(address));
  }
}
