// `sozu upgrade --worker`: the release on disk takes a worker's place while it is under load. Nothing fails, long streams
// finish on the old worker, and a release that does not start leaves everything as it was.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../src/client/index.ts";
import { type Response, ResponseStatus } from "../src/command/gen/sozu_pb.ts";
import { request } from "../src/command/messages.ts";
import { httpBackend } from "./lib/backend.ts";
import { connectRaw, once, type RawClient } from "./lib/client.ts";
import { runLoad } from "./lib/load.ts";
import { commandLine, isAlive } from "./lib/processes.ts";
import { currentRelease, type ProxyOptions, type RunningProxy, startProxy } from "./lib/proxy.ts";
import { Releases } from "./lib/releases.ts";
import { type Scope, until } from "./lib/scope.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/** A proxy that runs release `a`; `b` lies beside it and is current. */
async function startUpgradable(scope: Scope, options: Partial<ProxyOptions> = {}) {
  const backend = await httpBackend(scope, (request, response) => {
    if (request.url === "/slow") {
      response.writeHead(200, { "content-length": "6" });
      response.write("abc");
      held.push(() => response.end("def"));
    } else response.end("ok");
  });
  const held: (() => void)[] = [];
  let releases: Releases | null = null;
  const release = (folder: string): string => {
    releases = new Releases(currentRelease(), folder);
    releases.add("b");
    releases.use("b");
    return releases.add("a");
  };
  const clusters = { app: { backends: [backend.port] } };
  const proxy = await startProxy(scope, { workers: 2, clusters, ...options, release });
  return { proxy, held, releases: releases as unknown as Releases };
}

async function workers(proxy: RunningProxy): Promise<{ id: number; pid: number; run_state: number }[]> {
  return JSON.parse((await proxy.run("status", "--json")).stdout).WORKERS.vec;
}

test("UP-01 UP-02 UP-03 workers are upgraded ten times under load: nothing fails", async (t) => {
  const { proxy } = await startUpgradable(t);
  const loads = [runLoad(t, proxy.port, { connections: 8 }), runLoad(t, proxy.port, { connections: 8, fresh: true })];
  for (let round = 0; round < 5; round++) {
    const serving = (await workers(proxy)).filter(({ run_state }) => run_state === 0);
    assert.equal(serving.length, 2);
    for (const { id } of serving) {
      const { code, stdout, stderr } = await proxy.run("upgrade", "--worker", String(id));
      assert.equal(code, 0, stderr);
      assert.match(stdout, /Upgrade successful:\n- (finished soft stop of )?worker \d+/);
    }
  }
  for (const load of loads) await until("the load goes on", () => load.served > 500);
  for (const load of loads) assert.deepEqual((await load.stop()).failures, []);
  for (const pid of proxy.workerPids) assert.match(commandLine(pid), /releases\/b\/js\/worker/);
});

test("decisions 28: an idle connection is served one more request by the old worker, a download finishes", async (t) => {
  const { proxy, held } = await startUpgradable(t, { workers: 1 });
  const idle = await connectRaw(proxy.port);
  await idle.send(REQUEST);
  assert.equal((await idle.answer()).status, 200);
  const slow = await connectRaw(proxy.port);
  await slow.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await until("the download runs", () => held.length === 1);
  const [old] = proxy.workerPids;
  const { stdout } = await proxy.run("upgrade", "--worker", "0");
  assert.match(stdout, /worker 0 finishes 2 connections, at the latest in 3\d\d\d s/);
  assert.equal((await once(proxy.port, REQUEST))?.status, 200);
  await idle.send(REQUEST);
  const last = await idle.answer();
  assert.equal(last.status, 200);
  assert.equal(last.headers.get("connection"), "close");
  assert.ok(isAlive(old));
  held[0]?.();
  assert.equal((await slow.answer()).body.toString(), "abcdef");
  slow.destroy();
  await until("the old worker ends by itself", () => !isAlive(old));
});

test("UP-05 drain_timeout cuts what is left", async (t) => {
  const { proxy, held } = await startUpgradable(t, { workers: 1, settings: { drain_timeout: 1 } });
  const slow = await connectRaw(proxy.port);
  await slow.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await until("the download runs", () => held.length === 1);
  const [old] = proxy.workerPids;
  assert.equal((await proxy.run("upgrade", "--worker", "0")).code, 0);
  await until("the old worker is gone", () => !isAlive(old));
  await until("it says so", () => /drain_timeout: 1 connections are cut/.test(proxy.output));
});

test("UP-14 an old worker that hangs while it drains is killed after worker_timeout, not after drain_timeout", async (t) => {
  const { proxy, held } = await startUpgradable(t, { workers: 1, settings: { worker_timeout: 2 } });
  const slow = await connectRaw(proxy.port);
  await slow.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await until("the download runs", () => held.length === 1);
  const [old] = proxy.workerPids;
  assert.equal((await proxy.run("upgrade", "--worker", "0")).code, 0);
  process.kill(old, "SIGSTOP");
  await until("it is killed", () => !isAlive(old));
  await until("main says why", () => /worker 0 \(pid \d+\): no heartbeat for 2 s, it is killed/.test(proxy.output));
  assert.equal((await once(proxy.port, REQUEST))?.status, 200);
});

test("UP-09 a fourth generation waits and says for what, --force cuts the oldest", async (t) => {
  const { proxy, held } = await startUpgradable(t, { workers: 1 });
  const clients: RawClient[] = [];
  for (let id = 0; id < 4; id++) {
    const slow = await connectRaw(proxy.port);
    clients.push(slow);
    await slow.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await until("a download runs", () => held.length === id + 1);
    if (id < 3) assert.equal((await proxy.run("upgrade", "--worker", String(id))).code, 0);
  }
  assert.equal(proxy.workerPids.length, 4);
  const client = await connect({ socketPath: proxy.socketPath });
  t.after(() => client.close());
  const said: string[] = [];
  const onProcessing = ({ message }: Response): void => void said.push(message);
  const waiting = client.send(request({ case: "upgradeWorker", value: 3 }), { onProcessing });
  const reason = /3 generations are finishing already: waiting; worker 0 finishes 1 connection, at the latest in/;
  await until("it says for what it waits", () => said.some((text) => reason.test(text)));
  assert.equal(proxy.workerPids.length, 4);
  // Another one gives up: its upgrade must not come when nobody expects it any more.
  const leaving = await connect({ socketPath: proxy.socketPath });
  leaving.send(request({ case: "upgradeWorker", value: 3 }), { onProcessing: () => leaving.close() }).catch(() => 0);
  await until("it is given up", () => /result=error.*the client left|the client left/.test(proxy.output));
  clients[0]?.reset();
  const { status, message } = await waiting;
  assert.equal(status, ResponseStatus.OK, message);
  const forced = await proxy.run("upgrade", "--worker", "4", "--force");
  assert.equal(forced.code, 0, forced.stderr);
  await until("worker 1 was cut", () => /worker 1 \(pid \d+\) exited with code 0/.test(proxy.output));
});

const BROKEN: readonly (readonly [string, (text: string) => string, RegExp])[] = [
  ["does not parse", (text) => `${text}\n}`, /exited with code 1/],
  ["hangs", () => "setInterval(() => {}, 1000);\n", /does not serve after 4\.\d s/],
  ["throws", () => "throw new Error('no');\n", /exited with code 1/],
];

for (const [what, change, reason] of BROKEN) {
  test(`UP-08 a release that ${what}: the old worker goes on and the command says why`, async (t) => {
    // On a busy machine the first worker, too, needs its time.
    const { proxy, releases } = await startUpgradable(t, { workers: 1, settings: { worker_timeout: 4 } });
    releases.edit("b", "js/worker/main.js", change);
    const before = proxy.workerPids;
    const load = runLoad(t, proxy.port, { connections: 4 });
    const { code, stderr } = await proxy.run("upgrade", "--worker", "0");
    assert.equal(code, 1);
    assert.match(stderr, /Could not upgrade worker 0, which goes on: /);
    assert.match(stderr, reason);
    await until("the load goes on", () => load.served > 200);
    assert.deepEqual((await load.stop()).failures, []);
    assert.deepEqual(proxy.workerPids, before);
    // What the attempt left behind is no obstacle for changes.
    assert.equal((await proxy.run("cluster", "remove", "--id", "app")).code, 0);
  });
}

test("UP-07 changes while workers are upgraded reach old and new ones, once", async (t) => {
  const { proxy } = await startUpgradable(t);
  const load = runLoad(t, proxy.port, { connections: 4 });
  const changes = (async () => {
    for (let i = 0; i < 8; i++) {
      const add = ["backend", "add", "--id", "app", "--backend-id", `x${i}`, "--address", `127.0.0.1:${i + 1}`];
      assert.equal((await proxy.run(...add)).code, 0);
      assert.equal((await proxy.run("backend", "remove", ...add.slice(2))).code, 0);
    }
  })();
  for (const id of [0, 1, 2, 3]) {
    const { code, stderr } = await proxy.run("upgrade", "--worker", String(id));
    assert.equal(code, 0, `${stderr}\n${proxy.output}`);
  }
  await changes;
  assert.deepEqual((await load.stop()).failures, []);
  assert.doesNotMatch(proxy.output, /is being replaced/);
});

test("an unknown worker, and one that was replaced: refused", async (t) => {
  const { proxy } = await startUpgradable(t, { workers: 1 });
  assert.equal((await proxy.run("upgrade", "--worker", "0")).code, 0);
  const { code, stderr } = await proxy.run("upgrade", "--worker", "0");
  assert.equal(code, 1);
  assert.match(stderr, /Worker 0 does not exist, or is stopping \/ stopped/);
});
