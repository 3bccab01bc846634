// The client of the command socket against a scripted main on a real unix socket: order, progress, timeouts, and errors
// that say what to do.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { connect } from "../../src/client/client.ts";
import { ClientError, request } from "../../src/client/index.ts";
import { encodeFrame, FRAME, FrameDecoder } from "../../src/command/framing.ts";
import type { Request, Response } from "../../src/command/gen/sozu_pb.ts";
import { RequestSchema, ResponseSchema, ResponseStatus } from "../../src/command/gen/sozu_pb.ts";
import {
  decodeMessage,
  encodeMessage,
  failureResponse,
  okResponse,
  processingResponse,
} from "../../src/command/messages.ts";

const status = () => request({ case: "status", value: {} });
const remove = (id: string) => request({ case: "removeCluster", value: id });

/** A main that hands each request to `script`. */
async function serve(t: TestContext, script: (one: Request, socket: Socket) => void): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "sozu-test-"));
  const path = join(folder, "main.sock");
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    const decoder = new FrameDecoder();
    socket.on("error", () => {});
    socket.on("data", (chunk: Uint8Array) => {
      decoder.push(chunk);
      while (decoder.next() === FRAME.MESSAGE) script(decodeMessage(RequestSchema, decoder.body)!, socket);
    });
  });
  await new Promise<void>((done) => server.listen(path, done));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return path;
}

function answer(socket: Socket, response: Response): void {
  socket.write(encodeMessage(ResponseSchema, response)!);
}

async function rejection(promise: Promise<unknown>): Promise<ClientError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof ClientError, String(error));
    return error;
  }
  return assert.fail("it did not reject");
}

test("send resolves with the final answer and reports progress before it", async (t) => {
  const socketPath = await serve(t, (_one, socket) => {
    answer(socket, processingResponse("one"));
    answer(socket, processingResponse("two"));
    answer(socket, okResponse("done", { case: "workers", value: { vec: [{ id: 0, pid: 7, runState: 0 }] } }));
  });
  const client = await connect({ socketPath });
  const progress: string[] = [];
  const response = await client.send(status(), { onProcessing: (one) => progress.push(one.message) });
  client.close();
  assert.deepEqual(progress, ["one", "two"]);
  assert.equal(response.status, ResponseStatus.OK);
  assert.equal(response.content?.contentType.case, "workers");
});

test("requests go one at a time, in order; FAILURE resolves", async (t) => {
  let open = 0;
  const socketPath = await serve(t, (one, socket) => {
    open += 1;
    assert.equal(open, 1);
    setImmediate(() => {
      open -= 1;
      answer(socket, failureResponse(String(one.requestType.value)));
    });
  });
  const client = await connect({ socketPath });
  const answers = await Promise.all(["a", "b", "c"].map((id) => client.send(remove(id))));
  client.close();
  assert.deepEqual(
    answers.map((one) => [one.status, one.message]),
    ["a", "b", "c"].map((id) => [ResponseStatus.FAILURE, id]),
  );
});

test("an answer may come byte by byte", async (t) => {
  const socketPath = await serve(t, (_one, socket) => {
    for (const byte of encodeMessage(ResponseSchema, okResponse("slow"))!) socket.write(Uint8Array.of(byte));
  });
  const client = await connect({ socketPath });
  assert.equal((await client.send(status())).message, "slow");
  client.close();
});

test("silence ends in TIMEOUT and the client is unusable afterwards", async (t) => {
  const socketPath = await serve(t, () => {});
  const client = await connect({ socketPath, timeoutMs: 30 });
  const [first, second] = await Promise.all([rejection(client.send(status())), rejection(client.send(status()))]);
  assert.equal(first.code, "TIMEOUT");
  assert.equal(second.code, "TIMEOUT");
  assert.equal((await rejection(client.send(status()))).code, "TIMEOUT");
});

test("progress restarts the timeout", async (t) => {
  const socketPath = await serve(t, (_one, socket) => {
    let left = 4;
    const timer = setInterval(() => {
      left -= 1;
      if (left > 0) {
        answer(socket, processingResponse("still"));
        return;
      }
      clearInterval(timer);
      answer(socket, okResponse("done"));
    }, 60);
  });
  const client = await connect({ socketPath, timeoutMs: 200 });
  assert.equal((await client.send(status())).message, "done");
  client.close();
});

test("a main that goes away ends in CLOSED", async (t) => {
  const socketPath = await serve(t, (_one, socket) => socket.destroy());
  const client = await connect({ socketPath });
  assert.equal((await rejection(client.send(status()))).code, "CLOSED");
});

test("close() rejects what is under way", async (t) => {
  const socketPath = await serve(t, () => {});
  const client = await connect({ socketPath });
  const pending = rejection(client.send(status()));
  client.close();
  client.close();
  assert.equal((await pending).code, "CLOSED");
});

test("a request above the limit fails alone", async (t) => {
  const socketPath = await serve(t, (_one, socket) => answer(socket, okResponse("ok")));
  const client = await connect({ socketPath, maxMessageBytes: 100 });
  assert.equal((await rejection(client.send(remove("x".repeat(200))))).code, "MESSAGE_TOO_LARGE");
  assert.equal((await client.send(remove("x"))).message, "ok");
  client.close();
});

test("broken answers end in MESSAGE_TOO_LARGE or BAD_ANSWER, never in a crash", async (t) => {
  const cases: [Uint8Array, string][] = [
    [Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0x80), "MESSAGE_TOO_LARGE"],
    [Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0), "BAD_ANSWER"],
    [encodeFrame(Uint8Array.of(0x0a, 0xff, 0xff))!, "BAD_ANSWER"],
  ];
  for (const [bytes, code] of cases) {
    const socketPath = await serve(t, (_one, socket) => socket.write(bytes));
    const client = await connect({ socketPath });
    assert.equal((await rejection(client.send(status()))).code, code);
  }
});

test("connect says why it failed and what to do", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sozu-test-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const missing = await rejection(connect({ socketPath: join(folder, "no.sock") }));
  assert.equal(missing.code, "SOCKET_MISSING");
  assert.match(missing.message, /there is no such socket\. Is sozu running\? Start it with \.\/sozu start/);
  const file = join(folder, "file");
  writeFileSync(file, "");
  assert.equal((await rejection(connect({ socketPath: file }))).code, "NOT_RUNNING");
});
