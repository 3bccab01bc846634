// The ring of ticket keys: what seals tickets, what still opens them, and when that changes.

import assert from "node:assert/strict";
import test from "node:test";
import { TICKET_KEY_BYTES, TICKET_ROTATION_MS, TicketKeys } from "../../src/main/ticket-keys.ts";

/** Keys filled with 1, 2, 3 and so on. */
function ring(nowMs: number): TicketKeys {
  let made = 0;
  return new TicketKeys((bytes) => new Uint8Array(bytes).fill(++made), nowMs);
}

function names(keys: TicketKeys): number[] {
  assert.equal(keys.bytes.length % TICKET_KEY_BYTES, 0);
  return Array.from({ length: keys.bytes.length / TICKET_KEY_BYTES }, (_, i) => keys.bytes[i * TICKET_KEY_BYTES]!);
}

test("TLS-14: keys rotate every twelve hours; the one before stays, so every ticket meets its key", () => {
  const keys = ring(1000);
  assert.deepEqual(names(keys), [1]);
  assert.ok(!keys.tick(1000 + TICKET_ROTATION_MS - 1));
  assert.ok(keys.tick(1000 + TICKET_ROTATION_MS));
  assert.deepEqual(names(keys), [2, 1]);
  assert.ok(!keys.tick(1000 + TICKET_ROTATION_MS + 1));
  // A machine that slept: the next one is a whole rotation away from now.
  const late = 1000 + 9 * TICKET_ROTATION_MS;
  assert.ok(keys.tick(late));
  assert.deepEqual(names(keys), [3, 2]);
  assert.ok(!keys.tick(late + TICKET_ROTATION_MS - 1));
  assert.ok(keys.tick(late + TICKET_ROTATION_MS));
});
