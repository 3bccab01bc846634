// Several clients at once against workers that are slow, refuse, die and are replaced: whatever order things happen in, main
// and its workers end with the same state, and no worker is replaced because its state differs.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Dice } from "../../e2e/lib/changes.ts";
import type { Request, Response } from "../../src/command/gen/sozu_pb.ts";
import { applyTransaction } from "../../src/main/change-set.ts";
import { addCluster, addListener, anyRequest, onListener, updateListener } from "../command/requests.ts";
import { type Refuses, WorkerSim } from "./worker-sim.ts";

const RUNS = Number(process.env["SOZU_KEEPER_RUNS"] ?? 300);
const quiet = (): void => undefined;

/** Refuses about a sixth of what is added and activated, every worker the same; rarely one worker alone something more. */
function refusing(seed: number): Refuses {
  return (worker, change) => {
    if (!change.kind.startsWith("add_") && !change.kind.startsWith("activate_")) return null;
    if (sum(`${seed} ${JSON.stringify(change)}`) % 6 === 0) return "every worker refuses it";
    return sum(`${seed} ${worker} ${JSON.stringify(change)}`) % 100 === 0 ? "this one refuses it" : null;
  };
}

function sum(text: string): number {
  let value = 7;
  for (let i = 0; i < text.length; i++) value = (Math.imul(value, 31) + text.charCodeAt(i)) >>> 0;
  return value % 997;
}

async function play(requests: readonly Request[], seed: number): Promise<WorkerSim> {
  const dice = new Dice(seed);
  const sim = new WorkerSim(refusing(seed), () => dice.roll(2) === 0);
  const answers: Promise<unknown>[] = [];
  let next = 0;
  while (next < requests.length) {
    const kind = dice.roll(20);
    if (kind < 8) {
      answers.push(sim.keeper.apply(requests[next++]!, "socket", quiet));
    } else if (kind === 8) {
      const some = requests.slice(next, next + 1 + dice.roll(6));
      next += some.length;
      answers.push(applyTransaction(sim.keeper, some, quiet, null));
    } else if (kind === 9 && dice.roll(4) === 0) {
      sim.kill(sim.workers[dice.roll(sim.workers.length)]!);
    } else if (kind < 12) {
      await new Promise(setImmediate);
    } else {
      sim.workers[dice.roll(sim.workers.length)]!.step();
    }
  }
  await sim.settle();
  await Promise.all(answers);
  return sim;
}

test("main and workers agree, whatever several clients do while changes are on their way, refused or taken back", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyRequest(), { minLength: 5, maxLength: 60 }), fc.nat(), async (requests, seed) => {
      const sim = await play(requests, seed);
      assert.deepEqual(
        sim.replaced.filter((reason) => reason.includes("differs")),
        [],
      );
      assert.ok(sim.inStep);
    }),
    { numRuns: RUNS },
  );
});

test("CP-24 a listener that another client patches while its refused activation is on its way ends inactive everywhere", async () => {
  const refuses: Refuses = (_worker, { kind }) =>
    kind === "activate_http_listener" ? "the address is not ours" : null;
  const sim = new WorkerSim(refuses, () => true);
  await sim.settle();
  const answer = async (asked: Promise<Response>): Promise<string> => {
    await sim.settle();
    return (await asked).message;
  };
  await answer(sim.keeper.apply(addListener("127.0.0.1:80"), "socket", quiet));
  const activated = sim.keeper.apply(onListener("activateListener", "127.0.0.1:80"), "socket", quiet);
  const patched = sim.keeper.apply(updateListener("127.0.0.1:80", { frontTimeout: 7 }), "socket", quiet);
  assert.match(await answer(activated), /the address is not ours/);
  assert.match(await answer(patched), /^Successfully applied/);
  await answer(sim.keeper.apply(addCluster("app"), "socket", quiet));
  assert.deepEqual(sim.replaced, []);
  assert.ok(sim.inStep);
  const { object } = sim.state.httpListeners.get("127.0.0.1:80")!;
  assert.deepEqual([object.active, object.frontTimeout], [false, 7]);
});

test("what a worker has from the state that it began with is taken back there, too", async () => {
  const refuses: Refuses = (worker, { kind }) => (kind === "add_cluster" && worker < 2 ? "no" : null);
  const sim = new WorkerSim(refuses, () => true);
  await sim.settle();
  const [first, second] = sim.workers;
  const added = sim.keeper.apply(addCluster("app"), "socket", quiet);
  await new Promise(setImmediate);
  sim.kill(second!);
  first!.step();
  assert.match((await added).message, /0: no/);
  await sim.settle();
  assert.deepEqual(sim.replaced, []);
  assert.equal(sim.workers[1]!.replica.mirror.size, 0);
  assert.ok(sim.inStep);
});
