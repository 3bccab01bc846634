// The text of an address, as keys and logs have it. A module of its own because the traffic side needs it without the
// protobuf messages of address.ts. Changes name the same few listeners again and again: the last texts are remembered,
// so that such a key is neither built nor hashed anew.

import type { SocketAddress } from "./objects.ts";

/** `ip:port`, with brackets around IPv6. */
export function formatAddress(address: SocketAddress): string {
  const { ip, port } = address;
  const slot = port & (SLOTS - 1);
  if (ports[slot] === port && ips[slot] === ip) return texts[slot];
  const text = ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
  ports[slot] = port;
  ips[slot] = ip;
  texts[slot] = text;
  return text;
}

/** A power of two. */
const SLOTS = 64;
const ports: Int32Array = new Int32Array(SLOTS);
const ips: string[] = new Array<string>(SLOTS).fill("");
const texts: string[] = new Array<string>(SLOTS).fill("");
