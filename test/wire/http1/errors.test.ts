// The error table: complete, unambiguous, fit for logs and metrics.

import assert from "node:assert/strict";
import { test } from "node:test";
import { statusOf, WireError, wireErrors } from "../../../src/wire/http1/errors.ts";

test("every code has one row under its own name", () => {
  const codes = Object.entries(WireError);
  assert.equal(wireErrors.length, codes.length + 1);
  for (const [name, code] of codes) {
    assert.equal(wireErrors[code].name, name);
    assert.match(wireErrors[code].metric, /^[a-z0-9]+(_[a-z0-9]+)*$/);
    assert.ok(wireErrors[code].explanation.length > 10);
  }
  assert.equal(new Set(wireErrors.map(({ metric }) => metric)).size, wireErrors.length);
  assert.equal(wireErrors[WireError.TransferEncodingInHttp10].metric, "transfer_encoding_in_http10");
});

test("a client's mistake has the status of its row, a backend's is 502", () => {
  assert.equal(statusOf(-WireError.ConnectRefused, false), 405);
  assert.equal(statusOf(WireError.TooManyFields, false), 431);
  assert.equal(statusOf(-WireError.UnsupportedExpectation, false), 417);
  for (const code of Object.values(WireError)) assert.equal(statusOf(-code, true), 502);
});
