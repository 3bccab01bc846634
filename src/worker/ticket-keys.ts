// What a worker does with the keys of session tickets that main sends: they go to the TLS engine and stay nowhere else.

import { setTicketKeys, TICKET_KEY_BYTES } from "../os/tls-contexts.ts";

/** Takes the body of a TICKET_KEYS packet over, newest key first, and wipes it. False: it is none. */
export function takeTicketKeys(body: Uint8Array): boolean {
  const keys: Uint8Array[] = [];
  for (let at = 0; at < body.length; at += TICKET_KEY_BYTES) keys.push(body.subarray(at, at + TICKET_KEY_BYTES));
  const isWhole = body.length % TICKET_KEY_BYTES === 0;
  const taken = isWhole && setTicketKeys(keys) >= 0;
  body.fill(0);
  return taken;
}
