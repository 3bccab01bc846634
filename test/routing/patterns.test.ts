// Regular expressions of paths and hosts through the router (decisions 14 to 16, hardening RX-18), and what they cost.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  PATH_EQUALS,
  PATH_PREFIX,
  PATH_REGEX,
  POSITION_POST,
  POSITION_PRE,
  POSITION_TREE,
} from "../../src/command/objects.ts";
import { compilePattern } from "../../src/command/pattern.ts";
import { HostPatterns } from "../../src/routing/host-patterns.ts";
import { PathAutomaton, STATES_MAX } from "../../src/routing/path-automaton.ts";
import { PatternTable, STATES_BYTES_MAX } from "../../src/routing/pattern-table.ts";
import { type RouteRule, Router } from "../../src/routing/router.ts";

function rule(hostname: string, path = "", parts: Partial<RouteRule> = {}): RouteRule {
  return { hostname, path, pathKind: PATH_PREFIX, method: null, position: POSITION_TREE, ...parts };
}

function regex(hostname: string, path: string, parts: Partial<RouteRule> = {}): RouteRule {
  return rule(hostname, path, { pathKind: PATH_REGEX, ...parts });
}

function route<T>(router: Router<T>, host: string, path = "/", method = "GET"): T | null {
  const leaf = router.leafFor(host);
  if (leaf === null) return null;
  const bytes = Buffer.from(`#${method} ${path}?query`, "latin1");
  const pathStart = method.length + 2;
  return leaf.match(bytes, pathStart, pathStart + path.length, 1, 1 + method.length);
}

function routerOf(...rules: RouteRule[]): Router<string> {
  const router = new Router<string>();
  for (const [at, added] of rules.entries()) assert.equal(router.add(added, `r${at}`), null);
  return router;
}

test("decisions 15: a path regex is searched for anywhere in the path, and not in the query", () => {
  const router = routerOf(regex("h", "v[0-9]+"), regex("h", "^/only$"), regex("h", "query"));
  assert.equal(route(router, "h", "/api/v12/x"), "r0");
  assert.equal(route(router, "h", "/v/12"), null);
  assert.equal(route(router, "h", "/only"), "r1");
  assert.equal(route(router, "h", "/only/x"), null);
  assert.equal(route(routerOf(regex("h", "^/$")), "h", ""), "r0", "an empty path is the root");
  assert.equal(route(routerOf(regex("h", "")), "h", "/any"), "r0");
});

test("decisions 14: EQUALS, then REGEX, then PREFIX; among REGEX with a method first, then the bytes of the key", () => {
  const router = routerOf(
    rule("h", "/a/b/c"),
    regex("h", "/b"),
    regex("h", "/a"),
    regex("h", "/b", { method: "GET" }),
    rule("h", "/a/b/c", { pathKind: PATH_EQUALS }),
  );
  assert.equal(route(router, "h", "/a/b/c"), "r4");
  assert.equal(route(router, "h", "/a/b/c/d"), "r3");
  assert.equal(route(router, "h", "/a/b/c/d", "POST"), "r2");
  assert.equal(route(router, "h", "/b", "POST"), "r1");
});

test("decisions 14: hosts with regexes come after `*.suffix` and before `*`, most literal labels first", () => {
  const router = routerOf(
    rule("*", "/"),
    rule("/.+/./.+/.org", "/"),
    rule("/.+/.a.org", "/"),
    rule("*.a.org", "/x"),
    rule("b.a.org", "/y"),
  );
  assert.equal(route(router, "b.a.org", "/y"), "r4");
  assert.equal(route(router, "b.a.org", "/x"), "r3");
  assert.equal(route(router, "b.a.org", "/z"), "r2");
  assert.equal(route(router, "c.a.org", "/x"), "r3");
  assert.equal(route(router, "c.a.org", "/z"), "r2");
  assert.equal(route(router, "c.b.org", "/z"), "r1");
  assert.equal(route(router, "b.org", "/z"), "r0");
});

test("a host regex matches a whole label, never over a dot, without regard to case, in every position", () => {
  for (const position of [POSITION_PRE, POSITION_TREE, POSITION_POST]) {
    const router = routerOf(rule("/Cdn[0-9]+|img/.Example.COM.", "", { position }), rule("/.*/", "/", { position }));
    for (const host of ["cdn1.example.com", "CDN22.EXAMPLE.COM.", "img.example.com"]) {
      assert.equal(route(router, host), "r0", host);
    }
    for (const host of [
      "xcdn1.example.com",
      "cdn1x.example.com",
      "a.cdn1.example.com",
      "cdn.example.com",
      ".example.com",
    ]) {
      assert.equal(route(router, host), null, host);
    }
    assert.equal(route(router, "localhost"), "r1");
  }
});

test("a label may be partly literal, and dots inside of a regex are no ends of labels", () => {
  const router = routerOf(rule("app-/[0-9]+/-eu.example.com"), rule("/a.b|c{1,2}/.org"));
  assert.equal(route(router, "app-17-eu.example.com"), "r0");
  assert.equal(route(router, "app--eu.example.com"), null);
  assert.equal(route(router, "axb.org"), "r1");
  assert.equal(route(router, "cc.org"), "r1");
  assert.equal(route(router, "a.b.org"), null);
});

test("rules with regexes are refused with the reason and removed by their text", () => {
  const router = new Router<string>();
  const cases: [RouteRule, RegExp][] = [
    [regex("h", "(?=a)"), /look-around cannot be used, as in RE2: "\(\?=" at character 1/],
    [regex("h", "(a)\\1"), /a back-reference cannot be used/],
    [regex("h", "[a"), /missing closing \]/],
    [regex("/(/.h", "x"), /missing closing \)/],
    [rule("/a/./(?<!b)c/"), /look-around/],
    [rule("*./a/.h"), /a wildcard cannot stand beside a regular expression/],
    [rule("//.h"), /is empty/],
    [rule("/a/..h"), /empty label/],
    [regex("/[a/.h", "fine"), /missing closing \]/],
  ];
  for (const [refused, reason] of cases) assert.match(router.add(refused, "x") ?? "", reason);
  assert.equal(router.size, 0);
  assert.equal(router.generation, 0);
  assert.equal(router.add(regex("/A+/.B.", "^/x"), "x"), null);
  assert.match(router.add(regex("/A+/.b", "^/x"), "x") ?? "", /exists already/);
  assert.equal(router.add(regex("/a+/.b", "^/x"), "another text is another rule"), null);
  assert.equal(router.remove(regex("/A+/.b", "^/x")), null);
  assert.equal(route(router, "aa.b", "/x"), "another text is another rule");
  assert.equal(router.remove(regex("/a+/.b", "^/x")), null);
  assert.equal(router.leafFor("aa.b"), null);
});

test("RX-18: catastrophic patterns take time linear in the path", () => {
  for (const source of ["(a+)+$", "^/(a|a)*$", "(a|aa)+$", "^/(([a-z])+.)+[A-Z]([a-z])+$", "(.*)*x", "(a*)*b"]) {
    const router = routerOf(regex("h", source));
    // A backtracking engine would not come back from any of these.
    assert.equal(route(router, "h", `/${"a".repeat(10_000)}!`), null, source);
  }
  assert.equal(route(routerOf(regex("h", "(a+)+$")), "h", "a".repeat(10_000)), "r0");
  const host = routerOf(rule("/(a+)+b/.h"));
  assert.equal(route(host, `${"a".repeat(10_000)}.h`), null);
});

test("paths that clients choose cannot make an automaton grow beyond its bound", () => {
  const result = compilePattern("(a|b)*a(a|b){20}$");
  assert.ok("regex" in result);
  const table = new PatternTable();
  const pattern = table.take("(a|b)*a(a|b){20}$");
  assert.ok(typeof pattern === "object");
  let seed = 1;
  for (let round = 0; round < 50; round++) {
    let text = "/";
    for (let i = 0; i < 500; i++) {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      text += seed & 0x10000 ? "a" : "b";
    }
    const bytes = Buffer.from(text);
    assert.equal(pattern.automaton.test(bytes, 0, bytes.length), result.regex.test(text));
    assert.ok(pattern.automaton.size <= STATES_MAX);
  }
  assert.ok(pattern.stateBytes <= STATES_BYTES_MAX, `${pattern.stateBytes}`);
});

test("property: matching bytes says what re2js says of the text, whatever was asked before", () => {
  const piece = fc.constantFrom(
    ..."ab/.^$|*+?()",
    ...["[a-b]", "[^/]", "\\b", "\\B", "\\w", "(?i)", "(?s)", "(?m)", "{2,3}", "(?:a|b)", "\\A", "\\z", "é"],
  );
  const source = fc.array(piece, { maxLength: 10 }).map((pieces) => pieces.join(""));
  const path = fc.array(fc.constantFrom(..."abAB/._ \xe9"), { maxLength: 12 }).map((pieces) => pieces.join(""));
  fc.assert(
    fc.property(source, fc.array(path, { minLength: 1, maxLength: 10 }), (pattern, paths) => {
      const result = compilePattern(pattern);
      const own = compilePattern(pattern);
      if ("reason" in result || "reason" in own) return;
      const automaton = new PathAutomaton(own.regex);
      for (const text of [...paths, ...paths]) {
        const bytes = Buffer.from(`#${text}#`, "latin1");
        assert.equal(automaton.test(bytes, 1, 1 + text.length), result.regex.test(text), `${pattern} on ${text}`);
      }
    }),
    { numRuns: 3000 },
  );
});

test("rules with the same regex share it until the last of them is gone", () => {
  const table = new PatternTable();
  const first = table.take("^/api");
  assert.ok(typeof first === "object");
  assert.equal(table.take("^/api"), first);
  assert.equal(typeof table.take("["), "string");
  assert.equal(table.size, 1);
  table.give(first);
  assert.equal(table.size, 1);
  table.give(first);
  assert.equal(table.size, 0);
  assert.notEqual(table.take("^/api"), first);
});

test("only patterns with the ending of a name are tried", () => {
  const patterns = new HostPatterns<number>();
  for (let i = 0; i < 1000; i++) assert.equal(patterns.add(`/.+/.tenant${i}.com`, i), null);
  assert.equal(patterns.add("/.+/./.+/.com", 1000), null);
  assert.deepEqual(patterns.matching("a.tenant7.com"), [7, 1000]);
  assert.deepEqual(patterns.matching("a.b.tenant7.com"), []);
  assert.deepEqual(patterns.matching("com"), []);
  patterns.delete("/.+/.tenant7.com");
  assert.deepEqual(patterns.matching("a.tenant7.com"), [1000]);
  assert.equal(patterns.get("/.+/.tenant7.com"), undefined);
  patterns.delete("/.+/.tenant7.com");
  assert.equal(patterns.size, 1000);
});

test("names that the same host regexes match share their merged rules; a flood of names is bounded", () => {
  const router = new Router<string>(64);
  router.add(rule("/.+/.b", "/x"), "x");
  router.add(rule("*", "/y"), "y");
  assert.equal(router.leafFor("a.b")?.candidates, router.leafFor("c.b")?.candidates);
  for (let i = 0; i < 1000; i++) assert.equal(route(router, `random-${i}.b`, "/x"), "x");
  assert.ok(router.remembered <= 128);
});

test("an IPv6 literal is one label", () => {
  const router = routerOf(rule("/.+/"), rule("/.+/./.+/"));
  assert.equal(route(router, "[::1]"), "r0");
  assert.equal(route(router, "[::ffff:1.2]"), "r0");
});

test("RX-24 a long path is for hosts with few regular expressions", () => {
  const patterns = (hostname: string, count: number): RouteRule[] =>
    Array.from({ length: count }, (_, i) => regex(hostname, `/(a|b)*${i}c$`));
  const router = routerOf(...patterns("few.test", 20), ...patterns("many.test", 200), rule("plain.test"));
  const bears = (host: string, length: number): boolean => router.leafFor(host)?.bears(length) === true;
  assert.deepEqual([bears("few.test", 2_500), bears("few.test", 2_501)], [true, false]);
  assert.deepEqual([bears("many.test", 1024), bears("many.test", 1025)], [true, false]);
  assert.ok(bears("plain.test", 1e6));
});
