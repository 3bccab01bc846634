// Field names are recognised in any case and at any place; their near misses are not.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as head from "../../../src/wire/http1/head.ts";
import { lookupName } from "../../../src/wire/http1/names.ts";
import { latin1 } from "./feed.ts";

/** Every id constant with the name it stands for: HOST -> host, X_REAL_IP -> x-real-ip. */
const notIds = new Set([
  "UNKNOWN",
  "FIELD_STRIDE",
  "NAME_START",
  "NAME_END",
  "VALUE_START",
  "VALUE_END",
  "FIELD_ID",
  "FIELD_FLAGS",
  "DROP",
  "CANONICAL",
]);
const known = Object.entries(head)
  .filter(([constant, value]) => typeof value === "number" && !notIds.has(constant))
  .map(([constant, value]) => ({ id: Number(value), name: constant.toLowerCase().replaceAll("_", "-") }));

function lookup(name: string, at = 0): number {
  const bytes = new Uint8Array(at + name.length).fill(0x3a);
  bytes.set(latin1(name), at);
  return lookupName(new DataView(bytes.buffer), at, name.length);
}

test("the ids are 0 to 30, each once", () => {
  assert.deepEqual(
    known.map(({ id }) => id).sort((a, b) => a - b),
    Array.from({ length: 31 }, (_, i) => i),
  );
});

test("known names are found in any case and at any offset", () => {
  for (const { id, name } of known) {
    const mixed = name.replace(/[a-z]/g, (c, i) => (i % 2 === 0 ? c.toUpperCase() : c));
    for (const spelling of [name, name.toUpperCase(), mixed]) {
      for (const at of [0, 1, 2, 3]) assert.equal(lookup(spelling, at), id, spelling);
    }
  }
});

test("common names are in the dictionary without an id", () => {
  for (const name of ["Accept", "via", "AGE", "DNT", "Content-Type", "access-control-allow-credentials"]) {
    assert.equal(lookup(name), head.UNKNOWN);
  }
});

test("a name with any one byte changed, missing or added is another name", () => {
  const names = new Set(known.map(({ name }) => name));
  for (const { name } of known) {
    for (let i = 0; i < name.length; i++) {
      for (let c = 0; c < 256; c++) {
        const changed = name.slice(0, i) + String.fromCharCode(c) + name.slice(i + 1);
        if (changed.toLowerCase() === name && c < 0x80) continue;
        assert.ok(lookup(changed) < 0 || lookup(changed) === head.UNKNOWN, JSON.stringify(changed));
      }
      const shorter = name.slice(0, i) + name.slice(i + 1);
      if (!names.has(shorter)) assert.equal(lookup(shorter), -1, shorter);
    }
    assert.equal(lookup(`${name}s`), -1);
    assert.equal(lookup(`-${name}`), -1);
  }
});

test("lengths without names are no names", () => {
  assert.deepEqual(
    ["", "t", "x".repeat(32), "x".repeat(33)].map((name) => lookup(name)),
    [-1, -1, -1, -1],
  );
});
