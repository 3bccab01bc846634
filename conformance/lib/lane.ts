// A lane: one listener of the proxy under test with a recording backend of its own, so that cases can run side by side and
// every forwarded request is still known to belong to its case. The backend reads a whole request before it answers
// (otherwise two Http11Probe cases would measure the backend), and echoes the body.

import { type Answer, readAnswer } from "../../e2e/lib/answer.ts";
import { ok, type Peer, type RawBackend, type RecordedRequest, rawBackend } from "../../e2e/lib/backend.ts";
import { connectRaw } from "../../e2e/lib/client.ts";
import { freePort } from "../../e2e/lib/ports.ts";
import { type RunningProxy, startProxy } from "../../e2e/lib/proxy.ts";
import { type Scope, sleep } from "../../e2e/lib/scope.ts";

/** Without an answer for so long, a connection counts as timed out. */
const SILENCE_MS = 700;
/** After an answer: how long a close or another answer may take to be seen. */
const LINGER_MS = 150;

/** One listener and its backend. */
export interface Lane {
  readonly port: number;
  readonly backend: RawBackend;
}

/** The proxy under test. */
export interface Bench {
  readonly proxy: RunningProxy;
  readonly lanes: readonly Lane[];
}

/** What a client saw after sending some bytes. */
export interface Observation {
  readonly state: "Open" | "ClosedByServer" | "TimedOut";
  /** Final answers, in order; 1xx are left out. */
  readonly answers: readonly Answer[];
  /** Everything received. */
  readonly raw: string;
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
const COMMON = ["Date: Fri, 20 Nov 2026 12:00:00 GMT", "Content-Type: text/plain"];
const ALLOW = `Allow: ${METHODS.join(", ")}`;

/** A correct origin: echoes bodies, knows HEAD, OPTIONS and the methods it does not allow. */
export function answerAsOrigin(request: RecordedRequest, peer: Peer): void {
  if (!METHODS.includes(request.method)) {
    peer.send(`HTTP/1.1 405 Method Not Allowed\r\n${ALLOW}\r\n${COMMON[0]}\r\nContent-Length: 0\r\n\r\n`);
  } else if (request.method === "OPTIONS") {
    peer.send(`HTTP/1.1 204 No Content\r\n${ALLOW}\r\n${COMMON[0]}\r\n\r\n`);
  } else if (request.method === "HEAD") {
    peer.send(`HTTP/1.1 200 OK\r\n${COMMON.join("\r\n")}\r\nContent-Length: 2\r\n\r\n`);
  } else {
    peer.send(ok(request.body.length > 0 ? request.body : "ok", COMMON));
  }
}

/** Starts a proxy with `count` lanes; every host is routed. */
export async function startBench(scope: Scope, count: number): Promise<Bench> {
  const lanes: Lane[] = [];
  for (let index = 0; index < count; index++) {
    const backend = await rawBackend(scope, answerAsOrigin);
    lanes.push({ port: await freePort(), backend });
  }
  const proxy = await startProxy(scope, { toml: config(lanes) });
  return { proxy, lanes };
}

function config(lanes: readonly Lane[]): string {
  const parts = [
    `command_socket = "$FOLDER/sozu.sock"`,
    "worker_count = 1",
    `log_level = "error"`,
    `access_logs_target = "file://$FOLDER/access.log"`,
  ];
  for (const { port } of lanes) parts.push("", "[[listeners]]", `address = "127.0.0.1:${port}"`, `protocol = "http"`);
  lanes.forEach(({ port, backend }, index) => {
    parts.push("", `[clusters.lane${index}]`, `protocol = "http"`);
    parts.push(`frontends = [{ address = "127.0.0.1:${port}", hostname = "*" }]`);
    parts.push(`backends = [{ address = "127.0.0.1:${backend.port}" }]`);
  });
  return `${parts.join("\n")}\n`;
}

/** A client connection that sends steps one after the other. */
export class Probe {
  readonly #client: Awaited<ReturnType<typeof connectRaw>>;

  constructor(client: Awaited<ReturnType<typeof connectRaw>>) {
    this.#client = client;
  }

  static async open(port: number): Promise<Probe> {
    return new Probe(await connectRaw(port));
  }

  /** Sends one step and watches what happens. */
  async step(bytes: Uint8Array): Promise<Observation> {
    const client = this.#client;
    client.send(bytes).catch(() => undefined);
    const deadline = Date.now() + SILENCE_MS;
    const methods = methodsOf(bytes);
    const answers: Answer[] = [];
    let raw = "";
    const take = (): boolean => {
      const answer = readAnswer(client.pending, client.closed, methods[answers.length] ?? "GET");
      if (answer === null) return false;
      raw += client.pending.toString("latin1", 0, answer.length);
      client.pending = client.pending.subarray(answer.length);
      if (answer.status >= 200 || answer.status === 0) answers.push(answer);
      return true;
    };
    while (!client.closed && answers.length === 0 && Date.now() < deadline) {
      if (!take()) await sleep(2);
    }
    const linger = Date.now() + LINGER_MS;
    while (Date.now() < linger && !client.closed && answers.length > 0) {
      if (!take()) await sleep(2);
    }
    while (take());
    raw += client.pending.toString("latin1");
    const state = client.closed ? "ClosedByServer" : answers.length > 0 ? "Open" : "TimedOut";
    return { state, answers, raw };
  }

  /** Sends FIN and waits a moment for the other side to close. */
  async finish(): Promise<boolean> {
    this.#client.halfClose();
    const deadline = Date.now() + SILENCE_MS;
    while (!this.#client.closed && Date.now() < deadline) await sleep(2);
    return this.#client.closed;
  }

  close(): void {
    this.#client.destroy();
  }
}

/** Methods of the requests as they start lines in the input: enough to know which answers have no body. */
function methodsOf(bytes: Uint8Array): string[] {
  const text = Buffer.from(bytes).toString("latin1");
  return [...text.matchAll(/(?:^|\r?\n)([A-Z]+) [^\r\n]* HTTP\/1/g)].map((match) => match[1] as string);
}
