// Connections of the chaos suite, plain and TLS, each with what is known of it: whether something is in flight, and
// whether the process that had accepted it was killed. So every close is either explained or a failure.

import { connect, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";

/** The connection died with the worker that served it. */
export class Lost extends Error {}

/** Where to connect. */
export interface Doors {
  readonly plain: number;
  readonly secure: number;
  readonly authority: string;
  /** Of the TLS listener. */
  readonly host: string;
}

/** One connection. */
export class Wire {
  readonly socket: Socket | TLSSocket;
  readonly raw: Socket;
  /** Received and not yet taken. */
  pending: Buffer;
  /** How it ended; null: it is open. */
  ended: string | null;
  /** Its worker was killed. */
  cut: boolean;
  /** Something is in flight: a request, a handshake. */
  busy: boolean;
  /** Bytes are counted by `onData` instead of kept. */
  onData: ((chunk: Buffer) => void) | null;
  #wake: (() => void) | null;

  constructor(raw: Socket, socket: Socket | TLSSocket) {
    this.raw = raw;
    this.socket = socket;
    this.pending = Buffer.alloc(0);
    this.ended = null;
    this.cut = false;
    this.busy = true;
    this.onData = null;
    this.#wake = null;
    socket.on("data", (chunk: Buffer) => {
      if (this.onData !== null) this.onData(chunk);
      else this.pending = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk]);
      this.wake();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => this.end(error.code ?? error.message));
    socket.on("end", () => this.end("closed"));
    socket.on("close", () => this.end("closed"));
    if (raw !== socket) raw.on("error", () => undefined);
  }

  get port(): number {
    return this.raw.localPort ?? -1;
  }

  end(how: string): void {
    this.ended ??= how;
    this.wake();
  }

  wake(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  send(bytes: Buffer | string): void {
    if (this.ended === null) this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** Resolves with what `take` returns once that is not null. @throws Lost, or Error saying how the connection ended. */
  async until<T>(what: string, take: () => T | null, timeoutMs = 30_000): Promise<T> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const taken = take();
      if (taken !== null) return taken;
      if (this.ended !== null) {
        if (this.cut) throw new Lost();
        throw new Error(`${this.ended} while waiting for ${what}, ${this.pending.length} bytes pending`);
      }
      if (performance.now() > deadlineMs) throw new Error(`waited ${timeoutMs} ms for ${what} (port ${this.port})`);
      await this.#activity(deadlineMs - performance.now());
    }
  }

  destroy(): void {
    this.busy = false;
    this.socket.destroy();
  }

  #activity(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.wake(), Math.max(1, withinMs + 1));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** All connections of a run. */
export class Wires {
  readonly #doors: Doors;
  readonly #open: Set<Wire>;
  /** Of the newest TLS ticket. */
  #session: Buffer | undefined;
  resumed: number;
  handshakes: number;

  constructor(doors: Doors) {
    this.#doors = doors;
    this.#open = new Set();
    this.#session = undefined;
    this.resumed = 0;
    this.handshakes = 0;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Connects (and resumes the last TLS session). @throws Lost, Error */
  async open(secure: boolean): Promise<Wire> {
    const { plain, secure: securePort, authority, host } = this.#doors;
    const raw = connect({ port: secure ? securePort : plain, host: "127.0.0.1", noDelay: true });
    const session = this.#session === undefined ? {} : { session: this.#session };
    const socket = secure ? connectTls({ socket: raw, ca: authority, servername: host, ...session }) : raw;
    const wire = new Wire(raw, socket);
    this.#open.add(wire);
    socket.once("close", () => this.#open.delete(wire));
    let connected = false;
    socket.once(secure ? "secureConnect" : "connect", () => {
      connected = true;
      wire.wake();
    });
    if (secure) {
      socket.on("session", (ticket: Buffer) => {
        this.#session = ticket;
      });
    }
    await wire.until(secure ? "the handshake" : "the connection", () => (connected ? true : null));
    if (secure) {
      this.handshakes++;
      if ((socket as TLSSocket).isSessionReused()) this.resumed++;
    }
    return wire;
  }

  /** The connections with these local ports die now. Returns how many had something in flight. */
  cut(ports: ReadonlySet<number>): number {
    let inFlight = 0;
    for (const wire of this.#open) {
      if (wire.cut || !ports.has(wire.port)) continue;
      wire.cut = true;
      if (wire.busy) inFlight++;
    }
    return inFlight;
  }

  destroyAll(): void {
    for (const wire of this.#open) wire.destroy();
  }
}
