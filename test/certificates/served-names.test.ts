// The binding of a connection to hosts (spec 8.7).

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { isHost, ServedNames } from "../../src/certificates/served-names.ts";
import { coversHost } from "../../src/command/certificate.ts";
import { ascii } from "../../src/wire/http1/bytes.ts";

function covers(names: readonly string[], authority: string): boolean {
  const bytes = ascii(`??${authority}??`);
  return new ServedNames(names).covers(bytes, 2, 2 + authority.length);
}

test("TLS-18: an authority is bound to the names of the certificate, exactly or by one label", () => {
  const names = ["a.test", "*.a.test", "b.test"];
  for (const good of [
    "a.test",
    "A.TEST",
    "a.test:443",
    "a.test.",
    "a.test.:8443",
    "x.a.test",
    "X.A.test:1",
    "b.test",
  ]) {
    assert.ok(covers(names, good), good);
  }
  for (const bad of [
    "",
    ":443",
    ".",
    "c.test",
    "y.x.a.test",
    ".a.test",
    "x.b.test",
    "a.tes",
    "aa.test",
    "test",
    "[::1]:443",
  ]) {
    assert.ok(!covers(names, bad), bad);
  }
});

test("a literal wildcard matches nothing but itself", () => {
  assert.ok(covers(["*.a.test"], "*.a.test"));
  assert.ok(!covers(["x.a.test", "a.test"], "*.a.test"));
  assert.ok(!covers(["*.a.test"], "*.x.a.test"));
  assert.ok(!covers(["*.a.test"], "a.test"));
});

test("no names, IP addresses as names", () => {
  assert.ok(!covers([], "a.test"));
  assert.ok(covers(["127.0.0.1"], "127.0.0.1:8443"));
});

test("property: it agrees with the check of whole texts", () => {
  const label = fc.constantFrom("a", "b", "xn--a", "*");
  const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
  fc.assert(
    fc.property(fc.uniqueArray(host, { maxLength: 40 }), host, (names, asked) => {
      // A star is a wildcard only as the whole first label, which is all that the state lets in.
      const valid = names.filter((name) => !name.slice(1).includes("*") && name !== "*" && !/^\*[^.]/.test(name));
      assert.equal(covers(valid, asked), coversHost(valid, asked));
    }),
    { numRuns: 1000 },
  );
});

test("isHost compares an authority with one host", () => {
  const is = (authority: string, host: string): boolean => isHost(ascii(authority), 0, authority.length, host);
  assert.ok(is("A.test:443", "a.test"));
  assert.ok(is("a.test.", "a.test"));
  assert.ok(!is("a.test2", "a.test"));
  assert.ok(!is("b.test", "a.test"));
});
