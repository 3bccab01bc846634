// `sozu backend add` and `sozu backend remove`.

import { control } from "./control.ts";
import type { GlobalOptions } from "./options.ts";
import { readAddress } from "./values.ts";

/** What `backend add` and `backend remove` were given. */
export interface BackendOptions extends GlobalOptions {
  readonly id: string;
  readonly backendId: string;
  /** `ip:port`, not yet parsed. */
  readonly address: string;
  readonly stickyId?: string;
  readonly backup?: "true" | "false";
}

/** Adds a backend, or replaces the one with the same id and address. Weight 0 is the default one (decisions 9). */
export async function addBackend(options: BackendOptions): Promise<void> {
  await control(options, {
    case: "addBackend",
    value: {
      clusterId: options.id,
      backendId: options.backendId,
      address: readAddress(options.address),
      loadBalancingParameters: { weight: 0 },
      ...(options.stickyId === undefined ? {} : { stickyId: options.stickyId }),
      ...(options.backup === undefined ? {} : { backup: options.backup === "true" }),
    },
  });
}

/** Removes a backend; its requests in flight are finished. */
export async function removeBackend(options: BackendOptions): Promise<void> {
  const { id: clusterId, backendId } = options;
  const address = readAddress(options.address);
  const next = `sozu cluster list --id ${clusterId} shows its backends`;
  await control(options, { case: "removeBackend", value: { clusterId, backendId, address } }, next);
}
