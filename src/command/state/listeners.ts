// What listeners of all protocols have in common in the state (spec 4.7): identity is the address inside a protocol; a
// second one is refused; frontends stay when a listener goes; a patch changes one in place. A listener is added inactive
// whatever its message says: only ActivateListener opens a socket, so "active" in the state always means that main holds
// one. A kind whose traffic is not built yet is never activated.

import { clone, equals, type Message } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import { formatAddress } from "../address.ts";
import { type Converted, isError, toAddress } from "../convert-checks.ts";
import { type CommandError, commandError } from "../errors.ts";
import type { SocketAddress as AddressMessage } from "../gen/sozu_pb.ts";
import type { SocketAddress } from "../objects.ts";
import type { Outcome } from "./clusters.ts";
import type { Entry, Origin, Table } from "./table.ts";

/** What sets the listeners of one protocol apart. */
export interface ListenerKind<M extends ListenerMessage, P extends PatchMessage, O extends ListenerRecord> {
  readonly schema: GenMessage<M>;
  /** The record, inactive. */
  readonly toObject: (message: M) => Converted<O>;
  /** A new message; neither argument is changed. */
  readonly patch: (message: M, patch: P) => M | CommandError;
  /** The protocol, when its listeners cannot be activated yet; else null. */
  readonly unbuilt: string | null;
}

type ListenerMessage = PatchMessage & { active: boolean };
type PatchMessage = Message & { address?: AddressMessage | undefined };
interface ListenerRecord {
  readonly address: SocketAddress;
  readonly active: boolean;
}

/** The five verbs over one table. */
export class Listeners<M extends ListenerMessage, P extends PatchMessage, O extends ListenerRecord> {
  readonly table: Table<M, O>;
  readonly kind: ListenerKind<M, P, O>;

  constructor(table: Table<M, O>, kind: ListenerKind<M, P, O>) {
    this.table = table;
    this.kind = kind;
  }

  add(message: M, origin: Origin, revision: number): Outcome {
    const object = this.kind.toObject(message);
    if (isError(object)) return object;
    const key = formatAddress(object.address);
    if (this.table.get(key) !== undefined) return commandError("EXISTS", this.table.kind, key);
    return [this.table.step(key, { message: this.#withActive(message, false), object, origin, revision })];
  }

  /** Changes a listener in place; its connections and sockets stay. */
  update(patch: P, origin: Origin, revision: number): Outcome {
    const address = toAddress("address", patch.address);
    if (isError(address)) return address;
    const key = formatAddress(address);
    const entry = this.table.get(key);
    if (entry === undefined) return commandError("NOT_FOUND", this.table.kind, key);
    const patched = this.kind.patch(entry.message, patch);
    return isError(patched) ? patched : this.#change(entry, patched, origin, revision);
  }

  /** Makes a listener exactly what the message says, in place; whether it is active stays. */
  replace(message: M, origin: Origin, revision: number): Outcome {
    const address = toAddress("address", message.address);
    if (isError(address)) return address;
    const entry = this.table.get(formatAddress(address));
    if (entry === undefined) return commandError("NOT_FOUND", this.table.kind, formatAddress(address));
    return this.#change(entry, this.#withActive(message, entry.object.active), origin, revision);
  }

  remove(message: AddressMessage | undefined): Outcome {
    const address = toAddress("address", message);
    if (isError(address)) return address;
    const key = formatAddress(address);
    return this.table.get(key) === undefined ? commandError("NO_CHANGE") : [this.table.step(key, undefined)];
  }

  setActive(message: AddressMessage | undefined, active: boolean, revision: number): Outcome {
    const address = toAddress("address", message);
    if (isError(address)) return address;
    const key = formatAddress(address);
    const entry = this.table.get(key);
    if (entry === undefined) return commandError("NOT_FOUND", this.table.kind, key);
    // As Sozu's workers do: opening what is open is fine, closing what is closed is a mistake.
    if (entry.object.active === active) return active ? [] : commandError("NO_CHANGE");
    if (this.kind.unbuilt !== null) return commandError("NOT_BUILT", this.kind.unbuilt);
    const object = { ...entry.object, active };
    const { origin } = entry;
    return [this.table.step(key, { message: this.#withActive(entry.message, active), object, origin, revision })];
  }

  #change(entry: Entry<M, O>, message: M, origin: Origin, revision: number): Outcome {
    const object = this.kind.toObject(message);
    if (isError(object)) return object;
    if (equals(this.kind.schema, entry.message, message)) return [];
    const { active } = entry.object;
    const key = formatAddress(object.address);
    return [this.table.step(key, { message, object: { ...object, active }, origin, revision })];
  }

  #withActive(message: M, active: boolean): M {
    const copy = clone(this.kind.schema, message) as M;
    copy.active = active;
    return copy;
  }
}
