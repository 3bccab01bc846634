// The completion scripts know every verb and flag of this version; the one for bash is run, the others are read.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { completionScript, SHELLS } from "../../src/cli/completions.ts";
import { buildProgram } from "../../src/cli/program.ts";

const program = buildProgram();
const bash = completionScript(program, "bash");

/** What bash proposes for the last of these words. */
function complete(...words: string[]): string[] {
  const list = words.map((word) => `'${word}'`).join(" ");
  const script = `${bash}\nCOMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _sozu; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync("bash", ["--norc", "-c", script], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout.split("\n").filter((line) => line !== "");
}

test("bash: verbs, verbs below them, flags and the words of flags", () => {
  assert.deepEqual(complete("sozu", "stat"), ["status", "state"]);
  assert.deepEqual(complete("sozu", "cluster", "health-check", "s"), ["set", "status"]);
  assert.deepEqual(complete("sozu", "-c", "x.toml", "cluster", "add", "--load"), ["--load-balancing-policy"]);
  assert.deepEqual(complete("sozu", "backend", "add", "--backup", ""), ["true", "false"]);
  assert.ok(complete("sozu", "status", "--j").includes("--json"));
  assert.deepEqual(complete("sozu", "nonsense", "--nothing"), []);
});

test("every visible verb and flag is in every script", () => {
  for (const shell of SHELLS) {
    const script = completionScript(program, shell);
    for (const word of [
      "health-check",
      "load-balancing-policy",
      "config",
      "schema",
      "completions",
      "trusted-proxies",
    ]) {
      assert.ok(script.includes(word), `${shell} ${word}`);
    }
    assert.ok(!script.includes("with-parent"), "hidden flags stay hidden");
  }
});
