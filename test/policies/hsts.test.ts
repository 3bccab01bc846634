import assert from "node:assert/strict";
import { test } from "node:test";
import type { HstsObject } from "../../src/command/objects-tls.ts";
import { compileHsts, HstsPolicy } from "../../src/policies/hsts.ts";

const PLAIN: HstsObject = {
  enabled: true,
  maxAge: 31536000,
  includeSubdomains: false,
  preload: false,
  forceReplaceBackend: false,
};

test("5.11: max-age comes first, then includeSubDomains, then preload", () => {
  assert.equal(new HstsPolicy(PLAIN).text, "Strict-Transport-Security: max-age=31536000\r\n");
  const all = { ...PLAIN, maxAge: 0, includeSubdomains: true, preload: true };
  assert.equal(new HstsPolicy(all).text, "Strict-Transport-Security: max-age=0; includeSubDomains; preload\r\n");
  assert.equal(new HstsPolicy({ ...PLAIN, preload: true }).text.endsWith("max-age=31536000; preload\r\n"), true);
});

test("5.11: a policy that is off is a policy: nothing is added and nothing dropped", () => {
  const off = new HstsPolicy({ ...PLAIN, enabled: false, forceReplaceBackend: true });
  assert.equal(off.text, "");
  assert.equal(off.line.length, 0);
  assert.equal(off.replaces, false);
  assert.equal(compileHsts(null), null);
});
