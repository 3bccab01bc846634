// Our command line in front of what a stock proxy answered (decisions 1): for the same words it sends the same bytes as
// the stock command line and ends with the same exit code.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { FRAME, FrameDecoder } from "../../src/command/framing.ts";
import { RequestSchema, ResponseSchema, ResponseStatus } from "../../src/command/gen/sozu_pb.ts";
import { toJson } from "../../src/command/json.ts";
import { decodeMessage, encodeMessage, okResponse } from "../../src/command/messages.ts";
import { type Exchange, readExchanges } from "../command/stock-frames.ts";

const OK = encodeMessage(ResponseSchema, okResponse("left out of the recording"))!;

/** Where ours does not send what the stock one sends, by the first words; each is in docs/differences.md. */
const OTHERWISE: Readonly<Record<string, string>> = {
  "listener https add -a 127.0.0.1:8446": "no version of TLS means 1.2 and 1.3; a stock proxy refuses its own list",
  "frontend http add -a 127.0.0.1:18080 --hostname b.test -p /a --path-equals": "two path rules are refused",
  "frontend http add -a 127.0.0.1:18080 --hostname h4.test --hsts-max-age": "plain HTTP cannot carry HSTS",
};

/** Answers each request with the recorded answers up to the next final one. */
class Replay {
  readonly received: Buffer[] = [];
  readonly #answers: Buffer[];

  constructor(exchange: Exchange) {
    this.#answers = [...exchange.answers];
  }

  serve(socket: Socket): void {
    const decoder = new FrameDecoder({ maxBytes: 2_000_000 });
    socket.on("data", (chunk: Buffer) => {
      decoder.push(chunk);
      while (decoder.next() === FRAME.MESSAGE) {
        const request = decodeMessage(RequestSchema, decoder.body);
        assert.ok(request !== null);
        this.received.push(Buffer.from(encodeMessage(RequestSchema, request)!));
        this.#answer(socket);
      }
    });
  }

  #answer(socket: Socket): void {
    if (this.#answers.length === 0) {
      socket.write(OK);
      return;
    }
    for (let frame = this.#answers.shift(); frame !== undefined; frame = this.#answers.shift()) {
      socket.write(frame);
      if (decodeMessage(ResponseSchema, frame.subarray(8))?.status !== ResponseStatus.PROCESSING) return;
    }
  }
}

function readable(frames: readonly Buffer[]): string[] {
  return frames.map((frame) => toJson(RequestSchema, decodeMessage(RequestSchema, frame.subarray(8))!));
}

test("decisions 1: for the same words the same bytes and the same exit code as the stock command line", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sozu-frames-"));
  let replay: Replay | null = null;
  const server = createServer((socket) => replay?.serve(socket)).listen(join(folder, "s.sock"));
  await once(server, "listening");
  const config = join(folder, "config.toml");
  writeFileSync(config, 'command_socket = "s.sock"\n');
  const child = fork(fileURLToPath(new URL("./run-lines.ts", import.meta.url)), { cwd: folder, silent: true });
  child.stdout?.resume();
  child.stderr?.resume();
  t.after(() => {
    child.kill();
    server.close();
    rmSync(folder, { recursive: true });
  });
  let same = 0;
  for (const exchange of readExchanges()) {
    const line = exchange.args.join(" ");
    if (Object.keys(OTHERWISE).some((start) => line.startsWith(start))) continue;
    replay = new Replay(exchange);
    child.send(["-c", config, ...exchange.args]);
    const [code] = await once(child, "message");
    assert.deepEqual(readable(replay.received), readable(exchange.requests), line);
    assert.deepEqual(replay.received, exchange.requests, line);
    assert.equal(code, exchange.exitCode, line);
    same += 1;
  }
  assert.ok(same > 100, `only ${same} command lines`);
});
