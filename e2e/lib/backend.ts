// Backends for tests. `rawBackend` plays scripted bytes and records every request byte for byte; `httpBackend` is
// node:http for tests that only need something correct. Both listen on 127.0.0.1 and die with their test.
//
//   const backend = await rawBackend(t, (request, peer) => peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));

import { createServer as createHttpServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { collect, readChunked } from "./answer.ts";
import { problemOfRequest } from "./canonical.ts";
import type { Scope } from "./scope.ts";
import { until } from "./scope.ts";

/** A request as the backend got it. */
export interface RecordedRequest {
  readonly method: string;
  readonly target: string;
  readonly requestLine: string;
  /** Field lines as they came. */
  readonly lines: readonly string[];
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** Decoded body; empty when the handler runs on the head. */
  readonly body: Buffer;
  readonly trailers: readonly string[];
  /** The exact bytes, head and body. */
  readonly bytes: Buffer;
  /** Number of the connection it came on, from 0. */
  readonly connection: number;
}

/** The backend's end of one connection. */
export class Peer {
  readonly socket: Socket;
  /** Number of this connection, from 0. */
  readonly index: number;
  /** How many requests this connection has carried, the current one included. */
  requests: number;
  /** Not yet parsed. */
  pending: Buffer;

  constructor(socket: Socket, index: number) {
    this.socket = socket;
    this.index = index;
    this.requests = 0;
    this.pending = Buffer.alloc(0);
  }

  /** Strings are latin1. */
  send(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** Sends FIN, after `bytes` if given. */
  end(bytes: string | Uint8Array = ""): void {
    this.socket.end(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** Sends RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }
}

/** Called for each request: when it is complete, or with `onHead` as soon as its head is. */
export type RequestHandler = (request: RecordedRequest, peer: Peer) => void;

/** Options of `rawBackend`. */
export interface RawBackendOptions {
  /** Call the handler when the head is complete; the body is then left to the handler (`peer.socket`, `peer.pending`). */
  readonly onHead?: boolean;
  /** Called for each accepted connection, before anything is read. */
  readonly onConnect?: (peer: Peer) => void;
  /** Port to listen on; default: the kernel chooses. */
  readonly port?: number;
}

/** The simplest good answer: 200 with a body and its length. */
export function ok(body: string | Uint8Array = "ok", headers: readonly string[] = []): Buffer {
  const data = typeof body === "string" ? Buffer.from(body) : body;
  const head = ["HTTP/1.1 200 OK", ...headers, `Content-Length: ${data.length}`].join("\r\n");
  return Buffer.concat([Buffer.from(`${head}\r\n\r\n`, "latin1"), data]);
}

/** A backend that answers with what the handler sends. Default handler: `ok()`. */
export async function rawBackend(
  scope: Scope,
  handler: RequestHandler = (_request, peer) => peer.send(ok()),
  options: RawBackendOptions = {},
): Promise<RawBackend> {
  const backend = new RawBackend(handler, options);
  await backend.listen(options.port ?? 0);
  scope.after(() => backend.close());
  return backend;
}

/** A listening socket with a record of everything that came. */
export class RawBackend {
  /** Complete requests (heads with `onHead`), in order of arrival. */
  readonly requests: RecordedRequest[];
  readonly peers: Peer[];
  /** Bytes received on all connections. */
  received: number;
  /** Replaced freely by tests. */
  handler: RequestHandler;
  /** False: requests are counted, not kept (load tests). */
  recording: boolean;
  /** Requests so far. */
  count: number;
  /** What was forwarded although no well-behaved proxy forwards it: bad chunks, heads that two parsers read in two ways. */
  readonly violations: string[];
  readonly #server: Server;
  readonly #options: RawBackendOptions;

  constructor(handler: RequestHandler, options: RawBackendOptions) {
    this.requests = [];
    this.peers = [];
    this.received = 0;
    this.handler = handler;
    this.recording = true;
    this.count = 0;
    this.violations = [];
    this.#options = options;
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections accepted so far. */
  get connections(): number {
    return this.peers.length;
  }

  /** Connections that are open now. */
  get open(): number {
    return this.peers.filter((peer) => !peer.socket.destroyed).length;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", 4096, resolve);
    });
  }

  /** Stops listening and cuts every connection. */
  close(): Promise<void> {
    for (const peer of this.peers) peer.socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  /** Waits until `count` requests have come, and returns the last of them. */
  async waitFor(count: number): Promise<RecordedRequest> {
    await until(`${count} requests at the backend`, () => this.count >= count);
    return this.requests[count - 1] as RecordedRequest;
  }

  #accept(socket: Socket): void {
    const peer = new Peer(socket, this.peers.length);
    this.peers.push(peer);
    socket.on("error", () => undefined);
    this.#options.onConnect?.(peer);
    socket.on("data", (chunk: Buffer) => {
      this.received += chunk.length;
      peer.pending = peer.pending.length === 0 ? chunk : Buffer.concat([peer.pending, chunk]);
      this.#parse(peer);
    });
  }

  #parse(peer: Peer): void {
    for (;;) {
      const request = this.#next(peer);
      if (request === null) return;
      const problem = problemOfRequest(request.bytes);
      if (problem !== null) this.violations.push(problem);
      peer.requests++;
      this.count++;
      if (this.recording) this.requests.push(request);
      this.handler(request, peer);
      if (this.#options.onHead === true) return;
    }
  }

  #next(peer: Peer): RecordedRequest | null {
    try {
      return readRequest(peer, this.#options.onHead === true);
    } catch (error) {
      this.violations.push(error instanceof Error ? error.message : String(error));
      peer.socket.destroy();
      return null;
    }
  }
}

/** What `httpBackend` returns. */
export interface HttpBackend {
  readonly port: number;
  /** Requests so far. */
  count: number;
}

/** A backend of node:http that keeps connections alive for `keepAliveMs` (default 60 s). */
export async function httpBackend(scope: Scope, listener: RequestListener, keepAliveMs = 60_000): Promise<HttpBackend> {
  const server = createHttpServer({ keepAliveTimeout: keepAliveMs }, (request, response) => {
    backend.count++;
    listener(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", 4096, resolve));
  const backend = { port: (server.address() as AddressInfo).port, count: 0 };
  scope.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  });
  return backend;
}

/** Takes one request off the front of `peer.pending`, or returns null when it is not complete. */
function readRequest(peer: Peer, headOnly: boolean): RecordedRequest | null {
  const bytes = peer.pending;
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return null;
  const [requestLine, ...lines] = bytes.toString("latin1", 0, headEnd).split("\r\n") as [string, ...string[]];
  const [method, target] = requestLine.split(" ") as [string, string];
  const headers = collect(lines);
  const start = headEnd + 4;
  let body: Buffer = Buffer.alloc(0);
  let trailers: readonly string[] = [];
  let end = start;
  if (!headOnly && headers.get("transfer-encoding") === "chunked") {
    const found = readChunked(bytes, start, false);
    if (found === null) return null;
    ({ body, trailers, end } = found);
  } else if (!headOnly && headers.has("content-length")) {
    end = start + Number(headers.get("content-length"));
    if (bytes.length < end) return null;
    body = bytes.subarray(start, end);
  }
  peer.pending = bytes.subarray(end);
  const exact = bytes.subarray(0, end);
  return { method, target, requestLine, lines, headers, body, trailers, bytes: exact, connection: peer.index };
}
