// The proxy under chaos: two workers, an HTTP and an HTTPS listener, backends, an access log that can be stalled, and the
// means to hurt it with the consequences known exactly.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { COLLECT_OPTIONS } from "../../bench/lib/memory.ts";
import { freePort } from "../../e2e/lib/ports.ts";
import { type RunningProxy, startProxy } from "../../e2e/lib/proxy.ts";
import type { Scope } from "../../e2e/lib/scope.ts";
import { type Client, connect, type Response } from "../../src/client/index.ts";
import { request } from "../../src/command/messages.ts";
import { makeCertificate } from "../../test/command/certs.ts";
import { type Backends, startBackends } from "./backends.ts";
import type { Doors } from "./wires.ts";

/** The host that all clients ask for. */
export const HOST = "chaos.test";
/** A worker that stands still for longer is killed. */
export const WORKER_TIMEOUT_S = 4;
/** Connections of a worker. */
export const CONNECTIONS_MAX = 400;
/** Silence of main during an upgrade. */
const SILENCE_MS = 60_000;

type RequestInit = Parameters<typeof request>[0];

/** What a run is made of. */
export interface Ground {
  readonly proxy: RunningProxy;
  readonly backends: Backends;
  readonly doors: Doors;
  readonly spares: readonly number[];
  /** Reads the access log, which is a pipe. */
  readonly logReader: ChildProcess;
  /** Writes the configuration file: with an extra cluster, with the second certificate, broken. */
  configure(extra: boolean, certificate: boolean, broken: boolean): void;
}

/** Starts everything. `clusters`: so many more in the configuration. */
export async function makeGround(scope: Scope, clusters = 0): Promise<Ground> {
  const backends = await startBackends(scope);
  const secure = await freePort();
  const spares = [await freePort(), await freePort()];
  const authority = makeCertificate({ commonName: "Chaos CA", names: [], isAuthority: true });
  const names = { first: [HOST], second: ["second.test"] };
  let logReader: ChildProcess | null = null;
  const text = (extra: boolean, certificate: boolean): string =>
    configText({ secure, backends, clusters, extra, certificate });
  const proxy = await startProxy(scope, {
    toml: text(false, true),
    readyTimeoutMs: 60_000,
    env: { SOZU_WORKER_NODE_OPTIONS: COLLECT_OPTIONS, NODE_OPTIONS: COLLECT_OPTIONS },
    before: (folder) => {
      for (const [name, hosts] of Object.entries(names)) {
        const made = makeCertificate({ names: hosts, issuer: authority });
        writeFileSync(join(folder, `${name}.pem`), made.pem);
        writeFileSync(join(folder, `${name}.key`), made.key, { mode: 0o600 });
      }
      const pipe = join(folder, "access.pipe");
      execFileSync("mkfifo", [pipe]);
      // It has the pipe open for writing, too: else it would end when for a moment nobody else has.
      logReader = spawn("sh", ["-c", 'exec cat <>"$0"', pipe], { stdio: "ignore" });
    },
  });
  const reader = logReader as unknown as ChildProcess;
  scope.after(() => {
    reader.kill("SIGCONT");
    reader.kill("SIGKILL");
  });
  const fill = (toml: string): string =>
    toml.replaceAll("$PORT", String(proxy.port)).replaceAll("$FOLDER", proxy.folder);
  return {
    proxy,
    backends,
    spares,
    logReader: reader,
    doors: { plain: proxy.port, secure, authority: authority.pem, host: HOST },
    configure: (extra, certificate, broken) => {
      writeFileSync(
        join(proxy.folder, "config.toml"),
        fill(text(extra, certificate)) + (broken ? "\n[nonsense]\n" : ""),
      );
    },
  };
}

interface ConfigChoice {
  readonly secure: number;
  readonly backends: Backends;
  readonly clusters: number;
  readonly extra: boolean;
  readonly certificate: boolean;
}

function configText({ secure, backends, clusters, extra, certificate }: ConfigChoice): string {
  const plain = `address = "127.0.0.1:$PORT"`;
  const sealed = `address = "127.0.0.1:${secure}"`;
  const own = `certificate = "$FOLDER/first.pem", key = "$FOLDER/first.key"`;
  const second = `{ ${sealed}, hostname = "second.test", certificate = "$FOLDER/second.pem", key = "$FOLDER/second.key" }`;
  const cluster = (id: string, frontends: readonly string[], port: number): string => `
[clusters.${id}]
protocol = "http"
frontends = [ ${frontends.join(", ")} ]
backends = [ { address = "127.0.0.1:${port}" } ]
`;
  const frontends = [`{ ${plain}, hostname = "${HOST}" }`, `{ ${sealed}, hostname = "${HOST}", ${own} }`];
  const sockets = [
    `{ ${plain}, hostname = "${HOST}", path = "/ws" }`,
    `{ ${sealed}, hostname = "${HOST}", path = "/ws", ${own} }`,
  ];
  const many = Array.from({ length: clusters }, (_, i) =>
    cluster(`many${i}`, [`{ ${plain}, hostname = "m${i}.test" }`], backends.steady),
  );
  return `
command_socket = "$FOLDER/sozu.sock"
worker_count = 2
worker_timeout = ${WORKER_TIMEOUT_S}
drain_timeout = 60
max_connections = ${CONNECTIONS_MAX}
ctl_command_timeout = 10000
access_logs_target = "file://$FOLDER/access.pipe"

[[listeners]]
${plain}
protocol = "http"

[[listeners]]
${sealed}
protocol = "https"
${cluster("steady", frontends, backends.steady)}
${cluster("sockets", sockets, backends.webSocket)}
${cluster("flaky", [`{ ${plain}, hostname = "flaky.test" }`], backends.flaky.port)}
${cluster("second", [certificate ? second : `{ ${plain}, hostname = "second.test" }`], backends.steady)}
${extra ? cluster("extra", [`{ ${plain}, hostname = "extra.test" }`], backends.steady) : ""}
${many.join("")}`;
}

/** A command client that connects when it is first asked. */
export class Orders {
  readonly #socketPath: string;
  #client: Client | null;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
    this.#client = null;
  }

  async send(init: RequestInit): Promise<Response> {
    this.#client ??= await connect({ socketPath: this.#socketPath, timeoutMs: SILENCE_MS });
    return this.#client.send(request(init), { timeoutMs: SILENCE_MS });
  }

  close(): void {
    this.#client?.close();
    this.#client = null;
  }
}

/** Pids by the ids of workers that are running. */
export async function runningWorkers(orders: Orders): Promise<Map<number, number>> {
  const answer = await orders.send({ case: "listWorkers", value: {} });
  const held = answer.content?.contentType;
  if (held?.case !== "workers") throw new Error(answer.message);
  return new Map(held.value.vec.filter(({ runState }) => runState === 0).map(({ id, pid }) => [id, pid]));
}

/** Asks a process for a full collection. */
export function askForCollection(pid: number): void {
  // Without the handler the signal would end it: a worker that is just starting does not have it yet.
  const caught = /^SigCgt:\s+([0-9a-f]+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? "0";
  if ((BigInt(`0x${caught}`) >> 11n) & 1n) process.kill(pid, "SIGUSR2");
}
