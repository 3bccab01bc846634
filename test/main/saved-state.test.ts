import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { decodeRecords, encodeRecord } from "../../src/command/records.ts";
import { ConfigState } from "../../src/command/state.ts";
import { AutoSave } from "../../src/main/auto-save.ts";
import { applySavedState } from "../../src/main/saved-state.ts";
import type { Logger } from "../../src/observe/logger.ts";
import { addBackend, addCluster, addFrontend, addListener } from "../command/requests.ts";

const folder = mkdtempSync(join(tmpdir(), "sozu-saved-"));
test.after(() => rmSync(folder, { recursive: true }));

/** A logger that keeps its lines as `LEVEL message`. */
function recorder(): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const write = (level: string) => (_module: string, message: string) => void lines.push(`${level} ${message}`);
  const logger = { error: write("ERROR"), warn: write("WARN"), info: write("INFO"), debug: write("DEBUG") };
  return { logger: logger as unknown as Logger, lines };
}

async function start(name: string, text: string, strict = false, state = new ConfigState()) {
  const path = join(folder, name);
  writeFileSync(path, text);
  const { logger, lines } = recorder();
  const problem = await applySavedState({ state, path, strict, logger });
  return { state, lines, problem, path };
}

const good = encodeRecord(addCluster("a"), 0) + encodeRecord(addBackend("a", "b"), 1);

test("a saved state is applied with its origin, and an absent one is no problem", async () => {
  const { state, problem } = await start("good.json", good);
  assert.equal(problem, null);
  assert.equal(state.clusters.get("a")?.origin, "saved_state");
  const { logger, lines } = recorder();
  const absent = await applySavedState({ state, path: join(folder, "absent"), strict: true, logger });
  assert.equal(absent, null);
  assert.match(lines[0], /^INFO .*does not exist yet/);
});

test("CP-17 decisions 11: broken records are kept beside the file, reported, and the rest serves", async () => {
  const broken = '{"id":"x","content":{"request_type":{"ADD_NEWER":{"what":1}}}}';
  const invalid = encodeRecord(addCluster("a\nb"), 7).slice(0, -2);
  const text = `${good}${broken}\n\0${invalid}\n\0${encodeRecord(addCluster("c"), 9)}`;
  const { state, lines, problem, path } = await start("broken.json", text);
  assert.equal(problem, null);
  assert.deepEqual([...state.clusters.entries.keys()].sort(), ["a", "c"]);
  const [kept] = readdirSync(folder).filter((name) => name.startsWith("broken.json.broken-"));
  assert.equal(readFileSync(join(folder, kept), "latin1"), `${broken}\n\0${invalid}\n\0`);
  assert.ok(lines.some((line) => line.startsWith("ERROR") && line.includes(kept)));
  assert.ok(lines.some((line) => /^ERROR .*record 3 .*ADD_NEWER/.test(line)));
  assert.ok(lines.some((line) => /^ERROR .*record 4 .*control character/.test(line)));
  // The same records at the next start make no second file.
  await start("broken.json", text);
  assert.equal(readdirSync(folder).filter((name) => name.startsWith("broken.json.broken-")).length, 1);
  assert.equal(readFileSync(path, "latin1"), text);
});

test("CP-17 truncated anywhere: the whole records before it serve, and nothing is thrown", async () => {
  for (let length = 0; length <= good.length; length += 7) {
    const { state, problem } = await start("cut.json", good.slice(0, length));
    assert.equal(problem, null);
    const whole = decodeRecords(Buffer.from(good.slice(0, length))).requests.length;
    assert.equal(state.clusters.size + state.backends.size, whole);
  }
});

test("a record too large to hold is kept by keeping the whole file", async () => {
  const { problem, state } = await start("huge.json", `${good}"${"x".repeat(1_100_000)}"\n\0`);
  assert.equal(problem, null);
  assert.equal(state.clusters.size, 1);
  assert.ok(readdirSync(folder).includes("huge.json.broken-whole"));
});

test("decisions 11: strict refuses to start and names the records", async () => {
  const { problem } = await start("strict.json", `${good}nonsense\n\0`, true);
  assert.match(problem ?? "", /saved_state: .*strict\.json has 1 broken records: record 3/);
  assert.ok(!readdirSync(folder).some((name) => name.startsWith("strict.json.broken")));
});

test("what the configuration file has, too, is reported where it differs", async () => {
  const state = new ConfigState();
  for (const request of [addListener("127.0.0.1:80"), addCluster("a"), addFrontend("x.test")]) {
    state.apply(request, "file");
  }
  const saved = [
    addListener("127.0.0.1:80", { backTimeout: 1 }),
    addCluster("a", { loadBalancing: 1 }),
    addFrontend("x.test"),
  ];
  const text = saved.map((request, index) => encodeRecord(request, index)).join("");
  const { lines } = await start("both.json", text, false, state);
  const warning = lines.find((line) => line.startsWith("WARN")) ?? "";
  assert.match(warning, /HttpListener 127\.0\.0\.1:80 is as the configuration file has it/);
  assert.match(warning, /Cluster a is as it was saved/);
  assert.doesNotMatch(warning, /x\.test/);
});

test("automatic saves follow changes, do not overlap, and the last one is at the end", async () => {
  const { logger, lines } = recorder();
  let revision = 1;
  let running = 0;
  const saved: number[] = [];
  const save = async (): Promise<string | null> => {
    running += 1;
    assert.equal(running, 1);
    saved.push(revision);
    await new Promise(setImmediate);
    running -= 1;
    return revision === 3 ? "the disk is full" : null;
  };
  const autoSave = new AutoSave({ logger, revision: () => revision, save });
  for (let i = 0; i < 100; i++) autoSave.touch();
  revision = 2;
  await autoSave.finish();
  assert.deepEqual(saved, [2]);
  const again = new AutoSave({ logger, revision: () => revision, save });
  revision = 3;
  await again.finish();
  assert.deepEqual(saved, [2, 3]);
  assert.ok(lines.some((line) => line.startsWith("ERROR") && line.includes("the disk is full")));
  again.touch();
  assert.deepEqual(saved, [2, 3]);
});
