// Load with wrk (rates and latencies over a time), h2load (an exact number of requests) and handshakes.ts (a connection
// for each request), all in HTTP/1.1.

import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Case } from "./cases.ts";
import { DESCRIPTORS, LOAD_CORE } from "./processes.ts";

/** What one run of wrk has seen. */
export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /** Answers that were not 2xx or 3xx, failed connects, reads, writes and timeouts. */
  readonly errors: number;
}

const HANDSHAKES = fileURLToPath(new URL("handshakes.ts", import.meta.url));

/** Runs a case for `seconds`. */
export async function load(folder: string, port: number, run: Case, seconds: number): Promise<LoadResult> {
  if (run.handshake === undefined) return wrk(folder, port, run, seconds);
  const args = [String(port), String(seconds), String(run.connections), run.handshake];
  if (run.hosts !== undefined) args.push(String(run.hosts));
  return JSON.parse(await capture([process.execPath, HANDSHAKES, ...args])) as LoadResult;
}

/** Runs wrk for `seconds`. */
export async function wrk(folder: string, port: number, run: Case, seconds: number): Promise<LoadResult> {
  const script = join(folder, `${run.id}.lua`);
  writeFileSync(script, luaFor(run));
  const connections = String(run.connections);
  // The name of the certificate, which wrk sends as SNI.
  const url = `${run.tls ? "https://localhost" : "http://127.0.0.1"}:${port}${run.path}`;
  const args = ["wrk", "-t1", "-c", connections, "-d", `${seconds}s`, "--timeout", "10s", "-s", script, url];
  const output = await capture(args);
  const line = output.split("\n").find((text) => text.startsWith("{"));
  if (line === undefined) throw new Error(`wrk gave no result:\n${output}`);
  return JSON.parse(line) as LoadResult;
}

/** What each of an exact number of requests is like. */
export interface ExactRequest {
  /** Default `/`. */
  readonly path?: string;
  /** `Name: value`. */
  readonly headers?: readonly string[];
  /** Over TLS. Default: not. */
  readonly tls?: boolean;
  /** Any status will do, not only 2xx and 3xx, but all answers must have the same length. */
  readonly anyStatus?: boolean;
}

/** Sends exactly `requests` requests; fails when one was not answered as it should be. */
export async function exactly(
  requests: number,
  port: number,
  connections: number,
  request: ExactRequest = {},
): Promise<void> {
  const host = request.tls === true ? "https://localhost" : "http://127.0.0.1";
  const url = `${host}:${port}${request.path ?? "/"}`;
  const headers = (request.headers ?? []).flatMap((header) => ["-H", header]);
  const args = ["h2load", "--h1", "-t1", "-c", String(connections), "-n", String(requests), ...headers, url];
  const output = await capture(args);
  const done = (request.anyStatus === true ? /(\d+) done/ : /(\d+) succeeded/).exec(output);
  const bytes = Number(/traffic: .*?\((\d+)\) total/.exec(output)?.[1]);
  const isMixed = request.anyStatus === true && bytes % requests !== 0;
  if (done === null || Number(done[1]) !== requests || isMixed)
    throw new Error(`h2load: not every request succeeded:\n${output}`);
}

function luaFor(run: Case): string {
  const body = run.body > 0 ? `wrk.body = string.rep("x", ${run.body})\n` : "";
  const close = run.close ? `wrk.headers["Connection"] = "close"\n` : "";
  const hosts =
    run.hosts === undefined
      ? ""
      : `request = function() return wrk.format(nil, nil, {["Host"] = "h" .. math.random(0, ${run.hosts - 1}) .. ".bench.test"}) end\n`;
  return `wrk.method = "${run.method}"
wrk.headers["Host"] = "localhost"
${close}${body}${hosts}done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"p50":%d,"p99":%d,"p999":%d,"errors":%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    e.connect + e.read + e.write + e.status + e.timeout))
end
`;
}

/** Runs a program on the load core and resolves with its stdout. */
function capture(command: readonly string[]): Promise<string> {
  const pinned = LOAD_CORE === null ? [...command] : ["taskset", "-c", String(LOAD_CORE), ...command];
  return new Promise((resolve, reject) => {
    const child = spawn("prlimit", [`--nofile=${DESCRIPTORS}`, ...pinned], { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.on("error", reject);
    child.on("close", (code) =>
      code === 0 ? resolve(output) : reject(new Error(`${command[0]}: ${code}\n${output}`)),
    );
  });
}
