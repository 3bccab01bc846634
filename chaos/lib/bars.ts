// The bars of the promise that gives the proxy its name, each with what was measured: npm run chaos -- --bars.

import { Dice } from "../../e2e/lib/changes.ts";
import { type Scope, sleep, until } from "../../e2e/lib/scope.ts";
import { SETTLED_MS } from "../../src/main/back-off.ts";
import { Clients, EVERYTHING, type Mix } from "./clients.ts";
import { Events } from "./events.ts";
import { type Ground, HOST, makeGround } from "./ground.ts";
import { Ledger } from "./ledger.ts";
import { Wires } from "./wires.ts";

/** Requests only: nothing that would keep an old generation for long. */
const REQUESTS: Mix = { ...EVERYTHING, webSocket: [2, 1], idle: [4, 2], flaky: 0 };
/** Longest pause of a request that an upgrade of main may make. */
const PAUSE_MS = 50;
const SUCCESSOR_MS = 400;
const COLD_MS = 10_000;

/** One line of the table. */
export interface Bar {
  readonly name: string;
  readonly target: string;
  readonly measured: string;
  readonly holds: boolean;
}

interface Run {
  readonly ground: Ground;
  readonly ledger: Ledger;
  readonly wires: Wires;
  readonly events: Events;
  readonly clients: Clients;
}

async function start(scope: Scope, clusters = 0, mix: Mix = REQUESTS): Promise<Run> {
  const ground = await makeGround(scope, clusters);
  const ledger = new Ledger();
  const wires = new Wires(ground.doors);
  const events = new Events(ground, wires, ledger);
  const clients = new Clients(wires, ledger, HOST, mix, new Dice(1));
  scope.after(() => wires.destroyAll());
  await until("the load runs", () => ledger.served > 500);
  return { ground, ledger, wires, events, clients };
}

/** Every bar, each with a proxy of its own; `scale` below 1 does fewer rounds. */
export const BARS: Readonly<Record<string, (scope: Scope, scale: number) => Promise<Bar>>> = {
  upgrades,
  // A worker that dies young has a successor after a pause of up to 10 s: the whole takes half an hour.
  kills,
  successor: (scope, scale) => successor(scope, 1000, SUCCESSOR_MS, Math.ceil(20 * scale)),
  large: (scope) => successor(scope, 100_000, COLD_MS, 1),
  pause,
};

async function upgrades(scope: Scope, scale: number): Promise<Bar> {
  const rounds = Math.ceil(50 * scale);
  const { ledger, clients, events } = await start(scope);
  for (let round = 0; round < rounds; round++) await events.upgradeAll();
  await clients.stop();
  const refused = events.refused === 0 ? "" : `, ${events.refused} refused`;
  return {
    name: `${rounds} upgrades of main and both workers under load`,
    target: "0 failed, 0 resets",
    measured: `${ledger.served} requests, ${ledger.failed} failed${refused}${firstOf(ledger)}`,
    holds: ledger.failed === 0 && events.refused === 0,
  };
}

async function kills(scope: Scope, scale: number): Promise<Bar> {
  const rounds = Math.ceil(200 * scale);
  const { ground, ledger, clients, events } = await start(scope);
  const dice = new Dice(2);
  for (let round = 0; round < rounds; round++) {
    events.kill(dice.roll(64));
    // The other one may be killed at any time, too, once this one has a successor.
    await until("both slots are filled", () => ground.proxy.workerPids.length >= 2, 30_000);
    await sleep(dice.roll(400));
  }
  await sleep(2000);
  await clients.stop();
  return {
    name: `${rounds} SIGKILLs of workers under load`,
    target: "only what was in flight on the killed worker fails",
    measured: `${ledger.served} requests, ${ledger.lost} lost of ${ledger.mayBeLost} in flight, ${ledger.failed} failed${firstOf(ledger)}`,
    holds: ledger.failed === 0 && ledger.lost <= ledger.mayBeLost,
  };
}

/** From the kill to the line of the log that says that the successor serves. */
async function successor(scope: Scope, clusters: number, targetMs: number, rounds: number): Promise<Bar> {
  const { ground, ledger, clients, events } = await start(scope, clusters, { ...REQUESTS, webSocket: [0, 0] });
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const before = servesLines(ground).length;
    const killedMs = Date.now();
    const [oldest] = ground.proxy.workerPids.sort((a, b) => a - b);
    events.kill(0);
    await until(`a successor of ${oldest} serves`, () => servesLines(ground).length > before, 60_000, 10);
    times.push((servesLines(ground).at(-1) ?? 0) - killedMs);
    // A worker that dies young is started again after a pause: each of the two must live for long enough.
    await sleep(clusters > 1000 ? 0 : SETTLED_MS / 2 + 500);
  }
  await clients.stop();
  times.sort((a, b) => a - b);
  const median = times[times.length >> 1] ?? 0;
  return {
    name: `a killed worker's successor serves, ${clusters.toLocaleString("en")} clusters (median of ${rounds})`,
    target: `${targetMs} ms, 0 failed`,
    measured: `${median.toFixed(0)} ms, ${ledger.failed} failed, longest request ${ledger.lap().toFixed(0)} ms${firstOf(ledger)}`,
    holds: median <= targetMs && ledger.failed === 0,
  };
}

async function pause(scope: Scope, scale: number): Promise<Bar> {
  const rounds = Math.ceil(20 * scale);
  const { ground, ledger, clients, events } = await start(scope, 0, { ...REQUESTS, thinkMs: 10 });
  const quiet: number[] = [];
  const upgrading: number[] = [];
  for (let round = 0; round < rounds; round++) {
    ledger.lap();
    const startedMs = performance.now();
    await events.upgradeMain();
    upgrading.push(ledger.lap());
    await sleep(performance.now() - startedMs);
    quiet.push(ledger.lap());
  }
  await clients.stop();
  const [during, otherwise] = [median(upgrading), median(quiet)];
  void ground;
  return {
    name: `longest request during an upgrade of main (median of ${rounds})`,
    target: `at most ${PAUSE_MS} ms more than in as long without`,
    measured: `${during.toFixed(0)} ms, ${otherwise.toFixed(0)} ms without; worst ${Math.max(...upgrading).toFixed(0)} and ${Math.max(...quiet).toFixed(0)} ms; ${ledger.failed} failed${firstOf(ledger)}`,
    holds: during - otherwise <= PAUSE_MS && ledger.failed === 0,
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

/** When workers began to serve, as milliseconds of the clock. */
function servesLines({ proxy }: Ground): number[] {
  const lines = proxy.output.matchAll(/^(\S+Z) .*worker \d+ serves/gm);
  return [...lines].map(([, when]) => Date.parse(when as string));
}

function firstOf({ failures }: Ledger): string {
  return failures.length === 0 ? "" : `: ${failures[0]}`;
}
