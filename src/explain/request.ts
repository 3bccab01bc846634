// The request that is explained, from what a person types: a method, a URL, fields. What cannot be sent at all (a line
// feed in a field) is refused; what the proxy would refuse is not: that is its verdict.

import type { HttpListenerObject } from "../command/objects.ts";
import { parseIpv4, parseIpv6 } from "../policies/ip.ts";
import { Networks, parseNetworks } from "../policies/networks.ts";

/** A request that is written out. */
export interface AskedRequest {
  /** Request line and fields, with the empty line. */
  readonly head: Uint8Array;
  readonly scheme: "http" | "https";
  /** Host of the URL, without port, and the port that is connected to. */
  readonly host: string;
  readonly port: number;
}

/** A reason when it is none. `fields`: `Name: value`. */
export function askedRequest(method: string, url: string, fields: readonly string[]): AskedRequest | string {
  const parts = /^(?:(https?):\/\/)?([^/?#]*)([^#]*)/i.exec(url);
  const authority = parts?.[2] ?? "";
  const place = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(authority);
  if (parts === null || place === null || authority === "") return `"${url}" is no URL such as http://example.com/path`;
  const scheme = parts[1]?.toLowerCase() === "https" ? "https" : "http";
  const path = parts[3] ?? "";
  const target = path === "" || path.startsWith("?") ? `/${path}` : path;
  const wrong = [method, target, ...fields].find((text) => /[\r\n\0]/.test(text));
  if (wrong !== undefined) return "a method, a URL and a header hold no line feeds";
  const bad = fields.find((field) => !/^[^:\s]+:/.test(field));
  if (bad !== undefined) return `"${bad}" is no header such as "Name: value"`;
  const host = fields.some((field) => /^host:/i.test(field)) ? [] : [`Host: ${authority}`];
  const text = [`${method} ${target} HTTP/1.1`, ...host, ...fields, "", ""].join("\r\n");
  const port = place[2] === undefined ? (scheme === "https" ? 443 : 80) : Number(place[2]);
  return { head: new TextEncoder().encode(text), scheme, host: place[1] ?? "", port };
}

/** Which of these listeners a client connects to, and why; null: none. */
export function chooseListener(
  listeners: readonly HttpListenerObject[],
  { host, port }: Pick<AskedRequest, "host" | "port">,
): { readonly listener: HttpListenerObject; readonly because: string } | null {
  const ip = host.replace(/^\[|\]$/g, "");
  const rows: readonly (readonly [because: string, fits: (one: HttpListenerObject) => boolean])[] = [
    ["its address is that of the URL", ({ address }) => address.ip === ip && address.port === port],
    ["its public address is that of the URL", ({ publicAddress: own }) => own?.ip === ip && own.port === port],
    ["it accepts on that port of every address", ({ address }) => address.port === port && isAny(address.ip)],
    ["it accepts on that port", ({ address }) => address.port === port],
    ["that port is its public one", ({ publicAddress }) => publicAddress?.port === port],
  ];
  for (const [because, fits] of rows) {
    const listener = listeners.find(fits);
    if (listener !== undefined) return { listener, because };
  }
  const [only, ...others] = listeners;
  if (only === undefined || others.length > 0) return null;
  return { listener: only, because: "it is the only one; the port of the URL is another" };
}

function isAny(ip: string): boolean {
  return ip === "0.0.0.0" || ip === "::";
}

/** Whether a client at this address is believed what it says of others; null: the text is no address. */
export function believes({ trustedProxies }: HttpListenerObject, ip: string): boolean | null {
  const peer = peerOf(ip);
  if (peer === null) return null;
  const networks = parseNetworks(trustedProxies);
  return trustedProxies.length === 0 || (networks instanceof Networks && networks.contains(peer));
}

/** As a socket's peer is read: [family, port, four words]. */
function peerOf(ip: string): Int32Array | null {
  const v4 = parseIpv4(ip);
  if (v4 >= 0) return Int32Array.of(4, 0, v4, 0, 0, 0);
  const groups = parseIpv6(ip);
  if (groups === null) return null;
  const words = [0, 2, 4, 6].map((at) => groups[at]! * 65_536 + groups[at + 1]!);
  return Int32Array.of(6, 0, ...words);
}
