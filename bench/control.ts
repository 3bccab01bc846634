// What changes cost: 2,000 changes a second over the command socket while the proxy serves 5,000 requests a second, next to
// a quiet period of the same length.
//
//   npm run bench:control -- [--rate 5000] [--changes 2000] [--seconds 10] [--clusters 1000] [--callgrind]
//     [--scale 100000]: clusters of the large state (lib/scale.ts) that is measured first; 0: none. [--no-changes]: only that.
//
// Prints failed requests (the bar: none), latencies of requests and changes, and the CPU time of a change in the worker and
// in main. Instructions per change come from perf where the machine counts them, else with --callgrind from a worker under
// valgrind that takes the same changes without traffic (user space only; the bar: 10,000). One worker, pinned to a core of
// its own where there are two.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Client, connect, ResponseStatus, request } from "../src/client/index.ts";
import { addressToMessage } from "../src/command/address.ts";
import { startBackend } from "./lib/backend.ts";
import { callgrindWorks } from "./lib/callgrind.ts";
import { countersWork, measure } from "./lib/counters.ts";
import { type PacedResult, pacedLoad } from "./lib/paced-load.ts";
import { has, stopAll } from "./lib/processes.ts";
import { scale } from "./lib/scale.ts";
import { startTarget, type Target, type TargetOptions } from "./lib/targets.ts";

const CLIENTS = 20;
const ALONE_CHANGES = 20_000;
/** Until then the optimising compiler is at work: with 20,000 its instructions are a third of all. */
const WARM_UP_CHANGES = 150_000;
const COUNTED_CHANGES = 5_000;
const { values: options } = parseArgs({
  options: {
    rate: { type: "string", default: "5000" },
    changes: { type: "string", default: "2000" },
    scale: { type: "string", default: "100000" },
    "no-changes": { type: "boolean", default: false },
    seconds: { type: "string", default: "10" },
    clusters: { type: "string", default: "1000" },
    callgrind: { type: "boolean", default: false },
  },
});
const rate = Number(options.rate);
const changeRate = Number(options.changes);
const seconds = Number(options.seconds);
const clusters = Number(options.clusters);
const scaled = Number(options.scale);

if (has("nginx")) await main();
else console.log("nginx is missing (the backend of the benchmark): apt-get install -y nginx");

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "sozu-bench-"));
  try {
    const backendPort = await startBackend(folder);
    const base = { backendPort, folder, accessLog: true };
    if (scaled > 0) await scale({ folder, backendPort, clusters: scaled });
    if (options["no-changes"]) return;
    await underLoad(base);
    if (options.callgrind && callgrindWorks()) await underCallgrind(base);
  } finally {
    stopAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function underLoad(base: TargetOptions): Promise<void> {
  const target = await startTarget("sozu", base);
  const main = parentOf(target.pid);
  const clients = await connectAll(base.folder);
  await populate(clients, target);
  await pacedLoad(target.port, rate, 3);
  await changesAt(clients, target.port, changeRate, 3);
  const counters = countersWork();
  const both = async <T>(work: () => Promise<T>) => {
    const [[result, worker], own] = await measure(main, counters, () => measure(target.pid, counters, work));
    return { result, worker, main: own };
  };
  const quiet = await both(() => pacedLoad(target.port, rate, seconds));
  const busy = await both(() =>
    Promise.all([pacedLoad(target.port, rate, seconds), changesAt(clients, target.port, changeRate, seconds)]),
  );
  const [load, changes] = busy.result;
  const cpu = (cost: { cpuUserNs: number; cpuSystemNs: number }): number => cost.cpuUserNs + cost.cpuSystemNs;
  const perChange = (after: number, before: number): string => ((after - before) / changes.done / 1000).toFixed(1);
  console.log(`${rate} requests/s for ${seconds} s, ${clusters} clusters, one worker\n`);
  console.log(`quiet:    ${describe(quiet.result)}`);
  console.log(`changing: ${describe(load)}`);
  console.log(
    `changes:  ${changes.done} in ${changes.tookS.toFixed(1)} s (${(changes.done / changes.tookS).toFixed(0)}/s), ` +
      `${changes.failed} failed, p50 ${changes.p50} us, p99 ${changes.p99} us, longest ${changes.longest} us`,
  );
  console.log(
    `CPU per change: worker ${perChange(cpu(busy.worker), cpu(quiet.worker))} us, ` +
      `main ${perChange(cpu(busy.main), cpu(quiet.main))} us`,
  );
  const alone = await both(() => changesAt(clients.slice(0, 2), target.port, Number.POSITIVE_INFINITY, ALONE_CHANGES));
  const each = (cost: { cpuUserNs: number; cpuSystemNs: number }): string =>
    (cpu(cost) / alone.result.done / 1000).toFixed(1);
  console.log(
    `without traffic, two clients: ${(alone.result.done / alone.result.tookS).toFixed(0)} changes/s, ` +
      `CPU per change with all threads: worker ${each(alone.worker)} us, main ${each(alone.main)} us`,
  );
  const before = instructions(quiet.worker);
  const after = instructions(busy.worker);
  if (before !== null && after !== null) {
    console.log(`instructions per change and worker: ${Math.round((after - before) / changes.done)}`);
  } else {
    console.log("instructions per change: this machine has no counters; try --callgrind");
  }
  for (const failure of [...quiet.result.failures, ...load.failures].slice(0, 5)) console.log(`failed: ${failure}`);
  for (const client of clients) client.close();
  await target.stop();
  if (load.failures.length > 0 || changes.failed > 0) process.exitCode = 1;
}

function instructions(cost: { instructionsUser: number | null; instructionsKernel: number | null }): number | null {
  return cost.instructionsUser === null ? null : cost.instructionsUser + (cost.instructionsKernel ?? 0);
}

async function underCallgrind(base: TargetOptions): Promise<void> {
  const out = join(base.folder, "callgrind");
  mkdirSync(out);
  const wrapper = [
    "/usr/bin/valgrind",
    "--tool=callgrind",
    "--instr-atstart=no",
    "--smc-check=all-non-file",
    "--separate-threads=yes",
  ];
  const target = await startTarget("sozu", { ...base, wrapper: [...wrapper, `--callgrind-out-file=${out}/out.%p`] });
  const clients = await connectAll(base.folder);
  // A worker under valgrind starts slowly, and main asks nothing of it before it serves.
  await pacedLoad(target.port, 100, 0.1, 1);
  await populate(clients, target);
  const callgrind = (...args: string[]): void =>
    void execFileSync("callgrind_control", args, { stdio: "ignore", timeout: 120_000 });
  await changesAt(clients, target.port, Number.POSITIVE_INFINITY, WARM_UP_CHANGES);
  const pid = String(target.pid);
  // Few at a time, as at 1,000 a second: large batches would hide what a packet costs.
  const few = clients.slice(0, 2);
  callgrind("--instr=on", pid);
  await changesAt(few, target.port, Number.POSITIVE_INFINITY, COUNTED_CHANGES);
  callgrind("--instr=off", pid);
  callgrind("--dump", pid);
  let mainThread = 0;
  let others = 0;
  for (const name of readdirSync(out)) {
    if (!name.startsWith(`out.${pid}`)) continue;
    const total = Number(/^totals: (\d+)/m.exec(readFileSync(join(out, name), "latin1"))?.[1] ?? 0);
    if (name.endsWith("-01")) mainThread += total;
    else others += total;
  }
  console.log(
    `instructions per change and worker, user space: ${Math.round(mainThread / COUNTED_CHANGES)}, ` +
      `and ${Math.round(others / COUNTED_CHANGES)} in threads of the compiler and the collector`,
  );
  for (const client of clients) client.close();
  await target.stop();
}

function connectAll(folder: string): Promise<Client[]> {
  const socketPath = join(folder, "sozu", "sozu.sock");
  return Promise.all(Array.from({ length: CLIENTS }, () => connect({ socketPath, timeoutMs: 120_000 })));
}

async function populate(clients: readonly Client[], target: Target): Promise<void> {
  const queue = Array.from({ length: clusters }, (_, i) => i);
  const lanes = clients.map(async (client) => {
    for (let i = queue.pop(); i !== undefined; i = queue.pop()) {
      await client.send(request(cluster(i, 0)));
      await client.send(request(frontend(i, target.port, true)));
      await client.send(request(backend(i, true)));
    }
  });
  await Promise.all(lanes);
}

interface ChangesResult {
  readonly done: number;
  readonly failed: number;
  readonly tookS: number;
  /** Microseconds from sending a change to its answer: every worker has it. */
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
}

/**
 * Adds and removes backends and frontends and changes clusters, each client its own. At a rate, `amount` is in seconds;
 * without one (infinity) it is the number of changes.
 */
async function changesAt(
  clients: readonly Client[],
  port: number,
  perSecond: number,
  amount: number,
): Promise<ChangesResult> {
  const startedMs = performance.now();
  const total = Number.isFinite(perSecond) ? perSecond * amount : amount;
  const latencies: number[] = [];
  let next = 0;
  let failed = 0;
  const lanes = clients.map(async (client, lane) => {
    // Always to the end of a cycle: the next series of changes begins with everything in its place.
    for (let step = 0; next < total || step % 5 !== 0; step++) {
      const dueMs = startedMs + (Number.isFinite(perSecond) ? (next / perSecond) * 1000 : 0);
      next += 1;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      const sentMs = performance.now();
      const { status } = await client.send(request(change(lane, step, port)));
      latencies.push((performance.now() - sentMs) * 1000);
      if (status !== ResponseStatus.OK) failed += 1;
    }
  });
  await Promise.all(lanes);
  const sorted = latencies.sort((a, b) => a - b);
  const at = (share: number): number => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
  const tookS = (performance.now() - startedMs) / 1000;
  return { done: latencies.length, failed, tookS, p50: at(0.5), p99: at(0.99), longest: at(1) };
}

type RequestInit = Parameters<typeof request>[0];

/** Change number `step` of a lane: five that undo each other, then the next cluster of the lane. */
function change(lane: number, step: number, port: number): RequestInit {
  const index = (lane + Math.floor(step / 5) * CLIENTS) % clusters;
  switch (step % 5) {
    case 0:
      return backend(index, false);
    case 1:
      return backend(index, true);
    case 2:
      return frontend(index, port, false);
    case 3:
      return frontend(index, port, true);
    default:
      return cluster(index, 1 + (Math.floor(step / (5 * clusters)) % 2));
  }
}

function cluster(index: number, loadBalancing: number): RequestInit {
  const value = { clusterId: `c${index}`, stickySession: false, httpsRedirect: false, loadBalancing };
  return { case: "addCluster", value: value as typeof value & { loadBalancing: 0 | 1 | 2 } };
}

function backend(index: number, add: boolean): RequestInit {
  const address = addressToMessage({ ip: "127.0.0.1", port: 1024 + (index % 60_000) });
  const value = { clusterId: `c${index}`, backendId: "b", address };
  return add ? { case: "addBackend", value } : { case: "removeBackend", value };
}

function frontend(index: number, port: number, add: boolean): RequestInit {
  const address = addressToMessage({ ip: "127.0.0.1", port });
  const path = { kind: 0, value: "/" } as const;
  const value = { clusterId: `c${index}`, address, hostname: `h${index}.test`, path, position: 2 } as const;
  return add ? { case: "addHttpFrontend", value } : { case: "removeHttpFrontend", value };
}

function describe(result: PacedResult): string {
  return (
    `${result.requests} requests, ${result.failures.length} failed, p50 ${result.p50} us, ` +
    `p99 ${result.p99} us, longest ${result.longest} us`
  );
}

function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}
