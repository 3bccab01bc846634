import assert from "node:assert/strict";
import { test } from "node:test";
import { CASES } from "../../bench/lib/cases.ts";
import { type Results, render } from "../../bench/lib/report.ts";

const NOTHING: Results = {
  date: "2026-01-01",
  command: "npm run bench",
  versions: { Node: "26" },
  rounds: 5,
  seconds: 3,
  cases: [],
  samples: [],
  userInstructions: null,
  tlsInstructions: null,
  features: null,
  idleMemory: null,
  idleTlsMemory: null,
  growth: null,
  hosts: null,
  certificates: null,
};

test("without cases a report has no table of them, and says nothing about rounds", () => {
  const growth = [{ after: "1,000 requests", rss: 2 ** 20, descriptors: 9 }];
  const text = render({ ...NOTHING, growth });
  assert.match(text, /Growth of Sozu's worker[\s\S]*1,000 requests/);
  assert.doesNotMatch(text, /\| case|rounds|Not equal/);
});

test("with cases it has the table, and what is not equal", () => {
  assert.match(render({ ...NOTHING, cases: CASES }), /5 alternating rounds of 3 s[\s\S]*\| case[\s\S]*Not equal/);
});
