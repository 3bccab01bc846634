// `sozu backend add` and `sozu backend remove`.

import { addressToMessage, parseAddress } from "../command/address.ts";
import type { SocketAddress } from "../command/gen/sozu_pb.ts";
import { control } from "./control.ts";
import { CliError } from "./errors.ts";
import type { BackendOptions, GlobalOptions } from "./program.ts";

/** Adds a backend, or replaces the one with the same id and address. Weight 0 is the default one (decisions 9). */
export async function addBackend(options: GlobalOptions, backend: BackendOptions): Promise<void> {
  await control(options, {
    case: "addBackend",
    value: {
      clusterId: backend.id,
      backendId: backend.backendId,
      address: readAddress(backend.address),
      loadBalancingParameters: { weight: 0 },
      ...(backend.stickyId === undefined ? {} : { stickyId: backend.stickyId }),
      ...(backend.backup === undefined ? {} : { backup: backend.backup === "true" }),
    },
  });
}

/** Removes a backend; its requests in flight are finished. */
export async function removeBackend(options: GlobalOptions, backend: BackendOptions): Promise<void> {
  const address = readAddress(backend.address);
  await control(options, {
    case: "removeBackend",
    value: { clusterId: backend.id, backendId: backend.backendId, address },
  });
}

function readAddress(text: string): SocketAddress {
  const address = parseAddress(text);
  if (address !== null) return addressToMessage(address);
  throw new CliError(`"${text}" is not an address`, "write ip:port, for example 127.0.0.1:1026 or [::1]:1026");
}
