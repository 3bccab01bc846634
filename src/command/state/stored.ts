// The objects of the state that main keeps and no worker gets yet: all that is TCP and UDP. They are checked,
// listed, saved and hashed like the others. What tells that their traffic is not built is that no such listener can be
// activated.

import { toTcpListener, toUdpListener } from "../convert-stream.ts";
import type {
  RequestTcpFrontend,
  RequestUdpFrontend,
  TcpListenerConfig,
  UdpListenerConfig,
  UpdateTcpListenerConfig,
  UpdateUdpListenerConfig,
} from "../gen/sozu_pb.ts";
import {
  TcpListenerConfigSchema,
  UdpListenerConfigSchema,
  UpdateTcpListenerConfigSchema,
  UpdateUdpListenerConfigSchema,
} from "../gen/sozu_pb.ts";
import type { StreamFrontendObject, TcpListenerObject, UdpListenerObject } from "../objects.ts";
import type { StoredHash } from "../stored-hash.ts";
import { listenerPatch } from "./listener-patch.ts";
import { Listeners } from "./listeners.ts";
import { StreamFrontends } from "./stream-frontends.ts";
import { Table } from "./table.ts";

export type TcpListeners = Listeners<TcpListenerConfig, UpdateTcpListenerConfig, TcpListenerObject>;
export type UdpListeners = Listeners<UdpListenerConfig, UpdateUdpListenerConfig, UdpListenerObject>;
export type TcpFrontends = StreamFrontends<RequestTcpFrontend>;
export type UdpFrontends = StreamFrontends<RequestUdpFrontend>;

export function tcpListeners(hash: StoredHash): TcpListeners {
  return new Listeners(storedTable("TcpListener", hash, noCluster), {
    schema: TcpListenerConfigSchema,
    toObject: toTcpListener,
    patch: listenerPatch(TcpListenerConfigSchema, UpdateTcpListenerConfigSchema),
    unbuilt: "TCP",
  });
}

export function udpListeners(hash: StoredHash): UdpListeners {
  return new Listeners(storedTable("UdpListener", hash, noCluster), {
    schema: UdpListenerConfigSchema,
    toObject: toUdpListener,
    patch: listenerPatch(UdpListenerConfigSchema, UpdateUdpListenerConfigSchema),
    unbuilt: "UDP",
  });
}

export function tcpFrontends(hash: StoredHash): TcpFrontends {
  return new StreamFrontends(storedTable("TcpFrontend", hash, (object) => object.clusterId));
}

/** They do not count in the hash of their cluster (oddity 21). */
export function udpFrontends(hash: StoredHash): UdpFrontends {
  return new StreamFrontends(storedTable<RequestUdpFrontend, StreamFrontendObject>("UdpFrontend", hash, noCluster));
}

/** A table whose objects no worker gets. */
export function storedTable<M, O extends object>(
  kind: string,
  hash: StoredHash,
  clusterOf: (object: O) => string | null,
): Table<M, O> {
  return new Table<M, O>(kind, () => [], { hash, clusterOf });
}

function noCluster(): null {
  return null;
}
