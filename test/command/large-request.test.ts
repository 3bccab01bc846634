// Large requests: decoded in steps they are what they are when decoded at once.

import assert from "node:assert/strict";
import { test } from "node:test";
import { equals, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { RequestSchema } from "../../src/command/gen/sozu_pb.ts";
import { type ReadRequest, readingRequest } from "../../src/command/large-request.ts";
import { decodeMessage, request } from "../../src/command/messages.ts";
import { missingField } from "../../src/command/required.ts";
import { addCluster, anyRequest } from "./requests.ts";

function readWhole(bytes: Uint8Array): { read: ReadRequest | null; steps: number } {
  const reading = readingRequest(bytes);
  for (let steps = 0; ; steps++) {
    const step = reading.next();
    if (step.done === true) return { read: step.value, steps };
  }
}

test("a transaction is decoded request by request, whatever its bytes: as when decoded at once", () => {
  fc.assert(
    fc.property(
      fc.array(anyRequest(), { maxLength: 6 }),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
      fc.option(fc.nat()),
      (requests, flips, cut) => {
        let bytes = toBinary(RequestSchema, request({ case: "transaction", value: { requests } }));
        for (const [at, value] of flips) if (bytes.length > 0) bytes[at % bytes.length] = value;
        if (cut !== null) bytes = bytes.subarray(0, cut % (bytes.length + 1));
        const once = decodeMessage(RequestSchema, bytes);
        const { read } = readWhole(bytes);
        // Decoded at once, a field may reach over the end of its request: that is refused here.
        if (read === null) return assert.ok(flips.length > 0 || cut !== null);
        assert.ok(once !== null);
        assert.ok(equals(RequestSchema, read.request, once));
        assert.equal(read.missing, missingField(RequestSchema, once));
      },
    ),
    { numRuns: 2000 },
  );
});

test("it takes a step for each request, and tells which field is missing", () => {
  const whole = toBinary(RequestSchema, addCluster("a"));
  // An AddCluster without anything, between two that are whole.
  const parts = [whole, Uint8Array.of(whole[0]!, 0), whole].flatMap((part) => [0x0a, part.length, ...part]);
  const { read, steps } = readWhole(Uint8Array.of(0xca, 0x3e, parts.length, ...parts));
  assert.equal(steps, 3);
  assert.match(read?.missing ?? "", /^transaction\.requests\.add_cluster\./);
  const status = toBinary(RequestSchema, request({ case: "status", value: {} }));
  assert.equal(readWhole(status).read?.request.requestType.case, "status");
});
