// A closed-loop HTTP load with every request accounted for: served, failed (and why). Keep-alive connections on raw
// sockets, so that a single lost or doubled answer is seen.

import { connect, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectSecure } from "node:tls";
import { readAnswer } from "./answer.ts";
import type { Scope } from "./scope.ts";

/** What a load has seen. */
export interface LoadResult {
  readonly served: number;
  /** Answers with another status, closes, resets; one text each, at most 100 kept. */
  readonly failures: readonly string[];
  readonly failed: number;
  /** Requests that were in flight on connections given to `cut`, and failed. */
  readonly lost: number;
  /** The longest time between sending a request and having its whole answer. */
  readonly longestMs: number;
}

/** Options of `Load`. */
export interface LoadOptions {
  /** Default 16. */
  readonly connections?: number;
  /** Default: a GET of / for localhost. One complete request without a body in the answer's way. */
  readonly request?: string;
  /** Default 200. */
  readonly status?: number;
  /** New connection per request. Default false. */
  readonly fresh?: boolean;
  /** Over TLS, in this way. */
  readonly tls?: ConnectionOptions;
}

/** A load that ends with the test at the latest, however that ends. */
export function runLoad(scope: Scope, port: number, options: LoadOptions = {}): Load {
  const load = new Load(port, options);
  scope.after(() => load.abandon());
  return load;
}

/** Runs until `stop` is called. */
export class Load {
  served: number;
  failed: number;
  lost: number;
  longestMs: number;
  readonly failures: string[];
  readonly #port: number;
  readonly #request: Buffer;
  readonly #status: number;
  readonly #fresh: boolean;
  readonly #tls: ConnectionOptions | null;
  readonly #lanes: Promise<void>[];
  readonly #sockets: Set<Socket>;
  /** Connections that died with the process that served them: no request is sent on them any more. */
  readonly #cut: WeakSet<Socket>;
  /** Connections with a request that was in flight at that time. */
  readonly #losing: WeakSet<Socket>;
  readonly #busy: Set<Socket>;
  #stopping: boolean;

  constructor(port: number, options: LoadOptions = {}) {
    this.served = 0;
    this.failed = 0;
    this.lost = 0;
    this.longestMs = 0;
    this.failures = [];
    this.#port = port;
    this.#request = Buffer.from(options.request ?? "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "latin1");
    this.#status = options.status ?? 200;
    this.#fresh = options.fresh ?? false;
    this.#tls = options.tls ?? null;
    this.#stopping = false;
    this.#sockets = new Set();
    this.#cut = new WeakSet();
    this.#losing = new WeakSet();
    this.#busy = new Set();
    this.#lanes = Array.from({ length: options.connections ?? 16 }, () => this.#lane());
  }

  /**
   * The connections with these local ports die now, in the same turn of the loop. The request in flight on one of them may
   * fail and counts as lost then; no other request may. Returns the number of such requests.
   */
  cut(ports: ReadonlySet<number>): number {
    let inFlight = 0;
    for (const socket of this.#sockets) {
      if (!ports.has(socket.localPort ?? -1)) continue;
      this.#cut.add(socket);
      if (!this.#busy.has(socket)) continue;
      this.#losing.add(socket);
      inFlight++;
    }
    return inFlight;
  }

  /** Ends at once, whatever is in flight. */
  abandon(): void {
    this.#stopping = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Lets every request in flight finish. */
  async stop(): Promise<LoadResult> {
    this.#stopping = true;
    await Promise.all(this.#lanes);
    for (const socket of this.#sockets) socket.destroy();
    const { served, failed, lost, failures, longestMs } = this;
    return { served, failed, lost, failures, longestMs };
  }

  async #lane(): Promise<void> {
    let socket: Socket | null = null;
    while (!this.#stopping) {
      const startedAt = performance.now();
      // A connection that died while nothing was sent on it is no failure: nobody was promised that it stays.
      if (socket !== null && this.#cut.has(socket)) socket = null;
      const problem: string | Socket | null = await this.#one(socket);
      if (problem === null) {
        this.lost++;
        socket = null;
        continue;
      }
      if (typeof problem === "string") {
        this.failed++;
        if (this.failures.length < 100) this.failures.push(problem);
        socket = null;
        await new Promise((resolve) => setTimeout(resolve, 5));
        continue;
      }
      this.served++;
      this.longestMs = Math.max(this.longestMs, performance.now() - startedAt);
      socket = this.#fresh || problem.destroyed ? null : problem;
      if (this.#fresh) problem.destroy();
    }
  }

  #connect(): Socket {
    const where = { port: this.#port, host: "127.0.0.1", noDelay: true };
    return this.#tls === null ? connect(where) : connectSecure({ ...where, ...this.#tls });
  }

  /** One request; the socket when it was served, null when it was lost with its connection, else what went wrong. */
  #one(reused: Socket | null): Promise<Socket | string | null> {
    return new Promise((resolve) => {
      const socket = reused ?? this.#connect();
      this.#sockets.add(socket);
      this.#busy.add(socket);
      let pending = Buffer.alloc(0);
      const finish = (result: Socket | string): void => {
        socket.removeAllListeners();
        socket.on("error", () => undefined);
        if (typeof result === "string") socket.destroy();
        socket.once("close", () => this.#sockets.delete(socket));
        this.#busy.delete(socket);
        resolve(typeof result === "string" && this.#losing.has(socket) ? null : result);
      };
      socket.on("error", (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
      socket.on("end", () => finish(pending.length === 0 ? "closed without an answer" : "closed inside an answer"));
      socket.on("data", (chunk: Buffer) => {
        pending = Buffer.concat([pending, chunk]);
        const answer = readAnswer(pending, false, "GET");
        if (answer === null) return;
        if (answer.status !== this.#status) finish(`status ${answer.status}`);
        else if (answer.length !== pending.length) finish("more bytes than one answer");
        else if (answer.headers.get("connection") === "close") finish(socket.destroy());
        else finish(socket);
      });
      socket.write(this.#request);
    });
  }
}
