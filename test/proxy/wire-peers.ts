// Peers for tests that speak bytes: a client that sends what it is told and collects what comes, a backend that does.

import { once } from "node:events";
import net from "node:net";

/** Collects what a socket receives; every wait ends with an error after five seconds. */
export class Peer {
  readonly socket: net.Socket;
  #received: Buffer = Buffer.alloc(0);
  #ended = false;
  #changed: () => void = () => {};

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on("data", (data: Buffer) => {
      this.#received = Buffer.concat([this.#received, data]);
      this.#changed();
    });
    const end = (): void => {
      this.#ended = true;
      this.#changed();
    };
    socket.on("end", end);
    socket.on("close", end);
    socket.on("error", end);
  }

  get text(): string {
    return this.#received.toString("latin1");
  }

  get bytes(): Buffer {
    return this.#received;
  }

  send(text: string | Uint8Array): void {
    this.socket.write(typeof text === "string" ? Buffer.from(text, "latin1") : text);
  }

  /** Forgets what came so far. */
  clear(): void {
    this.#received = Buffer.alloc(0);
  }

  async until(condition: (text: string) => boolean, what: string): Promise<string> {
    const deadline = setTimeout(() => this.#changed(), 5000);
    const started = Date.now();
    while (!condition(this.text)) {
      if (this.#ended && !condition(this.text)) throw new Error(`the peer closed before ${what}; got ${this.text}`);
      if (Date.now() - started > 4900)
        throw new Error(`no ${what} in time; got ${JSON.stringify(this.text.slice(-500))}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
    clearTimeout(deadline);
    return this.text;
  }

  has(part: string): Promise<string> {
    return this.until((text) => text.includes(part), JSON.stringify(part));
  }

  /** Everything up to the end of the connection. */
  async end(): Promise<string> {
    const deadline = setTimeout(() => this.#changed(), 5000);
    const started = Date.now();
    while (!this.#ended) {
      if (Date.now() - started > 4900)
        throw new Error(`not closed in time; got ${JSON.stringify(this.text.slice(-500))}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
    clearTimeout(deadline);
    return this.text;
  }
}

export async function connect(port: number, allowHalfOpen = true): Promise<Peer> {
  const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen });
  await once(socket, "connect");
  return new Peer(socket);
}

/** A backend whose connections are handed out in the order they came. */
export class RawBackend {
  readonly server: net.Server;
  port = 0;
  readonly accepted: Peer[] = [];
  #waiting: ((peer: Peer) => void)[] = [];
  #next = 0;

  constructor() {
    this.server = net.createServer({ allowHalfOpen: true }, (socket) => {
      const peer = new Peer(socket);
      this.accepted.push(peer);
      const waiter = this.#waiting.shift();
      if (waiter !== undefined) {
        this.#next++;
        waiter(peer);
      }
    });
  }

  static async start(): Promise<RawBackend> {
    const backend = new RawBackend();
    backend.server.listen(0, "127.0.0.1");
    await once(backend.server, "listening");
    backend.port = (backend.server.address() as net.AddressInfo).port;
    return backend;
  }

  /** The next connection that nobody asked for yet. */
  connection(): Promise<Peer> {
    const peer = this.accepted[this.#next];
    if (peer !== undefined) {
      this.#next++;
      return Promise.resolve(peer);
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    this.server.close();
    for (const peer of this.accepted) peer.socket.destroy();
  }
}
