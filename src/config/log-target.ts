// What `log_target` and `access_logs_target` may say (spec 12.1): `stdout`, `file://path`, `udp://host:port`,
// `tcp://host:port`, `unix://path` (a datagram socket). Text in, facts out; whoever writes opens.

import { canonicalIpv4, canonicalIpv6 } from "../command/address.ts";
import { SOCKET_PATH_BYTES_MAX } from "./socket.ts";

/** A parsed target, or the reason why the text is none. */
export type ParsedTarget =
  | { readonly kind: "stdout" }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "udp" | "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "error"; readonly reason: string };

/** Reads a target. Hosts are IP addresses, IPv6 in brackets, or names; they are looked up by whoever connects. */
export function parseTarget(text: string): ParsedTarget {
  if (text === "stdout") return { kind: "stdout" };
  const [, scheme, rest] = SCHEME.exec(text) ?? [];
  if (rest === undefined) return { kind: "error", reason: `expected ${FORMS}` };
  if (rest === "" || rest.includes("\0"))
    return { kind: "error", reason: `${scheme}:// is followed by nothing usable` };
  if (scheme === "file") return { kind: "file", path: rest };
  if (scheme === "unix") {
    return Buffer.byteLength(rest) > SOCKET_PATH_BYTES_MAX
      ? { kind: "error", reason: `the path of a unix socket has at most ${SOCKET_PATH_BYTES_MAX} bytes` }
      : { kind: "unix", path: rest };
  }
  return parseAddress(scheme === "udp" ? "udp" : "tcp", rest);
}

function parseAddress(kind: "udp" | "tcp", text: string): ParsedTarget {
  const [, bracketed, plain, digits] = ADDRESS.exec(text) ?? [];
  const port = Number(digits);
  const host = bracketed ?? plain;
  if (host === undefined || port < 1 || port > 65_535) {
    return { kind: "error", reason: `expected ${kind}://host:port, with a port from 1 to 65535` };
  }
  const ip = bracketed === undefined ? canonicalIpv4(host) : canonicalIpv6(host);
  const known = ip !== null || (bracketed === undefined && HOST_NAME.test(host));
  return known ? { kind, host, port } : { kind: "error", reason: `"${host}" is neither an IP address nor a host name` };
}

const FORMS = '"stdout", "file:///path", "udp://host:port", "tcp://host:port" or "unix:///path"';
const SCHEME = /^(file|udp|tcp|unix):\/\/(.*)$/s;
const ADDRESS = /^(?:\[([^\]]*)\]|([^:[\]]+)):(\d{1,5})$/;
/** Labels of letters, digits, `-` and `_`; the last one is no number, or it would be a mistyped address. */
const HOST_NAME = /^(?=.{1,253}$)(?:[\w-]{1,63}\.)*(?!\d+$)[\w-]{1,63}$/;
