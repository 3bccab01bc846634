// What `explain` says is what the proxy does: random rules, random requests, one judged and the other carried out. Set
// EXPLAIN_REQUESTS to send more of them.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { after, test } from "node:test";
import { Dice } from "../../e2e/lib/changes.ts";
import type {
  BackendObject,
  ClusterObject,
  FrontendPolicyObject,
  HttpFrontendObject,
  HttpListenerObject,
} from "../../src/command/objects.ts";
import { Explainer, type Verdict } from "../../src/explain/verdict.ts";
import { backendOf, clusterOf, frontendOf, Rig } from "../proxy/rig.ts";

const REQUESTS = Number(process.env["EXPLAIN_REQUESTS"] ?? 1000);
const PER_SITE = 250;

const rig = new Rig();
after(() => rig.stop());

const pick = <T>(dice: Dice, list: readonly T[]): T => list[dice.roll(list.length)]!;

const HOSTS = ["a.test", "b.a.test", "*.a.test", "*", "/w[0-9]+/.a.test", "[::1]", "c.test", "/.*/.test"] as const;
const PATHS = ["", "/", "/api", "/api/", "/api/v1", "/x.html", "/caf%C3%A9"] as const;
const REGEXES = ["^/api/([a-z]+)/(.*)$", "html$", "[0-9]{2,}", "/(x|y)"] as const;
const NAMES = [
  "a.test",
  "A.test",
  "b.a.test",
  "w7.a.test",
  "q.a.test",
  "[::1]",
  "c.test.",
  "nobody.example",
  "127.0.0.1",
];
const TARGETS = [
  ...["/", "/api", "/api/", "/api/v1/x?q=1", "/api/foo/bar", "/x.html", "/a/../b", "/a/%2e%2e/b", "/12", "/y?", "*"],
  ...[
    "/caf%C3%A9",
    "//",
    "/a%2fb",
    "http://a.test/api",
    "http://b.a.test",
    "http://c.test?x",
    "no-slash",
    "/a b",
    "/\x01",
  ],
];

function randomPolicy(dice: Dice, regexPath: boolean): FrontendPolicyObject | null {
  if (dice.roll(3) === 0) return null;
  const rewrites = dice.roll(2) === 0;
  const group = regexPath ? "$PATH[0]" : "$PATH[1]";
  return {
    redirect: dice.roll(3) === 0 ? dice.roll(5) : 0,
    redirectScheme: dice.roll(3),
    redirectTemplate: dice.roll(8) === 0 ? "HTTP/1.1 302 Found\r\nLocation: %REDIRECT_LOCATION\r\n\r\n" : null,
    rewriteHost: rewrites && dice.roll(2) === 0 ? pick(dice, ["new-$HOST[0]", "fixed.test:81", "$HOST[0]"]) : null,
    rewritePath: rewrites ? pick(dice, [`/v2${group}`, "/fixed?own=1", group]) : null,
    rewritePort: dice.roll(4) === 0 ? 8443 : null,
    requiredAuth: dice.roll(4) === 0,
    headers: dice.roll(3) === 0 ? [{ position: 1, name: "Host", value: "edited.test", append: false }] : [],
  };
}

function randomFrontend(
  dice: Dice,
  address: HttpListenerObject["address"],
  clusters: readonly string[],
): HttpFrontendObject {
  const pathKind = dice.roll(3);
  return {
    ...frontendOf("", address),
    clusterId: dice.roll(6) === 0 ? null : pick(dice, clusters),
    hostname: pick(dice, HOSTS),
    pathKind,
    path: pathKind === 1 ? pick(dice, REGEXES) : pick(dice, PATHS),
    method: dice.roll(4) === 0 ? pick(dice, ["GET", "POST", "PURGE"]) : null,
    position: dice.roll(3),
    policy: randomPolicy(dice, pathKind !== 0),
  };
}

function randomHead(dice: Dice): string {
  const method = pick(dice, ["GET", "GET", "POST", "PURGE", "OPTIONS", "CONNECT", "bad method"]);
  const fields = [`${pick(dice, NAMES)}${dice.roll(3) === 0 ? ":8080" : ""}`].map((host) => `Host: ${host}`);
  if (dice.roll(20) === 0) fields.pop();
  if (dice.roll(4) === 0) fields.push(`Authorization: Basic ${btoa(pick(dice, ["ann:secret", "ann:wrong"]))}`);
  if (dice.roll(15) === 0) fields.push("X_Under: 1");
  if (dice.roll(20) === 0) fields.push("Bad Name: 1");
  return `${method} ${pick(dice, TARGETS)} HTTP/1.1\r\n${fields.map((field) => `${field}\r\n`).join("")}Connection: close\r\n\r\n`;
}

/** A backend that tells what reached it. */
async function echo(id: string): Promise<{ server: Server; port: number }> {
  const server = createServer((request, response) => {
    response.setHeader("X-Reached", JSON.stringify([id, request.url, request.headers.host]));
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

/** The head of the answer, or what came until the end. */
function ask(port: number, head: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(head, "latin1"));
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (!text.includes("\r\n\r\n")) return;
      socket.destroy();
      resolve(text.slice(0, text.indexOf("\r\n\r\n") + 2));
    });
    socket.on("end", () => resolve(text));
    socket.on("error", reject);
  });
}

/** Both sides in the same form. */
function predicted({ status, location, forwarded, clusterId }: Verdict): unknown {
  if (forwarded === null) return { status, location };
  return { reached: [clusterId, forwarded.path, forwarded.host] };
}

function observed(answer: string): unknown {
  const reached = /^X-Reached: (.*)\r$/m.exec(answer)?.[1];
  if (reached !== undefined) return { reached: JSON.parse(reached) };
  return { status: Number(answer.slice(9, 12)), location: /^Location: (.*)\r$/m.exec(answer)?.[1] ?? null };
}

async function site(dice: Dice, backendPorts: ReadonlyMap<string, number>) {
  const port = rig.listen([]);
  const address = { ip: "127.0.0.1", port };
  const listener = {
    ...rig.listenerAt(address),
    dotSegments: dice.roll(2) * 2,
    encodedSlashes: dice.roll(2) * 2,
    underscoreNames: dice.roll(3),
  };
  rig.must({ kind: "add_http_listener", listener });
  rig.must({ kind: "remove_http_frontend", frontend: rig.frontendAt(port) });
  const clusters = new Map<string, ClusterObject>();
  const backends = new Map<string, BackendObject[]>();
  for (const [name, backendPort] of backendPorts) {
    const id = `${name}-${port}`;
    const hash = createHash("sha256").update("secret").digest("hex");
    const policy = { answers: [], authorizedHashes: [`ann:${hash}`], wwwAuthenticate: null, maxConnectionsPerIp: null };
    const cluster = {
      ...clusterOf(id),
      httpsRedirect: dice.roll(5) === 0,
      httpsRedirectPort: dice.roll(2) === 0 ? 444 : null,
      policy: { ...policy, retryAfter: null },
    };
    clusters.set(id, cluster);
    rig.must({ kind: "add_cluster", cluster });
    const own = backendPort === 0 ? [] : [backendOf(id, backendPort)];
    for (const backend of own) rig.must({ kind: "add_backend", backend });
    backends.set(id, own);
  }
  const frontends: HttpFrontendObject[] = [];
  for (let i = 0; i < 40; i++) {
    const frontend = randomFrontend(dice, address, [...clusters.keys()]);
    if (rig.proxy.apply({ kind: "add_http_frontend", frontend }) === null) frontends.push(frontend);
  }
  const cluster = (id: string): ClusterObject | null => clusters.get(id) ?? null;
  const parts = { listener, frontends, cluster, backends: (id: string) => backends.get(id) ?? [] };
  return { port, explainer: new Explainer({ ...parts, bufferSize: 16_393, credentialBytesMax: 0 }) };
}

test(`for ${REQUESTS} random requests the verdict is what the proxy did`, { timeout: 600_000 }, async (t) => {
  const ports = new Map<string, number>([["none", 0]]);
  for (const id of ["one", "two"]) {
    const { server, port } = await echo(id);
    t.after(() => server.close());
    ports.set(id, port);
  }
  const counts = new Map<string, number>();
  for (let sent = 0; sent < REQUESTS; ) {
    const dice = new Dice(sent + 1);
    const { port, explainer } = await site(dice, ports);
    assert.deepEqual(explainer.refused, []);
    for (let i = 0; i < PER_SITE && sent < REQUESTS; i++, sent++) {
      const head = randomHead(dice);
      const verdict = explainer.judge(Buffer.from(head, "latin1"));
      const wanted = predicted(verdict) as { reached?: string[] };
      // The backends are shared by the sites.
      if (wanted.reached !== undefined) wanted.reached[0] = wanted.reached[0]!.replace(`-${port}`, "");
      assert.deepEqual(observed(await ask(port, head)), wanted, `${head}\n${JSON.stringify(verdict, null, 1)}`);
      const kind = String(verdict.status ?? "forwarded");
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
  }
  // Else the property would be about nothing.
  for (const kind of ["forwarded", "400", "401", "404", "301", "302", "308", "503"]) assert.ok(counts.has(kind), kind);
});
