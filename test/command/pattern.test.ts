// What is refused as a regular expression, with the reason and the character, and how host patterns are read.

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { foldHostPattern, literalLabels, parseHostPattern } from "../../src/command/host-pattern.ts";
import { compilePattern } from "../../src/command/pattern.ts";
import { normalizeHost } from "../../src/command/text.ts";

function reason(source: string): string | null {
  const result = compilePattern(source);
  return "reason" in result ? result.reason : null;
}

test("what RE2 does not have is refused by its name and place", () => {
  const cases: [string, string][] = [
    ["(?=a)", 'look-around cannot be used, as in RE2: "(?=" at character 1'],
    ["x(?!a)", 'look-around cannot be used, as in RE2: "(?!" at character 2'],
    ["x(?<=a)b", 'look-around cannot be used, as in RE2: "(?<=" at character 2'],
    ["(?<!a)b", 'look-around cannot be used, as in RE2: "(?<!" at character 1'],
    ["(a)\\1", 'a back-reference cannot be used, as in RE2: "\\1" at character 4'],
    ["(?P<n>a)(?P=n)", 'a back-reference cannot be used, as in RE2: "(?P=" at character 9'],
    ["(?<n>a)\\k<n>", 'a back-reference cannot be used, as in RE2: "\\k<" at character 8'],
    ["(?>a)", 'an atomic group cannot be used, as in RE2: "(?>" at character 1'],
  ];
  for (const [source, expected] of cases) assert.equal(reason(source), expected);
  for (const fine of [
    "\\\\1",
    "\\Q(?=\\E",
    "[(?=]",
    "(?i)a",
    "(?:a|b)",
    "(?P<n>a)",
    "(?<n>a)",
    "\\(?",
    "[]]",
    "[^]a]b",
  ]) {
    assert.equal(reason(fine), null, fine);
  }
});

test("a mistake is named with its place", () => {
  const cases: [string, RegExp][] = [
    ["a(b)(c", /missing closing \) for "\(" at character 5$/],
    ["[)]a(", /"\(" at character 5$/],
    ["(a))", /unexpected \) at character 4$/],
    ["ab[a", /missing closing \]: "\[a" at character 3$/],
    ["[z-a]", /invalid character class range: "z-a" at character 2$/],
    ["[x{1001}]x{1001}", /invalid repeat count: "\{1001\}" at character 11$/],
    ["a|*", /missing argument to repetition operator: "\*" at character 3$/],
    ["a\\", /trailing backslash at end of expression at character 2$/],
    ["(?P<n>a)(?P<n>b)", /duplicate capture group name: "n" at character 13$/],
  ];
  for (const [source, expected] of cases) assert.match(reason(source) ?? "", expected);
});

test("length and compiled size are bounded, and bombs are refused quickly", () => {
  assert.match(reason("a".repeat(1001)) ?? "", /longer than 1000 characters/);
  assert.match(reason("[a-z]{1000}") ?? "", /it compiles to 1002 steps, of at most 1000/);
  for (const bomb of [
    "((a{10}){10}){10}".repeat(58),
    "\\pL{1000}".repeat(111),
    "(x{100}){100}",
    `${"(".repeat(999)}`,
  ]) {
    assert.notEqual(reason(bomb), null);
  }
  assert.equal(reason("a".repeat(900)), null);
});

test("property: no text makes the compiler throw, and each refusal has a reason", () => {
  const piece = fc.constantFrom(
    ..."ab()[]{}|*+?.^$\\-:<>=!PQEk1,0",
    "(?",
    "[^",
    "\\Q",
    "{2,",
    "(?P<",
    "[[:alpha:]]",
    "é",
  );
  const source = fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join(""));
  fc.assert(
    fc.property(source, (text) => {
      const found = reason(text);
      assert.ok(found === null || found.length > 0);
      const host = parseHostPattern(`/${text}/.test`);
      assert.ok("reason" in host || host.labels.length > 1);
    }),
    { numRuns: 2000 },
  );
});

test("literal parts of hosts are folded, expressions keep their case", () => {
  assert.equal(foldHostPattern("/\\D+/.Example.COM."), "/\\D+/.example.com");
  assert.equal(foldHostPattern("A-/[A-Z]./"), "a-/[A-Z]./");
  assert.equal(literalLabels("/a.b/.c.d-/e/.f"), 2);
  assert.deepEqual(normalizeHost("//.test"), { reason: "a regular expression between two slashes is empty" });
  assert.deepEqual(normalizeHost("/a/.té.test"), {
    reason: '"té" has other characters than a-z 0-9 - _ outside of its regular expressions',
  });
  const host = normalizeHost("CDN/[0-9]+/.Example.com.");
  assert.ok("host" in host);
  assert.equal(host.host, "cdn/[0-9]+/.example.com");
});

test("an expression cannot close the group it is put into", () => {
  assert.ok("reason" in parseHostPattern("a/b)|(?:c/.test"));
});
