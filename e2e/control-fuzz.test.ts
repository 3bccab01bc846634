// CP-24: frames made at random and frames of the stock program with a few bytes changed, many to a connection, thousands at
// once. Whatever they do to the state, main and its workers live, agree, and hold no more descriptors than before.
// SOZU_FUZZ_FRAMES says how many; a long run is 1000000 of them, and then memory is looked at, too.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { RequestSchema } from "../src/command/gen/sozu_pb.ts";
import { decodeMessage } from "../src/command/messages.ts";
import { readExchanges } from "../test/command/stock-frames.ts";
import { Dice, hashes, order } from "./lib/changes.ts";
import { ask, frame, STATUS } from "./lib/control.ts";
import { descriptorCount, residentBytes } from "./lib/processes.ts";
import { startProxy } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";

const FRAMES = Number(process.env["SOZU_FUZZ_FRAMES"] ?? 2000);
const SEED = Number(process.env["SOZU_FUZZ_SEED"] ?? 1);
const A_CONNECTION = 40;
const AT_ONCE = 8;
/** Memory that main may gain in a long run; what the state holds is bounded by the few names there are. */
const GROWTH_MAX = 150_000_000;

/** They end the proxy or a worker, or read and write files wherever the fuzz says. */
const LEFT_OUT: readonly (string | undefined)[] = [
  "softStop",
  "hardStop",
  "saveState",
  "loadState",
  "loadStateWith",
  "reloadConfiguration",
  "reload",
  "upgradeMain",
  "upgradeWorker",
];

const CORPUS = readExchanges().flatMap(({ requests }) => requests.map((bytes) => bytes.subarray(8)));

/** The body of one frame; null: it may not be sent. */
function makeBody(dice: Dice): Uint8Array | null {
  const body = dice.roll(4) === 0 ? noise(dice) : mutant(dice);
  const request = decodeMessage(RequestSchema, body);
  return LEFT_OUT.includes(request?.requestType.case) ? null : body;
}

function noise(dice: Dice): Uint8Array {
  return Uint8Array.from({ length: dice.roll(200) }, () => dice.roll(256));
}

function mutant(dice: Dice): Uint8Array {
  const body = Buffer.from(CORPUS[dice.roll(CORPUS.length)]!);
  for (let flips = dice.roll(4); flips > 0 && body.length > 0; flips--) body[dice.roll(body.length)] = dice.roll(256);
  return dice.roll(8) === 0 ? body.subarray(0, dice.roll(body.length + 1)) : body;
}

/** What one connection sends: whole frames, now and then with a length that lies. */
function makeStream(dice: Dice): { bytes: Buffer; frames: number } {
  const parts: Buffer[] = [];
  while (parts.length < A_CONNECTION) {
    const body = makeBody(dice);
    if (body === null) continue;
    const whole = frame(body);
    if (dice.roll(50) === 0) whole.writeUInt8(dice.roll(256), dice.roll(8));
    parts.push(whole);
  }
  return { bytes: Buffer.concat(parts), frames: parts.length };
}

/** Resolves when the other side has closed; a half frame at the end is closed by our own end. */
function talk(path: string, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(path, () => socket.end(bytes));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
    socket.resume();
  });
}

async function activeListeners(socketPath: string): Promise<number> {
  const { content } = await order(socketPath, { case: "listListeners", value: {} });
  const held = content?.contentType;
  assert.ok(held?.case === "listenersList");
  const { httpListeners, httpsListeners } = held.value;
  return [...Object.values(httpListeners), ...Object.values(httpsListeners)].filter(({ active }) => active).length;
}

test("CP-24 random and mutated frames: nothing ends, nothing leaks, main and workers agree", async (t) => {
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [] } } });
  assert.equal(await ask(proxy.socketPath, STATUS), true);
  const before = descriptorCount(proxy.pid);
  const workers = proxy.workerPids;
  const dice = new Dice(SEED);
  let sent = 0;
  const work = async (): Promise<void> => {
    while (sent < FRAMES) {
      const { bytes, frames } = makeStream(dice);
      sent += frames;
      await talk(proxy.socketPath, bytes);
    }
  };
  let early = 0;
  const watch = async (): Promise<void> => {
    await until("a tenth is sent", () => sent > FRAMES / 10, 3_600_000);
    early = residentBytes(proxy.pid);
  };
  await Promise.all([watch(), ...Array.from({ length: AT_ONCE }, work)]);
  assert.equal(await ask(proxy.socketPath, STATUS, 10_000), true);
  // What the fuzz has activated is open, once for each worker.
  const held = before + 2 * (await activeListeners(proxy.socketPath));
  await until("descriptors are back", () => descriptorCount(proxy.pid) <= held);
  assert.doesNotMatch(proxy.output, /is being replaced/);
  assert.deepEqual(proxy.workerPids, workers);
  await until("both workers serve", async () => (await hashes(proxy.socketPath)).size === 3);
  const [main, ...others] = [...(await hashes(proxy.socketPath)).values()];
  assert.equal(others.length, 2);
  for (const other of others) assert.deepEqual(other, main);
  const growth = residentBytes(proxy.pid) - early;
  t.diagnostic(`${sent} frames with seed ${SEED}, main grew by ${Math.round(growth / 1e6)} MB after the first tenth`);
  assert.ok(growth < GROWTH_MAX);
});
