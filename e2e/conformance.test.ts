// H1-62: the public vector sets, through a live proxy. No set may fail a case that conformance/known-failures.json does not
// explain; the bar of Http11Probe is checked by the runner.

import assert from "node:assert/strict";
import { test } from "node:test";
import { vectorsExist } from "../conformance/lib/vectors.ts";
import { describeScore, runConformance } from "../conformance/run.ts";

test("H1-62 vector sets pass but for the listed differences", {
  skip: !vectorsExist() && "no vectors here",
}, async (t) => {
  const scores = await runConformance(t);
  for (const score of scores) assert.deepEqual(score.problems, [], describeScore(score));
  assert.equal(scores.find((score) => score.name === "http11probe")?.total, 161);
});
