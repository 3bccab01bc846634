// What the conversions of messages share: how they refuse, which fields are set, what an address is. Each check returns
// null or the refusal with the field's name. Pure.

import type { Message } from "@bufbuild/protobuf";
import { addressFromMessage } from "./address.ts";
import { type CommandError, commandError } from "./errors.ts";
import type { SocketAddress as AddressMessage } from "./gen/sozu_pb.ts";
import { TIMEOUT_SECONDS_MAX } from "./limits.ts";
import type { SocketAddress } from "./objects.ts";

/** An error, or the record. */
export type Converted<T> = T | CommandError;

export function isError<T extends object>(value: T | CommandError): value is CommandError {
  return "code" in value;
}

export function toAddress(field: string, message: AddressMessage | undefined): Converted<SocketAddress> {
  const address = addressFromMessage(message);
  return typeof address === "string" ? commandError("INVALID_VALUE", field, address) : address;
}

/** Protobuf keeps enum numbers it does not know as unknown fields: here that is a refusal, not a default. */
export function checkUnknownEnums(message: Message): CommandError | null {
  const unknown = message.$unknown?.find((field) => field.no < 1000 && field.wireType === 0);
  return unknown === undefined ? null : commandError("INVALID_VALUE", `#${unknown.no}`, "unknown number");
}

export function has<M extends Message>(message: M, key: keyof M): boolean {
  return Object.hasOwn(message, key) && message[key] !== undefined;
}

export function checkTimeout(field: string, seconds: number): CommandError | null {
  if (seconds <= TIMEOUT_SECONDS_MAX) return null;
  return commandError("INVALID_VALUE", field, `it must be at most ${TIMEOUT_SECONDS_MAX} seconds, got ${seconds}`);
}

export function checkField(field: string, reason: string | null): CommandError | null {
  return reason === null ? null : commandError("INVALID_VALUE", field, reason);
}
