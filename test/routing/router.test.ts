// The router against the words of decisions 14 to 16, and against a naive model of them.

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
import { type RouteRule, Router } from "../../src/routing/router.ts";

function rule(hostname: string, path = "", parts: Partial<RouteRule> = {}): RouteRule {
  return { hostname, path, pathKind: PATH_PREFIX, method: null, position: POSITION_TREE, ...parts };
}

const equals = { pathKind: PATH_EQUALS };

/** Asks as the proxy does: bytes of a request somewhere in a larger memory. */
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

test("an exact host goes before a wildcard, a wildcard before any", () => {
  const router = routerOf(rule("*"), rule("*.example.com"), rule("a.example.com"));
  assert.equal(route(router, "a.example.com"), "r2");
  assert.equal(route(router, "b.example.com"), "r1");
  assert.equal(route(router, "example.com"), "r0");
  assert.equal(route(router, "localhost"), "r0");
});

test("a wildcard stands for exactly one label that is not empty", () => {
  const router = routerOf(rule("*.example.com"));
  assert.equal(route(router, "a.example.com"), "r0");
  for (const host of ["example.com", ".example.com", "a.b.example.com", "aexample.com", "a.example.com.org", "com"]) {
    assert.equal(route(router, host), null, host);
  }
});

test("a host whose rules do not match the path lets the wildcards try (backtracking)", () => {
  const router = routerOf(rule("a.b.c", "/api"), rule("*.b.c", "/img"), rule("*", "/"));
  assert.equal(route(router, "a.b.c", "/api/1"), "r0");
  assert.equal(route(router, "a.b.c", "/img/1"), "r1");
  assert.equal(route(router, "a.b.c", "/other"), "r2");
});

test("PRE goes before any host class, POST after", () => {
  const router = routerOf(
    rule("a.b", "/", { position: POSITION_POST }),
    rule("a.b", "/x"),
    rule("*", "/x/y", { position: POSITION_PRE }),
    rule("*", "/"),
  );
  assert.equal(route(router, "a.b", "/x/y/z"), "r2");
  assert.equal(route(router, "a.b", "/x"), "r1");
  assert.equal(route(router, "a.b", "/other"), "r3", "TREE of any host before POST of the exact one");
});

test("EQUALS goes before the longest PREFIX, with a method before without", () => {
  const router = routerOf(
    rule("h", "/"),
    rule("h", "/api"),
    rule("h", "/api/v1"),
    rule("h", "/api", equals),
    rule("h", "/api", { ...equals, method: "POST" }),
    rule("h", "/api/v1", { method: "PUT" }),
  );
  assert.equal(route(router, "h", "/api"), "r3");
  assert.equal(route(router, "h", "/api", "POST"), "r4");
  assert.equal(route(router, "h", "/api/v1/x"), "r2");
  assert.equal(route(router, "h", "/api/v1/x", "PUT"), "r5");
  assert.equal(route(router, "h", "/api/"), "r1");
  assert.equal(route(router, "h", "/ap"), "r0");
});

test("methods are compared with case and as a whole", () => {
  const router = routerOf(rule("h", "/", { method: "GET" }));
  assert.equal(route(router, "h", "/", "GET"), "r0");
  for (const method of ["get", "GE", "GETS", "POST"]) assert.equal(route(router, "h", "/", method), null, method);
});

test("the query is no part of the path, an empty path is the root, * is only itself", () => {
  const router = routerOf(rule("h", "/", equals), rule("h", "/a", equals));
  assert.equal(route(router, "h", "/"), "r0");
  assert.equal(route(router, "h", ""), "r0");
  assert.equal(route(router, "h", "/a"), "r1");
  assert.equal(route(router, "h", "*", "OPTIONS"), null);
  assert.equal(route(routerOf(rule("h", "/")), "h", "*", "OPTIONS"), null);
  assert.equal(route(routerOf(rule("h", "")), "h", "*", "OPTIONS"), "r0");
  assert.equal(route(routerOf(rule("h", "*", equals)), "h", "*", "OPTIONS"), "r0");
});

test("hosts are folded: case, one trailing dot; underscores and IPv6 literals route", () => {
  const router = routerOf(rule("Example.COM."), rule("my_host.local"), rule("[2001:DB8::1]"), rule("*.Wild.org."));
  for (const host of ["example.com", "EXAMPLE.com", "example.com."]) assert.equal(route(router, host), "r0", host);
  assert.equal(route(router, "my_host.local"), "r1");
  assert.equal(route(router, "[2001:db8::1]"), "r2");
  assert.equal(route(router, "A.WILD.ORG."), "r3");
  assert.equal(route(router, "example.com.."), null);
});

test("a leaf carries the folded host as bytes", () => {
  const router = routerOf(rule("example.com"), rule("*"));
  for (const [host, bytes] of [
    ["Example.COM", "example.com"],
    ["Other.org.", "other.org"],
  ]) {
    assert.equal(Buffer.from(router.leafFor(host)?.hostBytes ?? []).toString(), bytes);
  }
});

test("what cannot be routed is refused with the reason, and nothing changes", () => {
  const router = new Router<string>();
  const cases: [RouteRule, RegExp][] = [
    [rule(""), /hostname is empty/],
    [rule("."), /not a hostname/],
    [rule("a..b"), /not a hostname/],
    [rule("*.*.b"), /not a hostname/],
    [rule("a.*.b"), /not a hostname/],
    [rule("*b"), /not a hostname/],
    [rule("*."), /not a hostname/],
    [rule("a b"), /not a hostname/],
    [rule("a:80"), /not a hostname/],
    [rule("é.fr"), /not a hostname/],
    [rule("/a+/.b\0"), /must not contain NUL/],
    [rule("/a+.b"), /begins with a slash and does not end with one/],
    [rule("a", "^/(x", { pathKind: PATH_REGEX }), /missing closing \) for "\(" at character 3/],
    [rule("a", "/", { pathKind: 9 }), /unknown path kind 9/],
    [rule("a", "/", { position: 9 }), /unknown rule position 9/],
    [rule("a", "/\0"), /must not contain NUL/],
    [rule("a", "/", { method: "G\0" }), /must not contain NUL/],
  ];
  for (const [refused, reason] of cases) assert.match(router.add(refused, "x") ?? "", reason);
  assert.equal(router.generation, 0);
  assert.equal(router.size, 0);
});

test("a rule exists once per host, path and method, whatever its position", () => {
  const router = routerOf(rule("a.b", "/x", { ...equals, position: POSITION_PRE }));
  assert.match(router.add(rule("A.b.", "/x", equals), "again") ?? "", /exists already/);
  assert.equal(router.generation, 1);
  assert.equal(router.add(rule("a.b", "/x"), "a prefix"), null);
  assert.equal(router.add(rule("a.b", "/x", { ...equals, method: "GET" }), "with a method"), null);
  assert.equal(router.get(rule("a.b", "/x")), "a prefix");
  assert.equal(router.get(rule("a.b", "/y")), null);
});

test("EQUALS rules can be removed, and so can rules given with another position", () => {
  const router = routerOf(rule("a.b", "/x", equals), rule("a.b", "/x"), rule("*.b", "/x"), rule("*"));
  assert.equal(router.remove(rule("a.b", "/x", { ...equals, position: POSITION_PRE })), null);
  assert.equal(route(router, "a.b", "/x"), "r1");
  assert.match(router.remove(rule("a.b", "/x", equals)) ?? "", /could not remove route: there is no rule/);
  assert.equal(router.remove(rule("a.b", "/x")), null);
  assert.equal(route(router, "a.b", "/x"), "r2");
  assert.equal(router.remove(rule("*.b", "/x")), null);
  assert.equal(route(router, "a.b", "/x"), "r3");
  assert.equal(router.remove(rule("*")), null);
  assert.equal(router.leafFor("a.b"), null);
  assert.equal(router.size, 0);
});

test("every change is a new generation, and leaves asked for after it know of it", () => {
  const router = routerOf(rule("a.b"));
  const before = router.leafFor("a.b");
  assert.equal(router.leafFor("a.b"), before, "unchanged: the same leaf");
  router.add(rule("other.b"), "x");
  assert.equal(router.generation, 2);
  assert.equal(router.leafFor("a.b"), before, "not affected: still the same leaf");
  router.add(rule("*.b", "/", { position: POSITION_PRE }), "pre");
  assert.equal(route(router, "a.b"), "pre");
  assert.equal(route(router, "zz.b"), "pre");
  router.add(rule("zz.b", "/", { position: POSITION_PRE }), "exact");
  assert.equal(route(router, "zz.b"), "exact", "a name known through a wildcard became exact");
  router.remove(rule("zz.b"));
  router.remove(rule("zz.b", "/"));
  assert.equal(route(router, "zz.b"), "pre");
});

test("names of objects that JavaScript knows are ordinary hosts, paths and methods", () => {
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
  const empty = new Router<string>();
  for (const name of names) assert.equal(empty.leafFor(name), null);
  const router = routerOf(...names.map((name) => rule(name.toLowerCase(), name, { method: name })));
  for (const [at, name] of names.entries()) assert.equal(route(router, name, name, name), `r${at}`);
});

test("a flood of random hosts neither grows memory without bound nor pushes out hosts in use", () => {
  const router = new Router<string>(64);
  router.add(rule("*"), "any");
  const hot = router.leafFor("hot.example.com");
  for (let i = 0; i < 10_000; i++) {
    router.leafFor(`random-${i}.example.com`);
    if (i % 16 === 0) assert.equal(router.leafFor("hot.example.com"), hot);
  }
  assert.ok(router.remembered <= 128, `${router.remembered} hosts`);
  const unknown = routerOf(rule("known.com"));
  for (let i = 0; i < 1000; i++) assert.equal(unknown.leafFor(`random-${i}.com`), null);
  assert.equal(unknown.remembered, 0);
});

test("hosts that only a wildcard knows share its merged rules", () => {
  const router = routerOf(rule("*.b", "/x"), rule("*", "/y"));
  assert.equal(router.leafFor("a.b")?.candidates, router.leafFor("c.b")?.candidates);
});

test("100,000 hosts are added, found and removed", () => {
  const router = new Router<number>();
  for (let i = 0; i < 100_000; i++) router.add(rule(`h${i}.example.com`, "/"), i);
  assert.equal(route(router, "h77777.example.com"), 77_777);
  assert.equal(route(router, "h100000.example.com"), null);
  for (let i = 0; i < 100_000; i += 2) router.remove(rule(`h${i}.example.com`, "/"));
  assert.equal(route(router, "h77778.example.com"), null);
  assert.equal(router.size, 50_000);
});

// ---- the model: every rule that matches, sorted by the words of decisions 14

interface Named {
  readonly rule: RouteRule;
  readonly key: string;
}

const KINDS = [PATH_EQUALS, PATH_REGEX, PATH_PREFIX];
const POSITIONS = [POSITION_PRE, POSITION_TREE, POSITION_POST];

/** Hosts with regular expressions, as the model understands them: a RegExp per label, and how many are literal. */
const PATTERNS: Readonly<Record<string, { readonly labels: readonly RegExp[]; readonly literal: number }>> = {
  "/[ac]/.b": { labels: [/^[ac]$/, /^b$/], literal: 1 },
  "/.+/.b": { labels: [/^.+$/, /^b$/], literal: 1 },
  "/B|c/.a.b": { labels: [/^(b|c)$/, /^a$/, /^b$/], literal: 2 },
  "a./a?/.b": { labels: [/^a$/, /^a?$/, /^b$/], literal: 2 },
  "a./.*/": { labels: [/^a$/, /^.*$/], literal: 1 },
  "/./": { labels: [/^.$/], literal: 0 },
  "/.+/./.+/": { labels: [/^.+$/, /^.+$/], literal: 0 },
};

function modelHostFits(hostname: string, host: string): boolean {
  const labels = host.split(".");
  const pattern = PATTERNS[hostname]?.labels;
  if (pattern !== undefined) {
    return pattern.length === labels.length && pattern.every((one, at) => labels[at] !== "" && one.test(labels[at]));
  }
  return (
    hostname === "*" ||
    hostname === host ||
    (hostname.startsWith("*.") && labels.slice(1).join(".") === hostname.slice(2) && host[0] !== ".")
  );
}

function modelMatches({ rule }: Named, host: string, path: string, method: string): boolean {
  const pathFits =
    rule.pathKind === PATH_EQUALS
      ? path === rule.path
      : rule.pathKind === PATH_REGEX
        ? new RegExp(rule.path).test(path)
        : path.startsWith(rule.path);
  return modelHostFits(rule.hostname, host) && pathFits && (rule.method === null || rule.method === method);
}

function modelRank({ rule, key }: Named): (number | string)[] {
  const pattern = PATTERNS[rule.hostname];
  const hostClass = rule.hostname === "*" ? 3 : pattern !== undefined ? 2 : rule.hostname.startsWith("*.") ? 1 : 0;
  return [
    POSITIONS.indexOf(rule.position),
    hostClass,
    hostClass === 1 ? -rule.hostname.length : -(pattern?.literal ?? 0),
    KINDS.indexOf(rule.pathKind),
    rule.pathKind === PATH_PREFIX ? -rule.path.length : 0,
    rule.method === null ? 1 : 0,
    key,
  ];
}

function modelRoute(rules: readonly Named[], host: string, path: string, method: string): string | null {
  const fitting = rules.filter((named) => modelMatches(named, host, path === "" ? "/" : path, method));
  fitting.sort((a, b) => {
    const left = modelRank(a);
    const right = modelRank(b);
    const at = left.findIndex((value, i) => value !== right[i]);
    return at === -1 ? 0 : left[at] < right[at] ? -1 : 1;
  });
  return fitting[0]?.key ?? null;
}

// Few hosts, so that one has many rules, and some that only wildcards know.
const hostArbitrary = fc.constantFrom("a", "b", "a.b", "b.b", "c.b", "a.a.b", "c.a.b");
const pathArbitrary = fc.constantFrom("", "/", "/x", "/x/", "/x/y", "/y", "/xx");
const methodArbitrary = fc.constantFrom("GET", "POST");
const ruleArbitrary: fc.Arbitrary<RouteRule> = fc
  .record({
    hostname: fc.oneof(
      { weight: 4, arbitrary: hostArbitrary },
      { weight: 3, arbitrary: hostArbitrary.map((host) => `*.${host}`) },
      { weight: 4, arbitrary: fc.constantFrom(...Object.keys(PATTERNS)) },
      { weight: 1, arbitrary: fc.constant("*") },
    ),
    path: fc.oneof(
      fc.tuple(fc.constantFrom(PATH_PREFIX, PATH_EQUALS), pathArbitrary),
      fc.tuple(fc.constant(PATH_REGEX), fc.constantFrom("", "/x", "^/x$", "/(x+|y)/?$", "[^/x]", "^.$")),
    ),
    method: fc.option(methodArbitrary),
    position: fc.constantFrom(...POSITIONS),
  })
  .map(({ path: [pathKind, path], ...rest }) => ({ ...rest, pathKind, path }));

function keyOf(added: RouteRule): string {
  const kind = added.pathKind === PATH_PREFIX ? "P" : added.pathKind === PATH_REGEX ? "R" : "=";
  return `${added.hostname};${kind}${added.path}${added.method === null ? "" : `;${added.method}`}`;
}

const requestArbitrary = fc.tuple(hostArbitrary, pathArbitrary, methodArbitrary);

test("any set of rules in any order routes as the model does", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(ruleArbitrary, { selector: keyOf, maxLength: 25, size: "max" }),
      fc.array(requestArbitrary, { minLength: 5, maxLength: 20 }),
      fc.infiniteStream(fc.nat()),
      (rules, requests, noise) => {
        const named = rules.map((added) => ({ rule: added, key: keyOf(added) }));
        const shuffled = named
          .map((entry) => ({ entry, at: noise.next().value }))
          .sort((a, b) => a.at - b.at)
          .map(({ entry }) => entry);
        for (const order of [named, shuffled]) {
          const router = new Router<string>();
          for (const { rule: added, key } of order) assert.equal(router.add(added, key), null);
          for (const [host, path, method] of requests) {
            assert.equal(route(router, host, path, method), modelRoute(named, host, path, method));
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("adding, removing and asking in any order never gives an answer of the past", () => {
  const change = fc.oneof(
    fc.record({ kind: fc.constant("add" as const), rule: ruleArbitrary }),
    fc.record({ kind: fc.constant("remove" as const), at: fc.nat() }),
    fc.record({ kind: fc.constant("ask" as const), request: requestArbitrary }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 80, size: "max" }), (changes) => {
      const router = new Router<string>(2);
      const model = new Map<string, Named>();
      for (const step of changes) {
        if (step.kind === "add") {
          const key = keyOf(step.rule);
          const refused = router.add(step.rule, key);
          assert.equal(refused !== null, model.has(key));
          if (refused === null) model.set(key, { rule: step.rule, key });
        } else if (step.kind === "remove") {
          const victims = [...model.values()];
          if (victims.length === 0) continue;
          const victim = victims[step.at % victims.length];
          assert.equal(router.remove(victim.rule), null);
          model.delete(victim.key);
        } else {
          const [host, path, method] = step.request;
          assert.equal(route(router, host, path, method), modelRoute([...model.values()], host, path, method));
        }
      }
      assert.equal(router.size, model.size);
    }),
    { numRuns: 300 },
  );
});
