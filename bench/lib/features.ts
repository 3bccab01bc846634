// What each feature adds to a request: user-space instructions of the worker's main thread, counted by callgrind, with the
// feature and without it, for the same request. All of them are configured in one worker and warmed up in turns, so that both sides of a
// comparison run the same compiled code; between two workers the compiler's decisions alone make a difference of a
// thousand instructions and more.

import { createHash } from "node:crypto";
import { type Counted, startCounted } from "./callgrind.ts";
import { type ExactRequest, exactly } from "./load.ts";
import type { TargetOptions } from "./targets.ts";
import { startEcho, Tunnels } from "./tunnels.ts";

/** A bar of its own for each feature (decisions 37). */
export const FEATURE_BAR = 1500;

const CONNECTIONS = 64;
const WARM_UP_ROUNDS = 6;
const WARM_UP = 10_000;
const COUNTED = 8_000;
const COUNTED_ROUNDS = 2;

const ATTEMPTS_MAX = 6;
const TUNNELS = 16;
const TUNNEL_WARM_UP = 32_000;
const TUNNEL_TITLE = "4 kB through a WebSocket";

/** One way of treating a request. */
interface Feature {
  readonly id: string;
  readonly title: string;
  /** The feature it is compared with; absent for those that others are compared with. */
  readonly against?: string;
  /** Lines of its cluster. */
  readonly cluster?: string;
  /** Keys that say which paths its frontend is for; default: the prefix `/<id>`. */
  readonly rule?: string;
  /** Keys of its frontend. */
  readonly frontend?: string;
  /** It has no backend. */
  readonly isLocal?: boolean;
  /** Default 1. */
  readonly backends?: number;
  readonly request?: ExactRequest;
}

/** What was found. */
export interface FeatureCost {
  readonly title: string;
  readonly against: string | null;
  /** Instructions per request with it, and without it; null for those that others are compared with. */
  readonly instructions: number;
  readonly without: number | null;
}

const HASH = createHash("sha256").update("open sesame").digest("hex");
const CREDENTIALS = Buffer.from("ali:open sesame").toString("base64");
const COOKIE = "Cookie: a=b; user=0123456789";
const EDITS = [
  `{ position = "request", key = "X-Team", value = "shop" }`,
  `{ position = "request", key = "User-Agent", value = "" }`,
  `{ position = "response", key = "X-Frame-Options", value = "DENY" }`,
];
const TEMPLATE = `HTTP/1.1 503 Service Unavailable
Content-Type: text/html
Cache-Control: no-store
X-Request: %REQUEST_ID

<h1>Back in a minute</h1><p>%CLUSTER_ID %ROUTE %REQUEST_ID</p>
`;

const FEATURES: readonly Feature[] = [
  { id: "plain", title: "a proxied request" },
  { id: "edits", title: "three header edits", against: "plain", frontend: `headers = [${EDITS.join(", ")}]` },
  {
    id: "host",
    title: "rewrite of the host",
    against: "plain",
    frontend: `rewrite_host = "inner.test"`,
  },
  {
    id: "path",
    title: "rewrite of the path",
    against: "plain",
    frontend: `rewrite_path = "/new$PATH[1]"`,
  },
  { id: "pattern", title: "a path that a pattern finds", rule: `path = "/pattern(.*)", path_type = "REGEX"` },
  {
    id: "groups",
    title: "rewrite by a pattern's group",
    against: "pattern",
    rule: `path = "/groups(.*)", path_type = "REGEX"`,
    frontend: `rewrite_path = "/new$PATH[1]"`,
  },
  {
    id: "auth",
    title: "Basic authentication",
    against: "plain",
    cluster: `authorized_hashes = ["ali:${HASH}"]`,
    frontend: "required_auth = true",
    request: { headers: [`Authorization: Basic ${CREDENTIALS}`] },
  },
  {
    id: "sticky",
    title: "sticky session",
    against: "plain",
    cluster: "sticky_session = true",
    request: { headers: ["Cookie: SOZUBALANCEID=sticky-0"] },
  },
  { id: "perip", title: "per-IP limit", against: "plain", cluster: "max_connections_per_ip = 1000" },
  {
    id: "health",
    title: "health check every second",
    against: "plain",
    cluster: `health_check = { uri = "/", interval = 1 }`,
  },
  { id: "eject", title: "ejection of failing backends", against: "plain", cluster: "eject_after = 5" },
  { id: "eight", title: "8 backends, a cookie", backends: 8, request: { headers: [COOKIE] } },
  {
    id: "hrw",
    title: "HRW by a cookie",
    against: "eight",
    backends: 8,
    cluster: `load_balancing = "HRW"\naffinity = "cookie:user"`,
    request: { headers: [COOKIE] },
  },
  {
    id: "maglev",
    title: "MAGLEV by a cookie",
    against: "eight",
    backends: 8,
    cluster: `load_balancing = "MAGLEV"\naffinity = "cookie:user"`,
    request: { headers: [COOKIE] },
  },
  { id: "unavailable", title: "a built-in 503", isLocal: true, request: { anyStatus: true } },
  {
    id: "answer",
    title: "a 503 of one's own",
    against: "unavailable",
    isLocal: true,
    cluster: `answers = { 503 = ${JSON.stringify(TEMPLATE)} }`,
    request: { anyStatus: true },
  },
  {
    id: "redirect",
    title: "redirect",
    against: "unavailable",
    isLocal: true,
    frontend: `redirect = "permanent", redirect_scheme = "use-https"`,
  },
];

/** Counts them all. */
export async function featureCosts(base: TargetOptions): Promise<FeatureCost[]> {
  const echo = await startEcho();
  const clusters = (port: number): string => configOf(port, base.backendPort, echo.port);
  const counted = await startCounted("sozu", { ...base, clusters }, true);
  const found = new Map<string, number>();
  const ways = FEATURES.flatMap((feature) => [feature, ...withoutIt(feature)]);
  try {
    const { port } = counted.target;
    for (let round = 0; round < WARM_UP_ROUNDS; round++) {
      for (const way of ways) await patiently(() => load(way, port, WARM_UP));
    }
    for (const way of ways) found.set(way.title, await costOf(way, counted));
    found.set(TUNNEL_TITLE, await costOfTunnels(counted));
  } finally {
    echo.server.close();
    await counted.target.stop();
  }
  const requests = FEATURES.map((feature) => {
    const { title, against } = feature;
    const other = FEATURES.find(({ id }) => id === against) ?? null;
    const without = withoutIt(feature)[0] ?? other;
    return {
      title,
      against: other === null ? null : other.title,
      instructions: found.get(title) as number,
      without: without === null ? null : (found.get(without.title) as number),
    };
  });
  const tunnel = { title: TUNNEL_TITLE, against: null, instructions: found.get(TUNNEL_TITLE) as number, without: null };
  return [...requests, tunnel];
}

/** Per message of 4 kB and direction: each comes back. */
async function costOfTunnels(counted: Counted): Promise<number> {
  const tunnels = await Tunnels.open(counted.target.port, "/tunnel", TUNNELS);
  try {
    await tunnels.exchange(TUNNEL_WARM_UP);
    const cost = (await counted.instructionsOf(() => tunnels.exchange(COUNTED))) / COUNTED / 2;
    console.log(`features   ${TUNNEL_TITLE.padEnd(28)} ${Math.round(cost)} user instructions`);
    return cost;
  } finally {
    tunnels.close();
  }
}

/** The same request, where its fields are its own, sent the way that the feature is compared with. */
function withoutIt({ title, against, request }: Feature): Feature[] {
  if (against === undefined || request?.headers === undefined) return [];
  return [{ id: against, title: `${title}: without`, request }];
}

/** The least of some rounds: what the collector does in the others is not the feature's. */
async function costOf(feature: Feature, counted: Counted): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < COUNTED_ROUNDS; round++) {
    const work = (): Promise<void> => load(feature, counted.target.port, COUNTED);
    const sum = await patiently(() => counted.instructionsOf(work));
    least = Math.min(least, sum / COUNTED);
  }
  console.log(`features   ${feature.title.padEnd(28)} ${Math.round(least)} user instructions/request`);
  return least;
}

/** A machine that is busy makes a worker under valgrind so late that it sheds load: then once more. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

function load(feature: Feature, port: number, requests: number): Promise<void> {
  return exactly(requests, port, CONNECTIONS, { path: `/${feature.id}`, ...feature.request });
}

/** A cluster of its own for each, told apart by the path. */
function configOf(port: number, backendPort: number, echoPort: number): string {
  const features: readonly Feature[] = [...FEATURES, { id: "tunnel", title: TUNNEL_TITLE }];
  return features
    .map(({ id, cluster, frontend, isLocal, backends = 1, rule = `path = "/${id}"` }) => {
      const more = frontend === undefined ? "" : `, ${frontend}`;
      const address = `127.0.0.1:${id === "tunnel" ? echoPort : backendPort}`;
      const all = Array.from(
        { length: isLocal === true ? 0 : backends },
        (_, at) => `{ address = "${address}", backend_id = "${id}-${at}", sticky_id = "${id}-${at}" }`,
      );
      return `[clusters.${id}]
protocol = "http"
${cluster ?? ""}
frontends = [{ address = "127.0.0.1:${port}", hostname = "127.0.0.1", ${rule}${more} }]
backends = [${all.join(", ")}]
`;
    })
    .join("\n");
}
