// Socket addresses in their three forms: text of the configuration ("127.0.0.1:80", "[::1]:80"), the protobuf message
// (numbers), and the record of objects.ts (canonical text and port). Canonical IPv6 is RFC 5952; host names are not
// resolved; zone ids are refused. Two addresses are equal when their records are.

import { create } from "@bufbuild/protobuf";
import { parseIpv4, parseIpv6 } from "../policies/ip.ts";
import type { SocketAddress as AddressMessage } from "./gen/sozu_pb.ts";
import { SocketAddressSchema } from "./gen/sozu_pb.ts";
import type { SocketAddress } from "./objects.ts";

export { formatAddress } from "./address-text.ts";

/** Reads `ip:port` or `[v6]:port`; null when it is neither or the port is not 1 to 65535. */
export function parseAddress(text: string): SocketAddress | null {
  const match = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([0-9.]{7,15})):([0-9]{1,5})$/.exec(text);
  if (match === null) return null;
  const port = Number(match[3]);
  if (port < 1 || port > 65535) return null;
  const ip = match[1] !== undefined ? canonicalIpv6(match[1]) : canonicalIpv4(match[2]!);
  return ip === null ? null : { ip, port };
}

/** Canonical text of an IPv4 address: four decimal numbers without leading zeros; null when it is none. */
export function canonicalIpv4(text: string): string | null {
  const value = parseIpv4(text);
  return value < 0 ? null : formatIpv4(value);
}

/** Canonical text of an IPv6 address without brackets (RFC 5952); null when it is none. */
export function canonicalIpv6(text: string): string | null {
  const groups = parseIpv6(text);
  return groups === null ? null : formatIpv6(groups);
}

/** The record of a message; a reason when the message has no address or no usable port. */
export function addressFromMessage(message: AddressMessage | undefined): SocketAddress | string {
  if (message?.ip === undefined || message.ip.inner.case === undefined) return "it has no IP address";
  if (message.port < 1 || message.port > 65535) return `the port must be from 1 to 65535, got ${message.port}`;
  const inner = message.ip.inner;
  if (inner.case === "v4") return { ip: formatIpv4(inner.value), port: message.port };
  return { ip: formatIpv6(groupsOf(inner.value.low, inner.value.high)), port: message.port };
}

/** The message of a record. */
export function addressToMessage(address: SocketAddress): AddressMessage {
  const groups = address.ip.includes(":") ? parseIpv6(address.ip) : null;
  if (groups === null) {
    const ip = { inner: { case: "v4" as const, value: parseIpv4(address.ip) >>> 0 } };
    return create(SocketAddressSchema, { ip, port: address.port });
  }
  const value = { high: joinGroups(groups, 0), low: joinGroups(groups, 4) };
  return create(SocketAddressSchema, { ip: { inner: { case: "v6" as const, value } }, port: address.port });
}

/** Order of addresses: IPv4 before IPv6, then by number, then by port. */
export function compareAddresses(a: SocketAddress, b: SocketAddress): number {
  const left = sortKey(a.ip);
  const right = sortKey(b.ip);
  if (left !== right) return left < right ? -1 : 1;
  return a.port - b.port;
}

function sortKey(ip: string): string {
  const groups = ip.includes(":") ? parseIpv6(ip) : null;
  if (groups === null) return `4${(parseIpv4(ip) >>> 0).toString(16).padStart(8, "0")}`;
  return `6${groups.map((group) => group.toString(16).padStart(4, "0")).join("")}`;
}

function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

function formatIpv6(groups: readonly number[]): string {
  // RFC 5952 5: an IPv4-mapped address keeps its dotted part.
  if (groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)) {
    return `::ffff:${formatIpv4(groups[6]! * 65536 + groups[7]!)}`;
  }
  let bestStart = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    // RFC 5952 4.2: the longest run of zeros, the first of equals, never a single group.
    if (end - i > bestLength) {
      bestStart = i;
      bestLength = end - i;
    }
    if (end > i) i = end;
  }
  const hex = groups.map((group) => group.toString(16));
  if (bestStart < 0) return hex.join(":");
  return `${hex.slice(0, bestStart).join(":")}::${hex.slice(bestStart + bestLength).join(":")}`;
}

function groupsOf(low: bigint, high: bigint): number[] {
  const groups: number[] = [];
  for (const half of [high, low]) {
    for (let shift = 48n; shift >= 0n; shift -= 16n) groups.push(Number((half >> shift) & 0xffffn));
  }
  return groups;
}

function joinGroups(groups: readonly number[], from: number): bigint {
  let value = 0n;
  for (let i = from; i < from + 4; i++) value = (value << 16n) | BigInt(groups[i]!);
  return value;
}
