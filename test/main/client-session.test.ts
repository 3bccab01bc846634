import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { encodeFrame, FRAME, FrameDecoder } from "../../src/command/framing.ts";
import { RequestSchema, type Response, ResponseSchema, ResponseStatus } from "../../src/command/gen/sozu_pb.ts";
import { decodeMessage, encodeMessage, okResponse, request } from "../../src/command/messages.ts";
import { ClientSession, type RequestHandler, type Subscriptions } from "../../src/main/client-session.ts";

const STATUS = encodeMessage(RequestSchema, request({ case: "status", value: {} }))!;

/** A client connected to a session with this handler. */
async function connected(
  t: TestContext,
  handle: RequestHandler,
  maxMessageBytes = 10_000,
  subscriptions: Subscriptions | null = null,
) {
  const folder = mkdtempSync(join(tmpdir(), "sozu-session-"));
  const path = join(folder, "s");
  const warnings: string[] = [];
  let closed = 0;
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    const warn = (message: string): void => void warnings.push(message);
    new ClientSession({ socket, maxMessageBytes, handle, subscriptions, warn, onClosed: () => closed++ });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const socket = new Socket();
  await new Promise<void>((resolve) => socket.connect(path, resolve));
  const decoder = new FrameDecoder({ maxBytes: 1_000_000 });
  const responses: Response[] = [];
  let wake: () => void = () => undefined;
  socket.on("error", () => undefined);
  socket.on("close", () => wake());
  socket.on("data", (chunk: Buffer) => {
    decoder.push(chunk);
    while (decoder.next() === FRAME.MESSAGE) responses.push(decodeMessage(ResponseSchema, decoder.body)!);
    wake();
  });
  t.after(() => {
    socket.destroy();
    server.close();
    rmSync(folder, { recursive: true });
  });
  const when = async (check: () => boolean): Promise<void> => {
    while (!check()) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { socket, responses, warnings, when, closed: () => closed };
}

test("requests of one client are answered one after the other, in their order", async (t) => {
  let active = 0;
  let number = 0;
  const { socket, responses, when } = await connected(t, async () => {
    active += 1;
    assert.equal(active, 1);
    const mine = number++;
    await new Promise(setImmediate);
    active -= 1;
    return okResponse(String(mine));
  });
  socket.write(Buffer.concat([STATUS, STATUS, STATUS]));
  await when(() => responses.length === 3);
  assert.deepEqual(
    responses.map((response) => response.message),
    ["0", "1", "2"],
  );
});

test("CP-04 a frame may come byte by byte", async (t) => {
  const { socket, responses, when } = await connected(t, async () => okResponse("yes"));
  for (const byte of STATUS) socket.write(Buffer.of(byte));
  await when(() => responses.length === 1);
});

test("CP-03 a message that is no Request is refused and the next one served", async (t) => {
  const { socket, responses, when } = await connected(t, async () => okResponse("yes"));
  socket.write(Buffer.concat([Buffer.from("0b00000000000000ffffff", "hex"), STATUS]));
  await when(() => responses.length === 2);
  assert.equal(responses[0].status, ResponseStatus.FAILURE);
  assert.match(responses[0].message, /cannot be decoded/);
  assert.equal(responses[1].status, ResponseStatus.OK);
});

test("CP-03 a request without a required field is refused with its path, at any depth; nobody has to write it again", async (t) => {
  let handled = 0;
  const { socket, responses, when } = await connected(t, async () => {
    handled += 1;
    return okResponse("yes");
  });
  for (const [digits, missing] of [
    ["6a030a0161", "add_cluster.sticky_session"],
    // An address with a port and no ip.
    ["c2010a0a01611201621a021050", "add_backend.address.ip"],
    ["ca3e050a03d20100", "transaction.requests.add_http_listener.address"],
  ] as const) {
    responses.length = 0;
    socket.write(encodeFrame(Buffer.from(digits, "hex"))!);
    await when(() => responses.length === 1);
    assert.equal(responses[0].status, ResponseStatus.FAILURE);
    assert.ok(responses[0].message.includes(`: ${missing} is missing`), responses[0].message);
  }
  assert.equal(handled, 0);
});

test("CP-02 a frame above the limit is refused and the client closed", async (t) => {
  const { socket, responses, when, closed } = await connected(t, async () => okResponse("yes"));
  socket.write(Buffer.from("1127000000000000", "hex"));
  await when(() => responses.length === 1 && socket.readableEnded);
  assert.match(responses[0].message, /larger than max_command_buffer_size \(10000 bytes\)/);
  socket.end();
  await when(() => closed() === 1);
});

test("what a handler reports on its way is sent before the answer", async (t) => {
  const { socket, responses, when } = await connected(t, async (_request, progress) => {
    progress("half way");
    return okResponse("done");
  });
  socket.write(STATUS);
  await when(() => responses.length === 2);
  assert.equal(responses[0].status, ResponseStatus.PROCESSING);
  assert.equal(responses[0].message, "half way");
});

test("decisions 6: a request that takes long is answered with PROCESSING every half second", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  let finish: () => void = () => undefined;
  let begun: () => void = () => undefined;
  const working = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const { socket, responses, when } = await connected(t, async (_request, progress) => {
    progress("working");
    begun();
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    return okResponse("done");
  });
  socket.write(STATUS);
  await working;
  t.mock.timers.tick(500);
  await when(() => responses.length === 1);
  t.mock.timers.tick(500);
  await when(() => responses.length === 2);
  finish();
  await when(() => responses.length === 3);
  assert.deepEqual(
    responses.map((response) => response.status),
    [ResponseStatus.PROCESSING, ResponseStatus.PROCESSING, ResponseStatus.OK],
  );
});

test("a handler that throws is answered and logged", async (t) => {
  const { socket, responses, warnings, when } = await connected(t, async () => {
    throw new Error("a bug");
  });
  socket.write(STATUS);
  await when(() => responses.length === 1);
  assert.equal(responses[0].status, ResponseStatus.FAILURE);
  assert.match(warnings[0], /a bug/);
});

test("CP-23 an answer larger than a frame may be is replaced by a refusal", async (t) => {
  const { socket, responses, when } = await connected(t, async () => okResponse("x".repeat(20_000)));
  socket.write(STATUS);
  await when(() => responses.length === 1);
  assert.equal(responses[0].status, ResponseStatus.FAILURE);
  assert.match(responses[0].message, /larger than max_command_buffer_size/);
});

test("CP-05 a client that does not read is answered no further until it does", async (t) => {
  let handled = 0;
  const { socket, responses, when } = await connected(t, async () => {
    handled += 1;
    return okResponse("x".repeat(9000));
  });
  socket.pause();
  socket.write(Buffer.concat(Array.from({ length: 1000 }, () => STATUS)));
  let before = -1;
  while (handled !== before) {
    before = handled;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok(handled < 500, `${handled} answers wait for a client that does not read`);
  socket.resume();
  await when(() => responses.length === 1000);
});

test("a client that ends its side gets the answers to what it sent", async (t) => {
  const { socket, responses, when, closed } = await connected(t, async () => okResponse("yes"));
  socket.end(Buffer.concat([STATUS, STATUS]));
  await when(() => responses.length === 2 && closed() === 1);
});
