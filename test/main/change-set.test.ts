// Transactions, reloads and replaced states against a keeper whose workers are replicas: all of it or nothing, in main and
// in every worker.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import type { Request, Response } from "../../src/command/gen/sozu_pb.ts";
import { ResponseStatus } from "../../src/command/gen/sozu_pb.ts";
import { encodeRecord } from "../../src/command/records.ts";
import { ConfigState } from "../../src/command/state.ts";
import { loadConfig } from "../../src/config/load.ts";
import { applySet, applyTransaction, TRANSACTION_REQUESTS_MAX } from "../../src/main/change-set.ts";
import { Reloader } from "../../src/main/reload.ts";
import { StateFiles } from "../../src/main/state-files.ts";
import { Replica } from "../../src/worker/replica.ts";
import {
  addBackend,
  addCluster,
  addFrontend,
  addListener,
  address,
  anyRequest,
  onListener,
  removeCluster,
} from "../command/requests.ts";
import { KeeperRig } from "./keeper-rig.ts";

const folder = mkdtempSync(join(tmpdir(), "sozu-set-"));
test.after(() => rmSync(folder, { recursive: true }));
const quiet = (): void => undefined;

function text({ status, message }: Response): string {
  return `${status === ResponseStatus.OK ? "OK" : "FAILURE"} ${message}`;
}

function hashes({ state }: KeeperRig): string {
  const { low, high } = state.hash();
  return `${low}:${high}`;
}

async function rigWith(...requests: Request[]): Promise<KeeperRig> {
  const rig = new KeeperRig();
  for (const one of requests) await rig.keeper.apply(one, "socket", quiet);
  return rig;
}

const transact = async (rig: KeeperRig, ...requests: Request[]): Promise<string> =>
  text(await applyTransaction(rig.keeper, requests, quiet, null));

test("a transaction is one change, and an entry that is refused leaves nothing of it", async () => {
  const rig = await rigWith(addCluster("there"));
  const before = hashes(rig);
  const { sent, revision } = { sent: rig.sent, revision: rig.state.revision };
  const at = { address: address("127.0.0.1:80") };
  assert.equal(
    await transact(
      rig,
      addListener("127.0.0.1:80"),
      onListener("activateListener", "127.0.0.1:80"),
      addCluster("app"),
      addFrontend("a.test", "/", at),
      removeCluster("absent"),
    ),
    "FAILURE request 5 (RemoveCluster): Did not find Cluster with address or id 'absent'; nothing was applied",
  );
  assert.equal(hashes(rig), before);
  assert.equal(rig.sent, sent, "workers heard nothing");
  assert.equal(rig.sockets.open_.size, 0, "its socket is closed again");
  assert.ok(rig.state.revision >= revision);
  assert.equal(
    await transact(
      rig,
      addListener("127.0.0.1:80"),
      addCluster("app"),
      addFrontend("a.test", "/", at),
      onListener("activateListener", "127.0.0.1:80"),
    ),
    "OK Successfully applied 4 requests as one change",
  );
  assert.equal(rig.sent, sent + 1);
  assert.ok(rig.inStep && rig.sockets.open_.has("127.0.0.1:80"));
});

test("what is no change, too much, empty or without a listener is refused by number", async () => {
  const rig = new KeeperRig();
  assert.match(await transact(rig), /^FAILURE the transaction is empty/);
  const many = new Array(TRANSACTION_REQUESTS_MAX + 1).fill(addCluster("a"));
  const answer = text(await applyTransaction(rig.keeper, many, quiet, null));
  assert.match(answer, /^FAILURE a transaction holds at most 100000 requests, this one has 100001/);
  assert.match(
    await transact(rig, addCluster("a"), addFrontend("a.test")),
    /^FAILURE request 2 \(AddHttpFrontend\): no listener found at 0.0.0.0:8080; .*nothing was applied$/,
  );
  const status = { ...addCluster("a"), requestType: { case: "status", value: {} } } as unknown as Request;
  assert.match(
    await transact(rig, addCluster("a"), status),
    /^FAILURE request 2 \(Status\): only requests that change/,
  );
  rig.sockets.taken.add("127.0.0.1:80");
  assert.match(
    await transact(rig, addListener("127.0.0.1:80"), onListener("activateListener", "127.0.0.1:80")),
    /^FAILURE request 2 \(ActivateListener\): cannot listen on 127.0.0.1:80: another process uses this port; nothing/,
  );
  assert.equal(rig.state.clusters.size + rig.state.httpListeners.size, 0);
});

test("for random transactions: applied as a whole, or the state is as before", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyRequest(), { maxLength: 30 }),
      fc.array(anyRequest(), { minLength: 1, maxLength: 8 }),
      async (first, requests) => {
        const rig = await rigWith(...first);
        const before = hashes(rig);
        const answer = await applyTransaction(rig.keeper, requests, quiet, null);
        if (answer.status !== ResponseStatus.OK) assert.equal(hashes(rig), before, answer.message);
        assert.ok(rig.inStep);
      },
    ),
    { numRuns: 100 },
  );
});

test("decisions 12: a set that every worker refuses is taken back, and the workers are as before", async () => {
  const rig = await rigWith(addCluster("there"));
  const before = hashes(rig);
  const { sent, applied } = rig;
  const known = applied.length;
  rig.refuse = (change) => (change.kind === "add_cluster" && change.cluster.clusterId === "c7" ? "no" : null);
  const requests = Array.from({ length: 10 }, (_, index) => addCluster(`c${index}`));
  const outcome = await applySet(rig.keeper, requests, { origin: "file", progress: quiet, trail: null });
  assert.equal(outcome.kind, "refused");
  assert.equal(hashes(rig), before);
  assert.ok(rig.inStep);
  assert.deepEqual(rig.replaced, []);
  assert.equal(applied.length, known, "no proxy saw a part of it");
  assert.equal(rig.sent, sent + 1);
});

test("a transaction of 20,000 requests is one block; other changes wait for it; a worker that starts gets all of it", async () => {
  const rig = await rigWith(addCluster("there"));
  const { sent } = rig;
  const many = Array.from({ length: 20_000 }, (_, index) => addCluster(`c${index}`));
  const transaction = transact(rig, ...many);
  const other = rig.keeper.apply(addCluster("other"), "socket", quiet);
  await new Promise(setImmediate);
  assert.equal(rig.state.clusters.get("other"), undefined);
  const fresh = new Replica({
    check: () => null,
    follow: quiet,
    apply: () => null,
    activate: () => null,
    deactivate: () => [],
  });
  assert.deepEqual(fresh.replay(rig.keeper.snapshot().bytes), []);
  assert.equal(fresh.hashes(null).length, 20_001);
  assert.equal(await transaction, "OK Successfully applied 20000 requests as one change");
  assert.equal(text(await other).slice(0, 2), "OK");
  assert.equal(rig.sent, sent + 2);
  assert.ok(rig.inStep);
  const last = removeCluster("absent");
  const before = hashes(rig);
  assert.match(await transact(rig, ...many.map((_, index) => removeCluster(`c${index}`)), last), /request 20001 /);
  assert.equal(hashes(rig), before);
});

const CONFIG = `
[[listeners]]
protocol = "http"
address = "127.0.0.1:8080"
front_timeout = 60

[clusters.app]
protocol = "http"
frontends = [{ address = "127.0.0.1:8080", hostname = "a.test" }]
backends = [{ address = "127.0.0.1:1026", backend_id = "b0" }]

[clusters.other]
protocol = "http"
frontends = [{ address = "127.0.0.1:8080", hostname = "b.test" }]
backends = [{ address = "127.0.0.1:1027", backend_id = "b0" }]
`;

async function reloading(toml = CONFIG) {
  const path = join(folder, "config.toml");
  writeFileSync(path, toml);
  const file = await loadConfig(path);
  assert.ok(file.ok);
  const rig = await rigWith(...file.requests);
  const files = new StateFiles(rig.keeper);
  const logger = { info: quiet, warn: quiet, error: quiet, debug: quiet } as never;
  const { keeper } = rig;
  const source = { path, unknownKeys: "error" } as const;
  const reloader = new Reloader({ keeper, files, source, settings: file.settings, logger });
  const reload = async (text: string, options: { prune?: boolean; dryRun?: boolean } = {}): Promise<Response> => {
    writeFileSync(path, text);
    return reloader.reload({ path: "", prune: false, dryRun: false, ...options }, quiet);
  };
  return { rig, reload, path };
}

test("decisions 10: a reload applies what changed in the file and leaves the rest, however it is", async () => {
  const { rig, reload, path } = await reloading();
  await rig.keeper.apply(addCluster("socket"), "socket", quiet);
  await rig.keeper.apply(addBackend("app", "b1"), "socket", quiet);
  await rig.keeper.apply(addCluster("other", { httpsRedirect: true }), "socket", quiet);
  const untouched = rig.state.clusters.get("app");
  assert.equal(text(await reload(CONFIG)), `OK Successfully reloaded ${path}: 0 added, 0 changed, 0 removed`);
  const changed = CONFIG.replace("front_timeout = 60", "front_timeout = 30")
    .replace("[clusters.other]", '[clusters.other]\nload_balancing = "MAGLEV"')
    .replace("b0", "b9");
  const dry = await reload(changed, { dryRun: true });
  assert.match(
    text(dry),
    /^OK Nothing was changed; a reload of .* would be: 1 added, 2 changed, 1 removed; the file won/,
  );
  assert.equal(rig.state.clusters.get("other")?.object.loadBalancing, 0);
  const answer = await reload(changed);
  assert.match(text(answer), /1 added, 2 changed, 1 removed; the file won over changes of cluster other$/);
  const held = answer.content?.contentType;
  assert.ok(held?.case === "changeReport");
  const lines = held.value.changes.map(({ action, kind, name }) => `${action} ${kind} ${name}`);
  assert.deepEqual(lines, [
    "change listener 127.0.0.1:8080",
    "change cluster other",
    "add backend app b9 127.0.0.1:1026",
    "remove backend app b0 127.0.0.1:1026",
  ]);
  assert.equal(rig.state.clusters.get("app"), untouched);
  assert.equal(rig.state.backends.size, 3);
  assert.ok(rig.state.clusters.get("socket") !== undefined && rig.inStep);
  assert.equal(rig.state.httpListeners.get("127.0.0.1:8080")?.object.active, true);
  const pruned = await reload(changed, { prune: true });
  assert.match(text(pruned), /0 added, 0 changed, 2 removed/);
  const left: number = rig.state.backends.size;
  assert.ok(rig.state.clusters.get("socket") === undefined && left === 2 && rig.inStep);
});

test("oddity 7: a broken file changes nothing and is answered with every problem", async () => {
  const { rig, reload } = await reloading();
  const before = hashes(rig);
  const answer = text(await reload(`${CONFIG}\nnonsense = 1\n[clusters.bad]\nprotocol = "htp"\n`));
  assert.match(answer, /^FAILURE .*config\.toml:\d+:\d+: /);
  assert.match(answer, /nonsense/);
  assert.match(answer, /htp/);
  assert.match(answer, /nothing was applied$/);
  assert.match(text(await reload("a = = 1")), /is not TOML/);
  assert.equal(hashes(rig), before);
  rmSync(join(folder, "config.toml"));
});

test("settings that only a start can change are named", async () => {
  const { reload } = await reloading();
  const answer = await reload(`worker_count = 7\nmax_buffers = 2000\n${CONFIG}`);
  assert.match(text(answer), /0 removed; effective at the next start only: max_buffers, worker_count$/);
});

test("state load --replace makes the state equal to the file, and --dry-run says what a load would do", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyRequest(), { maxLength: 30 }),
      fc.array(anyRequest(), { maxLength: 30 }),
      async (first, second) => {
        const rig = await rigWith(...first);
        const target = new ConfigState();
        for (const one of second) target.apply(one, "socket");
        const path = join(folder, "replace.json");
        writeFileSync(
          path,
          target
            .toRequests()
            .map((each, index) => encodeRecord(each, index))
            .join(""),
        );
        const files = new StateFiles(rig.keeper);
        const before = hashes(rig);
        const dry = await files.loadWith({ path, replace: true, dryRun: true }, quiet, null);
        assert.equal(dry.status, ResponseStatus.OK, dry.message);
        assert.equal(hashes(rig), before);
        const done = await files.loadWith({ path, replace: true, dryRun: false }, quiet, null);
        assert.equal(done.status, ResponseStatus.OK, done.message);
        const { low, high } = target.hash();
        assert.equal(hashes(rig), `${low}:${high}`);
        assert.ok(rig.inStep);
        const again = await files.loadWith({ path, replace: false, dryRun: true }, quiet, null);
        assert.match(again.message, /0 added, 0 changed, 0 removed/);
      },
    ),
    { numRuns: 60 },
  );
});

test("a broken record refuses a replacement by number", async () => {
  const rig = await rigWith(addCluster("there"));
  const path = join(folder, "broken.json");
  writeFileSync(path, `${encodeRecord(addCluster("a"), 0)}{"id":"x"}\n\0`);
  const answer = await new StateFiles(rig.keeper).loadWith({ path, replace: true, dryRun: false }, quiet, null);
  assert.match(
    text(answer),
    /^FAILURE Error consuming load state message: record 2 \(line 2\): .*; nothing was applied$/,
  );
  assert.ok(rig.state.clusters.get("there") !== undefined);
});
