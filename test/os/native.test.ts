// Loading the addon: where it is looked for, and what people read when it is not there.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { describeErrno, errnoName } from "../../src/os/errno.ts";
import { temporaryFolder } from "./descriptors.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

function copyOf(folder: string): string {
  const target = join(folder, "js", "os", "native.ts");
  mkdirSync(join(folder, "js", "os"), { recursive: true });
  copyFileSync(join(root, "src", "os", "native.ts"), target);
  return target;
}

test("a missing addon is explained with the next step", () => {
  const script = copyOf(temporaryFolder());
  const { stderr, status } = spawnSync(process.execPath, [script], { encoding: "utf8", env: {} });
  assert.notEqual(status, 0);
  assert.match(stderr, /is not built\. Run \.\/sozu .*apt-get install -y build-essential python3/);
});

for (const place of ["js/native", "native"]) {
  test(`a release keeps the addon in ${place}`, () => {
    const folder = temporaryFolder();
    const script = copyOf(folder);
    mkdirSync(join(folder, place), { recursive: true });
    const addon = process.env["SOZU_NATIVE"] ?? join(root, "native/build/Release/sozu_native.node");
    copyFileSync(addon, join(folder, place, "sozu_native.node"));
    const env = { ...process.env, SOZU_NATIVE: "" };
    const code = `const { native } = await import(${JSON.stringify(script)}); console.log(typeof native.recv)`;
    const output = execFileSync(process.execPath, ["--input-type=module", "-e", code], { env, encoding: "utf8" });
    assert.equal(output, "function\n");
  });
}

test("other systems are refused in words", () => {
  const script = copyOf(temporaryFolder());
  const code = `
    Object.defineProperty(process, "platform", { value: "darwin" });
    await import(${JSON.stringify(script)}).catch((error) => console.log(error.message));`;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
  assert.match(output, /^sozu runs on Linux x64 and arm64 only; this is darwin /);
});

test("error numbers have names and meanings, with either sign", () => {
  assert.equal(errnoName(104), "ECONNRESET");
  assert.equal(errnoName(-11), "EAGAIN");
  assert.equal(errnoName(9999), "errno 9999");
  assert.equal(describeErrno(-98), "address already in use (EADDRINUSE)");
  assert.equal(describeErrno(9999), "errno 9999");
});
