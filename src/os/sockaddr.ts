// Socket addresses as bytes: the kernel's structures for IPv4, IPv6 and unix paths, and peers as text. No system calls.
// Linux layout on little-endian machines: family u16 (host order), port u16 (network order), then the address.

import { isIPv4, isIPv6 } from "node:net";
import type { SocketAddress } from "../command/objects.ts";
import { AF_INET, AF_INET6, AF_UNIX } from "./socket-options.ts";

/** Longest encoded address: a sockaddr_un with its NUL. */
export const SOCKADDR_BYTES_MAX = 110;
/** Longest path of a unix socket, in bytes. */
export const UNIX_PATH_BYTES_MAX = 107;

/** Whether the text is an IPv6 address (without brackets). */
export function isV6(ip: string): boolean {
  return isIPv6(ip);
}

/**
 * Writes `address` at `bytes[offset...]` as `connect` and `bind` take it: 16 bytes for IPv4, 28 for IPv6.
 * Returns the length, or -1 when `ip` is no address (names and zone ids are not resolved) or the port not 0 to 65535.
 */
export function encodeSockaddr(address: SocketAddress, bytes: Uint8Array, offset: number): number {
  const { ip, port } = address;
  if (!Number.isInteger(port) || port < 0 || port > 65535) return -1;
  const v4 = isIPv4(ip);
  if (!v4 && (!isIPv6(ip) || ip.includes("%"))) return -1;
  const length = v4 ? 16 : 28;
  bytes.fill(0, offset, offset + length);
  bytes[offset] = v4 ? AF_INET : AF_INET6;
  bytes[offset + 2] = port >> 8;
  bytes[offset + 3] = port & 255;
  if (v4) writeIpv4(ip, bytes, offset + 4);
  else writeIpv6(ip, bytes, offset + 8);
  return length;
}

/** Writes a sockaddr_un. Returns its length, or -1 when the path is empty, holds NUL or is longer than 107 bytes. */
export function encodeUnixSockaddr(path: string, bytes: Uint8Array, offset: number): number {
  const text = Buffer.from(path);
  if (text.length === 0 || text.length > UNIX_PATH_BYTES_MAX || text.includes(0, 1)) return -1;
  bytes[offset] = AF_UNIX;
  bytes[offset + 1] = 0;
  bytes.set(text, offset + 2);
  // An abstract name is all the bytes that the length counts; a path ends with a NUL.
  if (text[0] === 0) return text.length > 1 ? text.length + 2 : -1;
  bytes[offset + 2 + text.length] = 0;
  return text.length + 3;
}

/** The address in a raw sockaddr; null for other families. IPv4-mapped IPv6 is given as IPv4. */
export function decodeSockaddr(bytes: Uint8Array, length: number): SocketAddress | null {
  const family = bytes[0] | (bytes[1] << 8);
  const port = (bytes[2] << 8) | bytes[3];
  if (family === AF_INET && length >= 16) return { ip: ipv4Text(word(bytes, 4)), port };
  if (family !== AF_INET6 || length < 28) return null;
  const words = [word(bytes, 8), word(bytes, 12), word(bytes, 16), word(bytes, 20)] as const;
  if (words[0] === 0 && words[1] === 0 && words[2] === 0xffff) return { ip: ipv4Text(words[3]), port };
  return { ip: ipv6Text(words[0], words[1], words[2], words[3]), port };
}

/** `ip:port` or `[ip]:port` of `accept`'s peer words; `unix` when the peer has no IP address. */
export function formatPeer(peer: Int32Array): string {
  if (peer[0] === 4) return `${ipv4Text(peer[2])}:${peer[1]}`;
  if (peer[0] === 6) return `[${ipv6Text(peer[2], peer[3], peer[4], peer[5])}]:${peer[1]}`;
  return "unix";
}

function writeIpv4(ip: string, bytes: Uint8Array, offset: number): void {
  const parts = ip.split(".");
  for (let i = 0; i < 4; i++) bytes[offset + i] = Number(parts[i]);
}

// `ip` is valid: at most one "::", and a dotted tail only at the end.
function writeIpv6(ip: string, bytes: Uint8Array, offset: number): void {
  const [left, right] = ip.split("::") as [string, string | undefined];
  const end = writeGroups(left, bytes, offset);
  if (right === undefined) return;
  const tail = new Uint8Array(16);
  const length = writeGroups(right, tail, 0);
  bytes.fill(0, end, offset + 16);
  bytes.set(tail.subarray(0, length), offset + 16 - length);
}

function writeGroups(text: string, bytes: Uint8Array, offset: number): number {
  if (text === "") return offset;
  for (const part of text.split(":")) {
    if (part.includes(".")) {
      writeIpv4(part, bytes, offset);
      offset += 4;
    } else {
      const value = Number.parseInt(part, 16);
      bytes[offset] = value >> 8;
      bytes[offset + 1] = value & 255;
      offset += 2;
    }
  }
  return offset;
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

function ipv4Text(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

// RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups (the first of equals) as "::".
function ipv6Text(w0: number, w1: number, w2: number, w3: number): string {
  const groups: number[] = [];
  for (const value of [w0, w1, w2, w3]) groups.push(value >>> 16, value & 0xffff);
  let bestStart = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
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
