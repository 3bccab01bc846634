// Rewrite templates (spec 6.6): what is accepted, what is refused and why, what comes out.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileRewrite, Rewrite, type RewriteTarget } from "../../src/policies/rewrite.ts";

function compiled(text: string, hostGroups: number, pathGroups: number, target: RewriteTarget = "path"): Rewrite {
  const rewrite = compileRewrite(text, hostGroups, pathGroups, target);
  assert.ok(rewrite instanceof Rewrite, JSON.stringify(rewrite));
  return rewrite;
}

/** Renders with these captures, the whole first. */
function render(rewrite: Rewrite, host: readonly string[], path: readonly string[], limit = 1000): string | number {
  const bytes = Buffer.alloc(2000);
  let at = 1000;
  const spansOf = (texts: readonly string[]): Int32Array =>
    Int32Array.from(
      texts.flatMap((text) => {
        const start = at;
        at += bytes.write(text, at, "latin1");
        return [start, at];
      }),
    );
  const hostSpans = spansOf(host);
  const pathSpans = spansOf(path);
  const end = rewrite.render(bytes, 3, 3 + limit, hostSpans, pathSpans);
  return end < 0 ? end : bytes.toString("latin1", 3, end);
}

test("literals and captures are joined", () => {
  const host = ["a.example.com", "a"];
  const path = ["/api/v1/x", "v1/x"];
  assert.equal(render(compiled("/new", 0, 0), host, path), "/new");
  assert.equal(render(compiled("$PATH[0]", 1, 1), host, path), "/api/v1/x");
  assert.equal(render(compiled("/$HOST[1]/$PATH[1]?from=$HOST[0]", 1, 1), host, path), "/a/v1/x?from=a.example.com");
  assert.equal(render(compiled("$HOST[1].internal:8080", 1, 1, "host"), host, path), "a.internal:8080");
});

test("captures of the host come out in lower case, those of the path as they are", () => {
  assert.equal(render(compiled("/$HOST[0]$PATH[0]", 0, 0), ["WWW.Example.COM"], ["/Mixed"]), "/www.example.com/Mixed");
});

test("what does not fit is not written", () => {
  assert.equal(render(compiled("/1234567$PATH[0]", 0, 0), ["a"], ["/89"], 10), -1);
  assert.equal(render(compiled("/1234567$PATH[0]", 0, 0), ["a"], ["/8"], 10), "/1234567/8");
});

test("a template of its own query is known", () => {
  assert.equal(compiled("/a?b=1", 0, 0).hasQuery, true);
  assert.equal(compiled("/a$PATH[0]", 0, 0).hasQuery, false);
});

test("what is wrong with a template is said with its place", () => {
  const cases: readonly (readonly [text: string, target: RewriteTarget, reason: string])[] = [
    ["", "path", "it is empty"],
    ["/a$b", "path", '"$" at character 3 does not begin $HOST[n] or $PATH[n]'],
    ["/$PATH[1", "path", '"$" at character 2 does not begin $HOST[n] or $PATH[n]'],
    ["/$PATH[x]", "path", '"$" at character 2 does not begin $HOST[n] or $PATH[n]'],
    ["/$PATH[-1]", "path", '"$" at character 2 does not begin $HOST[n] or $PATH[n]'],
    ["/$PATH[3]", "path", "$PATH[3] at character 2: the rule captures $PATH[0] to $PATH[2]"],
    ["/$HOST[1]", "path", "$HOST[1] at character 2: the rule captures only $HOST[0]"],
    ["/a b", "path", '" " at character 3 cannot be part of a path'],
    ["/a\r\nX: y", "path", '"\\r" at character 3 cannot be part of a path'],
    ["/a#b", "path", '"#" at character 3 cannot be part of a path'],
    ["/ä", "path", '"ä" at character 2 cannot be part of a path'],
    ["a/b", "host", '"/" at character 2 cannot be part of a host'],
    ["$HOST[0]@x", "host", '"@" at character 9 cannot be part of a host'],
    [`/${"x".repeat(4096)}`, "path", "it is longer than 4096 characters"],
  ];
  for (const [text, target, reason] of cases) assert.deepEqual(compileRewrite(text, 0, 2, target), { reason }, text);
});

test("H1-59: whatever a template and a request hold, no control character and no space comes out", () => {
  const target = fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)) });
  fc.assert(
    fc.property(fc.string(), target, (text, path) => {
      const rewrite = compileRewrite(text, 0, 1);
      if (!(rewrite instanceof Rewrite)) return;
      assert.match(String(render(rewrite, ["h"], [path.slice(0, 100), path.slice(0, 50)])), /^[\x21-\x7e]*$/);
    }),
  );
});
