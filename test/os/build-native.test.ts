// The build script says what is missing, and how to get it, instead of failing somewhere inside a compiler.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "./descriptors.ts";

const script = fileURLToPath(new URL("../../scripts/build-native.sh", import.meta.url));
const NODE_PACKAGE = `node-linux-${process.arch}`;

/** A checkout with a source file, and a PATH that holds the given tools only. */
function checkout(
  tools: readonly string[],
  withNode: boolean,
): { run: () => ReturnType<typeof spawnSync>; root: string } {
  const root = temporaryFolder();
  for (const folder of ["scripts", "native/build/Release", "bin", `node_modules`]) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  if (withNode) mkdirSync(join(root, "node_modules", NODE_PACKAGE, "include", "node"), { recursive: true });
  copyFileSync(script, join(root, "scripts", "build-native.sh"));
  writeFileSync(join(root, "native", "addon.c"), "");
  for (const tool of tools) {
    const path = execFileSync("/bin/sh", ["-c", `command -v ${tool}`], { encoding: "utf8" }).trim();
    symlinkSync(path, join(root, "bin", tool));
  }
  const env = { PATH: join(root, "bin") };
  const run = () => spawnSync("/bin/sh", [join(root, "scripts", "build-native.sh")], { env, encoding: "utf8" });
  return { run, root };
}

const TOOLS = ["dirname", "find", "head", "uname"];

test("without a compiler it prints the one line that installs it", () => {
  const { status, stderr } = checkout(TOOLS, true).run();
  assert.equal(status, 1);
  assert.match(String(stderr), /Run: apt-get install -y build-essential python3\n$/);
});

test("without the pinned Node it says how to get it", () => {
  const { status, stderr } = checkout(TOOLS, false).run();
  assert.equal(status, 1);
  assert.match(String(stderr), /The pinned Node is missing \(node-linux-\w+\)\. Run: npm ci\n$/);
});

test("an addon that is newer than its sources needs neither", () => {
  const { run, root } = checkout(TOOLS, false);
  const addon = join(root, "native", "build", "Release", "sozu_native.node");
  writeFileSync(addon, "");
  utimesSync(addon, new Date(), new Date(Date.now() + 10_000));
  const { status, stdout, stderr } = run();
  assert.deepEqual([status, stdout, stderr], [0, "", ""]);
});
