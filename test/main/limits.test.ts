import assert from "node:assert/strict";
import { test } from "node:test";
import { raiseOpenFiles } from "../../src/main/limits.ts";

/** A system with these limits; what is set is remembered. */
function system(soft: number, hard: number, fileMax = 1_000_000, stubborn = false) {
  const state = { soft, set: [] as number[] };
  return {
    state,
    get: () => ({ soft: state.soft, hard }),
    setSoft: (value: number) => {
      state.set.push(value);
      if (!stubborn) state.soft = value;
      return stubborn ? -1 : 0;
    },
    fileMax: () => fileMax,
  };
}

test("nothing is touched when the soft limit is high enough", () => {
  const machine = system(20_000, 20_000);
  assert.equal(raiseOpenFiles(10_000, machine), null);
  assert.deepEqual(machine.state.set, []);
});

test("the soft limit is raised to twice the need, at most to the hard limit", () => {
  const roomy = system(1024, 1_048_576);
  assert.equal(raiseOpenFiles(10_000, roomy), null);
  assert.deepEqual(roomy.state.set, [40_000]);
  const tight = system(1024, 20_000);
  assert.equal(raiseOpenFiles(10_000, tight), null);
  assert.deepEqual(tight.state.set, [20_000]);
});

test("what the system does not allow is refused with the limit that stands in the way", () => {
  assert.match(raiseOpenFiles(10_000, system(1024, 4096)) ?? "", /20000 open files, the hard limit is 4096/);
  assert.match(raiseOpenFiles(10_000, system(1024, 65_536, 5000)) ?? "", /fs.file-max of this machine is 5000/);
  assert.match(raiseOpenFiles(10_000, system(1024, 65_536, 100_000, true)) ?? "", /cannot be raised/);
});
