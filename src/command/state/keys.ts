// Keys of the tables of the state. Unlike the keys that messages show, no two objects can share one: parts are
// separated by NUL, which no id, host, path or method may hold.

import { formatAddress } from "../address.ts";
import type { HttpFrontendObject, SocketAddress } from "../objects.ts";

/** Address, host, method and path rule. */
export function frontendKey(frontend: HttpFrontendObject): string {
  const { address, hostname, method, pathKind, path } = frontend;
  return `${formatAddress(address)}\0${hostname}\0${method ?? ""}\0${pathKind}${path}`;
}

/** Cluster, id and address. */
export function backendKey(clusterId: string, backendId: string, address: SocketAddress): string {
  return `${clusterId}\0${backendId}\0${formatAddress(address)}`;
}

/** Cluster and address. */
export function streamFrontendKey(clusterId: string, address: SocketAddress): string {
  return `${clusterId}\0${formatAddress(address)}`;
}

/** Address and fingerprint. */
export function certificateKey(address: SocketAddress, fingerprint: string): string {
  return `${formatAddress(address)}\0${fingerprint}`;
}
