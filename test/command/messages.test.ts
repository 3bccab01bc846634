// Bodies of frames that are not what they should be (CP-03, CP-24): decoding gives a message or null, never an
// exception, and never takes long.

import assert from "node:assert/strict";
import test from "node:test";
import { toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { RequestSchema, ResponseSchema, ResponseStatus, WorkerRequestSchema } from "../../src/command/gen/sozu_pb.ts";
import {
  decodeMessage,
  encodeMessage,
  failureResponse,
  okResponse,
  processingResponse,
  request,
} from "../../src/command/messages.ts";
import { ConfigState } from "../../src/command/state.ts";
import { addBackend, addFrontend, addListener, anyRequest } from "./requests.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));

test("known requests have the bytes of the specification", () => {
  const bytes = (init: Parameters<typeof request>[0]) =>
    Buffer.from(toBinary(RequestSchema, request(init))).toString("hex");
  // Tag 12, length-delimited, empty.
  assert.equal(bytes({ case: "status", value: {} }), "6200");
  assert.equal(bytes({ case: "hardStop", value: {} }), "c20200");
  assert.equal(bytes({ case: "removeCluster", value: "app" }), "7203617070");
  assert.equal(bytes({ case: "Logging", value: "info" }), "d20204696e666f");
  // cluster_id 1, backend_id 2, address 3 { ip 1 { v4 1 fixed32 }, port 2 }.
  assert.equal(
    Buffer.from(toBinary(RequestSchema, addBackend("a", "b", "127.0.0.1:80"))).toString("hex"),
    "c201110a0161120162" + "1a09" + "0a05" + "0d0100007f" + "1050",
  );
});

test("makers of answers set status, message and content", () => {
  assert.equal(okResponse("m").status, ResponseStatus.OK);
  assert.equal(processingResponse("m").status, ResponseStatus.PROCESSING);
  const failure = failureResponse("m", { case: "requestCounts", value: { map: { a: 1 } } });
  assert.equal(failure.status, ResponseStatus.FAILURE);
  assert.equal(failure.content?.contentType.case, "requestCounts");
  assert.equal(encodeMessage(ResponseSchema, okResponse("x".repeat(100)), 50), null);
});

test("CP-03: truncated, wrong wire types, unknown fields, deep nesting, bad UTF-8", () => {
  const whole = toBinary(RequestSchema, addFrontend("a.test"));
  for (let cut = 1; cut < whole.length; cut++) {
    const message = decodeMessage(RequestSchema, whole.subarray(0, cut));
    assert.ok(message === null || message.requestType.case === undefined, `cut at ${cut}`);
  }
  // Tag 14 is a string: as a varint it is not a request.
  const wrongType = decodeMessage(RequestSchema, hex("7001"));
  assert.ok(wrongType === null || wrongType.requestType.case === undefined);
  // An unknown field beside a known one is ignored.
  const unknown = decodeMessage(RequestSchema, hex("a0f701 2a 6200"));
  assert.equal(unknown?.requestType.case, "status");
  // WorkerResponses hold ResponseContents that hold WorkerResponses: 10,000 levels.
  let nested = hex("");
  for (let level = 0; level < 10_000; level++) {
    const inner = Buffer.concat([hex("0a00 12"), varint(nested.length), nested]);
    const entry = Buffer.concat([hex("0a"), varint(inner.length), inner]);
    nested = Buffer.concat([hex("1a"), varint(entry.length), entry]);
    if (nested.length > 200_000) break;
  }
  decodeMessage(ResponseSchema, Buffer.concat([hex("0800 1200 1a"), varint(nested.length), nested]));
  // Groups without end.
  assert.equal(decodeMessage(RequestSchema, new Uint8Array(100_000).fill(0x0b)), null);
  const invalid = decodeMessage(RequestSchema, hex("7202 c328"));
  if (invalid?.requestType.case === "removeCluster") assert.ok(invalid.requestType.value.isWellFormed());
});

test("an enum number that nobody knows is refused, not defaulted", () => {
  const add = addListener("127.0.0.1:80");
  assert.ok(new ConfigState().apply(add, "socket").ok);
  // Cluster with load_balancing = 77.
  const cluster = decodeMessage(RequestSchema, hex("6a09 0a0161 1000 1800 284d"))!;
  assert.equal(cluster.requestType.case, "addCluster");
  const result = new ConfigState().apply(cluster, "socket");
  assert.equal(result.ok ? "" : result.error.message, "Invalid value for field '#5': unknown number");
});

test("property: random bytes decode to a message or null", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const schema of [RequestSchema, ResponseSchema, WorkerRequestSchema]) decodeMessage(schema, bytes);
    }),
    { numRuns: 2000 },
  );
});

test("property: flipped bytes of good requests reach the state without harm", () => {
  const flip = fc.tuple(fc.nat(), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(anyRequest(), fc.array(flip, { minLength: 1, maxLength: 3 }), (one, flips) => {
      const bytes = toBinary(RequestSchema, one);
      for (const [at, value] of flips) bytes[at % bytes.length] = value;
      const message = decodeMessage(RequestSchema, bytes);
      if (message !== null) new ConfigState().apply(message, "socket");
    }),
    { numRuns: 2000 },
  );
});

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  while (value > 127) {
    bytes.push((value & 127) | 128);
    value >>>= 7;
  }
  bytes.push(value);
  return Uint8Array.from(bytes);
}
