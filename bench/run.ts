// The side-by-side benchmark: Sozu, nginx and HAProxy on the same machine in the same run, one worker each, pinned to one
// core, load and backend on the other, in alternating rounds.
//
//   npm run bench -- [--rounds 5] [--seconds 3] [--cases small-64,16k] [--targets sozu,nginx]
//                    [--callgrind] [--features] [--memory] [--hosts] [--growth [--requests 5000000] [--connections 200000]] [--certificates]
//                    [--plain-peers] [--no-table] [--docs] [--worst]
//
// Prints a table with ratios and writes it to bench/out/results.md and results.json. nginx, HAProxy and wrk are installed
// with apt-get when missing and when that is allowed (root); otherwise it says what is missing and ends with exit code 0.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startBackend } from "./lib/backend.ts";
import { callgrindWorks, instructionsPerRequest } from "./lib/callgrind.ts";
import { CASES, type Case } from "./lib/cases.ts";
import { certificatesCost } from "./lib/certificates.ts";
import { countersWork, measure } from "./lib/counters.ts";
import { featureCosts } from "./lib/features.ts";
import { hostsCost } from "./lib/hosts.ts";
import { load } from "./lib/load.ts";
import { COLLECT_OPTIONS, growth, type IdleMemory, idleMemory } from "./lib/memory.ts";
import { has, stopAll } from "./lib/processes.ts";
import { type Results, render, renderFeatures, type Sample } from "./lib/report.ts";
import {
  startTarget,
  TARGET_NAMES,
  type Target,
  type TargetName,
  type TargetOptions,
  writeCertificate,
} from "./lib/targets.ts";
import { renderWorst, worstCosts } from "./lib/worst.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    cases: { type: "string" },
    targets: { type: "string" },
    callgrind: { type: "boolean", default: false },
    features: { type: "boolean", default: false },
    memory: { type: "boolean", default: false },
    growth: { type: "boolean", default: false },
    hosts: { type: "boolean", default: false },
    certificates: { type: "boolean", default: false },
    requests: { type: "string", default: "5000000" },
    connections: { type: "string", default: "200000" },
    "plain-peers": { type: "boolean", default: false },
    worst: { type: "boolean", default: false },
    "no-table": { type: "boolean", default: false },
    docs: { type: "boolean", default: false },
  },
});
/** Of idle TLS connections: one that the OpenSSL of every peer has. */
const IDLE_GROUP = "X25519";
const rounds = Number(options.rounds);
const seconds = Number(options.seconds);
const cases = CASES.filter((run) => options.cases === undefined || options.cases.split(",").includes(run.id));
const targets = TARGET_NAMES.filter(
  (name) => options.targets === undefined || options.targets.split(",").includes(name),
);

if (options.worst) await worst();
else if (prepare()) await main();

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "sozu-bench-"));
  try {
    const backendPort = await startBackend(folder);
    const base = { backendPort, folder, plainPeers: options["plain-peers"], accessLog: true };
    const results: Results = {
      date: new Date().toISOString().slice(0, 10),
      command: `npm run bench -- ${process.argv.slice(2).join(" ")}`.trim(),
      versions: versions(),
      rounds,
      seconds,
      cases: options["no-table"] ? [] : cases,
      samples: options["no-table"] ? [] : await runCases(base),
      userInstructions: options.callgrind ? await runCallgrind(base) : null,
      tlsInstructions: options.callgrind ? await runCallgrind(overTls(base)) : null,
      features: options.features && callgrindIsThere() ? await featureCosts(base) : null,
      idleMemory: options.memory ? await runMemory(base) : null,
      idleTlsMemory: options.memory ? await runMemory(overTls(base), IDLE_GROUP) : null,
      growth: options.growth ? await runGrowth(base) : null,
      hosts: options.hosts ? await hostsCost(base, rounds, seconds, countersWork()) : null,
      certificates: options.certificates ? await certificatesCost(overTls(base), rounds, seconds) : null,
    };
    const tables = render(results);
    const features = results.features === null ? "" : renderFeatures(results);
    const text = `${tables}${features === "" ? "" : `\n${features}`}`;
    const out = join(root, "bench", "out");
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, "results.md"), text);
    writeFileSync(join(out, "results.json"), `${JSON.stringify(results, null, 1)}\n`);
    if (options.docs && !options["no-table"]) writeDocs("results", tables);
    if (options.docs && features !== "") writeDocs("features", features);
    console.log(`\n${text}\nWritten to bench/out/results.md and bench/out/results.json`);
  } finally {
    stopAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The 100x rule alone: our proxy only. */
async function worst(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "sozu-bench-"));
  try {
    const costs = await worstCosts(folder);
    if (costs === null) console.log("neither perf nor valgrind can count here (apt-get install valgrind)");
    else console.log(`\n${renderWorst(costs)}`);
  } finally {
    stopAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Replaces what stands between `<!-- name: ... -->` and `<!-- end of name -->` in docs/benchmarks.md. */
function writeDocs(name: string, text: string): void {
  const path = join(root, "docs", "benchmarks.md");
  const page = readFileSync(path, "utf8");
  const begin = page.indexOf("-->\n", page.indexOf(`<!-- ${name}:`)) + 4;
  const end = page.indexOf(`<!-- end of ${name}`);
  writeFileSync(path, `${page.slice(0, begin)}\n${text}\n${page.slice(end)}`);
}

/** All cases against all targets: plain ones with the access log, without it, then those over TLS. */
async function runCases(base: TargetOptions): Promise<Sample[]> {
  const counters = countersWork();
  const samples: Sample[] = [];
  const kinds = [
    { accessLog: true, tls: false },
    { accessLog: false, tls: false },
    { accessLog: true, tls: true },
  ];
  for (const { accessLog, tls } of kinds) {
    const own = cases.filter((run) => run.accessLog === accessLog && run.tls === tls);
    if (own.length === 0) continue;
    await withTargets({ ...(tls ? overTls(base) : base), accessLog }, async (running) => {
      for (const run of own) {
        for (const target of running) await load(base.folder, target.port, run, warmUp(run));
        for (let round = 0; round < rounds; round++) {
          for (const target of running) samples.push(await sample(base.folder, run, target, counters));
        }
      }
    });
  }
  return samples;
}

function overTls(base: TargetOptions): TargetOptions {
  return { ...base, tls: writeCertificate(base.folder) };
}

/** Seconds. Few handshakes fit into one: the optimising compiler needs more of them. */
function warmUp(run: Case): number {
  return run.handshake === undefined ? 1 : 5;
}

async function sample(folder: string, run: Case, target: Target, counters: boolean): Promise<Sample> {
  const [seen, cost] = await measure(target.pid, counters, () => load(folder, target.port, run, seconds));
  const totalUs = (cost.cpuUserNs + cost.cpuSystemNs) / seen.requests / 1000;
  const rate = Math.round(seen.requests / seen.seconds);
  console.log(`${run.id.padEnd(11)} ${target.name.padEnd(8)} ${rate} requests/s, ${totalUs.toFixed(1)} µs CPU/request`);
  return { caseId: run.id, target: target.name, load: seen, cost };
}

function callgrindIsThere(): boolean {
  if (callgrindWorks()) return true;
  console.log("valgrind is missing: no instruction counts (apt-get install valgrind)");
  return false;
}

async function runCallgrind(base: TargetOptions): Promise<Record<string, number> | null> {
  if (!callgrindIsThere()) return null;
  const found: Record<string, number> = {};
  for (const name of targets) {
    found[name] = await instructionsPerRequest(name, base, "/");
    console.log(`callgrind  ${name.padEnd(8)} ${Math.round(found[name])} user instructions/request`);
  }
  return found;
}

async function runMemory(base: TargetOptions, group?: string): Promise<Partial<Record<TargetName, IdleMemory>>> {
  const found: Partial<Record<TargetName, IdleMemory>> = {};
  await withTargets({ ...base, nodeOptions: COLLECT_OPTIONS }, async (running) => {
    for (const target of running) {
      const memory = await idleMemory(target, group);
      found[target.name] = memory;
      console.log(
        `memory     ${target.name.padEnd(8)} ${Math.round(memory.bytesPerConnection)} bytes/idle connection${group === undefined ? "" : `, TLS with ${group}`}`,
      );
    }
  });
  return found;
}

async function runGrowth(base: TargetOptions): Promise<Results["growth"]> {
  const target = await startTarget("sozu", { ...base, nodeOptions: COLLECT_OPTIONS });
  try {
    return await growth(target, base.folder, Number(options.requests), Number(options.connections));
  } finally {
    await target.stop();
  }
}

async function withTargets(base: TargetOptions, work: (running: readonly Target[]) => Promise<void>): Promise<void> {
  const running: Target[] = [];
  try {
    for (const name of targets) running.push(await startTarget(name, base));
    await work(running);
  } finally {
    for (const target of running) await target.stop();
  }
}

/** Makes sure that the programs are there. False: something is missing and cannot be installed. */
function prepare(): boolean {
  const packages: Record<string, string> = {
    nginx: "nginx-light",
    haproxy: "haproxy",
    wrk: "wrk",
    h2load: "nghttp2-client",
  };
  if (options.callgrind || options.features) packages["valgrind"] = "valgrind";
  const missing = Object.keys(packages).filter((program) => !has(program));
  if (missing.length === 0) return true;
  const names = missing.map((program) => packages[program] as string);
  if (process.getuid?.() !== 0 || !has("apt-get")) {
    console.log(`skipped: ${missing.join(", ")} missing. Install with: apt-get install -y ${names.join(" ")}`);
    return false;
  }
  console.log(`installing ${names.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  try {
    execFileSync("apt-get", ["update", "-qq"], { stdio: "inherit", env });
    execFileSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...names], { stdio: "inherit", env });
  } catch (error) {
    console.log(`skipped: apt-get failed (${error instanceof Error ? error.message : error})`);
    return false;
  }
  return true;
}

function versions(): Record<string, string> {
  const first = (command: string, args: string[], pattern: RegExp): string => {
    const output = execFileSync("sh", ["-c", `${[command, ...args].join(" ")} 2>&1 || true`]).toString();
    return pattern.exec(output)?.[1] ?? "?";
  };
  return {
    Node: process.versions.node,
    nginx: first("nginx", ["-v"], /nginx\/(\S+)/),
    HAProxy: first("haproxy", ["-v"], /version (\S+)/),
    wrk: first("wrk", ["-v"], /wrk (?:debian\/)?(\S+)/),
  };
}
