// A client that sends given bytes and waits for a number of answers, one after the other on one connection, which it opens
// again when the proxy has closed it.

import { connect, type Socket } from "node:net";

export class RawLane {
  readonly #port: number;
  #socket: Socket | null = null;
  #received = "";
  #changed: () => void = () => {};

  constructor(port: number) {
    this.#port = port;
  }

  /** Sends the bytes; resolves when the kernel has them. */
  send(bytes: Buffer): Promise<void> {
    const socket = this.#open();
    return new Promise((resolve) => socket.write(bytes, () => resolve()));
  }

  /** Sends a request and waits for its answers, or for the end of the connection. */
  async request(bytes: Buffer, answers: number): Promise<void> {
    this.#received = "";
    await this.send(bytes);
    for (let done = 0; done < answers; ) {
      const end = answerEnd(this.#received);
      if (end !== -1) {
        if (/\r\nconnection: close\r\n/i.test(this.#received.slice(0, end))) this.close();
        this.#received = this.#received.slice(end);
        done++;
      } else if (this.#socket === null) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#changed = resolve;
        });
      }
    }
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = null;
  }

  #open(): Socket {
    if (this.#socket !== null) return this.#socket;
    const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    socket.on("data", (data) => {
      this.#received += data.toString("latin1");
      this.#changed();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (this.#socket === socket) this.#socket = null;
      this.#changed();
    });
    this.#socket = socket;
    return socket;
  }
}

/** Where the first answer ends, -1: not complete. Every answer has a Content-Length. */
function answerEnd(text: string): number {
  const head = text.indexOf("\r\n\r\n");
  if (head === -1) return -1;
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, head + 2))?.[1] ?? 0);
  return text.length >= head + 4 + length ? head + 4 + length : -1;
}
