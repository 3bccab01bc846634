// A large file is read by a thread and says the same as when it is read at once.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ObjectIndex, type Tables } from "../../src/command/object-index.ts";
import { readConfig } from "../../src/main/config-reader.ts";

const folder = mkdtempSync(join(tmpdir(), "sozu-reader-"));
test.after(() => rmSync(folder, { recursive: true }));
const path = join(folder, "config.toml");
const task = { path, unknownKeys: "error" } as const;

const none = Promise.resolve(new ObjectIndex(0));

/** Every object of the tables. */
function objects(tables: Tables): string {
  return tables
    .flatMap((table) => [...table.entries()].map(([key, { object }]) => `${key} ${JSON.stringify(object)}`))
    .join("\n");
}

function toml(clusters: number, edit: (text: string) => string = (text) => text): string {
  const parts = Array.from(
    { length: clusters },
    (_, index) => `[clusters.c${index}]
protocol = "http"
frontends = [{ address = "127.0.0.1:8080", hostname = "h${index}.test" }]
backends = [{ address = "127.0.0.1:1026" }]`,
  );
  return edit(`worker_count = 3\n${parts.join("\n")}\n`);
}

test("a thread reads the same as main would, and hands over only what differs", async () => {
  writeFileSync(path, toml(500));
  const here = await readConfig(task, none, Number.POSITIVE_INFINITY);
  const there = await readConfig(task, none, 0);
  assert.ok(here.ok && there.ok);
  assert.deepEqual(there.settings, here.settings);
  assert.equal(objects(there.changed), objects(here.changed));
  // A listener and three objects for each cluster.
  assert.equal(objects(there.changed).split("\n").length, 1501);
  assert.deepEqual([there.gone.size, there.index.size], [0, 1501]);
  writeFileSync(
    path,
    toml(499, (text) =>
      text.replace("h7.test", "other.test").replace("[clusters.c9]", "[clusters.c9]\nsticky_session = true"),
    ),
  );
  for (const smallBytesMax of [0, Number.POSITIVE_INFINITY]) {
    const next = await readConfig(task, Promise.resolve(there.index), smallBytesMax);
    assert.ok(next.ok);
    const changed = objects(next.changed).split("\n");
    assert.equal(changed.length, 2);
    assert.match(changed.join(), /c9 .*"stickySession":true.*other\.test/);
    // h7.test, and the three of the last cluster.
    assert.deepEqual([next.gone.size, next.index.size], [4, 1498]);
  }
});

test("a broken file comes back with every problem, whoever read it", async () => {
  writeFileSync(path, `nonsense = 1\n[clusters.a]\nprotocol = "htp"\n`);
  const here = await readConfig(task, none, Number.POSITIVE_INFINITY);
  const there = await readConfig(task, none, 0);
  assert.ok(!here.ok && !there.ok);
  assert.equal(there.text, here.text);
  assert.match(there.text, /nonsense[\s\S]*htp/);
  rmSync(path);
  const absent = await readConfig(task, none, 0);
  assert.ok(!absent.ok);
  assert.match(absent.text, /there is no such file/);
});
