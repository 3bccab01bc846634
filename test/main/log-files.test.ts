// Log files that main opens for its workers.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LogFiles } from "../../src/main/log-files.ts";

const folder = mkdtempSync(join(tmpdir(), "sozu-log-files-"));
test.after(() => rmSync(folder, { recursive: true }));

test("each file is opened once, and anew where it was moved away; a failure keeps the old ones", () => {
  const [log, access] = [join(folder, "log"), join(folder, "access")];
  const files = new LogFiles([`file://${log}`, `file://${access}`, `file://${log}`, "stdout", "off", null]);
  assert.deepEqual(files.targets, [`file://${log}`, `file://${access}`]);
  assert.equal(files.fds.length, 2);
  renameSync(log, `${log}.1`);
  assert.equal(files.reopen(), null);
  writeSync(files.fds[0] as number, "new");
  assert.equal(readFileSync(log, "utf8"), "new");
  assert.equal(readFileSync(`${log}.1`, "utf8"), "");
  rmSync(access);
  mkdirSync(access);
  const before = [...files.fds];
  assert.match(files.reopen() ?? "", /access" cannot be opened: EISDIR/);
  assert.deepEqual(files.fds, before);
  assert.throws(() => new LogFiles([`file://${folder}/none/x`]), /cannot be opened: ENOENT/);
  files.close();
  assert.ok(existsSync(log));
});
