// One chaos run: load, random changes and the schedule at once, then the questions that must have one answer: nothing
// failed that the schedule does not explain, main and workers have one state, and nothing is left over.

import { Dice, hashes, randomChange } from "../../e2e/lib/changes.ts";
import { descriptorCount, residentBytes } from "../../e2e/lib/processes.ts";
import { type Scope, sleep, until } from "../../e2e/lib/scope.ts";
import { ResponseStatus } from "../../src/client/index.ts";
import { Clients, EVERYTHING } from "./clients.ts";
import { Events } from "./events.ts";
import { askForCollection, type Ground, HOST, makeGround, Orders } from "./ground.ts";
import { Ledger } from "./ledger.ts";
import { type Kind, schedule } from "./schedule.ts";
import { Wires } from "./wires.ts";

/** What a refused random change may say: another change was there first. */
const CONFLICT = /Did not find|already exists|did not bring any change|no listener found/;
/** What it says when a worker hangs meanwhile: the change is in force, and its successor starts with it (decisions 12). */
const LATE = /^worker \d+ did not answer within \d+ ms and is being replaced; the change is part of the state/;
/** Idle connections to backends live for 4 s. */
const SETTLE_MS = 6000;
/** Descriptors that a worker may have more at the end than one that was just started: logs that were opened anew. */
const DESCRIPTORS_MORE = 3;
/** Seconds after which memory is taken for warm. */
const WARM_S = 60;
const MEGABYTE = 1_048_576;

/** What to run. */
export interface ChaosOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly kinds: readonly Kind[];
  readonly say: (line: string) => void;
}

/** Memory of a process after a collection. */
interface Resident {
  readonly main: number;
  /** Sorted. */
  readonly workers: readonly number[];
}

/** Runs; what went wrong, one text each: none is success. */
export async function runChaos(scope: Scope, options: ChaosOptions): Promise<readonly string[]> {
  const { seed, seconds, kinds, say } = options;
  const ground = await makeGround(scope);
  const { proxy } = ground;
  const descriptors = { main: descriptorCount(proxy.pid), worker: Math.max(...proxy.workerPids.map(descriptorCount)) };
  const ledger = new Ledger();
  const wires = new Wires(ground.doors);
  const events = new Events(ground, wires, ledger);
  const clients = new Clients(wires, ledger, HOST, EVERYTHING, new Dice(seed));
  scope.after(() => wires.destroyAll());
  const over = new AbortController();
  const changing = change(ground, ledger, events, new Dice(seed + 1), over.signal);
  const running = schedule(seed, seconds, kinds).map(async (planned) => {
    await sleep(planned.atMs);
    await events.carryOut(planned);
  });
  const warm = seconds > 2 * WARM_S ? sleep(WARM_S * 1000).then(() => resident(ground)) : null;
  await sleep(seconds * 1000);
  await Promise.all(running);
  over.abort();
  const changes = await changing;
  await clients.stop();
  report(say, ledger, wires, events, changes);
  const problems = [...ledger.failures];
  if (wires.handshakes > 200 && wires.resumed < wires.handshakes * 0.9) problems.push("TLS sessions are not resumed");
  if (ledger.lost > ledger.mayBeLost) {
    problems.push(`${ledger.lost} requests were lost, ${ledger.mayBeLost} were in flight on killed workers`);
  }
  try {
    problems.push(...(await leftOver(ground, descriptors)));
    if (warm !== null) problems.push(...compare(say, await warm, await resident(ground)));
  } catch (error) {
    problems.push(`at the end: ${error instanceof Error ? error.message : String(error)}`);
  }
  for (const line of proxy.output.split("\n")) if (/dropped/.test(line)) say(line.slice(line.indexOf("\t") + 1));
  if (problems.length > 0) say(proxy.output);
  return problems;
}

/** Random changes, one after the other, until it is over; how many were taken. */
async function change(ground: Ground, ledger: Ledger, events: Events, dice: Dice, over: AbortSignal): Promise<number> {
  const { proxy, spares, backends } = ground;
  const orders = new Orders(proxy.socketPath);
  let taken = 0;
  while (!over.aborted) {
    const init = randomChange(dice, { port: proxy.port, spares, backendPorts: backends.others });
    const startedMs = performance.now();
    try {
      const { status, message } = await orders.send(init);
      if (status === ResponseStatus.OK || LATE.test(message)) taken++;
      else if (!CONFLICT.test(message)) ledger.fail("change", `${init.case}: ${message}`);
    } catch (error) {
      if (!events.mayFailSince(startedMs, error))
        ledger.fail("change", `${init.case}: ${error instanceof Error ? error.message : String(error)}`);
    }
    await sleep(20 + dice.roll(150));
  }
  orders.close();
  return taken;
}

/** What differs from before: state, workers, descriptors. */
async function leftOver(ground: Ground, before: { main: number; worker: number }): Promise<string[]> {
  const { proxy, spares } = ground;
  const problems: string[] = [];
  await until("the old generations end", () => proxy.workerPids.length === 2, 20_000);
  const orders = new Orders(proxy.socketPath);
  for (const port of spares) {
    const address = { ip: { inner: { case: "v4" as const, value: 0x7f000001 } }, port };
    await orders.send({ case: "removeListener", value: { address, proxy: 0 } });
  }
  orders.close();
  const found = await until(
    "main and both workers answer",
    async () => {
      const map = await hashes(proxy.socketPath);
      return map.size === 3 ? map : null;
    },
    10_000,
  );
  const main = JSON.stringify(found.get("main"), (_key, value) => String(value));
  for (const [name, own] of found) {
    if (JSON.stringify(own, (_key, value) => String(value)) !== main) problems.push(`another state: ${name}`);
  }
  const left = proxy.leftOver.length;
  if (left !== 3) problems.push(`${left} processes instead of 3`);
  await sleep(SETTLE_MS);
  const mainNow = descriptorCount(proxy.pid);
  if (mainNow > before.main) problems.push(`main has ${mainNow} descriptors, ${before.main} before`);
  for (const pid of proxy.workerPids) {
    const now = descriptorCount(pid);
    const limit = before.worker + DESCRIPTORS_MORE;
    if (now > limit) problems.push(`worker ${pid} has ${now} descriptors, ${before.worker} before`);
  }
  return problems;
}

async function resident({ proxy }: Ground): Promise<Resident> {
  const pids = [proxy.pid, ...proxy.workerPids];
  for (const pid of pids) askForCollection(pid);
  await sleep(1000);
  const workers = proxy.workerPids.map(residentBytes).sort((a, b) => a - b);
  return { main: residentBytes(proxy.pid), workers };
}

function compare(say: (line: string) => void, first: Resident, last: Resident): string[] {
  const text = ({ main, workers }: Resident): string =>
    `main ${(main / MEGABYTE).toFixed(0)} MB, workers ${workers.map((bytes) => (bytes / MEGABYTE).toFixed(0)).join(", ")} MB`;
  say(`memory after ${WARM_S} s: ${text(first)}; at the end: ${text(last)}`);
  const problems: string[] = [];
  if (last.main > first.main * 1.05) problems.push("main has grown by more than 5 %");
  if (Math.max(...last.workers) > Math.max(...first.workers) * 1.05)
    problems.push("workers have grown by more than 5 %");
  return problems;
}

function report(say: (line: string) => void, ledger: Ledger, wires: Wires, events: Events, changes: number): void {
  for (const [kind, { served, lost, failed, longestMs }] of [...ledger.tallies].sort()) {
    const longest = longestMs > 0 ? `, longest ${longestMs.toFixed(0)} ms` : "";
    say(`${kind.padEnd(15)} ${String(served).padStart(7)} served, ${lost} lost, ${failed} failed${longest}`);
  }
  say(`events: ${[...events.done].map(([kind, count]) => `${count} ${kind}`).join(", ")}; ${events.refused} refused`);
  say(`changes: ${changes}; TLS handshakes: ${wires.handshakes}, of which ${wires.resumed} resumed`);
  say(`in flight on killed workers: ${ledger.mayBeLost}, lost: ${ledger.lost}`);
}
