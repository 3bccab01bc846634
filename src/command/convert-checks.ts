// What the conversions of messages share: how they refuse, which fields are set, which ask for parts that are not built
// yet. A field that is set to what "off" means is neutral and passes, since stock clients send such fields.

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

export function checkUnsupported<M extends Message>(
  message: M,
  later: Readonly<Partial<Record<keyof M & string, string>>>,
): CommandError | null {
  for (const name in later) {
    const key = name as keyof M & string;
    if (!Object.hasOwn(message, key) || isNeutral(message[key])) continue;
    return commandError("NOT_SUPPORTED", `the field '${later[key]}'`);
  }
  return null;
}

/** False, zero, an empty text, list or map: what stock clients send for "off". */
export function isNeutral(value: unknown): boolean {
  if (typeof value === "object" && value !== null) {
    if ("$typeName" in value) return false;
    return Object.keys(value).length === 0;
  }
  return value === undefined || value === false || value === 0 || value === 0n || value === "";
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
