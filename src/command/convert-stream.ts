// Messages of TCP and UDP listeners and frontends to their records (spec 2.4, 10.1, 11.1).

import { type Converted, checkField, checkTimeout, has, isError, toAddress } from "./convert-checks.ts";
import { toTags } from "./convert-tags.ts";
import { commandError } from "./errors.ts";
import type { RequestTcpFrontend, RequestUdpFrontend, TcpListenerConfig, UdpListenerConfig } from "./gen/sozu_pb.ts";
import { DATAGRAM_BYTES_MAX, ID_BYTES_MAX } from "./limits.ts";
import type { SocketAddress, StreamFrontendObject, TcpListenerObject, UdpListenerObject } from "./objects.ts";
import { checkName } from "./text.ts";

export function toTcpListener(message: TcpListenerConfig): Converted<TcpListenerObject> {
  const addresses = toAddresses(message);
  if (isError(addresses)) return addresses;
  const { frontTimeout, backTimeout, connectTimeout, expectProxy } = message;
  const bad =
    checkTimeout("front_timeout", frontTimeout) ??
    checkTimeout("back_timeout", backTimeout) ??
    checkTimeout("connect_timeout", connectTimeout);
  if (bad !== null) return bad;
  return { ...addresses, expectProxy, frontTimeout, backTimeout, connectTimeout, active: false };
}

export function toUdpListener(message: UdpListenerConfig): Converted<UdpListenerObject> {
  const addresses = toAddresses(message);
  if (isError(addresses)) return addresses;
  const { frontTimeout, backTimeout, maxRxDatagramSize, maxFlows } = message;
  const bad = checkTimeout("front_timeout", frontTimeout) ?? checkTimeout("back_timeout", backTimeout);
  if (bad !== null) return bad;
  if (maxRxDatagramSize < 1 || maxRxDatagramSize > DATAGRAM_BYTES_MAX) {
    const reason = `it must be from 1 to ${DATAGRAM_BYTES_MAX} bytes, got ${maxRxDatagramSize}`;
    return commandError("INVALID_VALUE", "max_rx_datagram_size", reason);
  }
  return { ...addresses, frontTimeout, backTimeout, maxRxDatagramSize, maxFlows, active: false };
}

export function toStreamFrontend(message: RequestTcpFrontend | RequestUdpFrontend): Converted<StreamFrontendObject> {
  const address = toAddress("address", message.address);
  if (isError(address)) return address;
  const bad = checkField("cluster_id", checkName(message.clusterId, ID_BYTES_MAX));
  if (bad !== null) return bad;
  const tags = toTags(message.tags);
  if ("code" in tags) return tags;
  return { clusterId: message.clusterId, address, tags };
}

interface Addresses {
  readonly address: SocketAddress;
  readonly publicAddress: SocketAddress | null;
}

function toAddresses(message: TcpListenerConfig | UdpListenerConfig): Converted<Addresses> {
  const address = toAddress("address", message.address);
  if (isError(address)) return address;
  if (!has(message, "publicAddress")) return { address, publicAddress: null };
  const publicAddress = toAddress("public_address", message.publicAddress);
  return isError(publicAddress) ? publicAddress : { address, publicAddress };
}
