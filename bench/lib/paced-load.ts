// HTTP requests at a fixed rate, whatever the answers take: request n is due at n / rate and its latency counts from then
// (no coordinated omission). Keep-alive connections in turn, so that none idles into a 408, one request in flight on each; a
// request that finds none free waits.

import { connect, type Socket } from "node:net";

/** What was seen; latencies in microseconds. */
export interface PacedResult {
  readonly requests: number;
  readonly failures: readonly string[];
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
}

const REQUEST = Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "latin1");
const TICK_MS = 2;

/** Sends `rate` requests a second to 127.0.0.1:`port` for `seconds`. */
export async function pacedLoad(port: number, rate: number, seconds: number, connections = 64): Promise<PacedResult> {
  const load = new PacedLoad(port, rate, Math.round(rate * seconds));
  for (let i = 0; i < connections; i++) await load.open();
  return load.run();
}

class PacedLoad {
  readonly #port: number;
  readonly #rate: number;
  readonly #total: number;
  readonly #free: Socket[];
  readonly #sockets: Set<Socket>;
  readonly #latenciesUs: number[];
  readonly #failures: string[];
  #startedMs: number;
  #sent: number;
  #ended: number;
  #finish: () => void;

  constructor(port: number, rate: number, total: number) {
    this.#port = port;
    this.#rate = rate;
    this.#total = total;
    this.#free = [];
    this.#sockets = new Set();
    this.#latenciesUs = [];
    this.#failures = [];
    this.#startedMs = 0;
    this.#sent = 0;
    this.#ended = 0;
    this.#finish = () => undefined;
  }

  async open(): Promise<void> {
    const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    this.#sockets.add(socket);
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    this.#free.push(socket);
  }

  async run(): Promise<PacedResult> {
    this.#startedMs = performance.now();
    const timer = setInterval(() => this.#pump(), TICK_MS);
    await new Promise<void>((resolve) => {
      this.#finish = resolve;
    });
    clearInterval(timer);
    for (const socket of this.#sockets) socket.destroy();
    const sorted = this.#latenciesUs.sort((a, b) => a - b);
    const at = (share: number): number => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
    return { requests: this.#ended, failures: this.#failures, p50: at(0.5), p99: at(0.99), longest: at(1) };
  }

  #pump(): void {
    const due = ((performance.now() - this.#startedMs) / 1000) * this.#rate;
    while (this.#sent < this.#total && this.#sent < due) {
      const socket = this.#free.shift();
      if (socket === undefined) return;
      this.#exchange(socket, this.#startedMs + (this.#sent++ / this.#rate) * 1000);
    }
  }

  #exchange(socket: Socket, dueMs: number): void {
    let pending = "";
    const end = (problem: string | null): void => {
      socket.removeAllListeners("data").removeAllListeners("error").removeAllListeners("close");
      socket.on("error", () => undefined);
      if (problem === null) {
        this.#latenciesUs.push((performance.now() - dueMs) * 1000);
        this.#free.push(socket);
      } else {
        this.#failures.push(problem);
        socket.destroy();
        this.open().catch((error: Error) => this.#failures.push(error.message));
      }
      this.#ended += 1;
      if (this.#ended === this.#total) this.#finish();
      else this.#pump();
    };
    socket.on("error", (error) => end(error.message));
    socket.on("close", () => end("closed"));
    socket.on("data", (chunk: Buffer) => {
      pending += chunk.toString("latin1");
      const head = pending.indexOf("\r\n\r\n");
      if (head < 0) return;
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(pending)?.[1] ?? 0);
      if (pending.length < head + 4 + length) return;
      end(pending.startsWith("HTTP/1.1 200 ") ? null : pending.slice(0, 12));
    });
    socket.write(REQUEST);
  }
}
