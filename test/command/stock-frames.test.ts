// Frames that the stock program has sent (decisions 1): ours are the same, byte by byte.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FRAME, FrameDecoder } from "../../src/command/framing.ts";
import { type Request, RequestSchema, ResponseSchema } from "../../src/command/gen/sozu_pb.ts";
import { toJson } from "../../src/command/json.ts";
import { decodeMessage, encodeMessage } from "../../src/command/messages.ts";
import { readExchanges } from "./stock-frames.ts";

function bodyOf(frame: Uint8Array): Uint8Array {
  const decoder = new FrameDecoder({ maxBytes: 2_000_000 });
  // Byte by byte, and something behind it.
  for (const byte of frame) decoder.push(Uint8Array.of(byte));
  decoder.push(Uint8Array.of(7));
  assert.equal(decoder.next(), FRAME.MESSAGE);
  const body = decoder.body.slice();
  assert.equal(decoder.next(), FRAME.NEED_MORE);
  assert.equal(decoder.buffered, 1);
  return body;
}

test("decisions 1: requests of the stock command line decode, and encode to the same bytes", () => {
  const kinds = new Set<Request["requestType"]["case"]>();
  for (const { args, requests } of readExchanges()) {
    for (const frame of requests) {
      const request = decodeMessage(RequestSchema, bodyOf(frame));
      assert.ok(request !== null, args.join(" "));
      assert.notEqual(request.requestType.case, undefined, args.join(" "));
      kinds.add(request.requestType.case);
      assert.deepEqual(Buffer.from(encodeMessage(RequestSchema, request)!), frame, args.join(" "));
    }
  }
  assert.ok(kinds.size >= 40, `only ${kinds.size} kinds of requests`);
});

test("decisions 1: answers of the stock proxy decode, and encode to the same message", () => {
  for (const { args, answers } of readExchanges()) {
    for (const frame of answers) {
      const response = decodeMessage(ResponseSchema, bodyOf(frame));
      assert.ok(response !== null, args.join(" "));
      // Entries of maps come in any order.
      const again = encodeMessage(ResponseSchema, response)!;
      assert.equal(again.length, frame.length, args.join(" "));
      assert.equal(
        toJson(ResponseSchema, decodeMessage(ResponseSchema, again.subarray(8))!),
        toJson(ResponseSchema, response),
      );
    }
  }
});
