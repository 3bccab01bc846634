// What the number of hosts costs: the same load, each request for a host drawn at random, once with few hosts configured
// and once with many. A connection's memory of its last host never helps here, so this is the worst case of routing.

import { measure } from "./counters.ts";
import { wrk } from "./load.ts";
import { median } from "./report.ts";
import { startTarget, type Target, type TargetOptions } from "./targets.ts";

export const HOSTS_FEW = 10;
export const HOSTS_MANY = 100_000;

/** Medians over the rounds. */
export interface HostsCost {
  /** Microseconds of CPU, or instructions where the machine counts them, per request. */
  readonly few: number;
  readonly many: number;
  readonly unit: "µs of CPU" | "instructions";
}

/** Runs Sozu twice at once, with few and with many hosts, and loads one after the other. */
export async function hostsCost(
  base: TargetOptions,
  rounds: number,
  seconds: number,
  counters: boolean,
): Promise<HostsCost> {
  const running: Target[] = [];
  const found: number[][] = [[], []];
  try {
    for (const hosts of [HOSTS_FEW, HOSTS_MANY]) running.push(await startTarget("sozu", { ...base, hosts }));
    for (let round = -1; round < rounds; round++) {
      for (const [index, target] of running.entries()) {
        const cost = await once(base.folder, target, index === 0 ? HOSTS_FEW : HOSTS_MANY, seconds, counters);
        // The first round warms up.
        if (round >= 0) found[index]?.push(cost);
      }
    }
  } finally {
    for (const target of running) await target.stop();
  }
  const [few = [], many = []] = found;
  return { few: median(few), many: median(many), unit: counters ? "instructions" : "µs of CPU" };
}

async function once(
  folder: string,
  target: Target,
  hosts: number,
  seconds: number,
  counters: boolean,
): Promise<number> {
  const run = {
    id: `hosts-${hosts}`,
    title: `${hosts} hosts`,
    connections: 64,
    path: "/",
    method: "GET",
    body: 0,
    close: false,
    accessLog: true,
    tls: false,
    hosts,
  } as const;
  const [load, cost] = await measure(target.pid, counters, () => wrk(folder, target.port, run, seconds));
  if (load.errors > 0) throw new Error(`${load.errors} requests failed with ${hosts} hosts`);
  const value =
    cost.instructionsUser === null
      ? (cost.cpuUserNs + cost.cpuSystemNs) / 1000
      : cost.instructionsUser + (cost.instructionsKernel ?? 0);
  console.log(`hosts      ${String(hosts).padEnd(8)} ${(value / load.requests).toFixed(1)} a request`);
  return value / load.requests;
}
