// What problems of a configuration show of the file.

import assert from "node:assert/strict";
import { test } from "node:test";
import { blotKeys } from "../../src/config/problems.ts";

test("CP-21 private keys are blotted out where they stand, certificates are not", () => {
  const certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
  const key = "-----BEGIN EC PRIVATE KEY-----\nMIGH\r\nab+/\n-----END EC PRIVATE KEY-----\n";
  const blotted = "-----BEGIN EC PRIVATE KEY-----\n****\r\n****\n-----END EC PRIVATE KEY-----\n";
  assert.equal(
    blotKeys(`a = 1\n${certificate}${key}b = 2\n${key}`),
    `a = 1\n${certificate}${blotted}b = 2\n${blotted}`,
  );
  assert.equal(blotKeys("-----BEGIN PRIVATE KEY-----\\nMIGH"), `-----BEGIN PRIVATE KEY-----${"*".repeat(6)}`);
});
