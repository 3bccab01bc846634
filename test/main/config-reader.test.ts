// A large file is read by a thread and says the same as when it is read at once.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { diff } from "../../src/command/diff.ts";
import { readConfig } from "../../src/main/config-reader.ts";

const folder = mkdtempSync(join(tmpdir(), "sozu-reader-"));
test.after(() => rmSync(folder, { recursive: true }));
const path = join(folder, "config.toml");
const task = { path, unknownKeys: "error" } as const;

test("a thread reads the same as main would", async () => {
  const clusters = Array.from(
    { length: 500 },
    (_, index) => `[clusters.c${index}]
protocol = "http"
frontends = [{ address = "127.0.0.1:8080", hostname = "h${index}.test" }]
backends = [{ address = "127.0.0.1:1026" }]`,
  );
  writeFileSync(path, `worker_count = 3\n${clusters.join("\n")}\n`);
  const here = await readConfig(task, Number.POSITIVE_INFINITY);
  const there = await readConfig(task, 0);
  assert.ok(here.ok && there.ok);
  assert.deepEqual(there.settings, here.settings);
  assert.deepEqual(there.state.hash(), here.state.hash());
  assert.equal(there.state.clusters.size, 500);
  assert.deepEqual(diff(here.state, there.state).changes, []);
});

test("a broken file comes back with every problem, whoever read it", async () => {
  writeFileSync(path, `nonsense = 1\n[clusters.a]\nprotocol = "htp"\n`);
  const here = await readConfig(task, Number.POSITIVE_INFINITY);
  const there = await readConfig(task, 0);
  assert.ok(!here.ok && !there.ok);
  assert.equal(there.text, here.text);
  assert.match(there.text, /nonsense[\s\S]*htp/);
  rmSync(path);
  const absent = await readConfig(task, 0);
  assert.ok(!absent.ok);
  assert.match(absent.text, /there is no such file/);
});
