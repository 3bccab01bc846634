import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { ResponseStatus } from "../../src/command/gen/sozu_pb.ts";
import { encodeRecord } from "../../src/command/records.ts";
import { ConfigState } from "../../src/command/state.ts";
import { readStateFile, STATE_FILE_BYTES_MAX, writeStateFile } from "../../src/main/state-file.ts";
import { StateFiles } from "../../src/main/state-files.ts";
import { addBackend, addCluster, addFrontend, addListener, anyRequest, onListener } from "../command/requests.ts";
import { KeeperRig } from "./keeper-rig.ts";

const folder = mkdtempSync(join(tmpdir(), "sozu-state-"));
test.after(() => rmSync(folder, { recursive: true }));
const quiet = (): void => undefined;
const everything = { check: () => null };

function records(...requests: Parameters<typeof encodeRecord>[0][]): string {
  return requests.map((request, index) => encodeRecord(request, index)).join("");
}

/** Loads a file with this text into a fresh rig. */
async function load(text: string, rig: KeeperRig = new KeeperRig()) {
  const path = join(folder, "load.json");
  writeFileSync(path, text);
  const answer = await new StateFiles(rig.keeper).load(path, quiet);
  return { rig, path, message: answer.message, ok: answer.status === ResponseStatus.OK };
}

test("apply, save, load, apply: the same hash, through real files", async () => {
  const path = join(folder, "property.json");
  await fc.assert(
    fc.asyncProperty(fc.array(anyRequest(), { maxLength: 60 }), async (requests) => {
      const first = new KeeperRig();
      for (const request of requests) await first.keeper.apply(request, "socket", quiet);
      const saved = await new StateFiles(first.keeper).save(path, quiet);
      assert.match(saved.message, /^Saved \d+ config messages to /);
      const second = new KeeperRig();
      const loaded = await new StateFiles(second.keeper).load(path, quiet);
      assert.equal(loaded.status, ResponseStatus.OK, loaded.message);
      const { mirror } = first.state;
      assert.deepEqual([second.state.mirror.hashLow, second.state.mirror.hashHigh], [mirror.hashLow, mirror.hashHigh]);
      assert.ok(first.inStep && second.inStep);
      const bytes = readFileSync(path);
      await new StateFiles(second.keeper).save(path, quiet);
      assert.deepEqual(readFileSync(path), bytes);
    }),
    { numRuns: 60 },
  );
});

test("a save replaces the file as a whole, keeps its mode but nothing for others, and leaves nothing beside it", async () => {
  const own = join(folder, "whole");
  mkdirSync(own);
  const path = join(own, "state.json");
  writeFileSync(path, "old");
  chmodSync(path, 0o644);
  // Left by a main that was killed while it wrote: its pid is that of nobody.
  writeFileSync(join(own, ".state.json.4194305.tmp"), "half");
  const written = await writeStateFile(path, [addCluster("a"), addCluster("b")]);
  assert.deepEqual(written, { problem: null, records: 2 });
  assert.equal(statSync(path).mode & 0o777, 0o640);
  assert.deepEqual(readdirSync(own), ["state.json"]);
  const link = join(own, "link");
  symlinkSync("state.json", link);
  await writeStateFile(link, []);
  assert.equal(readlinkSync(link), "state.json");
  assert.equal(readFileSync(path, "utf8"), "");
});

test("CP-19 what cannot be written is said, and the old file stays", async () => {
  const state = [addCluster("a")];
  const missing = await writeStateFile(join(folder, "no", "state.json"), state);
  assert.match(missing.problem ?? "", /there is no such file or folder/);
  assert.match((await writeStateFile(folder, state)).problem ?? "", /it exists and is not a file/);
  const device = await writeStateFile("/dev/null", state);
  assert.match(device.problem ?? "", /it exists and is not a file/);
  assert.ok(statSync("/dev/null").isCharacterDevice());
  const full = await writeStateFile(`/proc/self/${"x".repeat(5)}`, state);
  assert.notEqual(full.problem, null);
});

test("what cannot be read is said: absent, a folder, a FIFO, too large", async () => {
  const fifo = join(folder, "fifo");
  execFileSync("mkfifo", [fifo]);
  const large = join(folder, "large.json");
  writeFileSync(large, "");
  truncateSync(large, STATE_FILE_BYTES_MAX + 1);
  const reason = async (path: string): Promise<string> => {
    const read = await readStateFile(path, everything);
    return read.problem === null ? "" : `${read.problem}: ${read.reason}`;
  };
  assert.match(await reason(join(folder, "absent")), /^absent/);
  assert.match(await reason(folder), /^unreadable: .* is not a file/);
  assert.match(await reason(fifo), /^unreadable: .* is not a file/);
  assert.match(await reason(large), /^unreadable: .* bytes, at most/);
  rmSync(large);
  const { keeper } = new KeeperRig();
  const absent = await new StateFiles(keeper).load(join(folder, "absent"), quiet);
  assert.equal(absent.message, `Cannot find file at path ${join(folder, "absent")}`);
});

test("a load is one change, each record once per worker", async () => {
  const many = Array.from({ length: 1000 }, (_, i) => addCluster(`c${i}`));
  const { rig, ok, message, path } = await load(records(...many));
  assert.ok(ok, message);
  assert.equal(message, `Successfully loaded state from path ${path}, 2000 ok messages, 0 errors`);
  assert.equal(rig.sent, 1);
  assert.ok(rig.inStep);
  const again = await load(records(...many), rig);
  assert.match(again.message, /, 0 ok messages, 0 errors$/);
});

test("decisions 4: records of an older writer load", async () => {
  const old = [
    '{"id":"P-1","content":{"request_type":{"ADD_CLUSTER":{"cluster_id":"app-1","sticky_session":false,"https_redirect":false,"proxy_protocol":null,"load_balancing":0,"answer_503":null,"load_metric":0}}}}',
    '{"id":"P-2","content":{"request_type":{"ADD_HTTP_FRONTEND":{"cluster_id":"app-1","address":{"ip":{"inner":{"V4":2130706433}},"port":80},"hostname":"example.com","path":{"kind":0,"value":"/"},"method":null,"position":2,"tags":{}}}}}',
    '{"id":"P-3","content":{"request_type":{"ADD_BACKEND":{"cluster_id":"app-1","backend_id":"b0","address":{"ip":{"inner":{"V4":2130706433}},"port":8080},"sticky_id":null,"load_balancing_parameters":null,"backup":null}}}}',
  ];
  const { rig, ok, message } = await load(old.map((record) => `${record}\n\0`).join(""));
  assert.ok(ok, message);
  assert.deepEqual([rig.state.clusters.size, rig.state.httpFrontends.size, rig.state.backends.size], [1, 1, 1]);
});

test("decisions 11: equal objects are fine, upserts change, the rest is kept and reported", async () => {
  const rig = new KeeperRig();
  const before = [addListener("127.0.0.1:80"), addCluster("a"), addFrontend("x.test", "/", { clusterId: "a" })];
  for (const request of before) assert.ok(rig.state.apply(request, "file").ok);
  const { ok, message } = await load(
    records(
      addListener("127.0.0.1:80", { frontTimeout: 1 }),
      addCluster("a", { loadBalancing: 1 }),
      addFrontend("x.test", "/", { clusterId: "b" }),
      addFrontend("y.test"),
      onListener("removeListener", "127.0.0.1:99"),
    ),
    rig,
  );
  assert.ok(ok, message);
  assert.match(
    message,
    /kept as they are, though the file differs: HttpListener 127\.0\.0\.1:80, HttpFrontend 0\.0\.0\.0:8080;x\.test;P\//,
  );
  assert.match(message, /skipped: record 5: dispatching this request/);
  assert.equal(rig.state.clusters.get("a")?.object.loadBalancing, 1);
  assert.equal(rig.state.clusters.get("a")?.origin, "saved_state");
  assert.equal(rig.state.httpListeners.get("127.0.0.1:80")?.object.frontTimeout, 60);
});

test("CP-17 a broken or invalid record refuses the load with its number, and nothing is applied", async () => {
  const good = encodeRecord(addCluster("a"), 0);
  const cases: [string, RegExp][] = [
    [`${good}{"id":"x"`, /record 2 \(line 3\)|record 2 \(line 2\)/],
    [`${good}${good.replace("ADD_CLUSTER", "ADD_GALAXY")}`, /record 2 .*unknown variant "ADD_GALAXY"/],
    [`${good}${encodeRecord(addCluster("a\r\nb"), 1)}`, /record 2 .*cluster_id.*control character/],
    [`${good}${encodeRecord(addCluster("x".repeat(10_000)), 1)}`, /record 2 .*longer than/],
    [`${good}${encodeRecord(addFrontend("a b"), 1)}`, /record 2 .*hostname/],
    [`${good}{"id":"S","content":{"request_type":{"STATUS":{}}}}\n\0`, /record 2 .*does not change the state/],
    [`${good}\xff\xfe\n\0`, /record 2/],
    [`${good}${"[".repeat(100_000)}\n\0`, /record 2/],
    ["\0\0garbage\0\0", /record 1/],
  ];
  for (const [text, expected] of cases) {
    const { rig, ok, message } = await load(text);
    assert.equal(ok, false);
    assert.match(message, expected);
    assert.match(message, /^Error consuming load state message: .*; nothing was applied$/s);
    assert.equal(rig.state.revision, 0);
    assert.equal(rig.sent, 0);
  }
});

test("CRLF between records and an empty file are no mistakes", async () => {
  const text = records(addCluster("a"), addCluster("b")).replaceAll("\n\0", "\r\n\0\r\n");
  const { rig, ok, message } = await load(text);
  assert.ok(ok, message);
  assert.equal(rig.state.clusters.size, 2);
  assert.ok((await load("")).ok);
});

test("a port in use refuses the whole load and leaves no socket open", async () => {
  const rig = new KeeperRig();
  rig.sockets.taken.add("127.0.0.1:82");
  const ports = ["127.0.0.1:81", "127.0.0.1:82"];
  const requests = ports.flatMap((at) => [addListener(at), onListener("activateListener", at)]);
  const { ok, message } = await load(records(addCluster("a"), ...requests), rig);
  assert.equal(ok, false);
  assert.match(message, /record 5 .*another process uses this port; nothing was applied/);
  assert.equal(rig.state.revision, 0);
  assert.equal(rig.sockets.open_.size, 0);
});

test("decisions 12: a load of which every worker refuses a part is taken back as a whole", async () => {
  const rig = new KeeperRig();
  rig.refuse = (change) => (change.kind === "add_backend" ? "no room" : null);
  const { ok, message } = await load(records(addCluster("a"), addBackend("a", "b")), rig);
  assert.equal(ok, false);
  assert.match(message, /^0: no room, 1: no room; nothing was applied$/);
  assert.equal(rig.state.backends.size + rig.state.clusters.size, 0);
  assert.ok(rig.inStep);
});

test("a frontend before its listener, in a file of its own or left over, waits for it", async () => {
  const rig = new KeeperRig();
  const { ok, message } = await load(records(addFrontend("x.test"), addListener("0.0.0.0:8080")), rig);
  assert.ok(ok, message);
  assert.deepEqual(
    rig.applied,
    [..."ab"].flatMap(() => ["add_http_listener", "add_http_frontend"]),
  );
  assert.ok(rig.inStep);
  const alone = await rig.keeper.apply(addFrontend("x.test", "/", { address: undefined }), "socket", quiet);
  assert.equal(alone.status, ResponseStatus.FAILURE);
});

test("a state is the same for a fresh state and for one that lived through a listener's removal", async () => {
  const rig = new KeeperRig();
  const at = "0.0.0.0:8080";
  for (const request of [addListener(at), addFrontend("x.test"), onListener("removeListener", at), addListener(at)]) {
    assert.equal((await rig.keeper.apply(request, "socket", quiet)).status, ResponseStatus.OK);
  }
  const fresh = new ConfigState();
  for (const request of rig.state.toRequests()) fresh.apply(request, "socket");
  assert.deepEqual(
    [fresh.mirror.hashLow, fresh.mirror.hashHigh],
    [rig.state.mirror.hashLow, rig.state.mirror.hashHigh],
  );
  assert.ok(rig.inStep);
});
