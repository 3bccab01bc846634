import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  decodeJson,
  decodePacket,
  decodeStanding,
  decodeText,
  encodeJsonPacket,
  encodePacket,
  encodeStanding,
  encodeTextPacket,
  PACKET,
  PACKET_BYTES_MAX,
  WORKER_PROTOCOL_VERSION,
} from "../../src/command/worker-protocol.ts";

const uint32 = fc.integer({ min: 0, max: 0xffffffff });

test("a packet comes back as it was", () => {
  fc.assert(
    fc.property(fc.nat(255), uint32, fc.uint8Array({ maxLength: 300 }), (kind, number, body) => {
      const packet = decodePacket(encodePacket(kind, number, body));
      assert.deepEqual(packet, { kind, number, version: WORKER_PROTOCOL_VERSION, body });
    }),
  );
});

test("a standing comes back as it was", () => {
  const refusal = fc.record({ revision: uint32, reason: fc.string({ maxLength: 200 }) }, { noNullPrototype: true });
  const refusals = fc.array(refusal, { maxLength: 5 });
  const numbers = { hashLow: uint32, hashHigh: uint32, sessions: uint32 };
  const standing = fc.record({ ...numbers, refusals }, { noNullPrototype: true });
  fc.assert(
    fc.property(standing, (value) => {
      const packet = decodePacket(encodeStanding(PACKET.ACK, 7, value));
      assert.deepEqual(packet && decodeStanding(packet.body), value);
    }),
  );
});

test("more refusals than a packet holds are left out, not cut in the middle", () => {
  const refusals = Array.from({ length: 500 }, (_, i) => ({ revision: i, reason: "x".repeat(1000) }));
  const bytes = encodeStanding(PACKET.ACK, 1, { hashLow: 1, hashHigh: 2, sessions: 3, refusals });
  assert.ok(bytes.length <= PACKET_BYTES_MAX);
  const standing = decodeStanding(decodePacket(bytes)!.body);
  assert.ok(standing !== null && standing.refusals.length > 50);
});

test("JSON and text bodies", () => {
  const body = (bytes: Uint8Array) => decodePacket(bytes)!.body;
  assert.deepEqual(decodeJson(body(encodeJsonPacket(PACKET.LISTEN, 0, { a: [1, "ü"] }))), { a: [1, "ü"] });
  assert.equal(decodeText(body(encodeTextPacket(PACKET.FAILED, 0, "no memory: ü"))), "no memory: ü");
  assert.ok(encodeTextPacket(PACKET.FAILED, 0, "x".repeat(100_000)).length <= PACKET_BYTES_MAX);
});

test("whatever bytes come, decoding answers null or a value", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const packet = decodePacket(bytes);
      assert.equal(packet === null, bytes.length < 8);
      decodeStanding(bytes);
      decodeJson(bytes);
    }),
  );
});
