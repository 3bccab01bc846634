// Memory of the worker: per idle keep-alive connection by slope (from 2,000 to 8,000 connections, after a forced
// collection), and growth over many requests and many connections.

import { connect, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { connect as connectTls } from "node:tls";
import { fileURLToPath } from "node:url";
import { CASES, type Case } from "./cases.ts";
import { exactly, wrk } from "./load.ts";
import { descriptors, residentBytes } from "./processes.ts";
import type { Target } from "./targets.ts";

const LOW = 2_000;
const HIGH = 8_000;
/** At most so many connections have a request in flight, so that the pools behind the proxy stay small. */
const LANES = 16;
/** Longer than idle backend connections live, so that only the client's side is left. */
const SETTLE_MS = 6_000;

/** Node flags that let `collectGarbage` work. */
export const COLLECT_OPTIONS = `--expose-gc --require=${join(dirname(fileURLToPath(import.meta.url)), "collect.cjs")}`;

/** Result of the slope. */
export interface IdleMemory {
  readonly bytesPerConnection: number;
  readonly rssLow: number;
  readonly rssHigh: number;
}

/** A point of the growth check. */
export interface GrowthPoint {
  readonly after: string;
  readonly rss: number;
  readonly descriptors: number;
}

/** `group`: over TLS 1.3 with this group. Each connection has had one request; RSS at 8,000 minus RSS at 2,000, over 6,000. */
export async function idleMemory(target: Target, group?: string): Promise<IdleMemory> {
  const sockets: Socket[] = [];
  await openIdle(target.port, LOW, sockets, group);
  const rssLow = await settled(target);
  await openIdle(target.port, HIGH - LOW, sockets, group);
  const rssHigh = await settled(target);
  for (const socket of sockets) socket.destroy();
  return { bytesPerConnection: (rssHigh - rssLow) / (HIGH - LOW), rssLow, rssHigh };
}

/** RSS after 1 and after `requests` requests in total, and after `connections` connections of one request. */
export async function growth(
  target: Target,
  folder: string,
  requests: number,
  connections: number,
): Promise<GrowthPoint[]> {
  const points: GrowthPoint[] = [];
  const first = Math.min(1_000_000, Math.floor(requests / 5));
  await exactly(first, target.port, 64);
  points.push(await point(target, `${first.toLocaleString("en")} requests`));
  await exactly(requests - first, target.port, 64);
  points.push(await point(target, `${requests.toLocaleString("en")} requests`));
  const close = CASES.find((run) => run.id === "close") as Case;
  for (let done = 0; done < connections; ) done += (await wrk(folder, target.port, close, 5)).requests;
  points.push(await point(target, `${connections.toLocaleString("en")} connections more`));
  return points;
}

async function point(target: Target, after: string): Promise<GrowthPoint> {
  const rss = await settled(target);
  return { after, rss, descriptors: descriptors(target.pid) };
}

/** Its RSS when nothing is going on, after a collection. */
export async function settled(target: Target): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  if (target.name === "sozu") {
    process.kill(target.pid, "SIGUSR2");
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  return residentBytes(target.pid);
}

async function openIdle(port: number, count: number, sockets: Socket[], group: string | undefined): Promise<void> {
  let left = count;
  const lane = async (): Promise<void> => {
    while (left-- > 0) sockets.push(await oneRequest(port, group));
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

function oneRequest(port: number, group: string | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const to = { port, host: "127.0.0.1" };
    const tls = { servername: "localhost", minVersion: "TLSv1.3", rejectUnauthorized: false } as const;
    const socket = group === undefined ? connect(to) : connectTls({ ...to, ...tls, ecdhCurve: group });
    socket.once("error", reject);
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // Head and 95 bytes come in one write of the backend; one read is the whole answer.
    socket.once("data", () => {
      socket.off("error", reject);
      socket.on("error", () => undefined);
      resolve(socket);
    });
  });
}
