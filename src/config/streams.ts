// What TCP and UDP clusters and the listeners of each protocol need from the file (spec 2.4, 2.5, 2.9): which keys mean
// something where, how the PROXY header travels, and the `udp` table.

import { formatAddress, parseAddress } from "../command/address.ts";
import type { Cluster } from "../command/gen/sozu_pb.ts";
import { ProxyProtocolConfig } from "../command/gen/sozu_pb.ts";
import type { SocketAddress } from "../command/objects.ts";
import { type CheckContext, checkTable } from "./check.ts";
import type { TlsFiles } from "./https.ts";
import { isTable, type ValuesOf } from "./keys.ts";
import { udpMessage } from "./objects.ts";
import type { ConfigPath } from "./problems.ts";
import { type CLUSTER_KEYS, type LISTENER_KEYS, UDP_HEALTH_KEYS, UDP_KEYS } from "./tables.ts";
import { TLS_LISTENER_KEYS } from "./tables-tls.ts";

/** What a listener speaks. */
export type Protocol = "http" | "https" | "tcp" | "udp";

/** A listener of the file, or one that a frontend needs. */
export interface ListenerSpot {
  readonly protocol: Protocol;
  readonly address: SocketAddress;
  readonly expectProxy: boolean;
  /** The certificate for frontends that have none. */
  readonly tls: TlsFiles | null;
  readonly path: ConfigPath;
}

/** Sozu lets keys of other protocols pass; they do nothing there. */
export function warnUseless(
  { problems }: CheckContext,
  values: ValuesOf<typeof LISTENER_KEYS>,
  protocol: Protocol,
  path: ConfigPath,
): void {
  for (const name of Object.keys(values)) {
    if (isUsedBy(protocol, name)) continue;
    const message = `${name}: a listener with the protocol ${protocol} has no use for it`;
    problems.warning([...path, name], message, null, true);
  }
}

/** Completes the message of a TCP or UDP cluster. */
export function completeStreamCluster(
  context: CheckContext,
  listeners: ReadonlyMap<string, ListenerSpot>,
  message: Cluster,
  values: ValuesOf<typeof CLUSTER_KEYS>,
  path: ConfigPath,
): void {
  const expecting = expectations(listeners, values.frontends ?? []);
  if (expecting.size > 1) {
    const reason = "some of its listeners expect a PROXY header and some do not";
    context.problems.error([...path, "frontends"], `frontends: ${reason}`, null, true);
  }
  const expect = expecting.has(true);
  const send = values.send_proxy === true;
  if (expect && send) message.proxyProtocol = ProxyProtocolConfig.RELAY_HEADER;
  else if (send) message.proxyProtocol = ProxyProtocolConfig.SEND_HEADER;
  else if (expect) message.proxyProtocol = ProxyProtocolConfig.EXPECT_HEADER;
  const place = [...path, "udp"];
  const udp = values.udp === undefined ? null : checkTable(context, UDP_KEYS, values.udp, place);
  if (udp === null) return;
  const raw = udp.health;
  const health = raw === undefined ? null : checkTable(context, UDP_HEALTH_KEYS, raw, [...place, "health"]);
  message.udp = udpMessage(udp, health);
}

/** What the TCP listeners of these frontends expect. */
function expectations(listeners: ReadonlyMap<string, ListenerSpot>, frontends: readonly unknown[]): Set<boolean> {
  const found = new Set<boolean>();
  for (const raw of frontends) {
    const address = isTable(raw) && typeof raw["address"] === "string" ? parseAddress(raw["address"]) : null;
    const spot = address === null ? undefined : listeners.get(formatAddress(address));
    if (spot === undefined || spot.protocol === "tcp") found.add(spot?.expectProxy ?? false);
  }
  return found;
}

const STREAM_KEYS: readonly string[] = ["address", "protocol", "public_address", "front_timeout", "back_timeout"];
const UDP_ONLY: readonly string[] = ["max_rx_datagram_size", "max_flows"];

function isUsedBy(protocol: Protocol, name: string): boolean {
  // HSTS on an HTTP listener is an error of its own.
  if (protocol === "http")
    return name === "hsts" || !(UDP_ONLY.includes(name) || Object.hasOwn(TLS_LISTENER_KEYS, name));
  if (protocol === "https") return !UDP_ONLY.includes(name);
  if (STREAM_KEYS.includes(name)) return true;
  if (protocol === "udp") return UDP_ONLY.includes(name);
  return name === "expect_proxy" || name === "connect_timeout";
}
