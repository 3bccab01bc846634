// A short run of the fuzzer of TLS; a long one is `npm run fuzz -- --mode tls`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../fuzz/lib/random.ts";
import { TlsFuzz } from "../../fuzz/lib/tls-mode.ts";
import { tlsHandles } from "../../src/os/tls.ts";

test("changed bytes of a TLS connection end it or are not taken, and nothing is left behind", () => {
  const fuzz = new TlsFuzz();
  for (let index = 0; index < 300; index++) assert.equal(fuzz.run(Random.of(20261121, index)), null, `case ${index}`);
  assert.equal(tlsHandles().sessions, 0);
});
