// Location of redirects (spec 5.8).

import assert from "node:assert/strict";
import { test } from "node:test";
import { locationOf } from "../../src/policies/redirect.ts";

test("the port of the request is left out, a port that is given is shown unless it is the scheme's own", () => {
  assert.equal(locationOf("http", "a.example", false, null, "/x?y=1"), "http://a.example/x?y=1");
  assert.equal(locationOf("http", "a.example:8080", false, null, "/"), "http://a.example/");
  assert.equal(locationOf("https", "a.example:8080", false, 8443, "/"), "https://a.example:8443/");
  assert.equal(locationOf("https", "a.example:8080", false, 443, "/"), "https://a.example/");
  assert.equal(locationOf("http", "a.example", false, 80, "/"), "http://a.example/");
  assert.equal(locationOf("http", "a.example", false, 443, "/"), "http://a.example:443/");
});

test("the port of a rewritten host stays, unless rewrite_port says another", () => {
  assert.equal(locationOf("http", "b.example:81", true, null, "/"), "http://b.example:81/");
  assert.equal(locationOf("http", "b.example:81", true, 82, "/"), "http://b.example:82/");
});

test("the colons of an IPv6 address are no port", () => {
  assert.equal(locationOf("https", "[2001:db8::1]", false, null, "/"), "https://[2001:db8::1]/");
  assert.equal(locationOf("https", "[2001:db8::1]:8080", false, 8443, "/"), "https://[2001:db8::1]:8443/");
});

test("a path without its slash gets one", () => {
  assert.equal(locationOf("http", "a", false, null, ""), "http://a/");
  assert.equal(locationOf("http", "a", false, null, "?q"), "http://a/?q");
});
