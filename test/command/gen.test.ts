// The committed code of the protocol is what the schema generates.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { generateProto } from "../../scripts/gen.ts";

test("src/command/gen is up to date with sozu.proto", () => {
  const folder = mkdtempSync(join(tmpdir(), "sozu-test-gen-"));
  try {
    generateProto(folder);
    const fresh = readFileSync(join(folder, "sozu_pb.ts"), "utf8");
    const committed = readFileSync(join(import.meta.dirname, "../../src/command/gen/sozu_pb.ts"), "utf8");
    assert.ok(fresh === committed, "run `npm run gen` and commit the result");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
