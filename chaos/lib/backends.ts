// What stands behind the proxy in the chaos suite: a backend for everything, WebSockets, and one that dies and returns.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { httpBackend } from "../../e2e/lib/backend.ts";
import { freePort } from "../../e2e/lib/ports.ts";
import type { Scope } from "../../e2e/lib/scope.ts";
import { webSocketBackend } from "../../e2e/lib/websocket.ts";
import { isPattern, pattern } from "./pattern.ts";

/** The `slow` answer comes after this. */
const SLOW_MS = 400;

/** The backends. */
export interface Backends {
  readonly steady: number;
  readonly webSocket: number;
  readonly others: readonly number[];
  readonly flaky: FlakyBackend;
}

export async function startBackends(scope: Scope): Promise<Backends> {
  const steady = await httpBackend(scope, serve);
  const { port: webSocket } = await webSocketBackend(scope);
  const others = [await httpBackend(scope, serve), await httpBackend(scope, serve)].map(({ port }) => port);
  const flaky = new FlakyBackend(await freePort());
  await flaky.up();
  scope.after(() => flaky.down());
  return { steady: steady.port, webSocket, others, flaky };
}

/** `/bytes/N` is N bytes of the pattern, `/slow` takes its time, a POST says how many bytes of the pattern came. */
function serve(request: IncomingMessage, response: ServerResponse): void {
  const { url = "/", method } = request;
  if (method === "POST") {
    let length = 0;
    let isExact = true;
    request.on("data", (chunk: Buffer) => {
      isExact &&= isPattern(chunk, length);
      length += chunk.length;
    });
    request.on("end", () => response.end(isExact ? String(length) : "wrong bytes"));
    return;
  }
  if (url.startsWith("/bytes/")) sendPattern(response, Number(url.slice(7)));
  else if (url === "/slow") setTimeout(() => response.end("ok"), SLOW_MS);
  else response.end("ok");
}

function sendPattern(response: ServerResponse, length: number): void {
  response.writeHead(200, { "content-length": String(length) });
  let sent = 0;
  const more = (): void => {
    while (sent < length) {
      const part = pattern(sent, length - sent);
      sent += part.length;
      if (!response.write(part)) {
        response.once("drain", more);
        return;
      }
    }
    response.end();
  };
  more();
}

/** A backend that can die, with every connection, and come back. */
export class FlakyBackend {
  readonly port: number;
  #server: Server | null;

  constructor(port: number) {
    this.port = port;
    this.#server = null;
  }

  up(): Promise<void> {
    if (this.#server !== null) return Promise.resolve();
    const server = createServer((_request, response) => response.end("ok"));
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, "127.0.0.1", resolve);
    });
  }

  down(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return Promise.resolve();
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  }
}
