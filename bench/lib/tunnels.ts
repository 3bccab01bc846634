// Upgraded connections for the feature table: a backend that accepts every upgrade and sends back what it gets, and clients
// that send messages of 4 kB and wait for them.

import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

const MESSAGE = Buffer.alloc(4096, 0x61);
const ACCEPT = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n";

/** Starts the backend on a free port. */
export async function startEcho(): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.once("data", () => {
      socket.write(ACCEPT);
      socket.pipe(socket);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the echo backend has no port");
  return { port: address.port, server };
}

/** Tunnels through the proxy. */
export class Tunnels {
  readonly #sockets: readonly Socket[];

  private constructor(sockets: readonly Socket[]) {
    this.#sockets = sockets;
  }

  static async open(port: number, path: string, count: number): Promise<Tunnels> {
    const sockets: Socket[] = [];
    for (let i = 0; i < count; i++) {
      const socket = connect(port, "127.0.0.1");
      socket.setNoDelay(true);
      socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`);
      const [data] = (await once(socket, "data")) as [Buffer];
      if (!data.toString("latin1").startsWith("HTTP/1.1 101 "))
        throw new Error(`no tunnel: ${data.toString("latin1")}`);
      sockets.push(socket);
    }
    return new Tunnels(sockets);
  }

  /** Sends as many messages, evenly over the tunnels, one at a time in each, and waits for all of them. */
  async exchange(messages: number): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => echoes(socket, messages / this.#sockets.length)));
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

function echoes(socket: Socket, messages: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = messages;
    let missing = MESSAGE.length;
    const onData = (data: Buffer): void => {
      missing -= data.length;
      if (missing > 0) return;
      missing = MESSAGE.length;
      if (--left > 0) {
        socket.write(MESSAGE);
        return;
      }
      socket.off("data", onData);
      socket.off("close", onClose);
      resolve();
    };
    const onClose = (): void => reject(new Error("a tunnel closed"));
    socket.on("data", onData);
    socket.on("close", onClose);
    socket.write(MESSAGE);
  });
}
