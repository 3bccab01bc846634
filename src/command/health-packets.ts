// What a worker knows of its backends, on its way to main: as many packets as it takes. Body: u8 1 in the last packet else
// 0, then a JSON array of BackendHealth. Asked for by people, so it need not be compact.

import type { BackendHealth } from "./objects.ts";
import { decodeJson, encodePacket, PACKET, PACKET_BYTES_MAX, PACKET_HEADER_BYTES } from "./worker-protocol.ts";

/** Some of an answer. */
export interface HealthPart {
  readonly last: boolean;
  readonly health: readonly BackendHealth[];
}

/** The packets that answer query `number`; at least one. */
export function* encodeHealth(number: number, health: readonly BackendHealth[]): Generator<Uint8Array> {
  let texts: string[] = [];
  let size = 0;
  for (const each of health) {
    const text = JSON.stringify(each);
    // Three bytes of UTF-8 for a UTF-16 unit at most.
    if (size + 3 * text.length + 1 > BODY_BYTES_MAX) {
      yield encodePart(number, texts, false);
      texts = [];
      size = 0;
    }
    texts.push(text);
    size += 3 * text.length + 1;
  }
  yield encodePart(number, texts, true);
}

/** Takes a body apart; null when it is none. */
export function decodeHealth(body: Uint8Array): HealthPart | null {
  if (body.length < 1) return null;
  const health = decodeJson<readonly BackendHealth[]>(body.subarray(1));
  return Array.isArray(health) ? { last: body[0] === 1, health } : null;
}

function encodePart(number: number, texts: readonly string[], last: boolean): Uint8Array {
  const array = encoder.encode(`[${texts.join(",")}]`);
  const body = new Uint8Array(1 + array.length);
  body[0] = last ? 1 : 0;
  body.set(array, 1);
  return encodePacket(PACKET.HEALTH, number, body);
}

/** Half of what a packet may hold: a slice of work, not only of bytes. */
const BODY_BYTES_MAX = PACKET_BYTES_MAX / 2 - PACKET_HEADER_BYTES;
const encoder: TextEncoder = new TextEncoder();
