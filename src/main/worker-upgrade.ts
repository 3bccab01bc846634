// UpgradeWorker (spec 1.8): the release on disk takes a worker's place, on the same sockets. The old worker finishes what
// it has (decisions 28) for as long as `drain_timeout`, and the request is answered before that: long streams may stay
// for an hour. At most three generations finish at once in one place; a further upgrade waits and says for what.
// A successor that does not come up leaves everything as it was.

import type { Response } from "../command/gen/sozu_pb.ts";
import { failureResponse, okResponse } from "../command/messages.ts";
import { METRIC_CLIENT_CONNECTIONS } from "../observe/metrics.ts";
import type { Progress } from "./client-session.ts";
import { latestRelease, releaseName } from "./release.ts";
import type { Supervisor } from "./supervisor.ts";
import { WORKER, type WorkerProcess } from "./worker-process.ts";
import type { WorkerSlot } from "./worker-slot.ts";

/** Generations of one place that may finish at once. */
export const GENERATIONS_MAX = 3;
const WAITING = `${GENERATIONS_MAX} generations are finishing already: waiting`;
/** How long the answer waits for a predecessor that is nearly done. */
const FINISH_MS = 500;
const LOOK_MS = 50;

/** Answers an upgrade of one worker; `force` cuts the oldest generation instead of waiting for it. */
export async function upgradeWorker(
  supervisor: Supervisor,
  asked: number | { readonly id: number; readonly force: boolean },
  progress: Progress,
): Promise<Response> {
  const { id, force } = typeof asked === "number" ? { id: asked, force: false } : asked;
  const slot = supervisor.slotOf(id);
  if (slot === null) return failureResponse(absent(id));
  const problem = await makeRoom(supervisor, slot, id, force, progress);
  if (problem !== null) return failureResponse(problem);
  const old = slot.worker;
  if (old === null) return failureResponse(absent(id));
  const release = latestRelease();
  progress(`starting a successor of worker ${id} from release ${releaseName(release)}`);
  const worker = await supervisor.upgrade(slot, release);
  if (typeof worker === "string") {
    return failureResponse(
      `Could not upgrade worker ${id}, which goes on: ${worker} (release ${releaseName(release)})`,
    );
  }
  progress(`Launched a new worker with id ${worker.id}`);
  const finished = await ended(old, FINISH_MS);
  const left = finished ? `finished soft stop of worker ${id}` : leftText(supervisor, old);
  return okResponse(`Upgrade successful:\n- ${left}\n- finished activation of new worker ${worker.id}`);
}

async function makeRoom(
  supervisor: Supervisor,
  slot: WorkerSlot,
  id: number,
  force: boolean,
  progress: Progress,
): Promise<string | null> {
  for (;;) {
    if (supervisor.slotOf(id) !== slot) return absent(id);
    if (slot.candidate !== null) return `worker ${id} is being upgraded already`;
    const [oldest] = slot.leaving.keys();
    if (oldest === undefined || slot.leaving.size < GENERATIONS_MAX) return null;
    const doing = force ? `cutting worker ${oldest.id}` : `${WAITING}; ${leftText(supervisor, oldest)}`;
    // Nobody is there any more to whom it could be said: an hour later it would come as a surprise.
    if (!progress(doing)) return "the client left while its upgrade waited";
    if (force) oldest.stop(true);
    await ended(oldest, FINISH_MS);
  }
}

function absent(id: number): string {
  return `Worker ${id} does not exist, or is stopping / stopped`;
}

/** What is still open on a worker that drains. */
function leftText(supervisor: Supervisor, { id, stats, drainEndsMs }: WorkerProcess): string {
  const open = stats.metric(METRIC_CLIENT_CONNECTIONS);
  const limited = supervisor.drainTimeoutSeconds > 0;
  const limit = limited
    ? `, at the latest in ${Math.max(0, Math.ceil((drainEndsMs - performance.now()) / 1000))} s`
    : "";
  return `worker ${id} finishes ${open} connection${open === 1 ? "" : "s"}${limit}`;
}

/** Whether a worker ends within so many milliseconds. */
async function ended(worker: WorkerProcess, withinMs: number): Promise<boolean> {
  const untilMs = performance.now() + withinMs;
  while (worker.state !== WORKER.STOPPED && performance.now() < untilMs) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return worker.state === WORKER.STOPPED;
}
