// Targets against the real file system: appending, rotation, failures. Each test has a folder of its own.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { BatchSink } from "../../src/observe/sink.ts";
import { openTarget } from "../../src/observe/target.ts";

function inFolder(run: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "sozu-log-"));
    try {
      await run(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}

function put(sink: BatchSink, line: string): void {
  const bytes = new TextEncoder().encode(line);
  sink.append(bytes, 0, bytes.length);
}

function drained(sink: BatchSink): Promise<void> {
  return new Promise((resolve) => sink.drain(resolve));
}

test(
  "lines are appended to what the file holds, with mode 0640",
  inFolder(async (folder) => {
    const path = join(folder, "a.log");
    for (const line of ["one\n", "two\n"]) {
      const sink = new BatchSink(openTarget(`file://${path}`));
      put(sink, line);
      await drained(sink);
      sink.close();
    }
    assert.equal(readFileSync(path, "utf8"), "one\ntwo\n");
    assert.equal(statSync(path).mode & 0o137, 0);
  }),
);

test(
  "two sinks on one file do not cut each other's lines",
  inFolder(async (folder) => {
    const path = join(folder, "a.log");
    const sinks = [new BatchSink(openTarget(`file://${path}`)), new BatchSink(openTarget(`file://${path}`))];
    for (let i = 0; i < 2000; i++) put(sinks[i & 1], `${i & 1}${"x".repeat(i % 90)}\n`);
    await Promise.all(sinks.map(drained));
    const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
    assert.equal(lines.length, 2000);
    assert.ok(lines.every((line) => /^[01]x*$/.test(line)));
    for (const sink of sinks) sink.close();
  }),
);

test(
  "reopen after a rename writes to a new file",
  inFolder(async (folder) => {
    const path = join(folder, "a.log");
    const sink = new BatchSink(openTarget(`file://${path}`));
    put(sink, "before\n");
    await drained(sink);
    renameSync(path, `${path}.1`);
    await new Promise<void>((resolve) => {
      const wait = (): void => {
        try {
          statSync(path);
          resolve();
        } catch {
          setImmediate(wait);
        }
      };
      sink.reopen();
      wait();
    });
    // The file exists a moment before the sink uses it: the next event loop turn does.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    put(sink, "after\n");
    await drained(sink);
    const text = readFileSync(path, "utf8") + readFileSync(`${path}.1`, "utf8");
    assert.match(text, /before\n/);
    assert.match(text, /after\n/);
    sink.close();
  }),
);

test(
  "a reopen that fails keeps the old file",
  inFolder(async (folder) => {
    const path = join(folder, "sub.log");
    const target = openTarget(`file://${path}`);
    const sink = new BatchSink(target);
    rmSync(folder, { recursive: true });
    const error = await new Promise((resolve) => target.reopen(resolve));
    assert.equal(error, "ENOENT");
    put(sink, "still accepted\n");
    await drained(sink);
    assert.equal(sink.unsent, 0);
    sink.close();
  }),
);

test("a full device costs lines, not the process", async () => {
  const sink = new BatchSink(openTarget("file:///dev/full"));
  const troubles: string[] = [];
  sink.onTrouble = (message) => troubles.push(message);
  for (let i = 0; i < 3; i++) {
    put(sink, "a\n");
    await drained(sink);
  }
  assert.equal(sink.unsent, 3);
  assert.deepEqual(troubles, ["log target file:///dev/full: cannot write: ENOSPC"]);
  sink.close();
});

const BLOCKED = `
  import { BatchSink } from "./src/observe/sink.ts";
  import { openTarget } from "./src/observe/target.ts";
  const sink = new BatchSink(openTarget("stdout"));
  const line = new Uint8Array(1000).fill(120);
  line[999] = 10;
  for (let i = 0; i < 1000; i++) sink.append(line, 0, 1000);
  sink.drain(() => process.exit(7));
  setInterval(() => {
    sink.tick();
    sink.flushSync();
    process.stderr.write(String(sink.dropped > 0));
    process.exit(3);
  }, 200);
`;

test(
  "a pipe or socket that nobody reads does not keep the process from ending",
  inFolder(async (folder) => {
    const path = join(folder, "fifo");
    execFileSync("mkfifo", [path]);
    const fifo = openSync(path, constants.O_RDWR);
    // "pipe" is a socket pair in Node; nothing reads it until the process has ended.
    for (const stdout of ["pipe", fifo] as const) {
      const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", BLOCKED], {
        cwd: new URL("../..", import.meta.url),
        stdio: ["ignore", stdout, "pipe"],
      });
      const said: Buffer[] = [];
      child.stderr?.on("data", (data) => said.push(data));
      const [code] = await once(child, "exit");
      assert.equal(code, 3);
      assert.match(Buffer.concat(said).toString(), /true$/);
      child.stdout?.destroy();
    }
    closeSync(fifo);
  }),
);

test(
  "a FIFO without a reader is an error, not a start that never ends",
  inFolder(async (folder) => {
    const path = join(folder, "fifo");
    execFileSync("mkfifo", [path]);
    assert.throws(() => openTarget(`file://${path}`), /ENXIO/);
  }),
);

test("a file that cannot be opened at start is an error with the target and the cause", () => {
  assert.throws(() => openTarget("file:///nonexistent/folder/a.log"), /"file:\/\/\/nonexistent.*ENOENT/);
  assert.throws(() => openTarget("nonsense"), /log target "nonsense": expected "stdout"/);
});
