// A client that sends exactly the bytes it is told to and shows exactly the bytes that come back.
//
//   const client = await connectRaw(proxy.port);
//   const answer = await client.request("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
//
// Answers are read by a small tolerant reader of its own, not by the product's parser.

import { connect, type Socket } from "node:net";
import { type Answer, readAnswer } from "./answer.ts";
import { sleep } from "./scope.ts";

export type { Answer } from "./answer.ts";

/** Default time for an answer or a close. */
const TIMEOUT_MS = 10_000;

/** Connects to 127.0.0.1. */
export function connectRaw(port: number): Promise<RawClient> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(new RawClient(socket));
    });
  });
}

/** One request on a connection of its own: the answer, or null when the connection closed without one. */
export async function once(port: number, bytes: string | Uint8Array, method = "GET"): Promise<Answer | null> {
  const client = await connectRaw(port);
  try {
    client.send(bytes);
    return await client.answerOrClose(method);
  } finally {
    client.destroy();
  }
}

/** A TCP connection with everything received so far. */
export class RawClient {
  readonly socket: Socket;
  /** Received and not yet taken by `answer`. */
  pending: Buffer;
  /** Bytes received in total. */
  received: number;
  /** True after FIN or RST from the other side. */
  closed: boolean;
  /** `ECONNRESET` and the like, or null. */
  error: string | null;
  #wake: (() => void) | null;

  constructor(socket: Socket) {
    this.socket = socket;
    this.pending = Buffer.alloc(0);
    this.received = 0;
    this.closed = false;
    this.error = null;
    this.#wake = null;
    socket.on("data", (chunk: Buffer) => {
      this.received += chunk.length;
      this.pending = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk]);
      this.#wake?.();
    });
    const onEnd = (): void => {
      this.closed = true;
      this.#wake?.();
    };
    socket.on("end", onEnd).on("close", onEnd);
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.error = error.code ?? error.message;
    });
  }

  /** Port of this side: what the proxy sees as the client. */
  get localPort(): number {
    return this.socket.localPort as number;
  }

  /** Strings are latin1. Resolves when the kernel has the bytes. */
  send(bytes: string | Uint8Array): Promise<void> {
    const data = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
    return new Promise((resolve) => this.socket.write(data, () => resolve()));
  }

  /** Sends in pieces of `size` bytes with `pauseMs` between them. */
  async sendSlowly(bytes: string | Uint8Array, size = 1, pauseMs = 0): Promise<void> {
    const data = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
    for (let at = 0; at < data.length && !this.closed; at += size) {
      await this.send(data.subarray(at, at + size));
      if (pauseMs > 0) await sleep(pauseMs);
    }
  }

  /** Sends FIN; reading goes on. */
  halfClose(): void {
    this.socket.end();
  }

  /** Sends RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Sends and reads one answer. */
  async request(bytes: string | Uint8Array, method = "GET"): Promise<Answer> {
    await this.send(bytes);
    return this.answer(method);
  }

  /** The next answer, interim ones (1xx) included. @throws Error when the connection closes or time runs out before. */
  async answer(method = "GET", timeoutMs = TIMEOUT_MS): Promise<Answer> {
    const answer = await this.answerOrClose(method, timeoutMs);
    if (answer === null) throw new Error(`closed without an answer (${this.error ?? "FIN"})`);
    return answer;
  }

  /** The next answer, or null when the connection closes before a head is complete. */
  async answerOrClose(method = "GET", timeoutMs = TIMEOUT_MS): Promise<Answer | null> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const answer = readAnswer(this.pending, this.closed, method);
      if (answer !== null) {
        this.pending = this.pending.subarray(answer.length);
        return answer;
      }
      if (this.closed) return null;
      await this.#activity(deadline, () => `no complete answer: ${JSON.stringify(this.pending.toString("latin1"))}`);
    }
  }

  /** Waits for FIN or RST and returns what came before it. */
  async closedByPeer(timeoutMs = TIMEOUT_MS): Promise<Buffer> {
    const deadline = Date.now() + timeoutMs;
    while (!this.closed) await this.#activity(deadline, () => "the connection was not closed");
    return this.pending;
  }

  /** Waits until at least `count` bytes are pending and returns them all. */
  async bytes(count: number, timeoutMs = TIMEOUT_MS): Promise<Buffer> {
    const deadline = Date.now() + timeoutMs;
    while (this.pending.length < count && !this.closed) {
      await this.#activity(deadline, () => `${this.pending.length} of ${count} bytes came`);
    }
    return this.pending;
  }

  #activity(deadline: number, describe: () => string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(describe())), Math.max(0, deadline - Date.now()));
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
    });
  }
}
