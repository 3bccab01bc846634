// Basic authentication (spec 5.10, RFC 7617).

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { Credentials, checkHash } from "../../src/policies/credentials.ts";

const entry = (user: string, password: string): string =>
  `${user}:${createHash("sha256").update(password).digest("hex")}`;
const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;

function accepts(credentials: Credentials, value: string): boolean {
  const bytes = Buffer.from(`..${value}..`, "latin1");
  return credentials.accepts(bytes, 2, bytes.length - 2);
}

const users = new Credentials([entry("alice", "wonder:land"), entry("bob", "builder"), entry("", "nobody")], 0);

test("a user with the right password passes, first time and again", () => {
  for (let i = 0; i < 3; i++) {
    assert.equal(accepts(users, basic("alice:wonder:land")), true);
    assert.equal(accepts(users, basic("bob:builder")), true);
    assert.equal(accepts(users, basic(":nobody")), true);
    assert.equal(accepts(users, basic("bob:build")), false);
    assert.equal(accepts(users, basic("alice:builder")), false);
    assert.equal(accepts(users, basic("ALICE:wonder:land")), false);
  }
});

test("the scheme's case does not matter, nor do spaces behind it", () => {
  const value = Buffer.from("bob:builder").toString("base64");
  for (const text of [`basic ${value}`, `BASIC ${value}`, `Basic   ${value}`])
    assert.equal(accepts(users, text), true, text);
  for (const text of [`Bearer ${value}`, `Basic${value}`, "Basic", "Basic ", "", value]) {
    assert.equal(accepts(users, text), false, text);
  }
});

test("only canonical base64 counts (RFC 4648 3.5, 4)", () => {
  const value = Buffer.from("bob:builder").toString("base64");
  assert.equal(value, "Ym9iOmJ1aWxkZXI=");
  for (const text of [
    "Ym9iOmJ1aWxkZXI",
    "Ym9iOmJ1aWxkZXJ=",
    "Ym9i OmJ1aWxkZXI=",
    "Ym9iOmJ1aWxkZXI=====",
    "Ym9i=mJ1aWxkZXI=",
    "====",
  ]) {
    assert.equal(accepts(users, `Basic ${text}`), false, text);
  }
});

test("no colon, no user, no list: no entry", () => {
  assert.equal(accepts(users, basic("bob")), false);
  assert.equal(accepts(new Credentials([], 0), basic("bob:builder")), false);
});

test("a decoded credential has a limit, and an entry has 256 bytes", () => {
  const long = "p".repeat(5000);
  assert.equal(accepts(new Credentials([entry("bob", long)], 0), basic(`bob:${long}`)), false);
  assert.equal(accepts(new Credentials([entry("bob", long)], 6000), basic(`bob:${long}`)), true);
  assert.equal(accepts(new Credentials([entry("bob", "builder")], 11), basic("bob:builder")), true);
  assert.equal(accepts(new Credentials([entry("bob", "builder")], 10), basic("bob:builder")), false);
  const name = "n".repeat(192);
  assert.equal(accepts(new Credentials([entry(name, "x")], 0), basic(`${name}:x`)), false);
  assert.equal(accepts(new Credentials([entry(name.slice(1), "x")], 0), basic(`${name.slice(1)}:x`)), true);
});

test("hexadecimal digits in upper case are the same hash", () => {
  const [user, digest] = entry("bob", "builder").split(":") as [string, string];
  assert.equal(accepts(new Credentials([`${user}:${digest.toUpperCase()}`], 0), basic("bob:builder")), true);
});

test("what is remembered never lets another credential pass", () => {
  const base = fc.string({ maxLength: 12 });
  const credentials = new Credentials([entry("u", "p")], 0);
  fc.assert(
    fc.property(base, base, (user, password) => {
      assert.equal(accepts(credentials, basic("u:p")), true);
      assert.equal(accepts(credentials, basic(`${user}:${password}`)), user === "u" && password === "p");
    }),
  );
});

test("an entry is a user and the digits of a SHA-256", () => {
  assert.equal(checkHash(entry("bob", "x")), null);
  assert.equal(checkHash(entry("bøb", "x")), null);
  assert.match(String(checkHash("bob")), /no ":"/);
  assert.match(String(checkHash("bob:plain")), /not a SHA-256/);
  assert.match(String(checkHash(`${entry("bob", "x")}0`)), /not a SHA-256/);
  assert.match(String(checkHash(entry("b\nb", "x"))), /control character/);
  assert.match(String(checkHash(entry("b".repeat(200), "x"))), /longer than 256/);
});
