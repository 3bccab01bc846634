// `sozu demo`: a small HTTP backend that shows what the proxy sent it. It exists so that a newcomer's first request
// through the proxy is answered by something, and says what to try next. It is no part of the byte path.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

/** Where the demo listens unless told otherwise: the backend of the sample configuration. */
export const DEMO_PORT = 1026;

const bytesMax = 100_000_000;
const slowMsMax = 60_000;

/**
 * Starts the demo backend. Resolves when it accepts connections.
 * @throws the error of the system when the address cannot be bound (EADDRINUSE, EACCES).
 */
export function startDemo(host: string, port: number): Promise<Server> {
  const server = createServer(answer);
  // Longer than the proxy keeps an idle connection, so that it is never this side that closes first.
  server.keepAliveTimeout = 30_000;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve(server));
  });
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const [, verb, argument] = (request.url ?? "/").split("?")[0].split("/");
  const number = Number(argument);
  if (verb === "echo") {
    response.writeHead(200, { "Content-Type": request.headers["content-type"] ?? "application/octet-stream" });
    request.pipe(response);
    return;
  }
  request.resume();
  if (verb === "bytes" && Number.isInteger(number) && number >= 0 && number <= bytesMax) {
    sendBytes(response, number);
  } else if (verb === "slow" && number >= 0 && number <= slowMsMax) {
    setTimeout(() => send(request, response, 200), number);
  } else if (verb === "status" && Number.isInteger(number) && number >= 200 && number <= 599) {
    send(request, response, number);
  } else {
    send(request, response, 200);
  }
}

function sendBytes(response: ServerResponse, length: number): void {
  response.writeHead(200, { "Content-Type": "application/octet-stream", "Content-Length": length });
  const block = Buffer.alloc(65_536, "0123456789abcdef");
  let left = length;
  const more = (): void => {
    while (left > 0) {
      const size = Math.min(left, block.length);
      left -= size;
      if (!response.write(size === block.length ? block : block.subarray(0, size))) {
        response.once("drain", more);
        return;
      }
    }
    response.end();
  };
  more();
}

function send(request: IncomingMessage, response: ServerResponse, status: number): void {
  const json = request.url?.startsWith("/json") === true || request.headers.accept?.includes("json") === true;
  const facts = {
    backend: `demo-${request.socket.localPort}`,
    method: request.method ?? "",
    path: request.url ?? "",
    headers: pairs(request.rawHeaders),
  };
  response.statusCode = status;
  response.setHeader("Content-Type", json ? "application/json" : "text/plain; charset=utf-8");
  response.end(json ? `${JSON.stringify({ ...facts, tryNext }, null, 2)}\n` : page(facts));
}

interface Facts {
  readonly backend: string;
  readonly method: string;
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
}

function page({ backend, method, path, headers }: Facts): string {
  const lines = headers.map(([name, value]) => `    ${name}: ${value}`);
  return [
    `This answer comes from the backend "${backend}".`,
    "",
    `It was asked for: ${method} ${path}`,
    "with these headers (the Forwarded, X-Forwarded-* and Sozu-Id ones were added by the proxy):",
    ...lines,
    "",
    "What to try next:",
    ...tryNext.map((line) => `  ${line}`),
    "",
  ].join("\n");
}

const tryNext: readonly string[] = [
  "curl http://localhost:8080/json            the same as JSON",
  "curl http://localhost:8080/slow/500        an answer after 500 ms",
  "./sozu status                              the workers; kill -9 one of them and look again",
  "./sozu demo --port 1027                    a second backend, in another terminal, then:",
  "./sozu backend add --id demo --backend-id second --address 127.0.0.1:1027",
  "./sozu shutdown                            stop after the requests in flight",
];

function pairs(raw: readonly string[]): [string, string][] {
  const list: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) list.push([raw[i], raw[i + 1]]);
  return list;
}
