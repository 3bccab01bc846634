// Values of command-line options as the protocol wants them. What is wrong is said before anything is sent.

import { addressToMessage, parseAddress } from "../command/address.ts";
import type { SocketAddress } from "../command/gen/sozu_pb.ts";
import { CliError } from "./errors.ts";

/** Reads `ip:port` or `[v6]:port`. @throws CliError */
export function readAddress(text: string): SocketAddress {
  const address = parseAddress(text);
  if (address !== null) return addressToMessage(address);
  throw new CliError(`"${text}" is not an address`, "write ip:port, for example 127.0.0.1:1026 or [::1]:1026");
}

/** Reads `key=value,key2=value2`; keys and values are trimmed at the commas. @throws CliError */
export function readTags(text: string): Record<string, string> {
  const tags: Record<string, string> = {};
  for (const part of text.split(",")) {
    const pair = part.trim();
    const at = pair.indexOf("=");
    if (at < 1) throw new CliError(`"${pair}" is not a tag`, "write key=value,other=value");
    // A key named __proto__ is a key like any other.
    const value = pair.slice(at + 1);
    Object.defineProperty(tags, pair.slice(0, at), { value, writable: true, enumerable: true, configurable: true });
  }
  return tags;
}
