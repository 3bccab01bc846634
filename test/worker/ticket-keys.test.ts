// Ticket keys as a worker gets them.

import assert from "node:assert/strict";
import test from "node:test";
import { TICKET_KEY_BYTES } from "../../src/main/ticket-keys.ts";
import { TICKET_KEY_BYTES as ENGINE_KEY_BYTES, setTicketKeys } from "../../src/os/tls-contexts.ts";
import { takeTicketKeys } from "../../src/worker/ticket-keys.ts";

test("whole keys are taken and wiped, anything else is not", () => {
  assert.equal(TICKET_KEY_BYTES, ENGINE_KEY_BYTES);
  const body = new Uint8Array(2 * TICKET_KEY_BYTES).fill(7);
  assert.ok(takeTicketKeys(body));
  assert.ok(body.every((byte) => byte === 0));
  assert.ok(!takeTicketKeys(new Uint8Array(TICKET_KEY_BYTES + 1)));
  setTicketKeys([]);
});
