// Names with `_`, dot segments and encoded slashes: what is found, what is left alone.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hasDotSegment, hasEncodedSlash } from "../../src/policies/tolerance.ts";

const dots = (path: string): boolean => hasDotSegment(Buffer.from(path), 0, path.length);
const slashes = (path: string): boolean => hasEncodedSlash(Buffer.from(path), 0, path.length);

test("a dot segment is found wherever it stands and however it is written", () => {
  for (const path of [
    ...["/.", "/..", "/./", "/../x", "/a/..", "/a/./b", "/%2e", "/%2E%2e/x", "/.%2e", "/a/%2e./b", "/..;x=1/y", "/.;"],
    ...["/a%2f..%2fb", "/a/..%2Fb", "/..%5cb", "/%5c..", ".."],
  ]) {
    assert.equal(dots(path), true, path);
  }
});

test("dots that make no segment are left alone", () => {
  for (const path of [
    "",
    "/",
    "*",
    "/...",
    "/.well-known/x",
    "/a..b",
    "/a.",
    "/..a",
    "/%2e%2e%2e",
    "/a;..",
    "/%252e",
    "/%2",
    "/%",
  ]) {
    assert.equal(dots(path), false, path);
  }
});

test("encoded slashes and backslashes are found in any case", () => {
  for (const path of ["/%2f", "/a%2Fb", "/%5c", "/%5C"]) assert.equal(slashes(path), true, path);
  for (const path of ["", "/", "/a/b", "/%2e", "/%252f", "/%2", "/f"]) assert.equal(slashes(path), false, path);
});

test("a dot segment is found exactly when resolving the decoded path changes it", () => {
  const piece = fc.constantFrom("/", ".", "..", "a", "%2e", "%2E", "%2f", "%5C", "b.", ".c");
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const path = `/${pieces.join("")}`;
      const decoded = path.replace(/%2e/gi, ".").replace(/%2f|%5c/gi, "/");
      const wanted = decoded.split("/").some((segment) => segment === "." || segment === "..");
      assert.equal(dots(path), wanted, path);
    }),
  );
});
