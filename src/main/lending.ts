// While a slot has no worker that accepts, a sibling accepts in its place (decisions 26): whoever waits in that accept
// queue does not wait for a long replay, a pause of the back-off or a hung worker. The sockets are main's, so lending is a
// duplicate sent to the sibling, and taking them back is telling it to close that one.

import type { ListenSockets } from "./listen-sockets.ts";
import { WORKER, type WorkerProcess } from "./worker-process.ts";
import type { WorkerSlot } from "./worker-slot.ts";

/** A slot may be without a worker for this long before its sockets are lent. */
const VACANT_MS = 200;

/** Whether connections of this slot wait for nobody: vacant for too long, or its worker hangs. */
export function needsSibling(slot: WorkerSlot, nowMs: number): boolean {
  if (slot.lentTo !== null && slot.lentTo.state !== WORKER.SERVING) slot.lentTo = null;
  if (slot.lentTo !== null) return false;
  if (slot.worker?.state === WORKER.SERVING) return slot.stalled;
  return slot.vacantSinceMs >= 0 && nowMs - slot.vacantSinceMs >= VACANT_MS;
}

/** Lends the sockets of a slot to a sibling that accepts. Returns the sibling, or null when there is none. */
export function lend(slot: WorkerSlot, slots: readonly WorkerSlot[], sockets: ListenSockets): WorkerProcess | null {
  const sibling = slots.find((other) => other !== slot && !other.stalled && other.worker?.state === WORKER.SERVING);
  const { addresses, fds } = sockets.ofSlot(slot.index);
  if (sibling === undefined || sibling.worker === null || fds.length === 0) return null;
  sibling.worker.listen({ addresses, lentBy: slot.index }, fds);
  slot.lentTo = sibling.worker;
  return sibling.worker;
}

/** Takes the sockets of a slot back from its sibling, if they are lent. */
export function takeBack(slot: WorkerSlot, sockets: ListenSockets): void {
  if (slot.lentTo === null) return;
  slot.lentTo.unlisten({ addresses: sockets.ofSlot(slot.index).addresses, lentBy: slot.index });
  slot.lentTo = null;
}
