// Random verbs of several clients at once, under load and with workers killed in between: every request is answered, main
// and workers end in the same state and serve what that state says, and clusters that nobody touched lose no request.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { connect, ResponseStatus } from "../src/client/index.ts";
import { addressFromMessage } from "../src/command/address.ts";
import { PathRuleKind, RedirectPolicy, type RequestHttpFrontend } from "../src/command/gen/sozu_pb.ts";
import { httpBackend } from "./lib/backend.ts";
import { Dice, hashes, order, type Playground, randomChange, send } from "./lib/changes.ts";
import { once } from "./lib/client.ts";
import { killWorker } from "./lib/kills.ts";
import { Load } from "./lib/load.ts";
import { freePort } from "./lib/ports.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { type Scope, until } from "./lib/scope.ts";

/** What a refused change may say: another client was there first, or a listener is not there. */
const CONFLICT = /Did not find|already exists|did not bring any change|no listener found/;

async function setUp(t: Scope): Promise<{ proxy: RunningProxy; ground: Playground }> {
  const steady = await httpBackend(t, (_request, response) => response.end("steady"));
  const others = [];
  for (let i = 0; i < 3; i++) others.push(await httpBackend(t, (_request, response) => response.end("other")));
  const clusters = { steady: { backends: [steady.port] } };
  const proxy = await startProxy(t, { workers: 2, clusters, settings: { ctl_command_timeout: 10_000 } });
  const spares = [await freePort(), await freePort()];
  return { proxy, ground: { port: proxy.port, spares, backendPorts: others.map(({ port }) => port) } };
}

/** One client's changes; the verbs that were taken. */
async function play(proxy: RunningProxy, ground: Playground, seed: number, count: number): Promise<string[]> {
  const client = await connect({ socketPath: proxy.socketPath, timeoutMs: 10_000 });
  const dice = new Dice(seed);
  const taken: string[] = [];
  for (let i = 0; i < count; i++) {
    const change = randomChange(dice, ground);
    const answer = await send(client, change);
    if (answer.status === ResponseStatus.OK) taken.push(String(change.case));
    else assert.match(answer.message, CONFLICT, `seed ${seed}, change ${i}`);
  }
  client.close();
  return taken;
}

/** Asks, saves, loads and sets the level of logs until the changes are over; how many were answered with OK. */
async function question(proxy: RunningProxy, changing: Promise<unknown>): Promise<number> {
  const client = await connect({ socketPath: proxy.socketPath, timeoutMs: 10_000 });
  const path = join(proxy.folder, "state");
  const verbs: readonly Parameters<typeof send>[1][] = [
    { case: "status", value: {} },
    { case: "saveState", value: path },
    { case: "listWorkers", value: {} },
    { case: "listListeners", value: {} },
    { case: "queryClusterById", value: "c0" },
    { case: "queryClustersByDomain", value: { hostname: "h1.test" } },
    { case: "loadState", value: path },
    { case: "queryClustersHashes", value: {} },
    { case: "countRequests", value: {} },
    { case: "Logging", value: "info" },
    { case: "listFrontends", value: { http: true, https: false, tcp: false } },
  ];
  let over = false;
  changing.then(
    () => {
      over = true;
    },
    () => {
      over = true;
    },
  );
  let answered = 0;
  for (let i = 0; !over; i++) {
    const verb = verbs[i % verbs.length];
    const answer = await send(client, verb);
    if (answer.status === ResponseStatus.OK) answered += 1;
    else assert.fail(`${verb.case}: ${answer.message}`);
  }
  client.close();
  return answered;
}

/** Both workers and main have one state. */
async function assertInStep(proxy: RunningProxy): Promise<void> {
  const found = await hashes(proxy.socketPath);
  assert.equal(found.size, 3, `main and two workers, got ${[...found.keys()].join(", ")}`);
  const main = found.get("main");
  for (const [name, own] of found) assert.deepEqual(own, main, name);
}

/** The status with which a frontend itself answers (spec 5.7), 0: its cluster does. No request here has credentials. */
function localStatus(rule: RequestHttpFrontend): number {
  if (rule.redirect === RedirectPolicy.PERMANENT) return 301;
  if (rule.redirect === RedirectPolicy.FOUND) return 302;
  if (rule.redirect === RedirectPolicy.UNAUTHORIZED) return 401;
  return rule.requiredAuth || !Object.hasOwn(rule, "clusterId") ? 401 : 0;
}

/** Whatever worker accepts, requests are answered as the state that main lists says. */
async function assertServed(proxy: RunningProxy, ground: Playground): Promise<void> {
  const filters = { http: true, https: false, tcp: false };
  const listed = await order(proxy.socketPath, { case: "listFrontends", value: filters });
  const held = listed.content?.contentType;
  assert.ok(held?.case === "frontendList");
  // null: the cluster is not configured, yet its backends may still be there (spec 4.7).
  const backendsOf = async (id: string): Promise<number | null> => {
    const { content } = await order(proxy.socketPath, { case: "queryClusterById", value: id });
    const responses = content?.contentType;
    assert.ok(responses?.case === "workerResponses");
    const { contentType } = responses.value.map["main"];
    return contentType.case === "clusters" ? (contentType.value.vec[0]?.backends.length ?? null) : null;
  };
  for (let host = 0; host < 4; host++) {
    for (let path = 0; path < 2; path++) {
      const target = `/${path}`;
      const rules = held.value.httpFrontends.filter((frontend) => {
        const at = addressFromMessage(frontend.address);
        return typeof at !== "string" && at.port === ground.port && frontend.hostname === `h${host}.test`;
      });
      // EQUALS before PREFIX (decisions 14).
      const [rule] = rules
        .filter((frontend) => frontend.path?.value === target)
        .sort((a, b) => Number(b.path?.kind === PathRuleKind.EQUALS) - Number(a.path?.kind === PathRuleKind.EQUALS));
      let expected: number[] = [rule === undefined ? 404 : localStatus(rule)];
      if (rule !== undefined && expected[0] === 0) {
        const backends = await backendsOf(rule.clusterId);
        expected = backends === null ? [200, 503] : backends > 0 ? [200] : [503];
      }
      // Several connections, so that both workers are likely to be asked.
      const statuses = new Set<number>();
      for (let i = 0; i < 4; i++) {
        const answer = await once(ground.port, `GET ${target} HTTP/1.1\r\nHost: h${host}.test\r\n\r\n`);
        statuses.add(answer?.status ?? 0);
      }
      const [status] = statuses;
      assert.ok(statuses.size === 1 && expected.includes(status), `h${host}.test${target}: ${[...statuses]}`);
    }
  }
}

test("CP-08 CP-09 random verbs of four clients under load: no failed request, hashes equal, state served", async (t) => {
  const { proxy, ground } = await setUp(t);
  const load = new Load(proxy.port, { connections: 8 });
  t.after(() => void load.stop());
  await until("the load runs", () => load.served > 50);
  const taken = await Promise.all([11, 12, 13, 14].map((seed) => play(proxy, ground, seed, 250)));
  assert.ok(
    taken.every(({ length }) => length > 50),
    taken.map(({ length }) => length).join(", "),
  );
  assert.equal(new Set(taken.flat()).size, 14, `every verb was taken: ${[...new Set(taken.flat())]}`);
  await assertInStep(proxy);
  await assertServed(proxy, ground);
  const result = await load.stop();
  assert.deepEqual(result.failures, []);
  assert.doesNotMatch(proxy.output, /differs|is being replaced|serves without/);
});

test("CP-08 CP-12 random verbs with workers killed in between: successors are in step and serve the same", async (t) => {
  const { proxy, ground } = await setUp(t);
  const load = new Load(proxy.port, { connections: 8 });
  t.after(() => void load.stop());
  await until("the load runs", () => load.served > 50);
  let playing = true;
  const clients = [21, 22, 23].map((seed) => play(proxy, ground, seed, 400));
  const changing = Promise.all(clients).finally(() => {
    playing = false;
  });
  const plays = Promise.all([...clients, question(proxy, changing)]);
  const dice = new Dice(5);
  let kills = 0;
  let inFlight = 0;
  while (playing && kills < 6) {
    const pids = await until("two workers", () => (proxy.workerPids.length === 2 ? proxy.workerPids : null));
    const served = load.served;
    inFlight += load.cut(killWorker(pids[dice.roll(2)], [proxy.port]));
    kills += 1;
    await until("the load goes on", () => load.served > served + 50 + dice.roll(100));
  }
  const questions = await plays;
  assert.ok(kills > 1, `${kills} kills`);
  assert.ok(Number(questions[3]) > 20, `${questions[3]} questions were answered`);
  await until("both slots serve", async () => (await hashes(proxy.socketPath)).size === 3);
  await order(proxy.socketPath, { case: "addCluster", value: sample("last") });
  await assertInStep(proxy);
  await assertServed(proxy, ground);
  const result = await load.stop();
  // What was in flight on a connection to a killed worker may be lost. Nothing else may fail.
  assert.deepEqual(result.failures, [], `${kills} kills, ${result.served} served`);
  assert.ok(result.lost <= inFlight, `${result.lost} of ${inFlight} in flight`);
  assert.doesNotMatch(proxy.output, /differs|serves without/);
});

function sample(clusterId: string) {
  return { clusterId, stickySession: false, httpsRedirect: false, loadBalancing: 0 } as const;
}
