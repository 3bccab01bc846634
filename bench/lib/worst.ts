// The 100x rule (RX-24): no request under 10 kB costs the worker 1 MB of memory or 100 times the instructions of an ordinary
// one. Replays the worst cases against a worker under callgrind (or perf, where the machine counts), and holds many
// of each unfinished to see what one of them occupies.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { callgrindWorks, startCounted } from "./callgrind.ts";
import { countersWork, measure } from "./counters.ts";
import { residentBytes } from "./processes.ts";
import { RawLane } from "./raw-lane.ts";
import { startTarget, type Target } from "./targets.ts";
import { ORDINARY, REGEX_ROUTES, WORST_CASES, type WorstCase } from "./worst-cases.ts";

const WARM_UP_ORDINARY = 100_000;
const WARM_UP = 1_500;
const COUNTED = 400;
const LANES = 8;
/** Unfinished requests at once. */
const HELD = 400;
const SETTLE_MS = 500;

/** What one request of a case costs. */
export interface WorstCost {
  readonly title: string;
  readonly bytes: number;
  /** User-space instructions of the worker. */
  readonly instructions: number;
  /** Times an ordinary request, to the same routes where that matters. */
  readonly ratio: number;
  /** Bytes of resident memory while it is unfinished. */
  readonly held: number;
}

/** Measures all cases; null when neither perf nor valgrind can count here. */
export async function worstCosts(folder: string): Promise<WorstCost[] | null> {
  const perf = countersWork();
  if (!perf && !callgrindWorks()) return null;
  const backend = await startBackend();
  const backendPort = (backend.address() as AddressInfo).port;
  const options = {
    backendPort,
    folder,
    accessLog: true,
    clusters: (port: number) => clusters(port, backendPort),
  };
  try {
    const held = await heldBytes(await startTarget("sozu", { ...options, folder: `${folder}/held` }));
    const instructions = perf
      ? await counted(await startTarget("sozu", options), perfCount)
      : await startCounted("sozu", options, true).then(({ target, instructionsOf }) =>
          counted(target, (_, work) => instructionsOf(work)),
        );
    return [ORDINARY, ...WORST_CASES].map((worst, i) => ({
      title: worst.title,
      bytes: worst.bytes.length,
      instructions: instructions[i],
      ratio: instructions[i] / instructions[worst.beside === undefined ? 0 : i - worst.beside],
      held: held[i],
    }));
  } finally {
    backend.close();
    backend.closeAllConnections();
  }
}

/** A table for the documentation. */
export function renderWorst(costs: readonly WorstCost[]): string {
  const lines = costs.map(
    ({ title, bytes, instructions, ratio, held }) =>
      `| ${title} | ${bytes.toLocaleString("en")} | ${Math.round(instructions).toLocaleString("en")} | ` +
      `${ratio.toFixed(1)} | ${Math.round(held / 1000)} kB |`,
  );
  return `| Case | Bytes | Instructions | Times ordinary | Held |\n|---|---|---|---|---|\n${lines.join("\n")}\n`;
}

type Count = (target: Target, work: () => Promise<void>) => Promise<number>;

const perfCount: Count = async (target, work) => {
  const [, cost] = await measure(target.pid, true, work);
  return cost.instructionsUser ?? Number.NaN;
};

/** Instructions per request of each case, the ordinary one first. */
async function counted(target: Target, count: Count): Promise<number[]> {
  try {
    await replay(target.port, ORDINARY, WARM_UP_ORDINARY);
    const found: number[] = [];
    for (const worst of [ORDINARY, ...WORST_CASES]) {
      await replay(target.port, worst, Math.ceil(WARM_UP / worst.answers));
      const times = Math.ceil(COUNTED / worst.answers);
      const total = await count(target, () => replay(target.port, worst, times));
      found.push(total / times / worst.answers);
      console.log(`${worst.title}: ${Math.round(found[found.length - 1]).toLocaleString("en")} instructions`);
    }
    return found;
  } finally {
    await target.stop();
  }
}

async function replay(port: number, worst: WorstCase, times: number): Promise<void> {
  let left = times;
  const lane = async (): Promise<void> => {
    const raw = new RawLane(port);
    while (left-- > 0) await raw.request(worst.bytes, worst.answers);
    raw.close();
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

/** Memory of one unfinished request: all of its bytes but the last, many times at once. */
async function heldBytes(target: Target): Promise<number[]> {
  try {
    await replay(target.port, ORDINARY, 5_000);
    const found: number[] = [];
    for (const worst of [ORDINARY, ...WORST_CASES]) {
      await replay(target.port, worst, 20);
      const before = residentBytes(target.pid);
      const lanes = Array.from({ length: HELD }, () => new RawLane(target.port));
      const all = worst.bytes.subarray(0, worst.bytes.length - 1);
      await Promise.all(lanes.map((raw) => raw.send(all)));
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      found.push(Math.max(0, residentBytes(target.pid) - before) / HELD);
      for (const raw of lanes) raw.close();
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    }
    return found;
  } finally {
    await target.stop();
  }
}

/** Takes requests of any shape and answers them with 95 bytes. */
async function startBackend(): Promise<Server> {
  const body = "x".repeat(95);
  const server = createServer({ maxHeaderSize: 65_536, keepAliveTimeout: 60_000 }, (request, response) => {
    request.resume();
    request.on("end", () => response.end(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

function clusters(port: number, backendPort: number): string {
  const address = `address = "127.0.0.1:${port}"`;
  const regexes = (hostname: string, count: number): string =>
    Array.from(
      { length: count },
      (_, i) => `  { ${address}, hostname = "${hostname}", path = "/(a|b)*${i}c$", path_type = "REGEX" },\n`,
    ).join("");
  const backends = `backends = [{ address = "127.0.0.1:${backendPort}" }]\n`;
  return `
[clusters.sticky]
protocol = "http"
sticky_session = true
frontends = [{ ${address}, hostname = "sticky.test" }]
${backends}
[clusters.worst]
protocol = "http"
frontends = [
${regexes("regex.test", REGEX_ROUTES)}${regexes("regex20.test", 20)}${regexes("regex5.test", 5)}  { ${address}, hostname = "regex.test" },
  { ${address}, hostname = "regex20.test" },
  { ${address}, hostname = "regex5.test" },
  { ${address}, hostname = "*.deep.test" },
  { ${address}, hostname = "/a+/.a.deep.test" },
]
${backends}`;
}
