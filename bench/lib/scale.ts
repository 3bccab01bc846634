// A large state (issue "Scale"): 100,000 clusters on two workers. How long a cold start takes until the first request is
// served, what a cluster costs in memory, how fast one more is there, and a reload that changes 100 of 300,000 objects
// under traffic, with the longest that any loop was busy without a pause.

import type { ChildProcess } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../../e2e/lib/ports.ts";
import { type Client, connect, ResponseStatus, request } from "../../src/client/index.ts";
import { addressToMessage } from "../../src/command/address.ts";
import { ListenerType } from "../../src/command/gen/sozu_pb.ts";
import { encodeRecords } from "../../src/command/records.ts";
import { COLLECT_OPTIONS } from "./memory.ts";
import { pacedLoad } from "./paced-load.ts";
import { cpuTime, DESCRIPTORS, residentBytes, start, stop } from "./processes.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const watch = `--require=${join(root, "bench", "lib", "loop-watch.cjs")}`;
const WORKERS = 2;
const ADDED = 50;
const RELOADS = 3;
const RELOADED_CLUSTERS = 100;
const RATE = 5000;

/** What to run it with. */
export interface ScaleOptions {
  readonly folder: string;
  readonly backendPort: number;
  readonly clusters: number;
}

/** Runs all of it and prints as it goes. */
export async function scale(options: ScaleOptions): Promise<void> {
  console.log(`\n${options.clusters.toLocaleString("en")} clusters, ${WORKERS} workers\n`);
  const empty = await Pair.start(options, "empty", "");
  const base = await empty.memory();
  await empty.stop();
  await coldStart(options, base);
  await reloads(options);
}

/** From a saved state: each cluster has one frontend and two backends. */
async function coldStart(options: ScaleOptions, base: readonly number[]): Promise<void> {
  const { folder, clusters, backendPort } = options;
  const port = await freePort();
  const requests = (function* all() {
    yield* listener(port);
    for (let i = 0; i < clusters; i++) {
      yield cluster(`c${i}`);
      yield frontend(`c${i}`, port, `h${i}.test`);
      yield backend(`c${i}`, 0, backendPort);
      yield backend(`c${i}`, 1, backendPort);
    }
  })();
  const saved = join(folder, "scale-state.json");
  writeFileSync(saved, "");
  for (const chunk of encodeRecords(requests)) writeFileSync(saved, chunk, { flag: "a" });
  const proxy = await Pair.start(options, "cold", `saved_state = "${saved}"\n`, port, `h${clusters - 1}.test`);
  print("cold start until the first request is served", `${(proxy.startedMs / 1000).toFixed(1)} s`, "10 s");
  for (const line of proxy.phases()) console.log(`    ${line}`);
  console.log(`    CPU time until then, all threads of main and one worker: ${proxy.startedCpuS.toFixed(1)} s`);
  const full = await proxy.memory();
  const each = full.map((bytes, i) => (bytes - (base[i] ?? 0)) / clusters);
  print("memory per idle cluster and worker", `${Math.round(median(each))} bytes`, "4,000 bytes");
  const client = await proxy.client();
  const took: number[] = [];
  for (let i = 0; i < ADDED; i++) {
    const before = performance.now();
    const id = `added-${i}`;
    for (const one of [cluster(id), frontend(id, port, `${id}.test`), backend(id, 0, backendPort)]) {
      await must(client, one);
    }
    took.push(performance.now() - before);
  }
  print("one more cluster, frontend and backend, acknowledged", `${median(took).toFixed(1)} ms median`, "5 ms");
  await loops(proxy);
  const atMs = performance.now();
  await must(client, request({ case: "loadStateWith", value: { path: saved, replace: true, dryRun: false } }));
  print(`state load --replace that drops the ${ADDED} again`, seconds(atMs), "-");
  console.log(`    ${await loops(proxy)}`);
  const many = Array.from({ length: 5000 }, (_, i) => [cluster(`t${i}`), frontend(`t${i}`, port, `t${i}.test`)]).flat();
  const large = [...many, ...Array.from({ length: 10_000 }, (_, i) => backend(`t${i % 5000}`, i, backendPort))];
  const sentMs = performance.now();
  await must(client, request({ case: "transaction", value: { requests: large } }));
  print("a transaction of 20,000 requests", seconds(sentMs), "-");
  console.log(`    ${await loops(proxy)}`);
  client.close();
  await proxy.stop();
  rmSync(saved);
}

/** From a file: each cluster has one frontend and one backend. */
async function reloads(options: ScaleOptions): Promise<void> {
  const port = await freePort();
  const proxy = await Pair.start(options, "reload", file(options, port, 0), port, "localhost");
  const client = await proxy.client();
  await pacedLoad(port, RATE, 2);
  await loops(proxy);
  const took: number[] = [];
  const failures: string[] = [];
  for (let round = 1; round <= RELOADS; round++) {
    proxy.configure(file(options, port, round));
    const load = pacedLoad(port, RATE, 5);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const before = performance.now();
    await must(client, request({ case: "reloadConfiguration", value: "" }));
    took.push(performance.now() - before);
    const { failures: failed, p99, longest } = await load;
    failures.push(...failed);
    console.log(`    reload ${round}: ${took.at(-1)?.toFixed(0)} ms; ${RATE}/s: p99 ${p99} us, longest ${longest} us`);
  }
  const objects = (options.clusters * 3).toLocaleString("en");
  print(
    `reload that changes ${RELOADED_CLUSTERS} of ${objects} objects`,
    `${(median(took) / 1000).toFixed(2)} s`,
    "4 s",
  );
  print(`failed requests meanwhile`, `${failures.length}`, "0");
  console.log(`    ${await loops(proxy)}`);
  for (const failure of failures.slice(0, 5)) console.log(`failed: ${failure}`);
  if (failures.length > 0) process.exitCode = 1;
  client.close();
  await proxy.stop();
}

function file({ clusters, backendPort }: ScaleOptions, port: number, round: number): string {
  const parts: string[] = [];
  const step = Math.max(1, Math.floor(clusters / RELOADED_CLUSTERS));
  for (let i = 0; i < clusters; i++) {
    const sticky = i % step === 1 ? `sticky_session = ${round % 2 === 1}\n` : "";
    const host = i === 0 ? "localhost" : `h${i}.test`;
    parts.push(`[clusters.c${i}]
protocol = "http"
${sticky}frontends = [{ address = "127.0.0.1:${port}", hostname = "${host}" }]
backends = [{ address = "127.0.0.1:${backendPort}" }]
`);
  }
  return parts.join("");
}

/** A proxy with two workers that the kernel may put on any core. */
class Pair {
  readonly #folder: string;
  readonly #port: number;
  readonly #child: ChildProcess;
  readonly workers: readonly number[];
  readonly startedMs: number;
  readonly startedCpuS: number;

  private constructor(folder: string, port: number, child: ChildProcess, startedMs: number, startedCpuS: number) {
    this.#folder = folder;
    this.#port = port;
    this.#child = child;
    this.startedMs = startedMs;
    this.startedCpuS = startedCpuS;
    this.workers = childrenOf(child.pid as number);
  }

  /** Starts one and waits until it answers a request for `host`. */
  static async start(options: ScaleOptions, name: string, text: string, at = 0, host = ""): Promise<Pair> {
    const folder = join(options.folder, `scale-${name}`);
    mkdirSync(join(folder, "loops"), { recursive: true });
    const port = at === 0 ? await freePort() : at;
    writeConfig(folder, port, text);
    const release = join(root, ".releases", readlinkSync(join(root, ".releases", "current")));
    const before = performance.now();
    const entry = [join(release, "js", "cli", "main.js"), "start", "-c", join(folder, "config.toml")];
    const child = start(["prlimit", `--nofile=${DESCRIPTORS}`, join(release, "bin", "node"), watch, ...entry], {
      core: null,
      log: join(folder, "out.log"),
      env: {
        ...process.env,
        NODE_OPTIONS: "",
        SOZU_WORKER_NODE_OPTIONS: `${COLLECT_OPTIONS} ${watch}`,
        SOZU_BENCH_LOOPS: join(folder, "loops"),
      },
      cwd: folder,
    });
    const wanted = host === "" ? 404 : 200;
    for (;;) {
      if (child.exitCode !== null) throw new Error(readFileSync(join(folder, "out.log"), "utf8"));
      if ((await status(port, host === "" ? "none.test" : host)) === wanted) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const startedMs = performance.now() - before;
    const [first = 0] = childrenOf(child.pid as number);
    const startedCpuS = (cpuTime(child.pid as number).totalNs + (first === 0 ? 0 : cpuTime(first).totalNs)) / 1e9;
    // All workers, for what follows.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    return new Pair(folder, port, child, startedMs, startedCpuS);
  }

  configure(text: string): void {
    writeConfig(this.#folder, this.#port, text);
  }

  client(): Promise<Client> {
    return connect({ socketPath: join(this.#folder, "sozu.sock"), timeoutMs: 120_000 });
  }

  /** Resident bytes of each worker after a forced collection. */
  async memory(): Promise<number[]> {
    for (const pid of this.workers) process.kill(pid, "SIGUSR2");
    await new Promise((resolve) => setTimeout(resolve, 4000));
    return this.workers.map(residentBytes);
  }

  /** Longest time that main and the workers were busy since the last call. */
  async longest(): Promise<{ main: number; workers: number }> {
    const pids = [this.#child.pid as number, ...this.workers];
    const lines = pids.map((pid) => this.#loopLines(pid));
    for (const pid of pids) process.kill(pid, "SIGWINCH");
    await until(() => pids.every((pid, i) => this.#loopLines(pid).length > lines[i]!.length));
    const [main, ...workers] = pids.map((pid) => Number(this.#loopLines(pid).at(-1)));
    return { main: main!, workers: Math.max(...workers) };
  }

  #loopLines(pid: number): string[] {
    return readFileSync(join(this.#folder, "loops", String(pid)), "utf8")
      .split("\n")
      .slice(0, -1);
  }

  /** What the log says of the start, with the seconds since the first line of the process. */
  phases(): string[] {
    const lines = readFileSync(join(this.#folder, "sozu.log"), "utf8").split("\n");
    const seen: string[] = [];
    for (const line of lines) {
      const found = /^(\S+Z) .*?(\d+ records applied|worker \d+ started|worker \d+ serves)/.exec(line);
      if (found !== null) seen.push(`${found[1]!.slice(14, 23)} ${found[2]}`);
    }
    return seen;
  }

  async stop(): Promise<void> {
    await stop(this.#child);
  }
}

async function loops(proxy: Pair): Promise<string> {
  const { main, workers } = await proxy.longest();
  return `longest without a pause: main ${main.toFixed(1)} ms (bar 50), workers ${workers.toFixed(1)} ms (bar 10)`;
}

async function until(isTrue: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !isTrue(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
}

function writeConfig(folder: string, port: number, text: string): void {
  writeFileSync(
    join(folder, "config.toml"),
    `command_socket = "${join(folder, "sozu.sock")}"
worker_count = ${WORKERS}
worker_timeout = 120
max_connections = ${Math.floor(DESCRIPTORS / 2) - 100}
max_command_buffer_size = 16777216
log_level = "info"
log_target = "file://${join(folder, "sozu.log")}"
access_logs_target = "off"
${text.startsWith("saved_state") ? text : ""}
[[listeners]]
address = "127.0.0.1:${port}"
protocol = "http"

${text.startsWith("saved_state") ? "" : text}`,
  );
}

function status(port: number, host: string): Promise<number> {
  return new Promise((resolve) => {
    get({ port, host: "127.0.0.1", headers: { host }, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on("error", () => resolve(0));
  });
}

function childrenOf(pid: number): number[] {
  const children: number[] = [];
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const text = readFileSync(`/proc/${pid}/task/${task}/children`, "latin1");
    children.push(...text.split(" ").filter(Boolean).map(Number));
  }
  return children;
}

function listener(port: number) {
  const address = addressToMessage({ ip: "127.0.0.1", port });
  return [
    request({
      case: "addHttpListener",
      value: {
        address,
        stickyName: "SOZUBALANCEID",
        expectProxy: false,
        frontTimeout: 60,
        backTimeout: 30,
        connectTimeout: 3,
        requestTimeout: 10,
        active: false,
      },
    }),
    request({ case: "activateListener", value: { address, proxy: ListenerType.HTTP, fromScm: false } }),
  ];
}

function cluster(clusterId: string) {
  const value = { clusterId, stickySession: false, httpsRedirect: false, loadBalancing: 0 } as const;
  return request({ case: "addCluster", value });
}

function frontend(clusterId: string, port: number, hostname: string) {
  const address = addressToMessage({ ip: "127.0.0.1", port });
  const path = { kind: 0, value: "/" } as const;
  return request({ case: "addHttpFrontend", value: { clusterId, address, hostname, path, position: 2 } });
}

function backend(clusterId: string, index: number, port: number) {
  const address = addressToMessage({ ip: "127.0.0.1", port });
  return request({ case: "addBackend", value: { clusterId, backendId: `b${index}`, address } });
}

async function must(client: Client, one: Parameters<Client["send"]>[0]): Promise<void> {
  const { status: verdict, message } = await client.send(one);
  if (verdict !== ResponseStatus.OK) throw new Error(message);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

function seconds(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1000).toFixed(2)} s`;
}

function print(what: string, figure: string, bar: string): void {
  console.log(`${what}: ${figure} (bar: ${bar})`);
}
