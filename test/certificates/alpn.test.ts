// ALPN of a listener (RFC 7301 3.2; spec 8.6).

import assert from "node:assert/strict";
import test from "node:test";
import { alpn } from "../../fuzz/lib/hello-bytes.ts";
import { ALPN, AlpnPolicy } from "../../src/certificates/alpn.ts";

function choose(protocols: readonly string[], http11Disabled: boolean, offered: readonly string[] | null): number {
  const policy = new AlpnPolicy(protocols, http11Disabled);
  if (offered === null) return policy.choose(new Uint8Array(0), -1, -1);
  const [, bytes] = alpn(...offered);
  return policy.choose(bytes, 2, bytes.length);
}

test("TLS-02: without ALPN it is HTTP/1.1, with nothing in common an alert", () => {
  const both = ["h2", "http/1.1"];
  assert.equal(choose(both, false, null), ALPN.ABSENT);
  assert.equal(choose(both, false, ["http/1.1"]), ALPN.HTTP11);
  assert.equal(choose(both, false, ["h3"]), ALPN.UNSUPPORTED);
  assert.equal(choose(both, false, ["HTTP/1.1", "http/1.10", "http/1"]), ALPN.UNSUPPORTED);
  const many = Array.from({ length: 1000 }, (_, i) => `p${i}`);
  assert.equal(choose(both, false, [...many, "http/1.1"]), ALPN.HTTP11);
});

test("h2 is not offered before HTTP/2 is built", () => {
  assert.equal(choose(["h2", "http/1.1"], false, ["h2", "http/1.1"]), ALPN.HTTP11);
  assert.equal(choose(["h2", "http/1.1"], false, ["h2"]), ALPN.UNSUPPORTED);
  assert.equal(choose(["h2"], false, ["h2", "http/1.1"]), ALPN.UNSUPPORTED);
});

test("disable_http11 refuses http/1.1 and no ALPN", () => {
  assert.equal(choose(["h2"], true, null), ALPN.HTTP11_DISABLED);
  assert.equal(choose(["h2"], true, ["http/1.1"]), ALPN.HTTP11_DISABLED);
  assert.equal(choose(["h2", "http/1.1"], true, ["http/1.1"]), ALPN.HTTP11_DISABLED);
  assert.equal(choose(["h2"], true, ["h3"]), ALPN.UNSUPPORTED);
});
