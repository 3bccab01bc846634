import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { findOrphans } from "../../src/main/orphans.ts";

test("workers of the same command socket are found by their command line, others are not", (t) => {
  const proc = mkdtempSync(join(tmpdir(), "sozu-proc-"));
  t.after(() => rmSync(proc, { recursive: true }));
  const add = (pid: string, ...args: string[]): void => {
    mkdirSync(join(proc, pid));
    writeFileSync(join(proc, pid, "cmdline"), `${args.join("\0")}\0`);
  };
  add("30", "node", "main.js", "--worker=1", "--command-socket=/run/a.sock");
  add("4", "node", "main.js", "--worker=0", "--command-socket=/run/a.sock");
  add("5", "node", "main.js", "--worker=0", "--command-socket=/run/b.sock");
  add("6", "vi", "--command-socket=/run/a.sock");
  mkdirSync(join(proc, "7"));
  mkdirSync(join(proc, "self"));
  assert.deepEqual(findOrphans("/run/a.sock", proc), [4, 30]);
});
