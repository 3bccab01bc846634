// What rules capture of a request (spec 6.6).

import assert from "node:assert/strict";
import { test } from "node:test";
import { PATH_EQUALS, PATH_PREFIX, PATH_REGEX } from "../../src/command/objects.ts";
import { RuleCaptures } from "../../src/routing/captures.ts";

/** The captures of a request, host first. */
function captured(
  captures: RuleCaptures,
  host: string,
  path: string,
): [host: readonly string[], path: readonly string[]] {
  const bytes = Buffer.from(`..${host} ${path}`);
  captures.readHost(bytes, 2, 2 + host.length);
  captures.readPath(bytes, 3 + host.length, 3 + host.length + path.length);
  return [textsOf(bytes, captures.host), textsOf(bytes, captures.path)];
}

function textsOf(bytes: Buffer, spans: Int32Array): string[] {
  const texts: string[] = [];
  for (let i = 0; i < spans.length; i += 2) texts.push(bytes.toString("latin1", spans[i], spans[i + 1]));
  return texts;
}

function rule(hostname: string, pathKind: number, path: string): RuleCaptures {
  return new RuleCaptures({ hostname, pathKind, path, method: null, position: 2 });
}

test("any host and any path are captured whole", () => {
  assert.deepEqual(captured(rule("a.example", PATH_EQUALS, "/x"), "A.example.", "/x"), [["A.example"], ["/x"]]);
});

test("a wildcard captures what it stands for", () => {
  assert.deepEqual(captured(rule("*.example.com", PATH_PREFIX, ""), "www.example.com", "/a")[0], [
    "www.example.com",
    "www",
  ]);
  assert.deepEqual(captured(rule("*", PATH_PREFIX, ""), "www.example.com", "/a")[0], [
    "www.example.com",
    "www.example.com",
  ]);
});

test("a prefix captures what follows it", () => {
  assert.deepEqual(captured(rule("a", PATH_PREFIX, "/api/"), "a", "/api/v1/x")[1], ["/api/v1/x", "v1/x"]);
  assert.deepEqual(captured(rule("a", PATH_PREFIX, "/api"), "a", "/api")[1], ["/api", ""]);
  assert.deepEqual(captured(rule("a", PATH_PREFIX, ""), "a", "/x")[1], ["/x", "/x"]);
});

test("an absolute-form target without a path has nothing to capture", () => {
  assert.deepEqual(captured(rule("a", PATH_PREFIX, "/"), "a", "")[1], ["", ""]);
  assert.deepEqual(captured(rule("a", PATH_REGEX, "^/(.*)"), "a", "")[1], ["", ""]);
});

test("expressions capture their groups, the first time and when remembered", () => {
  const captures = rule("/(.+)-(\\d+)/.x./(com|org)/", PATH_REGEX, "/v([0-9]+)/(?:a|b)(/(z)?)?");
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(captured(captures, "eu-12.x.org", "/api/v7/b/z"), [
      ["eu-12.x.org", "eu", "12", "org"],
      ["/api/v7/b/z", "7", "/z", "z"],
    ]);
    assert.deepEqual(captured(captures, "US-1.x.com", "/v9/a"), [
      ["US-1.x.com", "US", "1", "com"],
      ["/v9/a", "9", "", ""],
    ]);
  }
});

test("texts that are too long to remember, and more than are remembered, are captured all the same", () => {
  const captures = rule("a", PATH_REGEX, "^/([a-z]*)([0-9]+)$");
  const long = "x".repeat(300);
  assert.deepEqual(captured(captures, "a", `/${long}1`)[1], [`/${long}1`, long, "1"]);
  for (let i = 0; i < 2000; i++)
    assert.deepEqual(captured(captures, "a", `/n${i % 700}`)[1].slice(1), ["n", `${i % 700}`]);
});
