// Hosts and ports (RFC 3986 3.2, decisions 16). IPv6 verdicts are compared with Node's own parser.

import assert from "node:assert/strict";
import { isIPv6 } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { Authority } from "../../../src/wire/http1/authority.ts";
import { wireErrors } from "../../../src/wire/http1/errors.ts";
import { latin1 } from "./feed.ts";

const authority = new Authority();

/** `host|port`, or the name of the error. */
function read(text: string): string {
  const bytes = latin1(`::${text}::`);
  const error = authority.read(bytes, 2, 2 + text.length);
  if (error < 0) return wireErrors[-error].name;
  return `${text.slice(0, authority.hostEnd - 2)}|${authority.port}`;
}

test("names, addresses and ports are taken apart", () => {
  assert.equal(read("example.com"), "example.com|-1");
  assert.equal(read("A_b-c.D.:1"), "A_b-c.D.|1");
  assert.equal(read("127.0.0.1:8080"), "127.0.0.1|8080");
  assert.equal(read("[::1]:65535"), "[::1]|65535");
  assert.equal(read("[2001:db8::1]"), "[2001:db8::1]|-1");
  assert.equal(read("-|"), "InvalidHost");
  assert.equal(read("-"), "-|-1");
});

test("H1-27 odd spellings of IPv4 addresses are plain names", () => {
  for (const name of ["017700000001", "0x7f.1", "127.01.0.1"]) assert.equal(read(name), `${name}|-1`);
});

test("empty labels, empty hosts and empty ports are refused", () => {
  for (const text of ["", ".", "..", "a..b", ".a", "a..", ":80", "[]", "[]:80"])
    assert.equal(read(text), "InvalidHost", text);
  for (const text of ["a:", "a:0", "a:00", "a:65536", "a:999999", "a:8o", "a:80 ", "a:+80", "a:80:80", "[::1]:"]) {
    assert.equal(read(text), "InvalidPort", text);
  }
  for (const text of ["u@a", "u:p@a", "@", "[::1]@a", "a:80@b", "u@[::1]"])
    assert.equal(read(text), "UserinfoInAuthority", text);
});

test("every byte outside the grammar is refused", () => {
  for (let c = 0; c < 256; c++) {
    const text = `a${String.fromCharCode(c)}b`;
    const result = read(text);
    if (/^[\w.-]+$/.test(text)) assert.equal(result, `${text}|-1`);
    else assert.ok(result === "InvalidHost" || result === "InvalidPort" || result === "UserinfoInAuthority", result);
  }
});

test("IPv6 literals are what Node calls IPv6, without zones", () => {
  const part = fc.constantFrom(
    "0",
    "1",
    "db8",
    "ffff",
    "fffff",
    "g",
    ":",
    "::",
    ":",
    ":",
    "1.2.3.4",
    "256.1.1.1",
    "1.2.3",
    "01.2.3.4",
    "",
    "%1",
  );
  const anything = fc.array(part, { maxLength: 17 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.oneof(anything, fc.ipV6()), (text) => {
      const expected = isIPv6(text) && !text.includes("%") ? `[${text}]|-1` : "InvalidHost";
      assert.equal(read(`[${text}]`), expected);
    }),
    { numRuns: 2000 },
  );
  for (const text of [
    "::",
    "::1",
    "1::",
    "1:2:3:4:5:6:7:8",
    "::ffff:1.2.3.4",
    "1:2:3:4:5:6:1.2.3.4",
    "1::2:3:4:5:6:7",
  ]) {
    assert.equal(read(`[${text}]`), `[${text}]|-1`);
  }
});
