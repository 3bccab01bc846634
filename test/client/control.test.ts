// The connection of a control plane against a scripted main: content or typed error, progress, a new connection after the
// last one broke, events that go on after a restart, and an end to all of it.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { ClientError, type Control, connect, type SozuEvent } from "../../src/client/index.ts";
import { FRAME, FrameDecoder } from "../../src/command/framing.ts";
import {
  EventKind,
  type Request,
  RequestSchema,
  type Response,
  ResponseSchema,
} from "../../src/command/gen/sozu_pb.ts";
import {
  decodeMessage,
  encodeMessage,
  failureResponse,
  okResponse,
  processingResponse,
} from "../../src/command/messages.ts";

/** A main that can go and come back. */
class Main {
  readonly path: string;
  connections = 0;
  subscribers: Socket[] = [];
  readonly #folder: string;
  readonly #sockets: Set<Socket>;
  #server: Server | null;

  constructor(t: TestContext) {
    this.#folder = mkdtempSync(join(tmpdir(), "sozu-control-"));
    this.path = join(this.#folder, "main.sock");
    this.#sockets = new Set();
    this.#server = null;
    t.after(async () => {
      await this.stop();
      rmSync(this.#folder, { recursive: true, force: true });
    });
  }

  async start(): Promise<void> {
    const server = createServer((socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      const decoder = new FrameDecoder();
      socket.on("error", () => undefined);
      socket.on("data", (chunk: Uint8Array) => {
        decoder.push(chunk);
        while (decoder.next() === FRAME.MESSAGE) this.#answer(decodeMessage(RequestSchema, decoder.body)!, socket);
      });
    });
    this.#server = server;
    await new Promise<void>((done) => server.listen(this.path, done));
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    this.subscribers = [];
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    if (server !== null) await new Promise((done) => server.close(done));
  }

  emit(kind: EventKind, clusterId: string): void {
    const event = { kind, clusterId, address: { ip: { inner: { case: "v4", value: 0x7f000001 } }, port: 80 } } as const;
    for (const one of this.subscribers) write(one, processingResponse("event", { case: "event", value: event }));
  }

  #answer({ requestType }: Request, socket: Socket): void {
    switch (requestType.case) {
      case "subscribeEvents":
        this.subscribers.push(socket);
        return;
      case "countRequests":
        write(socket, okResponse("counted", { case: "requestCounts", value: { map: { AddCluster: 3 } } }));
        return;
      case "loadState":
        write(socket, processingResponse("1 of 2 records loaded"));
        write(socket, processingResponse("2 of 2 records loaded"));
        write(socket, okResponse("loaded"));
        return;
      case "hardStop":
        socket.destroy();
        return;
      default:
        write(socket, failureResponse("no"));
    }
  }
}

function write(socket: Socket, response: Response): void {
  socket.write(encodeMessage(ResponseSchema, response)!);
}

async function running(t: TestContext, options: { reconnect?: boolean } = {}): Promise<[Main, Control]> {
  const main = new Main(t);
  await main.start();
  const control = await connect({ socketPath: main.path, reconnectMs: 1, ...options });
  t.after(() => control.close());
  return [main, control];
}

async function until(check: () => boolean): Promise<void> {
  while (!check()) await new Promise(setImmediate);
}

const codeOf = (code: string) => (error: unknown) => error instanceof ClientError && error.code === code;

test("a request resolves with the content, or rejects with what the proxy said", async (t) => {
  const [, control] = await running(t);
  const content = await control.request({ case: "countRequests", value: {} });
  assert.ok(content.case === "requestCounts");
  assert.deepEqual({ ...content.value.map }, { AddCluster: 3 });
  await assert.rejects(control.request({ case: "removeCluster", value: "a" }), codeOf("REFUSED"));
  await assert.rejects(control.request({ case: "removeCluster", value: "a" }), /refused the request: no/);
});

test("progress of a long request is told as it comes", async (t) => {
  const [, control] = await running(t);
  const texts: string[] = [];
  await control.request({ case: "loadState", value: "/x" }, { onProgress: (text) => texts.push(text) });
  assert.deepEqual(texts, ["1 of 2 records loaded", "2 of 2 records loaded"]);
});

test("a broken connection rejects what was under way, once, and the next request opens another", async (t) => {
  const [main, control] = await running(t);
  await assert.rejects(control.request({ case: "hardStop", value: {} }), codeOf("CLOSED"));
  const both = [1, 2, 3].map(() => control.request({ case: "countRequests", value: {} }));
  for (const content of await Promise.all(both)) assert.equal(content.case, "requestCounts");
  assert.equal(main.connections, 2);
  await main.stop();
  await assert.rejects(control.request({ case: "countRequests", value: {} }), ClientError);
  await assert.rejects(control.request({ case: "countRequests", value: {} }), ClientError);
  await main.start();
  assert.equal((await control.request({ case: "countRequests", value: {} })).case, "requestCounts");
});

test("without reconnect the first end is the last", async (t) => {
  const [main, control] = await running(t, { reconnect: false });
  await assert.rejects(control.request({ case: "hardStop", value: {} }), codeOf("CLOSED"));
  await assert.rejects(control.request({ case: "countRequests", value: {} }), codeOf("CLOSED"));
  assert.equal(main.connections, 1);
});

test("events go on after the proxy was away, and the gap is told", async (t) => {
  const [main, control] = await running(t);
  const heard: SozuEvent[] = [];
  const reading = (async () => {
    for await (const event of control.events()) {
      heard.push(event);
      if (event.kind === "BACKEND_UP") break;
    }
  })();
  await until(() => main.subscribers.length === 1);
  main.emit(EventKind.BACKEND_DOWN, "app");
  await until(() => heard.length === 1);
  assert.deepEqual(heard[0], { kind: "BACKEND_DOWN", clusterId: "app", backendId: null, address: "127.0.0.1:80" });
  await main.stop();
  await main.start();
  await until(() => main.subscribers.length === 1 && heard.length === 2);
  assert.equal(heard[1]?.kind, "RECONNECTED");
  main.emit(EventKind.BACKEND_UP, "app");
  await reading;
  assert.equal(heard.length, 3);
});

test("a stream ends with its signal, with close(), and by itself without reconnect", async (t) => {
  const [main, control] = await running(t);
  const abort = new AbortController();
  const read = async (signal?: AbortSignal): Promise<number> => {
    let count = 0;
    for await (const _event of control.events(signal === undefined ? {} : { signal })) count += 1;
    return count;
  };
  const first = read(abort.signal);
  const second = read();
  await until(() => main.subscribers.length === 2);
  abort.abort();
  assert.equal(await first, 0);
  await main.stop();
  control.close();
  assert.equal(await second, 0);
  await assert.rejects(control.request({ case: "status", value: {} }), codeOf("CLOSED"));
  assert.equal(await read(), 0);

  const [other, once] = await running(t, { reconnect: false });
  const stream = once.events();
  const next = stream.next();
  await until(() => other.subscribers.length === 1);
  await other.stop();
  await assert.rejects(next, codeOf("CLOSED"));
});

test("a reader that does not read loses its connection, not memory", async (t) => {
  const [main, control] = await running(t);
  const stream = control.events();
  const first = stream.next();
  await until(() => main.subscribers.length === 1);
  for (let i = 0; i < 20_000; i++) main.emit(EventKind.BACKEND_DOWN, "app");
  await first;
  await until(() => main.subscribers[0]?.destroyed === true);
  let read = 1;
  for (let event = await stream.next(); event.value?.kind !== "RECONNECTED"; event = await stream.next()) read += 1;
  assert.ok(read <= 10_001);
  await stream.return?.();
});
